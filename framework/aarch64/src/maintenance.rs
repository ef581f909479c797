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
    let line = data_line();
    let mut address = at & !(line - 1);
    while address < at + bytes {
        // SAFETY: 1. the line is mapped; its content does not change.
        unsafe { asm!("dc civac, {}", in(reg) address, options(nostack)) };
        address += line;
    }
    // SAFETY: 1. a barrier.
    unsafe { asm!("dsb sy", options(nostack)) };
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

/// Copies `bytes` from `from` to `to`, 64 at a time as far as that goes: a guest's memory is
/// large, and what the compiler calls for that moves a register at a time.
///
/// # Safety
/// 1. Both are mapped as normal memory for so much, and do not overlap; the one is the
///    caller's to read, the other to write.
pub(crate) unsafe fn copy(from: *const u8, to: *mut u8, bytes: usize) {
    let whole = bytes & !63;
    if whole > 0 {
        // SAFETY: 1. as the caller says.
        unsafe {
            asm!(
                "2:",
                "ldp {a}, {b}, [{from}]",
                "ldp {c}, {d}, [{from}, #16]",
                "stp {a}, {b}, [{to}]",
                "stp {c}, {d}, [{to}, #16]",
                "ldp {a}, {b}, [{from}, #32]",
                "ldp {c}, {d}, [{from}, #48]",
                "stp {a}, {b}, [{to}, #32]",
                "stp {c}, {d}, [{to}, #48]",
                "add {from}, {from}, #64",
                "add {to}, {to}, #64",
                "cmp {from}, {end}",
                "b.ne 2b",
                from = inout(reg) from => _,
                to = inout(reg) to => _,
                end = in(reg) from.wrapping_add(whole),
                a = out(reg) _,
                b = out(reg) _,
                c = out(reg) _,
                d = out(reg) _,
                options(nostack),
            );
        }
    }
    let (from, to) = (from.wrapping_add(whole), to.wrapping_add(whole));
    // SAFETY: 1. as the caller says.
    unsafe { core::ptr::copy_nonoverlapping(from, to, bytes - whole) };
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
