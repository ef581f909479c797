//! Blocks: what a device that stores them asks for, and who has them.
//!
//! A *store* is an object beside the VMs (the board's card, a disk in memory). A
//! device that was granted a [`BlockPort`] of it sends one [`BlockRequest`] at a
//! time and is notified of [`tag::BLOCK_DONE`](crate::tag::BLOCK_DONE) once for
//! each. The bytes go through the port's [`BlockBuffer`]: it is the device's until
//! it asks, the store's until that is done, and the device's again.
//!
//! A request is at most [`BLOCKS`] blocks: so much is moved in one go at EL2. Who
//! has more to move asks again, and lets its guest run in between: from the
//! notification of a [`Deadline`](crate::Deadline) that has passed already, say.

use crate::context::Context;
use crate::wire::Wire;
use alloc::boxed::Box;
use alloc::vec;
use core::fmt;
use spin::Mutex;
use zerocopy::IntoBytes;

/// Bytes of a block.
pub const BLOCK: usize = 512;
/// The most blocks of one request.
pub const BLOCKS: usize = 8;

/// What is done with blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockOperation {
    /// They go to the buffer.
    Read,
    /// They come from the buffer.
    Write,
    /// What was written before is kept from now on; no block is named.
    Flush,
}

/// What is asked of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockRequest {
    /// What to do.
    pub operation: BlockOperation,
    /// The first block, from 0 at the start of the port's part; 40 bits are kept.
    pub block: u64,
    /// How many: 1 to [`BLOCKS`], or 0 to flush.
    pub count: u32,
}

impl BlockRequest {
    /// As the value of a notification.
    pub const fn encode(self) -> u64 {
        let operation = match self.operation {
            BlockOperation::Read => 0,
            BlockOperation::Write => 1,
            BlockOperation::Flush => 2,
        };
        self.block << 24 | (self.count as u64 & 0xff) << 8 | operation
    }

    /// From the value of a notification.
    pub const fn decode(value: u64) -> Option<Self> {
        let operation = match value & 0xff {
            0 => BlockOperation::Read,
            1 => BlockOperation::Write,
            2 => BlockOperation::Flush,
            _ => return None,
        };
        Some(Self { operation, block: value >> 24, count: (value >> 8) as u32 & 0xff })
    }

    /// Whether a part of so many blocks has what is asked, and may be asked for it.
    pub const fn fits(self, blocks: u64, read_only: bool) -> bool {
        match self.operation {
            BlockOperation::Flush => return self.block == 0 && self.count == 0,
            BlockOperation::Write if read_only => return false,
            _ => {}
        }
        let count = self.count as u64;
        let end = self.block.saturating_add(count);
        1 <= count && count <= BLOCKS as u64 && end <= blocks
    }
}

/// How a request ended: the value of [`tag::BLOCK_DONE`](crate::tag::BLOCK_DONE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockDone {
    /// It was done.
    Done,
    /// Blocks are not there, or may not be written: nothing was done.
    Refused,
    /// The medium failed; some of it may have been done.
    Failed,
}

impl BlockDone {
    /// As the value of a notification.
    pub const fn encode(self) -> u64 {
        self as u64
    }

    /// From the value of a notification.
    pub const fn decode(value: u64) -> Self {
        match value {
            0 => Self::Done,
            1 => Self::Refused,
            _ => Self::Failed,
        }
    }
}

/// Where the bytes of a request are: [`BLOCKS`] blocks.
#[derive(Debug)]
pub struct BlockBuffer(Mutex<Box<[u32]>>);

impl BlockBuffer {
    /// Zeros.
    pub fn new() -> Self {
        Self(Mutex::new(vec![0; BLOCK * BLOCKS / size_of::<u32>()].into_boxed_slice()))
    }

    /// Runs `f` on its bytes.
    pub fn with<R>(&self, f: impl FnOnce(&mut [u8]) -> R) -> R {
        f(self.0.lock().as_mut_bytes())
    }

    /// Runs `f` on its words, the first byte of each the lowest.
    pub fn with_words<R>(&self, f: impl FnOnce(&mut [u32]) -> R) -> R {
        f(&mut self.0.lock())
    }
}

impl Default for BlockBuffer {
    fn default() -> Self {
        Self::new()
    }
}

/// A port of a store: a window onto its blocks.
#[derive(Clone, Copy)]
pub struct BlockPort {
    wire: Wire,
    blocks: u64,
    read_only: bool,
    buffer: &'static BlockBuffer,
}

impl BlockPort {
    /// The kernel makes it when it binds a component.
    pub(crate) const fn of(
        wire: Wire,
        blocks: u64,
        read_only: bool,
        buffer: &'static BlockBuffer,
    ) -> Self {
        Self { wire, blocks, read_only, buffer }
    }

    /// How many blocks there are; none if there is no medium.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Whether writes are refused.
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// Where the bytes go.
    pub fn buffer(&self) -> &'static BlockBuffer {
        self.buffer
    }

    /// Asks. One request at a time, and each is answered once, whatever becomes of
    /// the VM meanwhile: an object that is reset, or restored, remembers that an answer is
    /// due, and does not touch the buffer before it came. An answer names no request: what
    /// a restored state says was asked is answered by nobody, and has failed.
    pub fn request(&self, request: BlockRequest, cx: &mut Context) {
        self.wire.send(request.encode(), cx);
    }
}

impl fmt::Debug for BlockPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockPort({} blocks)", self.blocks)
    }
}

/// What a store is told of who opens a port of it.
#[derive(Clone, Copy, Debug)]
pub struct BlockOpening {
    /// Which part of it: 0 for all, or the number of a partition.
    pub part: u32,
    /// It is only read.
    pub read_only: bool,
    /// Where the bytes of its requests are.
    pub buffer: &'static BlockBuffer,
}

/// The card or disk that the board has: a leaf, driven by the board. None of its
/// methods waits; its interrupt is [`tag::HOST_INTERRUPT`](crate::tag::HOST_INTERRUPT).
pub trait HostDisk: Send {
    /// How many blocks it has; 0 if there is none in the slot, or it failed.
    fn blocks(&self) -> u64;

    /// The partitions of its table (the MBR's four, in order): first block and count.
    fn partitions(&self) -> [Option<(u64, u64)>; 4];

    /// What is moved next: `count` blocks from `block` on, at most [`BLOCKS`]. No other
    /// transfer is under way, and [`advance`](Self::advance) is called at once.
    fn start(&mut self, write: bool, block: u64, count: u32);

    /// Moves what is ready between it and the first `count` blocks of `words`, in
    /// bounded time, and quiets its interrupt. Comes again when it interrupts, and
    /// at the latest every 10 ms while it is busy.
    fn advance(&mut self, words: &mut [u32]) -> DiskProgress;
}

/// How far a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskProgress {
    /// There is more to come.
    Busy,
    /// All was moved.
    Done,
    /// It ended with an error, which the driver has logged.
    Failed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_round_trip() {
        for operation in [BlockOperation::Read, BlockOperation::Write, BlockOperation::Flush] {
            let request = BlockRequest { operation, block: (1 << 40) - 1, count: 8 };
            assert_eq!(BlockRequest::decode(request.encode()), Some(request));
        }
        assert_eq!(BlockRequest::decode(3), None);
        for done in [BlockDone::Done, BlockDone::Refused, BlockDone::Failed] {
            assert_eq!(BlockDone::decode(done.encode()), done);
        }
    }

    #[test]
    fn a_request_fits_in_the_part_or_not() {
        use BlockOperation::{Flush, Read, Write};
        let table = [
            (Read, 0, 1, true),
            (Read, 0, 0, false),
            (Read, 92, 8, true),
            (Read, 93, 8, false),
            (Read, 99, 1, true),
            (Read, 100, 1, false),
            (Read, 0, 9, false),
            (Read, (1 << 40) - 1, 8, false),
            (Read, u64::MAX, 8, false),
            (Write, 92, 8, true),
            (Write, 100, 1, false),
            (Flush, 0, 0, true),
            (Flush, 0, 1, false),
            (Flush, 1, 0, false),
        ];
        for (operation, block, count, fits) in table {
            let request = BlockRequest { operation, block, count };
            assert_eq!(request.fits(100, false), fits, "{request:?}");
            assert_eq!(request.fits(100, true), fits && operation != Write, "{request:?}");
        }
    }

    #[test]
    fn a_buffer_is_bytes_and_words() {
        let buffer = BlockBuffer::new();
        buffer.with_words(|words| words[1] = u32::from_le_bytes([1, 2, 3, 4]));
        buffer.with(|bytes| assert_eq!(bytes[4..8], [1, 2, 3, 4]));
        buffer.with(|bytes| assert_eq!(bytes.len(), BLOCK * BLOCKS));
    }
}
