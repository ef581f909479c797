//! The other cores: from the firmware's hand to Rust.

#![allow(unsafe_code, reason = "a stack for each core, and what assembly calls")]

use crate::{gic, map, timer, vcpu};
use aarch64_cpu::asm::barrier;
use alloc::alloc::{alloc, handle_alloc_error};
use core::alloc::Layout;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use evisor_heap::room;

/// What a core that starts finds at the top of its stack.
#[repr(C, align(16))]
struct Start {
    index: usize,
    main: fn(usize) -> !,
    up: AtomicBool,
}

/// A core that was sent for, as `boot.s` looks it up.
#[repr(C)]
struct Waiting {
    affinity: AtomicU64,
    /// Its `Start`; 0 ends the list.
    start: AtomicU64,
}

/// One more than there can be: the last stays empty.
#[unsafe(export_name = "evisor_waiting")]
static WAITING: [Waiting; gic::CORES + 1] =
    [const { Waiting { affinity: AtomicU64::new(0), start: AtomicU64::new(0) } }; gic::CORES + 1];

const PAGE: usize = 4096;
/// The core may be the one that makes a VM's changes: objects as large as an
/// interrupt controller are reset on it.
const STACK: usize = 32 << 10;
const _: () = assert!(2 * PAGE + STACK == room::CORE);

/// Starts core number `index`, the one with this `affinity`, which runs `main` with
/// it. `release` gets the physical address of its first instruction and has the
/// firmware send it there. One core at a time, not the first.
///
/// False if the firmware refuses, or the core is not there within a second.
pub fn start(
    index: usize,
    affinity: u64,
    main: fn(usize) -> !,
    release: impl FnOnce(u64) -> bool,
) -> bool {
    unsafe extern "C" {
        static secondary_entry: u8;
    }
    let free = index.checked_sub(1).filter(|at| *at < gic::CORES);
    let Some(waiting) = free.and_then(|at| WAITING.get(at)) else { return false };
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
    waiting.affinity.store(affinity, Ordering::Relaxed);
    waiting.start.store(at as u64, Ordering::Relaxed);
    // It is all there before the core is sent for, whatever the way to it is.
    barrier::dsb(barrier::SY);
    if !release(map::physical(&raw const secondary_entry as u64)) {
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
