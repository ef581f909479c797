//! An end of a channel: memory that another VM sees too, a doorbell each way, and a stream
//! in the memory. `components/channel` has the registers, `framework/ring` the layout.
#![allow(unsafe_code, reason = "memory that somebody else writes to")]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use aarch64_cpu::asm::barrier;
use evisor_ring::{Area, Stream};

use crate::mmio;

/// "eVCh".
const IDENTITY: u32 = 0x6843_5665;
const THIS_VERSION: u32 = 1;

/// Offsets of registers.
mod offset {
    pub const IDENTITY: usize = 0x00;
    pub const VERSION: usize = 0x04;
    pub const NUMBER: usize = 0x08;
    pub const SIZE: usize = 0x0c;
    pub const STARTS: usize = 0x10;
    pub const OTHER: usize = 0x14;
    pub const OTHER_STARTS: usize = 0x18;
    pub const RING: usize = 0x20;
}

/// The registers of an end.
#[derive(Clone, Copy, Debug)]
pub struct Channel {
    registers: usize,
}

impl Channel {
    /// The end whose registers are at an address; `None` if what is there is none that is
    /// known. Something has to be there.
    #[must_use]
    pub fn at(registers: usize) -> Option<Self> {
        let channel = Self { registers };
        let known = channel.read(offset::IDENTITY) == IDENTITY
            && channel.read(offset::VERSION) == THIS_VERSION;
        known.then_some(channel)
    }

    fn read(self, offset: usize) -> u32 {
        mmio::load32(self.registers + offset)
    }

    /// Which end it is, 0 or 1.
    #[must_use]
    pub fn number(self) -> usize {
        self.read(offset::NUMBER) as usize
    }

    /// How many bytes are shared.
    #[must_use]
    pub fn size(self) -> usize {
        self.read(offset::SIZE) as usize
    }

    /// How often this end has started.
    #[must_use]
    pub fn starts(self) -> u32 {
        self.read(offset::STARTS)
    }

    /// Whether the other end's VM runs.
    #[must_use]
    pub fn other_is_up(self) -> bool {
        self.read(offset::OTHER) != 0
    }

    /// How often the other end has started.
    #[must_use]
    pub fn other_starts(self) -> u32 {
        self.read(offset::OTHER_STARTS)
    }

    /// How often both have, of which another number is another life.
    #[must_use]
    pub fn lives(self) -> Lives {
        // What was read of the memory was read before.
        barrier::dsb(barrier::ISHLD);
        Lives { own: self.starts(), other: self.other_starts() }
    }

    /// Rings the other end, which sees what was written to the memory before.
    pub fn ring(self) {
        barrier::dsb(barrier::ISHST);
        mmio::store32(self.registers + offset::RING, 1);
    }

    /// What is shared, which is at address `at`.
    #[must_use]
    pub fn memory(self, at: usize) -> Memory {
        Memory { at, size: self.size() }
    }

    /// Opens the stream in what is shared, which is at address `memory`, in these lives of
    /// the two ends: once in each.
    ///
    /// `memory` has to be mapped Normal, inner shareable, write-back, as the other end's:
    /// nobody maintains a cache here.
    #[must_use]
    pub fn open(self, memory: usize, lives: Lives) -> Option<Stream<Memory>> {
        let (size, session) = (self.size(), lives.session());
        let opened = Stream::open(self.memory(memory), size, self.number(), session);
        self.ring();
        opened
    }
}

/// How often each end of a channel has started or was rolled back. What came through the
/// channel is of these lives if they are the same after it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lives {
    /// This end.
    pub own: u32,
    /// The other.
    pub other: u32,
}

impl Lives {
    /// A number for each two of them, and never 0.
    fn session(self) -> u32 {
        1 << 31 | (self.own & 0x7fff) << 16 | self.other & 0xffff
    }
}

/// What is shared.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    at: usize,
    size: usize,
}

impl Memory {
    /// Where `bytes` from `offset` on are; nowhere if not all of them are there.
    fn find(&self, offset: usize, bytes: usize) -> Option<usize> {
        let end = offset.checked_add(bytes)?;
        (end <= self.size).then_some(self.at + offset)
    }

    fn word(&self, offset: usize) -> Option<&AtomicU32> {
        let at = self.find(offset, 4).filter(|at| at.is_multiple_of(4))?;
        // SAFETY: it is there, for good, and aligned; the other end's accesses are atomic too.
        Some(unsafe { AtomicU32::from_ptr(at as *mut u32) })
    }
}

impl Area for Memory {
    fn load(&self, offset: usize) -> u32 {
        self.word(offset).map_or(0, |word| word.load(Ordering::Acquire))
    }

    fn store(&self, offset: usize, word: u32) {
        if let Some(place) = self.word(offset) {
            place.store(word, Ordering::Release);
        }
    }

    fn read(&self, offset: usize, to: &mut [u8]) {
        if let Some(at) = self.find(offset, to.len()) {
            // SAFETY: `find` says that the bytes are there; `to` is ours.
            unsafe { copy(at, to.as_mut_ptr() as usize, to.len()) };
        }
    }

    fn write(&self, offset: usize, from: &[u8]) {
        if let Some(at) = self.find(offset, from.len()) {
            // SAFETY: as in `read`; nobody has a reference to what is shared.
            unsafe { copy(from.as_ptr() as usize, at, from.len()) };
        }
    }
}

/// Copies bytes of which one side may change meanwhile: no memory of Rust's there. Accesses
/// need not be aligned in Normal memory.
///
/// # Safety
/// 1. Both are mapped for so many bytes, and nobody has a reference to those that change.
unsafe fn copy(mut from: usize, mut to: usize, bytes: usize) {
    if bytes >= 32 {
        // SAFETY: as the caller says; the loop ends after 32 bytes for each.
        unsafe {
            asm!(
                "1: ldp {a}, {b}, [{from}], #32",
                "ldp {c}, {d}, [{from}, #-16]",
                "stp {a}, {b}, [{to}], #32",
                "subs {left}, {left}, #1",
                "stp {c}, {d}, [{to}, #-16]",
                "b.ne 1b",
                a = out(reg) _, b = out(reg) _, c = out(reg) _, d = out(reg) _,
                from = inout(reg) from, to = inout(reg) to, left = inout(reg) bytes / 32 => _,
                options(nostack)
            );
        }
    }
    for _ in 0..bytes % 32 {
        mmio::store8(to, mmio::load8(from));
        (from, to) = (from + 1, to + 1);
    }
}
