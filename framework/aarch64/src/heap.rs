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

/// The region that the linker script keeps.
fn region() -> (usize, usize) {
    unsafe extern "C" {
        static mut __heap_start: u8;
        static mut __heap_end: u8;
    }
    (&raw mut __heap_start as usize, &raw mut __heap_end as usize)
}

/// The size of the block for `layout`; nothing for what is absurdly large.
fn block(layout: Layout) -> Option<usize> {
    let least = layout.size().max(layout.align()).max(SMALLEST);
    let power = least.checked_next_power_of_two()?;
    let step = (power / 2 / STEPS).max(PAGE);
    let size = if least > PAGE { least.next_multiple_of(step) } else { power };
    (layout.align() <= PAGE && size <= isize::MAX as usize).then_some(size)
}

/// The number of a block's size, below `SIZES`.
fn number(size: usize) -> usize {
    let power = size.ilog2();
    STEPS * power as usize + (size >> (power - STEPS.ilog2())) % STEPS
}

impl Blocks {
    fn take(&mut self, size: usize) -> Option<usize> {
        let taken = self.find(size).or_else(|| self.cut(size))?;
        self.used += size;
        Some(taken)
    }

    /// Where nothing is left that was never given out: the beginning of a larger block
    /// that waits, whose other pages wait on their own from then on.
    fn cut(&mut self, size: usize) -> Option<usize> {
        let size = size.max(PAGE);
        let list = (number(size)..number(LARGEST)).find(|list| self.free.get(*list) > Some(&0))?;
        let whole = (STEPS + list % STEPS) << (list / STEPS) >> STEPS.ilog2();
        let at = self.find(whole)?;
        (size..whole).step_by(PAGE).for_each(|from| self.keep(at + from, PAGE));
        Some(at)
    }

    fn find(&mut self, size: usize) -> Option<usize> {
        let list = self.free.get_mut(number(size))?;
        if *list != 0 {
            let taken = *list;
            // SAFETY: 1. a free block holds the address of the next one.
            *list = unsafe { *(taken as *const usize) };
            return Some(taken);
        }
        if size >= PAGE {
            let at = self.end.checked_sub(size)? & !(PAGE - 1);
            return (at >= self.start).then(|| {
                self.end = at;
                at
            });
        }
        let at = self.start.next_multiple_of(size);
        (at + size <= self.end).then(|| {
            self.start = at + size;
            at
        })
    }

    fn give_back(&mut self, at: usize, size: usize) {
        self.used -= size;
        self.keep(at, size);
    }

    fn keep(&mut self, at: usize, size: usize) {
        if let Some(list) = self.free.get_mut(number(size)) {
            // SAFETY: 1. the block is nobody's any more, and holds an address.
            unsafe { *(at as *mut usize) = *list };
            *list = at;
        }
    }
}

// SAFETY: 1. a block is given out to one at a time: it comes from the region's ends,
// which move, or off a list. 2. it has the size and the alignment of the layout.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let taken = block(layout).and_then(|size| self.0.lock().take(size));
        taken.map_or(ptr::null_mut(), |at| at as *mut u8)
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if let Some(size) = block(layout) {
            self.0.lock().give_back(at as usize, size);
        }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: 1. the caller says that the alignment is one, and the size too.
        let larger = unsafe { Layout::from_size_align_unchecked(size, layout.align()) };
        if block(larger) == block(layout) {
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
