//! The router: it turns the name that a trap gives into a capability, checks the
//! capability's rights, and invokes the object behind it.
//!
//! There is one [`Table`] of routes for each kind of name. A table is *total*:
//! every name of its kind has a route, and those that nobody was granted lead to
//! an object that is not there, without rights. So a lookup cannot fail, a name
//! without a route and a name without the right end in the same place, and both
//! are found through the same [`Cache`].
//!
//! A [`Space`] is what one VM holds: its four tables, fixed when it is built and
//! read without a lock. Rights can be taken from a capability where it stands;
//! anything else that changes a space happens while all of its VM's vCPUs are
//! parked. What a VM is given, derives, hands on and loses while it runs, it names by
//! [`Handles`], which are looked up in [`Derivations`] and not in a table.
//!
//! What this crate does not do: find out what trapped (`framework/aarch64`), or
//! decide what a VM may hold (`framework/manifest`).

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod absent;
mod cache;
mod deliver;
mod derivations;
mod gate;
mod handles;
mod holding;
mod interrupts;
mod invoke;
mod space;
mod table;

pub use absent::nobody;
pub use cache::Cache;
pub use deliver::{Delivery, deliver};
pub use derivations::{Allowance, Derivations, Given, NODES, Named, Narrowing};
pub use gate::Gate;
pub use handles::{Behind, HandlePort, Handles, Sweeping, unfilled};
pub use holding::{HeldLine, Holding};
pub use interrupts::{INTIDS, Interrupts, InterruptsBuilder};
pub use invoke::{call, read, read_register, write, write_register};
pub use space::{Caches, Space, SpaceBuilder, Uses};
pub use table::{Overlap, Route, Table, TableBuilder};
