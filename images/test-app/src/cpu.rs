//! The processor: level, identification, floating point, waiting.
#![allow(unsafe_code, reason = "instructions that have no other name")]

use core::arch::asm;

use aarch64_cpu::asm::{barrier, sev, wfe};
use aarch64_cpu::registers::{
    CPACR_EL1, CurrentEL, ID_AA64DFR0_EL1, ID_AA64MMFR0_EL1, ID_AA64PFR0_EL1, MIDR_EL1, MPIDR_EL1,
};
use evisor_guest::{exception, read_register, write_register};
use tock_registers::interfaces::{ReadWriteable, Readable};

use crate::check::{self, Outcome, equal, holds};
use crate::checks;

checks! { "cpu":
    exception_level midr mpidr_uniprocessor_or_numbered pfr0_aarch64_only_levels dfr0_debug
    mmfr0_granule unallocated_id_is_zero id_is_read_only ctr_and_dczid
    floating_point floating_point_traps brk svc udf wfe_after_sev
}

/// DDI 0487, CurrentEL.
fn exception_level() -> Outcome {
    equal("CurrentEL", CurrentEL.read(CurrentEL::EL), 1_u64)
}

/// DDI 0487, MIDR_EL1: every Armv8 core says that "architectural features are
/// individually identified".
fn midr() -> Outcome {
    equal("Architecture", MIDR_EL1.read(MIDR_EL1::Architecture), 0xf_u64)
}

/// DDI 0487, MPIDR_EL1: bit 31 is RES1.
fn mpidr_uniprocessor_or_numbered() -> Outcome {
    equal("RES1", (MPIDR_EL1.get() >> 31) & 1, 1_u64)
}

/// DDI 0487, ID_AA64PFR0_EL1: EL0 and EL1 exist, each in AArch64.
fn pfr0_aarch64_only_levels() -> Outcome {
    let value = ID_AA64PFR0_EL1.get();
    holds("EL0", matches!(value & 0xf, 1 | 2))?;
    holds("EL1", matches!((value >> 4) & 0xf, 1 | 2))
}

/// DDI 0487, ID_AA64DFR0_EL1.DebugVer: 6 and up, or not implemented at all.
fn dfr0_debug() -> Outcome {
    let version = ID_AA64DFR0_EL1.read(ID_AA64DFR0_EL1::DebugVer);
    holds("DebugVer", version == 0 || version >= 6)
}

/// DDI 0487, ID_AA64MMFR0_EL1: stage 1 runs with 4 KiB, so TGran4 is not 0xf;
/// PARange is one of its values.
fn mmfr0_granule() -> Outcome {
    let value = ID_AA64MMFR0_EL1.get();
    holds("TGran4", (value >> 28) & 0xf != 0xf)?;
    holds("PARange", value & 0xf <= 7)
}

/// DDI 0487, "Principles of the ID scheme": op0 3, op1 0, CRn 0, CRm 2 to 7 are
/// all readable, zero where unallocated.
fn unallocated_id_is_zero() -> Outcome {
    let first = exception::attempt(|| read_register!("S3_0_C0_C7_7"));
    equal("S3_0_C0_C7_7", check::no_exception("read", first)?, 0_u64)?;
    let second = exception::attempt(|| read_register!("S3_0_C0_C5_2"));
    equal("S3_0_C0_C5_2", check::no_exception("read", second)?, 0_u64)
}

/// DDI 0487: MSR to a read-only register is UNDEFINED.
fn id_is_read_only() -> Outcome {
    let write = exception::attempt(|| write_register!("S3_0_C0_C4_0", 0_u64));
    equal("EC", check::exception("write", write)?.class(), 0_u64)
}

/// DDI 0487, CTR_EL0: bit 31 is RES1; DCZID_EL0.BS is at most 9 (2 KiB).
fn ctr_and_dczid() -> Outcome {
    equal("CTR_EL0 RES1", (read_register!("ctr_el0") >> 31) & 1, 1_u64)?;
    holds("DCZID_EL0.BS", read_register!("dczid_el0") & 0xf <= 9)
}

/// The guest owns CPACR_EL1: with FPEN set, nothing traps (DDI 0487,
/// CPACR_EL1), and registers keep what is put into them.
fn floating_point() -> Outcome {
    CPACR_EL1.modify(CPACR_EL1::FPEN::TrapNothing);
    barrier::isb(barrier::SY);
    let moved = exception::attempt(|| through_v31(0x0123_4567_89ab_cdef));
    equal("value through d31", check::no_exception("fmov", moved)?, 0x0123_4567_89ab_cdef_u64)
}

fn through_v31(value: u64) -> u64 {
    let result: u64;
    // SAFETY: the guest's Rust code uses no vector register.
    unsafe {
        asm!(".arch_extension fp", "fmov d31, {0}", "fmov {1}, d31",
            in(reg) value, out(reg) result);
    }
    result
}

/// And with FPEN clear, EL1's own trap, EC 0x07, comes to EL1.
fn floating_point_traps() -> Outcome {
    CPACR_EL1.modify(CPACR_EL1::FPEN::TrapEl0El1);
    barrier::isb(barrier::SY);
    // SAFETY: as in `through_v31`.
    let trapped = exception::attempt(|| unsafe { asm!(".arch_extension fp", "fmov d31, xzr") });
    equal("EC", check::exception("fmov", trapped)?.class(), 0x07_u64)
}

/// DDI 0487, BRK: EC 0x3c with the comment in the ISS.
fn brk() -> Outcome {
    // SAFETY: the exception is expected.
    let taken = exception::attempt(|| unsafe { asm!("brk #0x1234") });
    let taken = check::exception("brk", taken)?;
    equal("EC", taken.class(), 0x3c_u64)?;
    equal("comment", taken.iss() & 0xffff, 0x1234_u64)
}

/// DDI 0487, SVC: EC 0x15 with the immediate in the ISS.
fn svc() -> Outcome {
    // SAFETY: the exception is expected.
    let taken = exception::attempt(|| unsafe { asm!("svc #0x4321") });
    let taken = check::exception("svc", taken)?;
    equal("EC", taken.class(), 0x15_u64)?;
    equal("immediate", taken.iss() & 0xffff, 0x4321_u64)
}

/// DDI 0487, UDF: EC 0x00.
fn udf() -> Outcome {
    // SAFETY: the exception is expected.
    let taken = exception::attempt(|| unsafe { asm!("udf #0") });
    equal("EC", check::exception("udf", taken)?.class(), 0_u64)
}

/// DDI 0487, "Wait for Event": the event register is set, so WFE returns.
fn wfe_after_sev() -> Outcome {
    sev();
    wfe();
    Ok(())
}
