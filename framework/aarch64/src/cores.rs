//! The other cores: from the firmware's hand to Rust.

#![allow(unsafe_code, reason = "a stack for each core, and what assembly calls")]

use crate::{map, timer, vcpu};
use alloc::alloc::{alloc, handle_alloc_error};
use core::alloc::Layout;
use core::sync::atomic::{AtomicBool, Ordering};

/// What a core that starts finds at the top of its stack.
#[repr(C, align(16))]
struct Start {
    index: usize,
    main: fn(usize) -> !,
    up: AtomicBool,
}

const PAGE: usize = 4096;
/// The core may be the one that makes a VM's changes: objects as large as an
/// interrupt controller are reset on it.
const STACK: usize = 32 << 10;

/// Starts core number `index`, which runs `main` with it. `power_on` asks the
/// firmware: it gets the physical address of the first instruction and what has
/// to be in x0 there.
///
/// False if the firmware refuses, or the core is not there within a second.
pub fn start(index: usize, main: fn(usize) -> !, power_on: impl FnOnce(u64, u64) -> bool) -> bool {
    unsafe extern "C" {
        static secondary_entry: u8;
    }
    let Ok(layout) = Layout::from_size_align(2 * PAGE + STACK, PAGE) else { return false };
    // SAFETY: 1. the layout is not empty.
    let block = unsafe { alloc(layout) };
    if block.is_null() {
        handle_alloc_error(layout);
    }
    map::guard(block as u64);
    // SAFETY: 1. inside the block.
    let at = unsafe { block.add(PAGE + STACK) }.cast::<Start>();
    // SAFETY: 1. the last page of the block is there, aligned and ours.
    unsafe { at.write(Start { index, main, up: AtomicBool::new(false) }) };
    // SAFETY: 1. just written; never freed.
    let start = unsafe { &*at };
    let entry = map::physical(&raw const secondary_entry as u64);
    if !power_on(entry, at as u64) {
        return false;
    }
    let limit = timer::now() + timer::frequency();
    while !start.up.load(Ordering::Acquire) {
        if timer::now() > limit {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

/// The first Rust code on another core, under the boot's tables.
#[unsafe(no_mangle)]
extern "C" fn evisor_secondary(start: &'static Start) -> ! {
    vcpu::set_vectors();
    map::use_here();
    start.up.store(true, Ordering::Release);
    (start.main)(start.index)
}
