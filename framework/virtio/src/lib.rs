//! The device's half of virtio: the registers of virtio-mmio, version 2, and the split
//! virtqueue ("Virtual I/O Device (VIRTIO) Version 1.2", OASIS, 1 July 2022; "Virtio §"
//! from here on). For devices, which this is no part of: what is in a buffer is theirs.
//!
//! A queue lies in the guest's memory and is the guest's to write at any time. It is walked
//! by checked copies only, each field is read once, and nothing in it makes a walk longer
//! than [`PARTS`]: what cannot be is [`Broken`], and the device needs a reset.
//!
//! Not there: indirect descriptors and the event index, which are not offered; packed
//! queues; notification data; shared memory regions; the registers of version 1.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod queue;
mod spec;
#[cfg(test)]
mod tests;
mod transport;

pub use queue::{AT_A_TIME, Broken, Chain, PARTS, Part, Queue};
pub use spec::{CONFIG, VERSION_1, WINDOW, status};
pub use transport::{Happened, Identity, Transport};
