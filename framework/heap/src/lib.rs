//! The sizes of the blocks that EL2's heap gives out, and what a sequence of them comes
//! to: for the heap itself, and for who says on a workstation whether it has enough.
//!
//! A block has a power of two of bytes; above a page there are up to three sizes of whole
//! pages between one and the next, as a stack with its guard is a page more. One that is
//! given back is of its size for good.

#![no_std]
#![forbid(unsafe_code)]

pub mod room;
mod tally;

pub use tally::Tally;

use core::alloc::Layout;

/// Blocks are at least this large: a list's link, and what most things need.
const SMALLEST: usize = 16;
/// Larger blocks, in bytes, are aligned to this only, and taken from the end of the region,
/// so that small ones leave no gaps before them.
pub const PAGE: usize = 4096;
/// Larger ones than a page come in up to so many sizes from a power of two to the next.
pub const STEPS: usize = 4;
/// How many sizes there are.
pub const SIZES: usize = STEPS * usize::BITS as usize;

/// A size of blocks: in bytes, and its number, below [`SIZES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// How many bytes a block has.
    pub bytes: usize,
    /// Its number; larger ones have larger numbers.
    pub list: usize,
}

/// One page.
pub const ONE: Size = Size { bytes: PAGE, list: STEPS * PAGE.ilog2() as usize };

impl Size {
    /// That of the block for `layout`; nothing for what is absurdly large.
    #[inline(always)]
    pub fn of(layout: Layout) -> Option<Self> {
        let least = layout.size().max(layout.align()).max(SMALLEST);
        if least > PAGE {
            return Self::of_pages(layout);
        }
        let power = usize::BITS - (least - 1).leading_zeros();
        Some(Self { bytes: 1 << power, list: STEPS * power as usize })
    }

    #[cold]
    #[inline(never)]
    fn of_pages(layout: Layout) -> Option<Self> {
        let step = (layout.size().checked_next_power_of_two()? / 2 / STEPS).max(PAGE);
        let bytes = layout.size().next_multiple_of(step);
        let fits = layout.align() <= PAGE && bytes <= isize::MAX as usize;
        fits.then(|| Self { bytes, list: number(bytes) })
    }
}

/// The number of a block's size, below [`SIZES`].
pub fn number(size: usize) -> usize {
    let power = size.ilog2();
    STEPS * power as usize + (size >> (power - STEPS.ilog2())) % STEPS
}
