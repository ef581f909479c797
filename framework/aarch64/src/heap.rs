//! The heap: for what is built when eVisor starts, and tables while guest memory is
//! filled. Nothing on the way of a trap allocates.
//!
//! A block has a power of two of bytes; above a page there are up to three sizes of whole
//! pages between one and the next, as a stack with its guard is a page more. One that is given back
//! waits in the list of its size, and is the next to be given out: no block is ever
//! divided or joined, and both take a dozen instructions. Starting takes hundreds of
//! allocations, most of them soon given back; what that wastes is bounded by the largest
//! that each size was at a time.

#![allow(unsafe_code, reason = "hands a static region out")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr;
use core::sync::atomic::{AtomicBool, Ordering};
use spin::Mutex;

/// Blocks are at least this large: a list's link, and what most things need.
const SMALLEST: usize = 16;
/// Larger blocks are aligned to this only, and taken from the end of the region, so
/// that small ones leave no gaps before them.
const PAGE: usize = 4096;
/// Larger ones than a page come in up to so many sizes from a power of two to the next.
const STEPS: usize = 4;
/// More than the region has.
const LARGEST: usize = 1 << 30;
const SIZES: usize = STEPS * usize::BITS as usize;

struct Heap(Mutex<Blocks>);

/// What was never given out lies from `start` to `end`.
struct Blocks {
    start: usize,
    end: usize,
    /// The first free block of each size, by its number; each holds the next one's
    /// address, and the last one 0.
    free: [usize; SIZES],
    /// How many bytes are given out.
    used: usize,
}

#[global_allocator]
static HEAP: Heap = Heap(Mutex::new(Blocks { start: 0, end: 0, free: [0; SIZES], used: 0 }));

/// What was asked for once could not be had.
static EXHAUSTED: AtomicBool = AtomicBool::new(false);

/// Gives the allocator the region that the linker script keeps for it. Once,
/// before anything allocates.
pub fn init() {
    let mut blocks = HEAP.0.lock();
    (blocks.start, blocks.end) = region();
}

/// How many bytes are not given out. Not all of them can be had in one piece.
pub fn free() -> u64 {
    let (start, end) = region();
    (end - start - HEAP.0.lock().used) as u64
}

/// How many bytes the heap has, if that was too few once.
pub fn was_too_small() -> Option<u64> {
    let (start, end) = region();
    EXHAUSTED.load(Ordering::Relaxed).then_some((end - start) as u64)
}

/// The region that the linker script keeps.
fn region() -> (usize, usize) {
    unsafe extern "C" {
        static mut __heap_start: u8;
        static mut __heap_end: u8;
    }
    (&raw mut __heap_start as usize, &raw mut __heap_end as usize)
}

/// A size of blocks: in bytes, and the number of its list.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Size {
    bytes: usize,
    list: usize,
}

impl Size {
    /// That of the block for `layout`; nothing for what is absurdly large.
    #[inline(always)]
    fn of(layout: Layout) -> Option<Self> {
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

/// One page.
const ONE: Size = Size { bytes: PAGE, list: STEPS * PAGE.ilog2() as usize };

/// The number of a block's size, below `SIZES`.
fn number(size: usize) -> usize {
    let power = size.ilog2();
    STEPS * power as usize + (size >> (power - STEPS.ilog2())) % STEPS
}

impl Blocks {
    #[inline(always)]
    fn take(&mut self, size: Size) -> Option<usize> {
        let taken = match self.waiting(size) {
            Some(taken) => taken,
            None => self.fresh(size).or_else(|| self.cut(size))?,
        };
        self.used += size.bytes;
        Some(taken)
    }

    /// Where nothing is left that was never given out: the beginning of a larger block
    /// that waits, whose other pages wait on their own from then on.
    #[cold]
    #[inline(never)]
    fn cut(&mut self, size: Size) -> Option<usize> {
        let Size { bytes: size, list } = if size.bytes < PAGE { ONE } else { size };
        let list = (list..number(LARGEST)).find(|list| self.free.get(*list) > Some(&0))?;
        let whole = (STEPS + list % STEPS) << (list / STEPS) >> STEPS.ilog2();
        let at = self.waiting(Size { bytes: whole, list })?;
        (size..whole).step_by(PAGE).for_each(|from| self.keep(at + from, ONE));
        Some(at)
    }

    /// One that was given back.
    #[inline(always)]
    fn waiting(&mut self, size: Size) -> Option<usize> {
        let list = self.free.get_mut(size.list)?;
        let taken = *list;
        if taken == 0 {
            return None;
        }
        // SAFETY: 1. a free block holds the address of the next one.
        *list = unsafe { *(taken as *const usize) };
        Some(taken)
    }

    /// One that was never given out.
    fn fresh(&mut self, Size { bytes: size, .. }: Size) -> Option<usize> {
        if size >= PAGE {
            let at = self.end.checked_sub(size)? & !(PAGE - 1);
            return (at >= self.start).then(|| {
                self.end = at;
                at
            });
        }
        // A power of two, which is quicker than `next_multiple_of`.
        let at = (self.start + size - 1) & !(size - 1);
        (at + size <= self.end).then(|| {
            self.start = at + size;
            at
        })
    }

    #[inline(always)]
    fn give_back(&mut self, at: usize, size: Size) {
        self.used -= size.bytes;
        self.keep(at, size);
    }

    #[inline(always)]
    fn keep(&mut self, at: usize, size: Size) {
        if let Some(list) = self.free.get_mut(size.list) {
            // SAFETY: 1. the block is nobody's any more, and holds an address.
            unsafe { *(at as *mut usize) = *list };
            *list = at;
        }
    }
}

#[cold]
fn none() -> *mut u8 {
    EXHAUSTED.store(true, Ordering::Relaxed);
    ptr::null_mut()
}

// SAFETY: 1. a block is given out to one at a time: it comes from the region's ends,
// which move, or off a list. 2. it has the size and the alignment of the layout.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = Size::of(layout).and_then(|size| self.0.lock().take(size));
        taken.map_or_else(none, |at| at as *mut u8)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if let Some(size) = Size::of(layout) {
            self.0.lock().give_back(at as usize, size);
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: 1. the caller says that the alignment is one, and the size too.
        let larger = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if Size::of(larger) == Size::of(layout) {
            return at;
        }
        // SAFETY: 1. as the caller says.
        let to = unsafe { self.alloc(larger) };
        if !to.is_null() {
            // SAFETY: 1. both blocks have that many bytes, and are two.
            unsafe { ptr::copy_nonoverlapping(at, to, layout.size().min(size)) };
            // SAFETY: 1. as the caller says.
            unsafe { self.dealloc(at, layout) };
        }
        to
    }
}
