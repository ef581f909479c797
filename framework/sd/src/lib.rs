//! SD cards behind a standard host controller (SDHCI): for boards, which hand over a
//! window and a clock.
//!
//! [`Sd`] makes a card ready and transfers blocks: [`Sd::start`] and [`Sd::advance`]
//! never wait and are driven by interrupts or by looking; [`Sd::read_blocks`] waits.
//! [`partitions`] reads a card's partition table, and [`Files`] files of its first FAT
//! partition.
//!
//! What is not done here: 1.8 V and the UHS-I modes, SDIO, MMC, SDUC, erasing, locking.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod card;
mod card_disk;
mod disk;
mod divisor;
mod dma;
mod error;
mod files;
mod host;
mod partitions;
mod registers;
mod spec;
mod start;
mod transfer;

pub use card::Card;
pub use card_disk::CardDisk;
pub use disk::Disk;
pub use dma::{DmaMemory, NoDma};
pub use error::{Cause, SdError};
pub use files::{FileError, Files, Told};
pub use host::Config;
pub use partitions::{Partition, TableError, partitions};
pub use registers::{Clock, Registers};
pub use spec::{BLOCK, BLOCK_WORDS, offset};
pub use transfer::{Bounds, Progress, Sd, Transfer};
