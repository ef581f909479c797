//! System registers that a guest at EL1 does not have, and those it does.
#![allow(unsafe_code, reason = "registers named by encoding")]

use aarch64_cpu::registers::{ID_AA64DFR0_EL1, ID_AA64PFR0_EL1};
use evisor_guest::call::hvc;
use evisor_guest::exception::{self, Exception};
use evisor_guest::{read_register, write_register};
use smccc::psci::PSCI_VERSION;
use tock_registers::interfaces::Readable;

use crate::check::{self, Outcome, equal, require};
use crate::checks;

checks! { "system_register":
    implementation_defined_read implementation_defined_write
    unallocated_read el2_read el2_write el3_read
    own_stack_pointer gicv3_absent sve_absent pmu_absent mte_absent
    thread_registers_keep context_registers_keep
}

/// EC 0x00: unknown reason, which is how UNDEFINED is reported.
pub fn undefined<T>(result: Result<T, Exception>) -> Outcome {
    let taken = check::exception("access", result)?;
    equal("EC", taken.class(), 0_u64)?;
    equal("ISS", taken.iss(), 0_u64)
}

/// DDI 0487, "Reserved encodings for IMPLEMENTATION DEFINED registers": op0 3,
/// CRn 11 and 15; HCR_EL2.TIDCP lets a hypervisor take them. No core defines
/// this one.
fn implementation_defined_read() -> Outcome {
    undefined(exception::attempt(|| read_register!("S3_7_C15_C15_7")))
}

fn implementation_defined_write() -> Outcome {
    undefined(exception::attempt(|| {
        write_register!("S3_7_C15_C15_7", 1_u64);
    }))
}

/// CRn 10, CRm 9 is not allocated.
fn unallocated_read() -> Outcome {
    undefined(exception::attempt(|| read_register!("S3_0_C10_C9_0")))
}

/// DDI 0487: EL2's registers are UNDEFINED at EL1.
fn el2_read() -> Outcome {
    undefined(exception::attempt(|| read_register!("cnthctl_el2")))?;
    undefined(exception::attempt(|| read_register!("hcr_el2")))?;
    undefined(exception::attempt(|| read_register!("vttbr_el2")))
}

fn el2_write() -> Outcome {
    undefined(exception::attempt(|| write_register!("vbar_el2", 0_u64)))?;
    undefined(exception::attempt(|| write_register!("hcr_el2", 0_u64)))
}

fn el3_read() -> Outcome {
    undefined(exception::attempt(|| read_register!("scr_el3")))
}

/// DDI 0487, SP_EL1: UNDEFINED at EL1 itself.
fn own_stack_pointer() -> Outcome {
    undefined(exception::attempt(|| read_register!("S3_4_C4_C1_0")))
}

/// A feature that the identification registers do not show is not there.
fn gicv3_absent() -> Outcome {
    let shown = (ID_AA64PFR0_EL1.get() >> 24) & 0xf;
    require("the CPU interface's system registers are shown", shown == 0)?;
    undefined(exception::attempt(|| read_register!("S3_0_C12_C12_5")))
}

/// ZCR_EL1, by ID_AA64PFR0_EL1.SVE. CPACR_EL1.ZEN and FPEN are opened for it: closed, they
/// make EL1 trap to itself before anybody else is asked.
fn sve_absent() -> Outcome {
    let shown = ID_AA64PFR0_EL1.read(ID_AA64PFR0_EL1::SVE);
    require("SVE is shown", shown == 0)?;
    let closed: u64 = read_register!("cpacr_el1");
    write_register!("cpacr_el1", closed | 0b11 << 20 | 0b11 << 16);
    let attempt = exception::attempt(|| read_register!("S3_0_C1_C2_0"));
    write_register!("cpacr_el1", closed);
    undefined(attempt)
}

/// PMCR_EL0, by ID_AA64DFR0_EL1.PMUVer (0xf is a PMU of another kind).
fn pmu_absent() -> Outcome {
    let shown = ID_AA64DFR0_EL1.read(ID_AA64DFR0_EL1::PMUVer);
    require("a PMU is shown", shown == 0)?;
    undefined(exception::attempt(|| read_register!("S3_3_C9_C12_0")))
}

/// GCR_EL1, by ID_AA64PFR1_EL1.MTE (2 and up: the full extension).
fn mte_absent() -> Outcome {
    let shown = (read_register!("id_aa64pfr1_el1") >> 8) & 0xf;
    require("memory tagging is shown", shown < 2)?;
    undefined(exception::attempt(|| read_register!("S3_0_C1_C0_6")))
}

/// What a guest owns keeps its value over calls to the hypervisor.
fn thread_registers_keep() -> Outcome {
    write_register!("tpidr_el0", 0x1111_2222_3333_4444_u64);
    write_register!("tpidr_el1", 0x5555_6666_7777_8888_u64);
    hvc(PSCI_VERSION, [0; 3]);
    equal("TPIDR_EL0", read_register!("tpidr_el0"), 0x1111_2222_3333_4444_u64)?;
    equal("TPIDR_EL1", read_register!("tpidr_el1"), 0x5555_6666_7777_8888_u64)
}

fn context_registers_keep() -> Outcome {
    write_register!("contextidr_el1", 0xdead_beef_u64);
    write_register!("far_el1", 0xfeed_0000_u64);
    write_register!("afsr0_el1", 0_u64);
    hvc(PSCI_VERSION, [0; 3]);
    equal("CONTEXTIDR_EL1", read_register!("contextidr_el1"), 0xdead_beef_u64)?;
    equal("FAR_EL1", read_register!("far_el1"), 0xfeed_0000_u64)
}
