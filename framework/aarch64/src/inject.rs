//! Taking a guest to its own vector: what hardware does when EL1 takes an
//! exception (DDI 0487, AArch64.TakeException).

#![allow(unsafe_code, reason = "writes EL1's exception registers")]

use crate::registers;
use aarch64_cpu::registers::{
    ELR_EL1, ELR_EL2, ESR_EL1, FAR_EL1, FAR_EL2, ID_AA64MMFR1_EL1, SCTLR_EL1, SPSR_EL1, SPSR_EL2,
    VBAR_EL1,
};
use evisor_contract::Register;
use tock_registers::interfaces::{Readable, Writeable};

/// PSTATE of a starting guest, and of one in its vector: EL1h, all masked.
pub const EL1H_MASKED: u64 = 0x3c5;
/// SCTLR_EL1 with the MMU and caches off and what is RES1 in ARMv8.0.
pub const SCTLR_EL1_RESET: u64 = 0x30d0_0800;

const INSTRUCTION_ABORT: u64 = 0x20;
const DATA_ABORT: u64 = 0x24;
const SAME_LEVEL: u64 = 1;
/// ESR_ELx.IL.
const IL: u64 = 1 << 25;
/// DFSC and IFSC: synchronous External abort, not on a table walk.
const EXTERNAL: u64 = 0b01_0000;

/// The guest's access is answered with a synchronous external abort: nothing is
/// at this address. `esr` is EL2's syndrome of it.
pub fn external_abort(esr: u64) {
    let instruction = esr >> 26 & 0x3e == INSTRUCTION_ABORT;
    if !instruction {
        return data_abort(esr, EXTERNAL);
    }
    abort(INSTRUCTION_ABORT, esr & IL | EXTERNAL);
}

/// The guest's load or store is answered with the fault `status` (DFSC).
pub fn data_abort(esr: u64, status: u64) {
    // IL and WnR are what they were; no valid ISS.
    abort(DATA_ABORT, esr & (IL | 1 << 6) | status);
}

fn abort(class: u64, syndrome: u64) {
    let class = if from_el1() { class | SAME_LEVEL } else { class };
    FAR_EL1.set(FAR_EL2.get());
    take(class << 26 | syndrome);
}

/// The guest's instruction is UNDEFINED.
pub fn undefined(esr: u64) {
    take(esr & IL);
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
    // The rest (NZCV, UAO, BTYPE, SS, IL) is cleared on entry.
    SPSR_EL2.set(spsr & DIT | pan(spsr) | ssbs() | EL1H_MASKED);
}

/// Kept on entry to an exception.
const DIT: u64 = 1 << 24;
const PAN: u64 = 1 << 22;
const SSBS: u64 = 1 << 12;

/// PSTATE.PAN in the vector: set where SCTLR_EL1.SPAN says so, else as it was.
fn pan(spsr: u64) -> u64 {
    let implemented = ID_AA64MMFR1_EL1.get() >> 20 & 0xf != 0;
    let set = SCTLR_EL1.get() & 1 << 23 == 0;
    if implemented && set { PAN } else { spsr & PAN }
}

/// PSTATE.SSBS in the vector: SCTLR_EL1.DSSBS.
fn ssbs() -> u64 {
    let implemented =
        registers::identification(Register::new(3, 0, 0, 4, 1)).unwrap_or(0) >> 4 & 0xf != 0;
    if implemented && SCTLR_EL1.get() & 1 << 44 != 0 { SSBS } else { 0 }
}
