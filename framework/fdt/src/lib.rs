//! Flattened device trees (Devicetree Specification v0.4, chapter 5): checked,
//! read and written.
//!
//! A tree comes from outside: from the firmware, or from whoever wrote the
//! manifest. [`Tree::new`] looks at every byte that anything here will read
//! later, so that reading cannot fail halfway: what it accepts has a sound
//! structure, and what it does not is refused with the offset of the fault.
//!
//! The tokens are read here and not by fdt-rs, which was written for trees that are
//! well formed: it panics on some that are not. Names become `str`, and words are
//! read in place, by the only `unsafe` in the crate.
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
mod gic;
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
