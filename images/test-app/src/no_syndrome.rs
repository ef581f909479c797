//! Loads and stores whose syndrome does not say what they are: ESR_EL2.ISV is 0
//! for pairs, write-back and vector registers (DDI 0487, ISS of a Data Abort). A
//! device must not make a difference between them and others.
#![allow(unsafe_code, reason = "instructions that no compiler emits for a device")]

use core::arch::asm;

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CPACR_EL1, ID_AA64ISAR0_EL1, PAR_EL1, SCTLR_EL1};
use evisor_guest::exception::{self, Exception};
use evisor_guest::{map, mmio};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use crate::check::{self, Outcome, equal, holds, only_on_evisor, require};
use crate::checks;

checks! { "no-syndrome":
    load_pair load_pair_of_high_registers load_pair_signed store_pair zero_registers
    load_post_index load_pre_index store_post_index store_pre_index
    load_pair_post_index store_pair_pre_index signed_byte_post_index
    register_offset acquire_release
    stack_pointer_el1 stack_pointer_el0
    vector_load vector_pair vector_store vector_byte
    many_in_a_row address_translation_result_is_kept stage1_off
    second_element_aborts second_store_aborts doubleword_pair_aborts
    exclusive_aborts atomic_aborts structure_aborts cache_zero_aborts prefetch_does_nothing
    misaligned_pair
}

/// UARTPeriphID0 to 3 (DDI 0183G §3.3.15); the third has the revision.
pub const UART_ID: usize = map::UART + 0xfe0;
/// UARTIBRD and UARTFBRD (§3.3.5, §3.3.6): 16 and 6 bits that do nothing here.
const DIVISORS: usize = map::UART + 0x24;
/// RTCMR (DDI 0224 §3.3.2), 32 bits, behind RTCDR.
const RTC_MATCH: usize = map::RTC + 4;

const EXTERNAL: u64 = 0b01_0000;
const ALIGNMENT: u64 = 0b10_0001;
const WNR: u64 = 1 << 6;

/// An external abort on a load from `far`, or a store to it.
fn aborts<T>(result: Result<T, Exception>, far: usize, write: bool) -> Outcome {
    let taken = check::exception("access", result)?;
    equal("EC", taken.class(), 0x25_u64)?;
    equal("DFSC", taken.fault_status(), EXTERNAL)?;
    equal("WnR", taken.iss() & WNR != 0, write)?;
    equal("FAR", taken.far, far as u64)
}

/// The divisors as they are after `store`, which finds them 0.
fn divisors(store: impl FnOnce()) -> (u32, u32) {
    let before = (mmio::load32(DIVISORS), mmio::load32(DIVISORS + 4));
    mmio::store32(DIVISORS, 0);
    mmio::store32(DIVISORS + 4, 0);
    store();
    let after = (mmio::load32(DIVISORS), mmio::load32(DIVISORS + 4));
    mmio::store32(DIVISORS, before.0);
    mmio::store32(DIVISORS + 4, before.1);
    after
}

/// Both halves of what a pair loaded or stored.
pub fn both(got: (impl Into<u64>, impl Into<u64>), expected: (u64, u64)) -> Outcome {
    equal("first", got.0, expected.0)?;
    equal("second", got.1, expected.1)
}

/// A pair is two registers' accesses, and each clears the upper half.
fn load_pair() -> Outcome {
    let (mut one, mut other) = (u64::MAX, u64::MAX);
    // SAFETY: identification registers are read.
    unsafe {
        asm!("ldp {0:w}, {1:w}, [{2}]", inout(reg) one, inout(reg) other, in(reg) UART_ID);
    }
    both((one, other), (0x11, 0x10))
}

/// x27 and x28 are among those that a hypervisor may not have saved.
fn load_pair_of_high_registers() -> Outcome {
    let (one, other): (u64, u64);
    // SAFETY: identification registers are read.
    unsafe {
        asm!("ldp w28, w27, [x26, #8]!", "sub x26, x26, #8",
            out("x28") one, out("x27") other, in("x26") map::UART + 0xfe8);
    }
    both((one, other), (0x0d, 0xf0))
}

fn load_pair_signed() -> Outcome {
    let before = mmio::load32(RTC_MATCH);
    mmio::store32(RTC_MATCH, 0x8000_0001);
    let (time, matched): (u64, u64);
    // SAFETY: reading the clock changes nothing.
    unsafe {
        asm!("ldpsw {0}, {1}, [{2}]", out(reg) time, out(reg) matched, in(reg) map::RTC);
    }
    mmio::store32(RTC_MATCH, before);
    let now = i64::from(mmio::load32(map::RTC).cast_signed()).cast_unsigned();
    holds("the time", now.wrapping_sub(time) < 5)?;
    equal("the match register", matched, 0xffff_ffff_8000_0001_u64)
}

fn store_pair() -> Outcome {
    let stored = divisors(|| {
        // SAFETY: two stores to the divisors.
        unsafe {
            asm!("stp {0:w}, {1:w}, [{2}]", in(reg) 0x1234, in(reg) 0x2a, in(reg) DIVISORS);
        }
    });
    both(stored, (0x1234, 0x2a))
}

/// Number 31 is the zero register where data is transferred.
fn zero_registers() -> Outcome {
    let (kept, other): (u64, u64);
    let stored = divisors(|| {
        mmio::store32(DIVISORS, 7);
        // SAFETY: a store to the divisors.
        unsafe { asm!("stp wzr, {0:w}, [{1}]", in(reg) 5, in(reg) DIVISORS) };
    });
    // SAFETY: identification registers are read.
    unsafe {
        asm!("ldp wzr, {0:w}, [{2}]", "mov {1}, xzr",
            out(reg) other, out(reg) kept, in(reg) UART_ID);
    }
    both((kept, other), (0, 0x10))?;
    both(stored, (0, 5))
}

macro_rules! load_moves {
    ($name:ident: $instruction:literal, $from:expr, $value:expr, $moved:expr) => {
        fn $name() -> Outcome {
            let mut base = $from;
            let mut value = u64::MAX;
            // SAFETY: a register of a device is read.
            unsafe { asm!($instruction, inout(reg) value, inout(reg) base) };
            equal("loaded", value, $value as u64)?;
            equal("base", base as u64, ($from + $moved) as u64)
        }
    };
}

load_moves!(load_post_index: "ldr {0:w}, [{1}], #12", UART_ID, 0x11, 12);
load_moves!(load_pre_index: "ldr {0:w}, [{1}, #4]!", UART_ID, 0x10, 4);
load_moves!(load_pair_post_index: "ldp {0:w}, wzr, [{1}], #8", UART_ID, 0x11, 8);
load_moves!(signed_byte_post_index: "ldrsb {0}, [{1}], #1", map::UART + 0xffc, 0xffff_ffff_ffff_ffb1_u64, 1);

macro_rules! store_moves {
    ($name:ident: $instruction:literal, $from:expr, $moved:expr) => {
        fn $name() -> Outcome {
            let mut base = $from;
            let stored = divisors(|| {
                // SAFETY: stores to the divisors.
                unsafe { asm!($instruction, in(reg) 0x21, inout(reg) base) };
            });
            both(stored, (0x21, 0))?;
            equal("base", base as u64, ($from as u64).wrapping_add_signed($moved))
        }
    };
}

store_moves!(store_post_index: "str {0:w}, [{1}], #-4", DIVISORS, -4);
store_moves!(store_pre_index: "str {0:w}, [{1}, #-16]!", DIVISORS + 16, -16);
store_moves!(store_pair_pre_index: "stp {0:w}, wzr, [{1}, #8]!", DIVISORS - 8, 8);

fn register_offset() -> Outcome {
    let (word, byte): (u64, u64);
    // SAFETY: identification registers are read.
    unsafe {
        asm!("ldr {0:w}, [{2}, {3:w}, sxtw #2]", "ldrsb {1}, [{2}, {4}]",
            out(reg) word, out(reg) byte,
            in(reg) UART_ID, in(reg) 0xffff_ffff_u64 + 2, in(reg) 0x1c_u64);
    }
    both((word, byte), (0x10, 0xffff_ffff_ffff_ffb1))
}

fn acquire_release() -> Outcome {
    let loaded: u64;
    // SAFETY: an identification register is read.
    unsafe { asm!("ldar {0:w}, [{1}]", out(reg) loaded, in(reg) UART_ID) };
    let stored = divisors(|| {
        // SAFETY: a store to a divisor.
        unsafe { asm!("stlr {0:w}, [{1}]", in(reg) 9, in(reg) DIVISORS) };
    });
    equal("loaded", loaded, 0x11_u64)?;
    both(stored, (9, 0))
}

fn stack_pointer_el1() -> Outcome {
    let (loaded, moved): (u64, u64);
    // SAFETY: the stack is back before anything uses it; interrupts are masked.
    unsafe {
        asm!("mov {2}, sp", "mov sp, {3}", "ldr {0:w}, [sp], #16", "mov {1}, sp", "mov sp, {2}",
            out(reg) loaded, out(reg) moved, out(reg) _, in(reg) UART_ID);
    }
    both((loaded, moved), (0x11, UART_ID as u64 + 16))
}

fn stack_pointer_el0() -> Outcome {
    let (loaded, moved): (u64, u64);
    // SAFETY: as above; SP_EL0 is nobody's.
    unsafe {
        asm!("msr spsel, #0", "mov sp, {2}", "ldr {0:w}, [sp, #16]!", "mov {1}, sp",
            "msr spsel, #1",
            out(reg) loaded, out(reg) moved, in(reg) UART_ID);
    }
    both((loaded, moved), (0x0d, UART_ID as u64 + 16))
}

fn enable_vectors() {
    CPACR_EL1.modify(CPACR_EL1::FPEN::TrapNothing);
    barrier::isb(barrier::SY);
}

/// A scalar load clears the rest of its vector, and changes no other.
fn vector_load() -> Outcome {
    enable_vectors();
    let (low, high, other): (u64, u64, u64);
    // SAFETY: an identification register is read; Rust code here uses no vectors.
    unsafe {
        asm!(".arch_extension fp", ".arch_extension simd",
            "movi v30.16b, #0x55", "movi v31.16b, #0xaa",
            "ldr s31, [{3}], #4",
            "mov {0}, v31.d[0]", "mov {1}, v31.d[1]", "mov {2}, v30.d[1]",
            out(reg) low, out(reg) high, out(reg) other, inout(reg) UART_ID => _);
    }
    both((low, high), (0x11, 0))?;
    equal("v30", other, 0x5555_5555_5555_5555_u64)
}

fn vector_pair() -> Outcome {
    enable_vectors();
    let (one, other): (u64, u64);
    // SAFETY: as above.
    unsafe {
        asm!(".arch_extension fp", ".arch_extension simd",
            "movi v0.16b, #0x55", "movi v7.16b, #0xaa",
            "ldp s0, s7, [{2}, #-8]",
            "mov {0}, v0.d[0]", "mov {1}, v7.d[0]",
            out(reg) one, out(reg) other, in(reg) UART_ID + 8);
    }
    both((one, other), (0x11, 0x10))
}

fn vector_store() -> Outcome {
    enable_vectors();
    let stored = divisors(|| {
        // SAFETY: stores to the divisors.
        unsafe {
            asm!(".arch_extension fp", ".arch_extension simd",
                "movi v1.4s, #0x31", "movi v9.4s, #0x12",
                "stp s1, s9, [{0}]", in(reg) DIVISORS);
        }
    });
    both(stored, (0x31, 0x12))
}

fn vector_byte() -> Outcome {
    enable_vectors();
    let (byte, halfword): (u64, u64);
    // SAFETY: identification registers are read.
    unsafe {
        asm!(".arch_extension fp", ".arch_extension simd",
            "movi v0.16b, #0x55", "movi v1.16b, #0x55",
            "ldr b0, [{2}, #4]", "ldr h1, [{2}], #2",
            "mov {0}, v0.d[0]", "mov {1}, v1.d[0]",
            out(reg) byte, out(reg) halfword, inout(reg) UART_ID => _);
    }
    both((byte, halfword), (0x10, 0x11))
}

/// More than there is room for, of whatever an access leaves behind.
fn many_in_a_row() -> Outcome {
    (0..200).try_for_each(|_| load_pair().and_then(|()| store_pair()))
}

/// PAR_EL1 is the guest's, whatever finding the instruction took.
fn address_translation_result_is_kept() -> Outcome {
    PAR_EL1.set(0x1234_5000);
    let before = PAR_EL1.get();
    load_pair()?;
    equal("PAR_EL1", PAR_EL1.get(), before)
}

/// With stage 1 off an address is its own translation.
fn stage1_off() -> Outcome {
    let (one, other, address): (u64, u64, usize);
    let off = SCTLR_EL1.get() & !(SCTLR_EL1::M::SET.value | SCTLR_EL1::C::SET.value);
    // SAFETY: the map is the identity, and nothing is written meanwhile.
    unsafe {
        asm!(
            "mrs {saved}, sctlr_el1",
            "msr sctlr_el1, {off}",
            "isb",
            "ldp {one:w}, {other:w}, [{address}], #8",
            "msr sctlr_el1, {saved}",
            "isb",
            saved = out(reg) _, off = in(reg) off, one = out(reg) one, other = out(reg) other,
            address = inout(reg) UART_ID => address,
        );
    }
    both((one, other), (0x11, 0x10))?;
    equal("base", address as u64, UART_ID as u64 + 8)
}

/// The last word of the UART's page, and the first of the one behind it, where
/// nothing is. No register changes.
fn second_element_aborts() -> Outcome {
    let mut base = map::UART + 0xffc;
    let (mut one, mut other) = (1_u64, 2_u64);
    let result = exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe {
            asm!("ldp {0:w}, {1:w}, [{2}], #8",
                inout(reg) one, inout(reg) other, inout(reg) base);
        }
    });
    aborts(result, map::UART + 0x1000, false)?;
    both((one, other), (1, 2))?;
    equal("base", base as u64, map::UART as u64 + 0xffc)
}

fn second_store_aborts() -> Outcome {
    let mut base = map::UART + 0x1004;
    let result = exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe { asm!("stp wzr, wzr, [{0}, #-8]!", inout(reg) base) };
    });
    aborts(result, map::UART + 0x1000, true)?;
    equal("base", base as u64, map::UART as u64 + 0x1004)
}

/// The UART has registers of 32 bits, for eVisor; a bus may split the access.
fn doubleword_pair_aborts() -> Outcome {
    only_on_evisor()?;
    let result = exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe { asm!("ldp {0}, {1}, [{2}]", out(reg) _, out(reg) _, in(reg) UART_ID) };
    });
    aborts(result, UART_ID, false)
}

/// "Load-Exclusive and Store-Exclusive instruction usage restrictions": to Device
/// memory an implementation may abort, and eVisor's devices do.
fn exclusive_aborts() -> Outcome {
    only_on_evisor()?;
    let result = exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe { asm!("ldxr {0:w}, [{1}]", out(reg) _, in(reg) UART_ID) };
    });
    aborts(result, UART_ID, false)
}

fn atomic_aborts() -> Outcome {
    only_on_evisor()?;
    require("no atomics", ID_AA64ISAR0_EL1.get() >> 20 & 0xf != 0)?;
    let result = exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe {
            asm!(".arch_extension lse", "ldadd wzr, {0:w}, [{1}]",
                out(reg) _, in(reg) UART_ID);
        }
    });
    let taken = check::exception("access", result)?;
    equal("DFSC", taken.fault_status(), EXTERNAL)?;
    equal("FAR", taken.far, UART_ID as u64)
}

fn structure_aborts() -> Outcome {
    only_on_evisor()?;
    enable_vectors();
    let result = exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe { asm!(".arch_extension simd", "ld1 {{v0.s}}[0], [{0}]", in(reg) UART_ID) };
    });
    aborts(result, UART_ID, false)
}

fn cache_zero_aborts() -> Outcome {
    let result = exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe { asm!("dc zva, {0}", in(reg) map::MEMORY_HOLE) };
    });
    let taken = check::exception("access", result)?;
    equal("WnR", taken.iss() & WNR != 0, true)
}

fn prefetch_does_nothing() -> Outcome {
    let result = exception::attempt(|| {
        // SAFETY: a hint.
        unsafe { asm!("prfm pldl1keep, [{0}]", in(reg) map::MEMORY_HOLE) };
    });
    check::no_exception("prefetch", result)
}

/// "Alignment support": an access to Device memory that is not aligned faults, at
/// stage 1. QEMU lets it through, and a hypervisor has nothing to do with it.
fn misaligned_pair() -> Outcome {
    let result = exception::attempt(|| {
        // SAFETY: the abort is expected.
        unsafe { asm!("ldp {0:w}, {1:w}, [{2}]", out(reg) _, out(reg) _, in(reg) UART_ID + 2) };
    });
    require("the core does not check", result.is_err())?;
    let taken = check::exception("access", result)?;
    holds("alignment fault or abort", matches!(taken.fault_status(), ALIGNMENT | EXTERNAL))
}
