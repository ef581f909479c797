//! Flattened device trees (Devicetree Specification v0.4, chapter 5): checked,
//! read and written.
//!
//! A tree comes from outside: from the firmware, or from whoever wrote the
//! manifest. [`Tree::new`] looks at every byte that anything here will read
//! later, so that reading cannot fail halfway: what it accepts has a sound
//! structure, and what it does not is refused with the offset of the fault.
//!
//! fdt-rs reads the tokens. It is trusted with a tree only token by token, after
//! the same token was checked here, because it was written for trees that are
//! well formed: it panics on some that are not, and asserts alignment instead of
//! testing it. Its constructor is the only `unsafe` in the crate.
//!
//! [`Draft`] is a tree that is being written.
//!
//! Not done here: overlays, and address spaces of three cells (PCI).

#![no_std]

extern crate alloc;

mod aligned;
mod draft;
mod error;
mod fdt;
mod header;
mod node;
mod property;
mod reg;
mod tree;
mod write;

pub use aligned::Aligned;
pub use draft::{Draft, WriteError};
pub use error::FdtError;
pub use node::{Children, Node};
pub use property::{Cells, Property, Strings};
pub use reg::{RegError, Region};
pub use tree::{MAX_DEPTH, Tree};
