//! Memory that a device of the board reads and writes by itself.

#![allow(unsafe_code, reason = "memory that is shared with a device, and cache maintenance")]

use crate::{maintenance, map};
use alloc::alloc::alloc_zeroed;
use core::alloc::Layout;
use core::arch::asm;
use core::ops::Range;

/// Memory for one device, contiguous, from the image's own: below the end of wherever
/// the firmware loads an image. It is Normal memory, cached, and so has to be cleaned
/// before the device reads it and invalidated after the device wrote it (DDI 0487,
/// Coherency and caching between CPUs and memory system components).
pub struct DmaBuffer {
    words: &'static mut [u32],
    physical: u64,
}

/// Larger than any line of a data cache (CTR_EL0.DminLine has at most 2 KiB), so that
/// no line is shared with anything else.
const ALIGNMENT: usize = 2048;

impl DmaBuffer {
    /// Zeros, so many words; `None` if that many cannot be had.
    pub fn new(words: usize) -> Option<Self> {
        let bytes = words.checked_mul(4)?.checked_next_multiple_of(ALIGNMENT)?;
        let layout = Layout::from_size_align(bytes, ALIGNMENT).ok().filter(|_| bytes > 0)?;
        // SAFETY: 1. the layout is not empty.
        let at = unsafe { alloc_zeroed(layout) };
        if at.is_null() {
            return None;
        }
        // Nothing of what was there before is written back over what the device writes.
        maintenance::clean_and_invalidate(at as u64, bytes as u64);
        let physical = map::physical(at as u64);
        // SAFETY: 1. just allocated, aligned, and never freed.
        let words = unsafe { core::slice::from_raw_parts_mut(at.cast::<u32>(), words) };
        Some(Self { words, physical })
    }

    /// The memory, while the device does not use it.
    pub fn words(&mut self) -> &mut [u32] {
        self.words
    }

    /// Where it is.
    pub fn physical(&self) -> u64 {
        self.physical
    }

    /// The device reads these words next: they are in memory when this returns.
    pub fn clean(&mut self, words: Range<usize>) {
        if let Some((at, bytes)) = self.place(words) {
            maintenance::clean_and_invalidate(at, bytes);
        }
    }

    /// The device wrote these words: they are read from memory next. It has said that
    /// it is done; what was read ahead of that is dropped.
    pub fn invalidate(&mut self, words: Range<usize>) {
        // The load that said so comes before what follows (DDI 0487, Data Memory Barrier).
        // SAFETY: 1. a barrier.
        unsafe { asm!("dmb oshld", options(nostack)) };
        // The lines are clean: cleaning them too writes nothing.
        if let Some((at, bytes)) = self.place(words) {
            maintenance::clean_and_invalidate(at, bytes);
        }
    }

    fn place(&self, words: Range<usize>) -> Option<(u64, u64)> {
        let part = self.words.get(words).filter(|part| !part.is_empty())?;
        Some((part.as_ptr() as u64, size_of_val(part) as u64))
    }
}
