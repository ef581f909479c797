//! The heap: for what is built when eVisor starts. Nothing on the way of a trap
//! allocates.

#![allow(unsafe_code, reason = "hands a static region to the allocator")]

use linked_list_allocator::LockedHeap;

#[global_allocator]
static HEAP: LockedHeap = LockedHeap::empty();

/// Gives the allocator the region that the linker script keeps for it. Once,
/// before anything allocates.
pub fn init() {
    unsafe extern "C" {
        static mut __heap_start: u8;
        static mut __heap_end: u8;
    }
    let (start, end) = (&raw mut __heap_start, &raw const __heap_end);
    // SAFETY: 1. the region is nobody else's. 2. called once.
    unsafe { HEAP.lock().init(start, end as usize - start as usize) };
}
