//! Memory with stage 1 on: maintenance by address, DC ZVA, exclusives, and code
//! that was just written.
#![allow(unsafe_code, reason = "cache maintenance, exclusives, code written at run time")]

use core::arch::asm;
use core::mem;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::SCTLR_EL1;
use evisor_guest::{exception, map, mmio, read_register};
use tock_registers::interfaces::{Readable, Writeable};

use crate::check::{self, Outcome, equal, holds, require};
use crate::checks;

checks! { "memory":
    stage_1_is_on clean_and_invalidate zero_block exclusives unaligned
    code_written_runs address_translation stage_1_off_and_on tlb_invalidate
}

/// A page to play with, as wide as the largest DC ZVA block.
#[repr(align(4096))]
struct Scratch([AtomicU64; 512]);

static SCRATCH: Scratch = Scratch([const { AtomicU64::new(0) }; 512]);

fn scratch() -> usize {
    (&raw const SCRATCH) as usize
}

fn stage_1_is_on() -> Outcome {
    holds("SCTLR_EL1.M", SCTLR_EL1.is_set(SCTLR_EL1::M))
}

/// DDI 0487, "AArch64 data cache maintenance operations by VA": the data stay.
fn clean_and_invalidate() -> Outcome {
    SCRATCH.0[0].store(0x1357_9bdf, Ordering::Relaxed);
    let operations = exception::attempt(|| {
        // SAFETY: the line is clean when DC IVAC drops it.
        unsafe {
            asm!("dc cvac, {0}", "dsb sy", "dc civac, {0}", "dsb sy", "dc cvau, {0}",
                "dc ivac, {0}", "dsb sy", "ic ivau, {0}", "dsb sy", "isb", in(reg) scratch());
        }
    });
    check::no_exception("maintenance", operations)?;
    equal("data", SCRATCH.0[0].load(Ordering::Relaxed), 0x1357_9bdf_u64)
}

/// DDI 0487, DC ZVA: zeroes one naturally aligned block, no more.
fn zero_block() -> Outcome {
    let dczid = read_register!("dczid_el0");
    require("DC ZVA is prohibited", dczid & 0x10 == 0)?;
    let words = 1_usize << (dczid & 0xf) >> 1;
    for word in &SCRATCH.0 {
        word.store(u64::MAX, Ordering::Relaxed);
    }
    // SAFETY: the block is within the scratch page.
    unsafe { asm!("dc zva, {}", "dsb sy", in(reg) scratch()) };
    let zeroed = SCRATCH.0.iter().take_while(|word| word.load(Ordering::Relaxed) == 0);
    equal("words zeroed", zeroed.count() as u64, words as u64)
}

/// DDI 0487, "Synchronization and semaphores": a pair with nothing in between
/// succeeds, sooner or later; without the load, the store fails.
fn exclusives() -> Outcome {
    let word = &SCRATCH.0[1];
    word.store(41, Ordering::Relaxed);
    let succeeded = (0..1000).any(|_| increment_exclusively(word) == 0);
    holds("a store succeeded", succeeded)?;
    equal("value", word.load(Ordering::Relaxed), 42_u64)?;
    equal("a store without a load", store_exclusively_alone(word), 1_u64)
}

fn increment_exclusively(word: &AtomicU64) -> u64 {
    let status: u64;
    // SAFETY: the word is the scratch page's.
    unsafe {
        asm!("ldxr {value}, [{word}]", "add {value}, {value}, #1",
            "stxr {status:w}, {value}, [{word}]",
            word = in(reg) word.as_ptr(), value = out(reg) _, status = out(reg) status);
    }
    status & 0xffff_ffff
}

fn store_exclusively_alone(word: &AtomicU64) -> u64 {
    let status: u64;
    // SAFETY: the word is the scratch page's.
    unsafe {
        asm!("clrex", "stxr {status:w}, xzr, [{word}]",
            word = in(reg) word.as_ptr(), status = out(reg) status);
    }
    status & 0xffff_ffff
}

/// DDI 0487, "Alignment support": Normal memory takes any address with
/// SCTLR_EL1.A clear.
fn unaligned() -> Outcome {
    let address = scratch();
    mmio::store64(address, 0x8877_6655_4433_2211);
    let loaded = exception::attempt(|| mmio::load32(address + 1));
    equal("value", check::no_exception("load", loaded)?, 0x5544_3322_u32)
}

const MOV_W0_42: u32 = 0x5280_0540;
const RET: u32 = 0xd65f_03c0;

#[repr(align(64))]
struct Code([AtomicU32; 2]);

/// DDI 0487, "Concurrent modification and execution of instructions".
fn code_written_runs() -> Outcome {
    static CODE: Code = Code([const { AtomicU32::new(0) }; 2]);
    CODE.0[0].store(MOV_W0_42, Ordering::Relaxed);
    CODE.0[1].store(RET, Ordering::Relaxed);
    // SAFETY: maintenance of the line just written.
    unsafe {
        asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb",
            in(reg) &raw const CODE);
    }
    // SAFETY: the two instructions written above are a function of this type.
    let function =
        unsafe { mem::transmute::<*const Code, extern "C" fn() -> u32>(&raw const CODE) };
    equal("what it returned", function(), 42_u32)
}

/// DDI 0487, AT S1E1R and PAR_EL1: the map is the identity.
fn address_translation() -> Outcome {
    let result: u64;
    // SAFETY: it writes PAR_EL1 only.
    unsafe { asm!("at s1e1r, {}", "isb", "mrs {}, par_el1", in(reg) scratch(), out(reg) result) };
    equal("PAR_EL1.F", result & 1, 0_u64)?;
    equal("PAR_EL1.PA", result & 0x0000_ffff_ffff_f000, scratch() as u64 & !0xfff)
}

/// With stage 1 off every access is Device-nGnRnE or non-cacheable, and the
/// hypervisor's stage 2 alone says what is where. What is in the caches is
/// cleaned before, so that memory reads the same on both sides.
fn stage_1_off_and_on() -> Outcome {
    SCRATCH.0[0].store(0x2468_ace0, Ordering::Relaxed);
    let on = SCTLR_EL1.get();
    let off = on & !0b101;
    let (typer, word): (u64, u64);
    // SAFETY: between the two writes of SCTLR_EL1 only registers are used; the
    // map is the identity, so the code goes on where it is.
    unsafe {
        asm!("dc civac, {scratch}", "dsb sy",
            "msr sctlr_el1, {off}", "isb",
            "ldr {typer:w}, [{gicd}, #4]", "ldr {word}, [{scratch}]", "dsb sy",
            "msr sctlr_el1, {on}", "isb",
            scratch = in(reg) scratch(), off = in(reg) off, on = in(reg) on,
            gicd = in(reg) map::GICD, typer = out(reg) typer, word = out(reg) word);
    }
    equal("GICD_TYPER", typer, mmio::load32(map::GICD + 4))?;
    equal("memory", word, 0x2468_ace0_u64)
}

/// Invalidating its own TLB entries is the guest's right, and changes nothing.
fn tlb_invalidate() -> Outcome {
    let invalidated = exception::attempt(|| {
        // SAFETY: the tables say what they said before.
        unsafe { asm!("dsb ish", "tlbi vmalle1is", "tlbi vmalle1", "dsb ish", "isb") };
    });
    check::no_exception("tlbi", invalidated)?;
    SCTLR_EL1.set(SCTLR_EL1.get());
    barrier::isb(barrier::SY);
    Ok(())
}
