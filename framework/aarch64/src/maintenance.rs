//! Cache maintenance that QEMU does not miss and silicon does.

#![allow(unsafe_code, reason = "cache maintenance instructions")]

use core::arch::asm;

fn data_line() -> u64 {
    let ctr: u64;
    // SAFETY: 1. reading CTR_EL0 has no effect.
    unsafe { asm!("mrs {}, ctr_el0", out(reg) ctr, options(nomem, nostack)) };
    4 << (ctr >> 16 & 0xf)
}

/// Cleans and invalidates `bytes` from EL2 address `at` to the point of
/// coherency: memory that EL2 wrote through its cache and a guest reads with its
/// own off, as every guest does at first (DDI 0487, B2.7.2). The caller has it
/// mapped.
pub fn clean_and_invalidate(at: u64, bytes: u64) {
    begin_to_clean_and_invalidate(at, bytes);
    // SAFETY: 1. a barrier.
    unsafe { asm!("dsb sy", options(nostack)) };
}

/// The same. It is complete after a `dsb sy`.
#[inline(always)]
pub(crate) fn begin_to_clean_and_invalidate(at: u64, bytes: u64) {
    match at % LEAST_LINE + bytes <= LEAST_LINE {
        true => clean_and_invalidate_line(at),
        false => clean_and_invalidate_lines(at, bytes),
    }
}

/// No line is shorter (DDI 0487, CTR_EL0.DminLine counts its words): what is copied most, a
/// word or a descriptor, lies in one, however long that is.
const LEAST_LINE: u64 = 16;

#[inline(always)]
fn clean_and_invalidate_line(at: u64) {
    // SAFETY: 1. the line is mapped; its content does not change.
    unsafe { asm!("dc civac, {}", in(reg) at, options(nostack)) };
}

fn clean_and_invalidate_lines(at: u64, bytes: u64) {
    let line = data_line();
    let mut address = at & !(line - 1);
    while address < at + bytes {
        clean_and_invalidate_line(address);
        address += line;
    }
}

/// Cleans `bytes` from EL2 address `at` to the point of coherency. It is complete
/// after a `dsb sy`.
pub(crate) fn clean(at: u64, bytes: u64) {
    let line = data_line();
    let mut address = at & !(line - 1);
    while address < at + bytes {
        // SAFETY: 1. the line is mapped; its content does not change.
        unsafe { asm!("dc cvac, {}", in(reg) address, options(nostack)) };
        address += line;
    }
}

/// Zeroes `bytes` from EL2 address `at`; a block at a time (DDI 0487, DC ZVA) if it
/// consists of blocks: a guest's memory is large.
///
/// # Safety
/// 1. The memory is mapped as normal memory, and the caller's to write.
pub(crate) unsafe fn zero(at: u64, bytes: u64) {
    let dczid: u64;
    // SAFETY: 1. reading DCZID_EL0 has no effect.
    unsafe { asm!("mrs {}, dczid_el0", out(reg) dczid, options(nomem, nostack)) };
    let block = 4 << (dczid & 0xf);
    if dczid & 1 << 4 != 0 || !(at | bytes).is_multiple_of(block) {
        // SAFETY: 1. as the caller says.
        return unsafe { core::ptr::write_bytes(at as *mut u8, 0, bytes as usize) };
    }
    let mut address = at;
    while address < at + bytes {
        // SAFETY: 1. as the caller says.
        unsafe { asm!("dc zva, {}", in(reg) address, options(nostack)) };
        address += block;
    }
}

/// Invalidates every core's instruction cache: code was written (B2.7.4.2).
pub fn invalidate_instructions() {
    // SAFETY: 1. instructions are fetched again; none has changed for EL2.
    unsafe { asm!("ic ialluis", "dsb ish", "isb", options(nostack)) };
}
