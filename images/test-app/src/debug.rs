//! The registers of self-hosted debug and of the performance monitors, which a hypervisor
//! may trap and must answer as the architecture does (DDI 0487).
#![allow(unsafe_code, reason = "instructions that trap")]

use core::arch::asm;

use aarch64_cpu::asm::barrier;
use evisor_guest::{exception, read_register, write_register};

use crate::check::{self, Outcome, equal, holds, require};
use crate::checks;
use crate::system_register::undefined;

checks! { "trap":
    os_lock_status os_lock_sets_and_clears os_lock_is_write_only os_double_lock_reads
    monitor_debug_readable debug_rom_address breakpoint_registers breakpoint_beyond
    watchpoint_registers authentication_status claim_tags communication_channel
    debug_is_quiet
    pmu_control pmu_counters pmu_event_type pmu_user_enable pmu_interrupt_enable
}

/// OSLSR_EL1.OSLM: the OS lock is there (OSLM is not 0), as FEAT_Debugv8 has it.
fn os_lock_status() -> Outcome {
    let read = exception::attempt(|| read_register!("oslsr_el1"));
    let status = check::no_exception("OSLSR_EL1", read)?;
    equal("nTT", status >> 2 & 1, 0_u64)?;
    holds("OSLM", status & 0b1001 != 0)
}

/// OSLAR_EL1.OSLK is seen in OSLSR_EL1.OSLK.
fn os_lock_sets_and_clears() -> Outcome {
    let locked = || {
        barrier::isb(barrier::SY);
        read_register!("oslsr_el1") >> 1 & 1
    };
    write_register!("oslar_el1", 1);
    let set = locked();
    write_register!("oslar_el1", 0);
    let cleared = locked();
    equal("cleared", cleared, 0_u64)?;
    equal("set", set, 1_u64)
}

fn os_lock_is_write_only() -> Outcome {
    // OSLAR_EL1.
    undefined(exception::attempt(|| read_register!("S2_0_C1_C0_4")))?;
    // OSLSR_EL1.
    undefined(exception::attempt(|| write_register!("S2_0_C1_C1_4", 0)))
}

/// OSDLR_EL1.
fn os_double_lock_reads() -> Outcome {
    let read = exception::attempt(|| read_register!("S2_0_C1_C3_4"));
    equal("OSDLR_EL1", check::no_exception("OSDLR_EL1", read)? & 1, 0_u64)
}

/// MDSCR_EL1 can be read and written; nothing in it is on.
fn monitor_debug_readable() -> Outcome {
    let read = exception::attempt(|| read_register!("mdscr_el1"));
    let before = check::no_exception("MDSCR_EL1", read)?;
    let write = exception::attempt(|| write_register!("mdscr_el1", before));
    check::no_exception("MDSCR_EL1", write)
}

/// MDRAR_EL1: no address of a debug ROM that a guest could reach, or a valid one.
fn debug_rom_address() -> Outcome {
    let read = exception::attempt(|| read_register!("S2_0_C1_C0_0"));
    let address = check::no_exception("MDRAR_EL1", read)?;
    holds("Valid", matches!(address & 0b11, 0 | 0b11))
}

/// ID_AA64DFR0_EL1.BRPs: as many DBGBVR and DBGBCR as it says; the first two here.
fn breakpoint_registers() -> Outcome {
    for read in [
        exception::attempt(|| read_register!("dbgbvr0_el1")),
        exception::attempt(|| read_register!("dbgbcr0_el1")),
        exception::attempt(|| read_register!("dbgbvr1_el1")),
        exception::attempt(|| read_register!("dbgbcr1_el1")),
    ] {
        check::no_exception("read", read)?;
    }
    let write = exception::attempt(|| write_register!("dbgbcr0_el1", 0));
    check::no_exception("write", write)
}

/// And no more.
fn breakpoint_beyond() -> Outcome {
    let number = read_register!("id_aa64dfr0_el1") >> 12 & 0xf;
    require("there are 16", number < 15)?;
    undefined(exception::attempt(|| read_register!("dbgbvr15_el1")))?;
    undefined(exception::attempt(|| write_register!("dbgbcr15_el1", 0)))
}

fn watchpoint_registers() -> Outcome {
    for read in [
        exception::attempt(|| read_register!("dbgwvr0_el1")),
        exception::attempt(|| read_register!("dbgwcr0_el1")),
        exception::attempt(|| read_register!("dbgwvr1_el1")),
        exception::attempt(|| read_register!("dbgwcr1_el1")),
    ] {
        check::no_exception("read", read)?;
    }
    let number = read_register!("id_aa64dfr0_el1") >> 20 & 0xf;
    require("there are 16", number < 15)?;
    undefined(exception::attempt(|| read_register!("dbgwvr15_el1")))
}

/// DBGAUTHSTATUS_EL1 is read-only. (QEMU 10's models of some cores do not have it, and
/// then no hypervisor sees the access.)
fn authentication_status() -> Outcome {
    let read = exception::attempt(|| read_register!("dbgauthstatus_el1"));
    require("QEMU has no DBGAUTHSTATUS_EL1", read.is_ok())?;
    undefined(exception::attempt(|| write_register!("S2_0_C7_C14_6", 0)))
}

fn claim_tags() -> Outcome {
    for read in [
        exception::attempt(|| read_register!("dbgclaimset_el1")),
        exception::attempt(|| read_register!("dbgclaimclr_el1")),
    ] {
        check::no_exception("read", read)?;
    }
    Ok(())
}

/// MDCCSR_EL0: nothing to receive, room to send.
fn communication_channel() -> Outcome {
    let read = exception::attempt(|| read_register!("mdccsr_el0"));
    let status = check::no_exception("MDCCSR_EL0", read)?;
    equal("RXfull", status >> 30 & 1, 0_u64)
}

/// With nothing enabled no debug exception comes.
fn debug_is_quiet() -> Outcome {
    let before = read_register!("daif");
    let run = exception::attempt(|| {
        // SAFETY: debug exceptions unmasked, and masked again.
        unsafe { asm!("msr daifclr, #8", "isb", "nop", "nop", "msr daifset, #8") };
    });
    check::no_exception("unmasked", run)?;
    equal("DAIF", read_register!("daif"), before)
}

/// ID_AA64DFR0_EL1.PMUVer, or 0 for none.
fn pmu() -> Outcome {
    let version = read_register!("id_aa64dfr0_el1") >> 8 & 0xf;
    require("a PMU is shown", version == 0 || version == 0xf)
}

/// PMCR_EL0.
fn pmu_control() -> Outcome {
    pmu()?;
    undefined(exception::attempt(|| read_register!("pmcr_el0")))?;
    undefined(exception::attempt(|| write_register!("pmcr_el0", 1)))
}

/// PMCCNTR_EL0, PMCNTENSET_EL0, PMXEVCNTR_EL0.
fn pmu_counters() -> Outcome {
    pmu()?;
    undefined(exception::attempt(|| read_register!("pmccntr_el0")))?;
    undefined(exception::attempt(|| read_register!("pmcntenset_el0")))?;
    undefined(exception::attempt(|| read_register!("pmxevcntr_el0")))
}

/// PMXEVTYPER_EL0, PMEVTYPER0_EL0.
fn pmu_event_type() -> Outcome {
    pmu()?;
    undefined(exception::attempt(|| write_register!("pmxevtyper_el0", 0)))?;
    undefined(exception::attempt(|| read_register!("pmevtyper0_el0")))
}

fn pmu_user_enable() -> Outcome {
    pmu()?;
    undefined(exception::attempt(|| read_register!("pmuserenr_el0")))
}

/// PMINTENSET_EL1, PMINTENCLR_EL1.
fn pmu_interrupt_enable() -> Outcome {
    pmu()?;
    undefined(exception::attempt(|| read_register!("pmintenset_el1")))?;
    undefined(exception::attempt(|| write_register!("pmintenclr_el1", 0)))
}
