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

    /// Rings the other end, which sees what was written to the memory before.
    pub fn ring(self) {
        barrier::dsb(barrier::ISHST);
        mmio::store32(self.registers + offset::RING, 1);
    }

    /// Opens the stream in what is shared, which is at address `memory`.
    ///
    /// `memory` has to be mapped Normal, inner shareable, write-back, as the other end's:
    /// nobody maintains a cache here.
    #[must_use]
    pub fn open(self, memory: usize) -> Option<Stream<Memory>> {
        let size = self.size();
        let opened = Stream::open(Memory { at: memory, size }, size, self.number(), self.starts());
        self.ring();
        opened
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
        let Some(mut at) = self.find(offset, to.len()) else { return };
        let (words, rest) = to.as_chunks_mut::<16>();
        for word in words {
            let (low, high): (u64, u64);
            // SAFETY: `find` says that the bytes are there. They need not be aligned in
            // Normal memory, which no other load of two registers allows in Rust.
            unsafe {
                asm!("ldp {low}, {high}, [{at}], #16", low = out(reg) low, high = out(reg) high,
                    at = inout(reg) at, options(nostack, preserves_flags));
            }
            *word = (u128::from(high) << 64 | u128::from(low)).to_le_bytes();
        }
        for byte in rest {
            *byte = mmio::load8(at);
            at += 1;
        }
    }

    fn write(&self, offset: usize, from: &[u8]) {
        let Some(mut at) = self.find(offset, from.len()) else { return };
        let (words, rest) = from.as_chunks::<16>();
        for word in words {
            let word = u128::from_le_bytes(*word);
            // SAFETY: as in `read`; nobody has a reference to what is shared.
            unsafe {
                asm!("stp {low}, {high}, [{at}], #16", low = in(reg) word as u64,
                    high = in(reg) (word >> 64) as u64, at = inout(reg) at,
                    options(nostack, preserves_flags));
            }
        }
        for byte in rest {
            mmio::store8(at, *byte);
            at += 1;
        }
    }
}
