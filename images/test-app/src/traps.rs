//! What a hypervisor may trap and must answer as the architecture does (DDI 0487):
//! cache maintenance by set and way, exceptions of EL1's own, accesses of every kind.
#![allow(unsafe_code, reason = "instructions that trap")]

use core::arch::asm;

use evisor_guest::{exception, gic, map, mmio, read_register, write_register};

use crate::check::{self, Outcome, equal, holds};
use crate::checks;
use crate::lines::{A, with};
use crate::system_register::undefined;

checks! { "trap":
    set_way_keeps_data set_way_undefined_nowhere auxiliary_control
    stage_2_translation_undefined stage_2_invalidate_undefined hlt dcps debug_return
    illegal_return pc_alignment
    wfi_counts_time wfe_returns yield_and_hints
    store_conditional_to_device pair_to_memory write_back_to_memory
    pre_indexed_device post_indexed_device pair_of_device
    exclusive_to_hole prefetch_of_hole cache_maintenance_of_hole zeroing_of_hole
    fetch_after_unknown flags_are_kept stack_pointer_is_kept vector_base_keeps
}

#[repr(align(4096))]
struct Scratch([core::sync::atomic::AtomicU64; 512]);

static SCRATCH: Scratch = Scratch([const { core::sync::atomic::AtomicU64::new(0) }; 512]);

pub fn scratch() -> usize {
    (&raw const SCRATCH.0) as usize
}

/// DC CISW and DC CSW of the first set and way of the first level: whatever they do,
/// no data is lost (DDI 0487, "Cache maintenance by set/way").
fn set_way_keeps_data() -> Outcome {
    mmio::store64(scratch(), 0x1234_5678);
    let operations = exception::attempt(|| {
        // SAFETY: clean, or clean and invalidate: no data is lost.
        unsafe { asm!("dc csw, xzr", "dsb sy", "dc cisw, xzr", "dsb sy", "isb") };
    });
    check::no_exception("maintenance", operations)?;
    equal("data", mmio::load64(scratch()), 0x1234_5678_u64)
}

/// Over all sets and ways of level 1, as firmware does it.
fn set_way_undefined_nowhere() -> Outcome {
    mmio::store64(scratch(), 0x8765_4321);
    for way in 0..4_u64 {
        for set in 0..128_u64 {
            let operation = exception::attempt(|| {
                // SAFETY: as above.
                unsafe { asm!("dc cisw, {}", in(reg) way << 30 | set << 6) };
            });
            check::no_exception("maintenance", operation)?;
        }
    }
    equal("data", mmio::load64(scratch()), 0x8765_4321_u64)
}

/// ACTLR_EL1 is IMPLEMENTATION DEFINED, and there.
fn auxiliary_control() -> Outcome {
    let read = exception::attempt(|| read_register!("actlr_el1"));
    let value = check::no_exception("ACTLR_EL1", read)?;
    check::no_exception("write", exception::attempt(|| write_register!("actlr_el1", value)))
}

/// AT S12E1R is EL2's.
fn stage_2_translation_undefined() -> Outcome {
    undefined(exception::attempt(|| {
        // SAFETY: the exception is expected.
        unsafe { asm!(".inst 0xd50c7880") };
    }))
}

/// TLBI VMALLS12E1 and TLBI ALLE2 are EL2's.
fn stage_2_invalidate_undefined() -> Outcome {
    undefined(exception::attempt(|| {
        // SAFETY: the exception is expected.
        unsafe { asm!(".inst 0xd50c87df") };
    }))?;
    undefined(exception::attempt(|| {
        // SAFETY: the exception is expected.
        unsafe { asm!(".inst 0xd50c871f") };
    }))
}

/// HLT where halting is not allowed, or without a debugger.
fn hlt() -> Outcome {
    undefined(exception::attempt(|| {
        // SAFETY: the exception is expected.
        unsafe { asm!("hlt #0x1") };
    }))
}

/// DCPS1 outside of debug state.
fn dcps() -> Outcome {
    undefined(exception::attempt(|| {
        // SAFETY: the exception is expected.
        unsafe { asm!(".inst 0xd4a00001") };
    }))
}

/// DRPS outside of debug state.
fn debug_return() -> Outcome {
    undefined(exception::attempt(|| {
        // SAFETY: the exception is expected.
        unsafe { asm!(".inst 0xd6bf03e0") };
    }))
}

/// An exception return to a reserved mode sets PSTATE.IL: EC 0x0e, Illegal Execution
/// state.
fn illegal_return() -> Outcome {
    let taken = exception::attempt(|| {
        // SAFETY: it comes back right behind, but for the exception.
        unsafe {
            asm!("adr {at}, 1f", "msr elr_el1, {at}",
                // EL2h, from EL1.
                "mov {at}, #0x3c9", "msr spsr_el1, {at}", "isb", "eret", "1: nop",
                at = out(reg) _);
        }
    });
    equal("EC", check::exception("eret", taken)?.class(), 0x0e_u64)
}

/// A branch to an odd address, EC 0x22.
fn pc_alignment() -> Outcome {
    let taken = exception::attempt(|| {
        // SAFETY: the fetch faults; the handler goes on behind x30, four bytes past an
        // odd address, unless that is put right here.
        unsafe {
            asm!("adr x30, 1f", "sub x16, x30, #2", "br x16", "1: nop", out("x16") _, out("x30") _);
        }
    });
    equal("EC", check::exception("branch", taken)?.class(), 0x22_u64)
}

/// WFI with a deadline takes as long as that.
fn wfi_counts_time() -> Outcome {
    use evisor_guest::timer;
    with(&[map::TIMER_INTID], || {
        let deadline = timer::count() + timer::microseconds(1_000);
        timer::arm(deadline);
        while timer::count() < deadline {
            aarch64_cpu::asm::wfi();
        }
        let came = timer::wait_until(100_000, || gic::highest_pending() == map::TIMER_INTID);
        let acknowledged = gic::acknowledge();
        timer::disarm();
        gic::end(acknowledged);
        holds("the timer's interrupt", came)
    })
}

/// WFE with the event register set returns, many times over.
fn wfe_returns() -> Outcome {
    for _ in 0..100 {
        aarch64_cpu::asm::sev();
        aarch64_cpu::asm::wfe();
    }
    Ok(())
}

/// Hints that are not there are NOPs.
fn yield_and_hints() -> Outcome {
    let run = exception::attempt(|| {
        // SAFETY: hints; 0x7f is not allocated.
        unsafe { asm!("yield", "sevl", "hint #0x14", "hint #0x10", "hint #0x7f") };
    });
    check::no_exception("hints", run)
}

/// A store-exclusive to a device: it fails, or succeeds, or aborts: no more.
fn store_conditional_to_device() -> Outcome {
    let run = exception::attempt(|| {
        // SAFETY: an access to a device's register.
        unsafe {
            asm!("ldxr {0:w}, [{2}]", "stxr {1:w}, {0:w}, [{2}]",
                out(reg) _, out(reg) _, in(reg) map::UART + 0x24);
        }
    });
    // SAFETY: the monitor is left open.
    unsafe { asm!("clrex") };
    match run {
        Ok(()) => Ok(()),
        Err(taken) => equal("EC", taken.class(), 0x25_u64),
    }
}

/// A pair to one's own memory is nobody else's affair.
fn pair_to_memory() -> Outcome {
    let at = scratch();
    let (first, second): (u64, u64);
    // SAFETY: the scratch page.
    unsafe {
        asm!("stp {2}, {3}, [{4}]", "ldp {0}, {1}, [{4}]", out(reg) first, out(reg) second,
            in(reg) 11_u64, in(reg) 22_u64, in(reg) at);
    }
    equal("first", first, 11_u64)?;
    equal("second", second, 22_u64)
}

fn write_back_to_memory() -> Outcome {
    let mut at = scratch();
    // SAFETY: the scratch page.
    unsafe { asm!("str {0}, [{1}, #16]!", in(reg) 33_u64, inout(reg) at) };
    equal("base", at as u64, scratch() as u64 + 16)?;
    equal("value", mmio::load64(at), 33_u64)
}

/// LDR with pre-index from a device: no valid syndrome, and still the value and the new
/// base.
fn pre_indexed_device() -> Outcome {
    let mut at = map::GICD;
    let mut value = 0_u64;
    let loaded = exception::attempt(|| {
        // SAFETY: a device's register.
        unsafe { asm!("ldr {0:w}, [{1}, #4]!", inout(reg) value, inout(reg) at) };
    });
    check::no_exception("load", loaded)?;
    equal("base", at as u64, map::GICD as u64 + 4)?;
    equal("GICD_TYPER", value, mmio::load32(map::GICD + 4))
}

/// STR and LDR with post-index, on GICD_IPRIORITYR.
fn post_indexed_device() -> Outcome {
    let register = map::GICD + 0x400 + A as usize;
    let (mut at, mut again, mut value) = (register, register, 0_u64);
    let stored = exception::attempt(|| {
        // SAFETY: a device's register.
        unsafe { asm!("str {0:w}, [{1}], #8", in(reg) 0x8090_a0b0_u64, inout(reg) at) };
    });
    check::no_exception("store", stored)?;
    let loaded = exception::attempt(|| {
        // SAFETY: a device's register.
        unsafe { asm!("ldr {0:w}, [{1}], #-4", inout(reg) value, inout(reg) again) };
    });
    mmio::store32(register, 0);
    check::no_exception("load", loaded)?;
    equal("base after the store", at as u64, register as u64 + 8)?;
    equal("base after the load", again as u64, register as u64 - 4)?;
    equal("value", value, 0x8090_a0b0_u64)
}

/// STP and LDP of words, on GICD_IPRIORITYR.
fn pair_of_device() -> Outcome {
    let register = map::GICD + 0x400 + A as usize;
    let (mut first, mut second) = (0_u64, 0_u64);
    let stored = exception::attempt(|| {
        // SAFETY: a device's registers.
        unsafe {
            asm!("stp {0:w}, {1:w}, [{2}]", in(reg) 0x1020_3040_u64, in(reg) 0x5060_7080_u64,
                in(reg) register);
        }
    });
    check::no_exception("store", stored)?;
    let loaded = exception::attempt(|| {
        // SAFETY: a device's registers.
        unsafe {
            asm!("ldp {0:w}, {1:w}, [{2}]", inout(reg) first, inout(reg) second,
                in(reg) register);
        }
    });
    mmio::store32(register, 0);
    mmio::store32(register + 4, 0);
    check::no_exception("load", loaded)?;
    equal("first", first, 0x1020_3040_u64)?;
    equal("second", second, 0x5060_7080_u64)
}

const EXTERNAL: u64 = 0b01_0000;

/// Each abort is as a load's or store's to nowhere.
fn aborts(result: Result<(), exception::Exception>) -> Outcome {
    let taken = check::exception("access", result)?;
    equal("EC", taken.class(), 0x25_u64)?;
    equal("DFSC", taken.fault_status(), EXTERNAL)
}

fn exclusive_to_hole() -> Outcome {
    aborts(exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe { asm!("ldxr {0}, [{1}]", out(reg) _, in(reg) map::MEMORY_HOLE) };
    }))
}

/// PRFM never faults.
fn prefetch_of_hole() -> Outcome {
    let run = exception::attempt(|| {
        // SAFETY: a hint.
        unsafe { asm!("prfm pldl1keep, [{}]", in(reg) map::MEMORY_HOLE) };
    });
    check::no_exception("prefetch", run)
}

/// DC CIVAC of what is not there aborts, or does nothing.
fn cache_maintenance_of_hole() -> Outcome {
    let run = exception::attempt(|| {
        // SAFETY: nothing is cached of it.
        unsafe { asm!("dc civac, {}", in(reg) map::MEMORY_HOLE) };
    });
    match run {
        Ok(()) => Ok(()),
        Err(taken) => equal("EC", taken.class(), 0x25_u64),
    }
}

/// DC ZVA is a store.
fn zeroing_of_hole() -> Outcome {
    aborts(exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe { asm!("dc zva, {}", in(reg) map::MEMORY_HOLE) };
    }))
}

/// Undefined instructions leave the flow of the program as it was.
fn fetch_after_unknown() -> Outcome {
    for _ in 0..100 {
        undefined(exception::attempt(|| read_register!("S3_7_C15_C15_7")))?;
        undefined(exception::attempt(|| {
            // SAFETY: the exception is expected.
            unsafe { asm!("udf #1") };
        }))?;
    }
    Ok(())
}

/// The condition flags come back from a trap as they went in.
fn flags_are_kept() -> Outcome {
    for flags in 0..16_u64 {
        let after: u64;
        // SAFETY: a load of a device's register between a write and a read of the
        // flags.
        unsafe {
            asm!("msr nzcv, {flags}", "ldr {flags:w}, [{typer}]", "mrs {after}, nzcv",
                flags = inout(reg) flags << 28 => _, typer = in(reg) map::GICD + 4,
                after = out(reg) after);
        }
        equal("NZCV", after >> 28, flags)?;
    }
    Ok(())
}

/// And so do SP_EL0 and SP.
fn stack_pointer_is_kept() -> Outcome {
    let before = read_register!("sp_el0");
    write_register!("sp_el0", 0x1234_5678_9abc_def0);
    let (sp, sp_after): (u64, u64);
    // SAFETY: a load of a device's register.
    unsafe {
        asm!("mov {0}, sp", "ldr {2:w}, [{3}]", "mov {1}, sp", out(reg) sp, out(reg) sp_after,
            out(reg) _, in(reg) map::GICD + 4);
    }
    let kept = read_register!("sp_el0");
    write_register!("sp_el0", before);
    equal("SP", sp_after, sp)?;
    equal("SP_EL0", kept, 0x1234_5678_9abc_def0_u64)
}

/// VBAR_EL1, ELR_EL1, SPSR_EL1 and ESR_EL1 stay over a trap that the guest does not
/// see.
fn vector_base_keeps() -> Outcome {
    let vectors = read_register!("vbar_el1");
    write_register!("elr_el1", 0x1111_0000);
    write_register!("spsr_el1", 0x3c5);
    write_register!("esr_el1", 0x5600_1234);
    let typer = mmio::load32(map::GICD + 4);
    evisor_guest::call::hvc(smccc::psci::PSCI_VERSION, [0; 3]);
    equal("ELR_EL1", read_register!("elr_el1"), 0x1111_0000_u64)?;
    equal("SPSR_EL1", read_register!("spsr_el1"), 0x3c5_u64)?;
    equal("ESR_EL1", read_register!("esr_el1"), 0x5600_1234_u64)?;
    equal("VBAR_EL1", read_register!("vbar_el1"), vectors)?;
    holds("GICD_TYPER", typer != 0)
}
