//! The kernel: what joins router, manifest and machine.
//!
//! - [`bind`] builds a deployment's objects and the space of each VM from them.
//! - [`Vm`] is a VM's life: what it asked for, which of its vCPUs are parked, how
//!   its work ended.
//! - [`Timers`] keeps the components' deadlines.
//! - [`Bundle`] is the archive that eVisor boots with.
//!
//! The machine is behind [`Host`], so that all of this runs on a workstation: the
//! checker of manifests binds a deployment with the very same code.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

mod backed;
mod bind;
mod bind_vm;
mod bound;
mod bundle;
mod channels;
mod checkpoint;
mod extents;
mod grants;
mod handles;
mod host;
mod life;
mod memory;
mod newc;
mod overseer;
mod passed;
mod restarts;
mod shared;
mod stores;
mod tenure;
#[cfg(test)]
mod tests;
mod timers;
mod vm;

pub use backed::{Behind, Slot};
pub use bind::bind;
pub use bound::{Bound, BoundScheduler, BoundVm, Direct, Stolen};
pub use bundle::{Bundle, BundleError};
pub use channels::{ChannelMemory, ChannelWindow, End, HeldEnd};
pub use extents::subtract;
pub use host::Host;
pub use life::{Change, Place};
pub use memory::{MemorySlot, Storage};
pub use passed::{Passed, PassedInterrupt, PassedWindow};
pub use restarts::Restarts;
pub use shared::SharedCore;
pub use stores::HeldStore;
pub use tenure::{Pages, Tenure};
pub use timers::{MAX_CORES, Timers};
pub use vm::{Attention, Entry, Next, Seat, Vm};
