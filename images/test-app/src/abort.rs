//! Accesses to where nothing is: the guest takes the abort that a bus without a
//! device gives (DDI 0487, "Synchronous External abort").
#![allow(unsafe_code, reason = "instructions that abort, and a fetch from nowhere")]

use core::arch::asm;
use core::mem;

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::CPACR_EL1;
use evisor_guest::exception::{self, Exception};
use evisor_guest::gic::Version;
use evisor_guest::{map, mmio};
use tock_registers::interfaces::ReadWriteable;

use crate::check::{self, Exit, Outcome, equal, holds};
use crate::checks;

checks! { "abort":
    load_byte load_halfword load_word load_doubleword
    store_byte store_halfword store_word store_doubleword
    load_in_device_region store_in_device_region beyond_the_cpu_interface
    load_pair store_pair load_write_back load_vector load_acquire
    destination_is_kept goes_on_many_times fetch
    misaligned_device own_translation_fault own_permission_fault
}

/// ESR_EL1.EC: data abort, instruction abort, without a change of level.
const DATA_ABORT: u64 = 0x25;
const INSTRUCTION_ABORT: u64 = 0x21;
/// ISS.DFSC: synchronous external abort, not on a table walk.
const EXTERNAL: u64 = 0b01_0000;
const ALIGNMENT: u64 = 0b10_0001;
/// ISS bits: write, not read; FAR not valid; and ESR_EL1.IL.
const WNR: u64 = 1 << 6;
const FNV: u64 = 1 << 10;
const IL: u64 = 1 << 25;

fn external<T>(result: Result<T, Exception>, address: usize, write: bool) -> Outcome {
    let taken = check::exception("access", result)?;
    equal("EC", taken.class(), DATA_ABORT)?;
    equal("DFSC", taken.fault_status(), EXTERNAL)?;
    equal("IL", taken.esr & IL, IL)?;
    equal("WnR", taken.iss() & WNR != 0, write)?;
    if taken.iss() & FNV == 0 {
        equal("FAR", taken.far, address as u64)?;
    }
    Ok(())
}

const HOLE: usize = map::MEMORY_HOLE;

fn load_byte() -> Outcome {
    external(exception::attempt(|| mmio::load8(HOLE + 3)), HOLE + 3, false)
}

fn load_halfword() -> Outcome {
    external(exception::attempt(|| mmio::load16(HOLE + 6)), HOLE + 6, false)
}

fn load_word() -> Outcome {
    external(exception::attempt(|| mmio::load32(HOLE + 4)), HOLE + 4, false)
}

fn load_doubleword() -> Outcome {
    external(exception::attempt(|| mmio::load64(HOLE + 8)), HOLE + 8, false)
}

fn store_byte() -> Outcome {
    external(exception::attempt(|| mmio::store8(HOLE + 3, 1)), HOLE + 3, true)
}

fn store_halfword() -> Outcome {
    external(exception::attempt(|| mmio::store16(HOLE + 6, 1)), HOLE + 6, true)
}

fn store_word() -> Outcome {
    external(exception::attempt(|| mmio::store32(HOLE + 4, 1)), HOLE + 4, true)
}

fn store_doubleword() -> Outcome {
    external(exception::attempt(|| mmio::store64(HOLE + 8, 1)), HOLE + 8, true)
}

fn load_in_device_region() -> Outcome {
    let hole = map::DEVICE_HOLE;
    external(exception::attempt(|| mmio::load32(hole)), hole, false)
}

fn store_in_device_region() -> Outcome {
    let hole = map::DEVICE_HOLE;
    external(exception::attempt(|| mmio::store32(hole, 0)), hole, true)
}

/// The CPU interface is 8 KiB (IHI 0048B.b table 4-2); what comes after it on
/// the host is not the guest's.
fn beyond_the_cpu_interface() -> Outcome {
    check::only_gic(Version::V2)?;
    let beyond = map::GICC + 0x2000;
    external(exception::attempt(|| mmio::load32(beyond)), beyond, false)
}

/// The syndrome of these names no register (ISV is 0); the answer is the same.
fn load_pair() -> Outcome {
    // SAFETY: the abort is expected.
    let pair = exception::attempt(|| unsafe {
        asm!("ldp {0}, {1}, [{2}]", out(reg) _, out(reg) _, in(reg) HOLE);
    });
    external(pair, HOLE, false)
}

fn store_pair() -> Outcome {
    // SAFETY: the abort is expected.
    let pair = exception::attempt(|| unsafe { asm!("stp xzr, xzr, [{}]", in(reg) HOLE) });
    external(pair, HOLE, true)
}

fn load_write_back() -> Outcome {
    let mut base = HOLE;
    // SAFETY: the abort is expected.
    let loaded = exception::attempt(|| unsafe {
        asm!("ldr {0}, [{1}, #8]!", out(reg) _, inout(reg) base);
    });
    external(loaded, HOLE + 8, false)?;
    equal("base register", base as u64, HOLE as u64)
}

fn load_vector() -> Outcome {
    CPACR_EL1.modify(CPACR_EL1::FPEN::TrapNothing);
    barrier::isb(barrier::SY);
    // SAFETY: the abort is expected; Rust code here uses no vector register.
    let loaded = exception::attempt(|| unsafe {
        asm!(".arch_extension fp", "ldr q0, [{}]", in(reg) HOLE);
    });
    external(loaded, HOLE, false)
}

fn load_acquire() -> Outcome {
    // SAFETY: the abort is expected.
    let loaded = exception::attempt(|| unsafe {
        asm!("ldar {0:w}, [{1}]", out(reg) _, in(reg) HOLE);
    });
    external(loaded, HOLE, false)
}

/// A load that aborts changes no register.
fn destination_is_kept() -> Outcome {
    let mut destination = 0x7777_5555_3333_1111_u64;
    // SAFETY: the abort is expected.
    let loaded = exception::attempt(|| unsafe {
        asm!("ldr {0:w}, [{1}]", inout(reg) destination, in(reg) HOLE);
    });
    external(loaded, HOLE, false)?;
    equal("destination", destination, 0x7777_5555_3333_1111_u64)
}

fn goes_on_many_times() -> Outcome {
    (0..1000_usize).try_for_each(|number| {
        let address = HOLE + 0x1000 * number + 4;
        external(exception::attempt(|| mmio::load32(address)), address, false)
    })
}

fn fetch() -> Outcome {
    // SAFETY: it is never entered: the fetch aborts, and the handler returns as
    // if it had.
    let nowhere = unsafe { mem::transmute::<usize, extern "C" fn()>(HOLE) };
    let taken = check::exception("fetch", exception::attempt(|| nowhere()))?;
    equal("EC", taken.class(), INSTRUCTION_ABORT)?;
    equal("IFSC", taken.fault_status(), EXTERNAL)?;
    equal("ELR", taken.elr, HOLE as u64)?;
    equal("FAR", taken.far, HOLE as u64)
}

/// DDI 0487, "Alignment support": Device memory takes aligned accesses only, and
/// this fault is stage 1's, before any of stage 2. QEMU 10.0 lets the access
/// through: natively the device answers, under a hypervisor nothing can.
fn misaligned_device() -> Outcome {
    let Err(taken) = exception::attempt(|| mmio::load32(map::GICD + 1)) else {
        return Err(Exit::Skip("the core does not check"));
    };
    equal("EC", taken.class(), DATA_ABORT)?;
    let fault = taken.fault_status();
    holds("alignment fault or abort", matches!(fault, ALIGNMENT | EXTERNAL))
}

/// What the guest's own tables refuse comes to the guest, with their own fault.
fn own_translation_fault() -> Outcome {
    let unmapped = 1 << 33;
    let taken = check::exception("load", exception::attempt(|| mmio::load32(unmapped)))?;
    equal("EC", taken.class(), DATA_ABORT)?;
    holds("translation fault", matches!(taken.fault_status(), 4..=7))?;
    equal("FAR", taken.far, unmapped as u64)
}

/// The device region is execute-never for EL1.
fn own_permission_fault() -> Outcome {
    // SAFETY: it is never entered, as in `fetch`.
    let device = unsafe { mem::transmute::<usize, extern "C" fn()>(map::GICD) };
    let taken = check::exception("fetch", exception::attempt(|| device()))?;
    equal("EC", taken.class(), INSTRUCTION_ABORT)?;
    holds("permission fault", matches!(taken.fault_status(), 13..=15))
}
