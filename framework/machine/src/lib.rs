//! The hypervisor on its machine: from the first Rust function to running VMs.
//!
//! [`start`] is the whole story, in order. What it knows of the board comes from
//! the board crate that answers to the tree's root `compatible` ([`Board`]); what
//! it knows of devices comes from the registry.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod binding;
mod board;
mod card;
mod channels;
mod checkpoint;
mod crash;
mod devices;
mod fill;
mod host;
mod lives;
mod load;
mod report;
mod run;
mod shared;
mod start;

pub use board::{BOARDS, Board, CardDisk, Disk, Hardware};
pub use evisor_aarch64::Boot;
pub use report::panicked;
pub use start::{Image, start};

#[doc(hidden)]
pub use linkme;
