//! What a hypervisor may trap and must answer as the architecture does (DDI 0487):
//! debug, cache maintenance by set and way, exceptions of EL1's own, EL0.
#![allow(unsafe_code, reason = "instructions that trap")]

use core::arch::asm;

use aarch64_cpu::asm::barrier;
use evisor_guest::{exception, gic, map, mmio, read_register, write_register};

use crate::check::{self, Outcome, equal, holds, require};
use crate::checks;
use crate::lines::{A, with};
use crate::system_register::undefined;

checks! { "trap":
    os_lock_status os_lock_sets_and_clears os_lock_is_write_only os_double_lock_reads
    monitor_debug_readable debug_rom_address breakpoint_registers breakpoint_beyond
    watchpoint_registers authentication_status claim_tags communication_channel
    debug_is_quiet
    pmu_control pmu_counters pmu_event_type pmu_user_enable pmu_interrupt_enable
    set_way_keeps_data set_way_undefined_nowhere auxiliary_control
    stage_2_translation_undefined stage_2_invalidate_undefined hlt dcps debug_return
    illegal_return stack_alignment pc_alignment
    wfi_counts_time wfe_returns yield_and_hints
    store_conditional_to_device pair_to_memory write_back_to_memory
    pre_indexed_device post_indexed_device pair_of_device
    exclusive_to_hole prefetch_of_hole cache_maintenance_of_hole zeroing_of_hole
    fetch_after_unknown flags_are_kept stack_pointer_is_kept vector_base_keeps
    el0_runs_and_calls el0_cannot_touch_el1
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

#[repr(align(4096))]
struct Scratch([core::sync::atomic::AtomicU64; 512]);

static SCRATCH: Scratch = Scratch([const { core::sync::atomic::AtomicU64::new(0) }; 512]);

fn scratch() -> usize {
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

/// SCTLR_EL1.SA0: a load by a misaligned stack pointer, EC 0x26; at EL0, as EL1's handler
/// needs its own. (QEMU 10 does not check: the program goes on to its call.)
fn stack_alignment() -> Outcome {
    let taken = at_el0(Program::MisalignedStack)?;
    require("the core does not check", taken.class() != 0x15)?;
    equal("EC", taken.class(), 0x26_u64)
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

/// A few instructions for EL0, in a page of the window, and another for its stack.
#[derive(Clone, Copy)]
enum Program {
    /// SVC #0x55.
    Call,
    /// MRS of TTBR0_EL1.
    ReadRegister,
    /// A load from a page that EL0 may not touch: x0.
    Load,
    /// A load by a stack pointer that is not aligned to 16.
    MisalignedStack,
}

impl Program {
    fn code(self) -> [u32; 4] {
        const SVC: u32 = 0xd400_0aa1;
        match self {
            Self::Call => [SVC, SVC, SVC, SVC],
            Self::ReadRegister => [0xd538_2000, SVC, SVC, SVC],
            Self::Load => [0xf940_0001, SVC, SVC, SVC],
            // add sp, sp, #8; ldr x1, [sp]
            Self::MisalignedStack => [0x9100_23ff, 0xf940_03e1, SVC, SVC],
        }
    }
}

/// Pages of the window.
const CODE_PAGE: usize = 500;
const STACK_PAGE: usize = 501;

#[repr(align(4096))]
struct UserPages([core::sync::atomic::AtomicU32; 2048]);

static USER: UserPages = UserPages([const { core::sync::atomic::AtomicU32::new(0) }; 2048]);

/// Runs a program at EL0; the exception that ended it.
fn at_el0(program: Program) -> Result<exception::Exception, check::Exit> {
    use core::sync::atomic::Ordering;
    use evisor_guest::mmu::{Attribute, Page, map, window};
    for (word, instruction) in USER.0.iter().zip(program.code()) {
        word.store(instruction, Ordering::Relaxed);
    }
    let code = (&raw const USER) as usize;
    // SAFETY: maintenance of the lines just written.
    unsafe { asm!("dc cvau, {0}", "dsb ish", "ic ialluis", "dsb ish", "isb", in(reg) code) };
    map(CODE_PAGE, Page::new(code, Attribute::WriteBack).read_only().user());
    map(STACK_PAGE, Page::new(code + 4096, Attribute::WriteBack).user());
    const SA0: u64 = 1 << 4;
    let control = read_register!("sctlr_el1");
    write_register!("sctlr_el1", control | SA0);
    let taken = exception::attempt(|| {
        // SAFETY: EL0 runs what is above and takes an exception, which comes back to the
        // label; it changes x0, x1 and its own stack pointer.
        unsafe {
            asm!("msr elr_el1, {entry}", "msr spsr_el1, {masked}", "msr sp_el0, {stack}",
                "adr x30, 2f", "isb", "eret", "2:",
                entry = in(reg) window(CODE_PAGE), masked = in(reg) 0x3c0_u64,
                stack = in(reg) window(STACK_PAGE) + 2048,
                inout("x0") scratch() => _, out("x1") _, out("x30") _);
        }
    });
    write_register!("sctlr_el1", control);
    map(CODE_PAGE, Page::INVALID);
    map(STACK_PAGE, Page::INVALID);
    check::exception("EL0", taken)
}

/// EL0 runs and calls EL1 (DDI 0487, SVC).
fn el0_runs_and_calls() -> Outcome {
    let taken = at_el0(Program::Call)?;
    equal("EC", taken.class(), 0x15_u64)?;
    equal("immediate", taken.iss() & 0xffff, 0x55_u64)
}

/// EL1's registers are UNDEFINED at EL0, and its memory out of reach.
fn el0_cannot_touch_el1() -> Outcome {
    equal("EC of MRS", at_el0(Program::ReadRegister)?.class(), 0_u64)?;
    let taken = at_el0(Program::Load)?;
    equal("EC of the load", taken.class(), 0x24_u64)?;
    holds("permission fault", matches!(taken.fault_status(), 13..=15))
}
