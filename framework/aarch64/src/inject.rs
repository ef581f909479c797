//! Taking a guest to its own vector: what hardware does when EL1 takes an
//! exception (DDI 0487, AArch64.TakeException).

#![allow(unsafe_code, reason = "writes EL1's exception registers")]

use aarch64_cpu::registers::{
    ELR_EL1, ELR_EL2, ESR_EL1, FAR_EL1, FAR_EL2, SPSR_EL1, SPSR_EL2, VBAR_EL1,
};
use tock_registers::interfaces::{Readable, Writeable};

/// PSTATE of a starting guest, and of one in its vector: EL1h, all masked.
pub const EL1H_MASKED: u64 = 0x3c5;
/// SCTLR_EL1 with the MMU and caches off and what is RES1 in ARMv8.0.
pub const SCTLR_EL1_RESET: u64 = 0x30d0_0800;

const INSTRUCTION_ABORT: u64 = 0x20;
const DATA_ABORT: u64 = 0x24;
const SAME_LEVEL: u64 = 1;
/// DFSC and IFSC: synchronous External abort, not on a table walk.
const EXTERNAL: u64 = 0b01_0000;

/// The guest's access is answered with a synchronous external abort: nothing is
/// at this address. `esr` is EL2's syndrome of it.
pub fn external_abort(esr: u64) {
    let instruction = esr >> 26 & 0x3e == INSTRUCTION_ABORT;
    let class = if instruction { INSTRUCTION_ABORT } else { DATA_ABORT };
    let class = if from_el1() { class | SAME_LEVEL } else { class };
    // IL and, of a data abort, WnR are what they were; no valid ISS.
    let kept = if instruction { 1 << 25 } else { 1 << 25 | 1 << 6 };
    FAR_EL1.set(FAR_EL2.get());
    take(class << 26 | esr & kept | EXTERNAL);
}

/// The guest's instruction is UNDEFINED.
pub fn undefined(esr: u64) {
    take(esr & 1 << 25);
}

fn from_el1() -> bool {
    SPSR_EL2.get() & 0b1100 != 0
}

fn take(esr: u64) {
    let spsr = SPSR_EL2.get();
    // VBAR offsets: same level with SP_EL0, with SP_ELx, lower AArch64, AArch32.
    let offset = match spsr & 0b1_1111 {
        mode if mode & 0b1_0000 != 0 => 0x600,
        0b0000 => 0x400,
        mode if mode & 1 == 0 => 0x000,
        _ => 0x200,
    };
    ESR_EL1.set(esr);
    SPSR_EL1.set(spsr);
    ELR_EL1.set(ELR_EL2.get());
    ELR_EL2.set(VBAR_EL1.get().wrapping_add(offset));
    // PAN, SSBS, DIT and the like stay as they are where the architecture keeps
    // them; NZCV, IL, SS and the mode are what an exception entry sets.
    SPSR_EL2.set(spsr & KEPT | EL1H_MASKED);
}

/// DIT, TCO are bits of later extensions that the guest is not told of; PAN (22)
/// is kept, which is right for SCTLR_EL1.SPAN set as for clear it is set by the
/// guest's own entry code.
const KEPT: u64 = 1 << 22;
