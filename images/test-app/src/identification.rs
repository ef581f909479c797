//! Identification registers (DDI 0487 §D19.2 and "Principles of the ID scheme"): all
//! there, none writable, none in contradiction to another or to what can be done.
#![allow(unsafe_code, reason = "registers named by encoding")]

use aarch64_cpu::asm::barrier;
use evisor_guest::gic::{self, Version};
use evisor_guest::{cores, exception, read_register, tree, write_register};

use crate::check::{self, Outcome, equal, holds, on, only_on_evisor, require, with_cores};
use crate::checks;
use crate::system_register::undefined;

checks! { "identification":
    whole_space_reads whole_space_is_read_only gic_field_agrees_with_tree
    tree_agrees_with_registers no_hypervisor_below revision_registers cache_registers
    cache_geometry_by_selection physical_range_holds_the_ram
    atomics_if_shown crc_if_shown random_if_shown pan_if_shown lor_if_shown ras_if_shown
    pointer_authentication_if_shown statistical_profiling_if_shown trace_if_shown
    activity_monitors_if_shown sme_if_shown
    same_on_every_core numbers_differ always_the_same
}

macro_rules! each_id_register {
    ($do:ident) => {
        $do!("S3_0_C0_C1_0");
        $do!("S3_0_C0_C1_1");
        $do!("S3_0_C0_C1_2");
        $do!("S3_0_C0_C1_3");
        $do!("S3_0_C0_C1_4");
        $do!("S3_0_C0_C1_5");
        $do!("S3_0_C0_C1_6");
        $do!("S3_0_C0_C1_7");
        $do!("S3_0_C0_C2_0");
        $do!("S3_0_C0_C2_1");
        $do!("S3_0_C0_C2_2");
        $do!("S3_0_C0_C2_3");
        $do!("S3_0_C0_C2_4");
        $do!("S3_0_C0_C2_5");
        $do!("S3_0_C0_C2_6");
        $do!("S3_0_C0_C2_7");
        $do!("S3_0_C0_C3_0");
        $do!("S3_0_C0_C3_1");
        $do!("S3_0_C0_C3_2");
        $do!("S3_0_C0_C3_3");
        $do!("S3_0_C0_C3_4");
        $do!("S3_0_C0_C3_5");
        $do!("S3_0_C0_C3_6");
        $do!("S3_0_C0_C3_7");
        $do!("S3_0_C0_C4_0");
        $do!("S3_0_C0_C4_1");
        $do!("S3_0_C0_C4_2");
        $do!("S3_0_C0_C4_3");
        $do!("S3_0_C0_C4_4");
        $do!("S3_0_C0_C4_5");
        $do!("S3_0_C0_C4_6");
        $do!("S3_0_C0_C4_7");
        $do!("S3_0_C0_C5_0");
        $do!("S3_0_C0_C5_1");
        $do!("S3_0_C0_C5_2");
        $do!("S3_0_C0_C5_3");
        $do!("S3_0_C0_C5_4");
        $do!("S3_0_C0_C5_5");
        $do!("S3_0_C0_C5_6");
        $do!("S3_0_C0_C5_7");
        $do!("S3_0_C0_C6_0");
        $do!("S3_0_C0_C6_1");
        $do!("S3_0_C0_C6_2");
        $do!("S3_0_C0_C6_3");
        $do!("S3_0_C0_C6_4");
        $do!("S3_0_C0_C6_5");
        $do!("S3_0_C0_C6_6");
        $do!("S3_0_C0_C6_7");
        $do!("S3_0_C0_C7_0");
        $do!("S3_0_C0_C7_1");
        $do!("S3_0_C0_C7_2");
        $do!("S3_0_C0_C7_3");
        $do!("S3_0_C0_C7_4");
        $do!("S3_0_C0_C7_5");
        $do!("S3_0_C0_C7_6");
        $do!("S3_0_C0_C7_7");
    };
}

/// Op0 3, Op1 0, CRn 0, CRm 1 to 7: each of the 56 can be read.
fn whole_space_reads() -> Outcome {
    macro_rules! reads {
        ($name:literal) => {
            check::no_exception($name, exception::attempt(|| read_register!($name)))?
        };
    }
    each_id_register!(reads);
    Ok(())
}

fn whole_space_is_read_only() -> Outcome {
    macro_rules! refuses {
        ($name:literal) => {
            undefined(exception::attempt(|| write_register!($name, 0)))?
        };
    }
    each_id_register!(refuses);
    Ok(())
}

fn field(register: u64, shift: u32) -> u64 {
    register >> shift & 0xf
}

/// ID_AA64PFR0_EL1.GIC: with GICv3 there are system registers, with GICv2 not.
fn gic_field_agrees_with_tree() -> Outcome {
    let Some(named) = tree::gic_version() else {
        return Err(check::Exit::Skip("the tree names no interrupt controller"));
    };
    equal("version", u64::from(named), gic::version() as u64)
}

/// The tree lists as many cores as the interrupt controller knows.
fn tree_agrees_with_registers() -> Outcome {
    use tock_registers::interfaces::Readable;
    let known = match gic::version() {
        Version::V2 => gic::distributor().typer.read(gic::TYPER::CPUNumber) as usize + 1,
        Version::V3 => {
            let last = gic::v3::GICR_TYPER::Last;
            let is_last = |core: &usize| {
                let address = evisor_guest::map::GICR + core * gic::v3::STRIDE;
                gic::v3::redistributor_at(address).typer.is_set(last)
            };
            (0..cores::MOST).find(is_last).unwrap_or(cores::MOST) + 1
        }
    };
    equal("cores", cores::count() as u64, known as u64)
}

/// ID_AA64PFR0_EL1: no EL2 and no EL3 that the guest could use.
fn no_hypervisor_below() -> Outcome {
    let features = read_register!("id_aa64pfr0_el1");
    equal("EL2", field(features, 8), 0_u64)?;
    only_on_evisor()?;
    equal("EL3", field(features, 12), 0_u64)
}

/// MIDR_EL1, REVIDR_EL1, AIDR_EL1.
fn revision_registers() -> Outcome {
    let read = exception::attempt(|| read_register!("revidr_el1"));
    check::no_exception("REVIDR_EL1", read)?;
    check::no_exception("AIDR_EL1", exception::attempt(|| read_register!("aidr_el1")))?;
    holds("MIDR_EL1", read_register!("midr_el1") != 0)
}

/// CLIDR_EL1: a level of coherency that lies within the caches that are there.
fn cache_registers() -> Outcome {
    let read = exception::attempt(|| read_register!("clidr_el1"));
    let clidr = check::no_exception("CLIDR_EL1", read)?;
    let levels = (0..7).take_while(|level| clidr >> (3 * level) & 7 != 0).count() as u64;
    holds("LoC", clidr >> 24 & 7 <= levels)
}

/// CSSELR_EL1 selects, CCSIDR_EL1 says: a line of at least 16 bytes.
fn cache_geometry_by_selection() -> Outcome {
    let clidr = read_register!("clidr_el1");
    require("there is no cache at level 1", clidr & 7 != 0)?;
    write_register!("csselr_el1", 0);
    barrier::isb(barrier::SY);
    equal("CSSELR_EL1", read_register!("csselr_el1") & 0xf, 0_u64)?;
    let read = exception::attempt(|| read_register!("ccsidr_el1"));
    let ccsidr = check::no_exception("CCSIDR_EL1", read)?;
    holds("LineSize", ccsidr & 7 <= 4)
}

/// ID_AA64MMFR0_EL1.PARange: at least 32 bits.
fn physical_range_holds_the_ram() -> Outcome {
    holds("PARange", field(read_register!("id_aa64mmfr0_el1"), 0) <= 6)
}

static WORD: core::sync::atomic::AtomicU64 = core::sync::atomic::AtomicU64::new(0);

/// ID_AA64ISAR0_EL1.Atomic: LDADD is there, or undefined.
fn atomics_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64isar0_el1"), 20) >= 2;
    WORD.store(40, core::sync::atomic::Ordering::Relaxed);
    let added = exception::attempt(|| {
        let old: u64;
        // SAFETY: the word is this module's; the instruction is
        // `ldadd x1, x0, [x2]`.
        unsafe {
            core::arch::asm!(".inst 0xf8210040", in("x1") 2_u64, in("x2") WORD.as_ptr(),
                out("x0") old);
        }
        old
    });
    if !shown {
        return undefined(added);
    }
    equal("the old value", check::no_exception("ldadd", added)?, 40_u64)?;
    equal("the sum", WORD.load(core::sync::atomic::Ordering::Relaxed), 42_u64)
}

/// ID_AA64ISAR0_EL1.CRC32: CRC32CB, or undefined.
fn crc_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64isar0_el1"), 16) >= 1;
    let sum = exception::attempt(|| {
        let sum: u64;
        // SAFETY: it changes x0 only: `crc32cb w0, w1, w2`.
        unsafe {
            core::arch::asm!(".inst 0x1ac25020", in("x1") 0_u64, in("x2") 1_u64, out("x0") sum)
        };
        sum
    });
    if !shown {
        return undefined(sum);
    }
    // The table's entry for 1 of the reflected polynomial 0x82f63b78.
    equal("CRC-32C of 1", check::no_exception("crc32cb", sum)?, 0xf26b_8303_u64)
}

/// ID_AA64ISAR0_EL1.RNDR.
fn random_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64isar0_el1"), 60) >= 1;
    let read = exception::attempt(|| read_register!("S3_3_C2_C4_0"));
    if shown { check::no_exception("RNDR", read).map(|_| ()) } else { undefined(read) }
}

/// ID_AA64MMFR1_EL1.PAN.
fn pan_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64mmfr1_el1"), 20) >= 1;
    let read = exception::attempt(|| read_register!("S3_0_C4_C2_3"));
    if shown { check::no_exception("PAN", read).map(|_| ()) } else { undefined(read) }
}

/// A register is there if its feature is shown; on eVisor, only then. (A processor may
/// hide nothing; QEMU's models show what they have.)
fn agrees(shown: bool, read: Result<u64, exception::Exception>) -> Outcome {
    if shown { check::no_exception("read", read).map(|_| ()) } else { undefined(read) }
}

/// ID_AA64MMFR1_EL1.LO, LORID_EL1.
fn lor_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64mmfr1_el1"), 16) != 0;
    agrees(shown, exception::attempt(|| read_register!("S3_0_C10_C4_7")))
}

/// ID_AA64PFR0_EL1.RAS, ERRIDR_EL1.
fn ras_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64pfr0_el1"), 28) != 0;
    agrees(shown, exception::attempt(|| read_register!("S3_0_C5_C3_0")))
}

/// ID_AA64ISAR1_EL1.{APA, API, GPA, GPI}, ID_AA64ISAR2_EL1.{APA3, GPA3}; APIAKeyLo_EL1.
fn pointer_authentication_if_shown() -> Outcome {
    let isar1 = read_register!("id_aa64isar1_el1");
    let isar2 = read_register!("S3_0_C0_C6_2");
    let shown = isar1 >> 4 & 0xff != 0 || isar1 >> 24 & 0xff != 0 || isar2 >> 8 & 0xff != 0;
    agrees(shown, exception::attempt(|| read_register!("S3_0_C2_C1_0")))
}

/// ID_AA64DFR0_EL1.PMSVer, PMSIDR_EL1.
fn statistical_profiling_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64dfr0_el1"), 32) != 0;
    agrees(shown, exception::attempt(|| read_register!("S3_0_C9_C9_7")))
}

/// ID_AA64DFR0_EL1.TraceVer, TRCIDR1.
fn trace_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64dfr0_el1"), 4) != 0;
    require("tracing is shown", !shown)?;
    undefined(exception::attempt(|| read_register!("S2_1_C0_C9_7")))
}

/// ID_AA64PFR0_EL1.AMU, AMCR_EL0.
fn activity_monitors_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64pfr0_el1"), 44) != 0;
    agrees(shown, exception::attempt(|| read_register!("S3_3_C13_C2_0")))
}

/// ID_AA64PFR1_EL1.SME, SMCR_EL1. CPACR_EL1.SMEN is opened for it: closed, it traps to
/// EL1 itself, before EL2 is asked.
fn sme_if_shown() -> Outcome {
    let shown = field(read_register!("id_aa64pfr1_el1"), 24) != 0;
    require("SME is shown", !shown)?;
    let closed: u64 = read_register!("cpacr_el1");
    write_register!("cpacr_el1", closed | 0b11 << 24);
    barrier::isb(barrier::SY);
    let attempted = exception::attempt(|| read_register!("S3_0_C1_C2_6"));
    write_register!("cpacr_el1", closed);
    undefined(attempted)
}

/// A number for all of them.
fn sum(_: u64) -> u64 {
    let mut sum = read_register!("midr_el1");
    macro_rules! add {
        ($name:literal) => {
            sum = sum.rotate_left(7) ^ read_register!($name)
        };
    }
    each_id_register!(add);
    sum.rotate_left(7) ^ read_register!("ctr_el0") ^ read_register!("dczid_el0")
}

fn same_on_every_core() -> Outcome {
    with_cores(2)?;
    for core in 1..cores::count() {
        equal("all of them", on(core, sum, 0)?, sum(0))?;
    }
    Ok(())
}

/// MPIDR_EL1: each core its own, as the tree has it.
fn numbers_differ() -> Outcome {
    with_cores(2)?;
    for core in 0..cores::count() {
        let mpidr = |_| read_register!("mpidr_el1") & 0xff_00ff_ffff;
        let number = if core == 0 { mpidr(0) } else { on(core, mpidr, 0)? };
        equal("affinity", number, core as u64)?;
    }
    Ok(())
}

/// What is read once is read always.
fn always_the_same() -> Outcome {
    let first = sum(0);
    (0..50).try_for_each(|_| equal("all of them", sum(0), first))
}
