//! System registers as EL2 finds them on this core.

#![allow(unsafe_code, reason = "reads identification registers and writes trap controls")]

use core::arch::asm;
use evisor_contract::Register;

macro_rules! read {
    ($name:literal) => {{
        let value: u64;
        // SAFETY: 1. reading an identification register has no effect.
        unsafe { asm!(concat!("mrs {}, ", $name), out(reg) value, options(nomem, nostack)) };
        value
    }};
}

macro_rules! host_registers {
    ($($crm:literal, $op2:literal => $name:literal;)*) => {
        /// An identification register of this core (Op0 3, Op1 0, CRn 0).
        pub fn identification(register: Register) -> Option<u64> {
            match register.fields() {
                $((3, 0, 0, $crm, $op2) => Some(read!($name)),)*
                _ => None,
            }
        }
    };
}

host_registers! {
    0, 0 => "midr_el1";
    0, 6 => "revidr_el1";
    1, 0 => "s3_0_c0_c1_0";
    1, 1 => "s3_0_c0_c1_1";
    1, 2 => "s3_0_c0_c1_2";
    1, 4 => "s3_0_c0_c1_4";
    1, 5 => "s3_0_c0_c1_5";
    1, 6 => "s3_0_c0_c1_6";
    1, 7 => "s3_0_c0_c1_7";
    2, 0 => "s3_0_c0_c2_0";
    2, 1 => "s3_0_c0_c2_1";
    2, 2 => "s3_0_c0_c2_2";
    2, 3 => "s3_0_c0_c2_3";
    2, 4 => "s3_0_c0_c2_4";
    2, 5 => "s3_0_c0_c2_5";
    2, 6 => "s3_0_c0_c2_6";
    3, 0 => "s3_0_c0_c3_0";
    3, 1 => "s3_0_c0_c3_1";
    3, 2 => "s3_0_c0_c3_2";
    4, 0 => "s3_0_c0_c4_0";
    4, 1 => "s3_0_c0_c4_1";
    5, 0 => "s3_0_c0_c5_0";
    5, 1 => "s3_0_c0_c5_1";
    6, 0 => "s3_0_c0_c6_0";
    6, 1 => "s3_0_c0_c6_1";
    6, 2 => "s3_0_c0_c6_2";
    7, 0 => "s3_0_c0_c7_0";
    7, 1 => "s3_0_c0_c7_1";
    7, 2 => "s3_0_c0_c7_2";
}

/// The affinity of this core (MPIDR_EL1's Aff3..Aff0 fields).
pub fn affinity() -> u64 {
    read!("mpidr_el1") & 0xff_00ff_ffff
}

/// Bit `bit` of a trap control, if this core has the feature that the field at
/// `shift` of the identification register (`crm`, `op2`) says it has: the control
/// is RES0 otherwise.
pub(crate) fn trap(crm: u32, op2: u32, shift: u32, bit: u32) -> u64 {
    let register = identification(Register::new(3, 0, 0, crm, op2)).unwrap_or(0);
    u64::from(register >> shift & 0xf != 0) << bit
}

/// Debug, OS lock and performance registers trap (MDCR_EL2: TDRA, TDOSA, TDA,
/// TPM, TPMCR), and so do profiling and trace filters where they are there (TPMS,
/// TTRF); the counters stay the host's (HPMN).
pub fn trap_debug_and_pmu() {
    let traps: u64 = 1 << 11 | 1 << 10 | 1 << 9 | 1 << 6 | 1 << 5;
    let traps = traps | trap(5, 0, 32, 14) | trap(5, 0, 40, 19);
    let pmu = read!("id_aa64dfr0_el1") >> 8 & 0xf;
    let counters = if pmu == 0 || pmu == 0xf { 0 } else { read!("pmcr_el0") >> 11 & 0x1f };
    // SAFETY: 1. only what a guest at EL1 or EL0 does changes.
    unsafe { asm!("msr mdcr_el2, {}", in(reg) traps | counters, options(nomem, nostack)) };
}

/// When the EL2 physical timer fires.
#[inline(always)]
pub(crate) fn set_cnthp_cval(count: u64) {
    // SAFETY: 1. changes when an interrupt of ours comes, nothing else.
    unsafe { asm!("msr cnthp_cval_el2, {}", in(reg) count, options(nomem, nostack)) };
}

/// What a guest reads as MIDR_EL1.
pub(crate) fn set_vpidr(midr: u64) {
    // SAFETY: 1. only what a guest reads changes.
    unsafe { asm!("msr vpidr_el2, {}", in(reg) midr, options(nomem, nostack)) };
}

macro_rules! write {
    ($name:literal, $value:expr) => {{
        let value: u64 = $value;
        // SAFETY: 1. EL2 uses none of what is written so; the caller says that it is there.
        unsafe { asm!(concat!("msr ", $name, ", {}"), in(reg) value, options(nomem, nostack)) };
    }};
}

/// Has what later extensions add to EL1 trap where it is there: by HCRX_EL2
/// (ID_AA64MMFR1_EL1.HCX) what it enables, and by the fine-grained traps
/// (ID_AA64MMFR0_EL1.FGT) what they trap while their bit is 0. Booting an operating system
/// takes firmware that lets EL2 at them (Linux's booting protocol asks for it too).
pub(crate) fn hide_later_extensions() {
    if trap(7, 1, 40, 0) != 0 {
        write!("s3_4_c1_c2_2", 0); // HCRX_EL2
    }
    let fine_grained = read!("id_aa64mmfr0_el1") >> 56 & 0xf;
    if fine_grained > 0 {
        write!("s3_4_c1_c1_4", 0); // HFGRTR_EL2
        write!("s3_4_c1_c1_5", 0); // HFGWTR_EL2
        write!("s3_4_c1_c1_6", 0); // HFGITR_EL2
        write!("s3_4_c3_c1_4", 0); // HDFGRTR_EL2
        write!("s3_4_c3_c1_5", 0); // HDFGWTR_EL2
    }
    if fine_grained > 1 {
        write!("s3_4_c3_c1_0", 0); // HDFGRTR2_EL2
        write!("s3_4_c3_c1_1", 0); // HDFGWTR2_EL2
        write!("s3_4_c3_c1_2", 0); // HFGRTR2_EL2
        write!("s3_4_c3_c1_3", 0); // HFGWTR2_EL2
        write!("s3_4_c3_c1_7", 0); // HFGITR2_EL2
    }
}

/// VDISR_EL2, where it is there: what a guest has as DISR_EL1.
pub(crate) fn vdisr() -> u64 {
    read!("s3_4_c12_c1_1")
}

/// Writes it.
pub(crate) fn set_vdisr(value: u64) {
    write!("s3_4_c12_c1_1", value);
}

/// TPIDR2_EL0, where it is there.
pub(crate) fn tpidr2() -> u64 {
    read!("s3_3_c13_c0_5")
}

/// Writes it.
pub(crate) fn set_tpidr2(value: u64) {
    write!("s3_3_c13_c0_5", value);
}
