//! A trap must hand back every register as it was, but for the one that the
//! instruction names. So: fill x0 to x30 with patterns, execute one instruction
//! that a hypervisor emulates, and look at all of them. For every register.
#![allow(unsafe_code, reason = "assembly that uses every register")]

use core::arch::global_asm;

use evisor_guest::{map, mmio};

use crate::check::{Outcome, equal};
use crate::checks;

checks! { "transfer":
    load_each_register load_signed_word_each_register load_signed_byte_each_register
    load_signed_byte_to_word_each_register store_each_register store_byte_each_register
    signed_halfword
}

// Each thunk is three instructions: fetch the operand into the base register,
// which is x9 or, where x9 is under test, x10; the instruction; back. It is
// reached by ERET, since a branch to a register would need a register.
//
// The frame: 0 to 247 what came out, 256 to 351 the caller's x19 to x30, 352
// where to put the result, 360 the operand.
global_asm!(
    r#"
.macro thunk instruction, register, base
    ldr     \base, [sp, #360]
    \instruction \register, [\base]
    b       transfer_dump
.endm
.macro thunks name, instruction, width
\name:
    .irp number, 0,1,2,3,4,5,6,7,8
    thunk   \instruction, \width\number, x9
    .endr
    thunk   \instruction, \width\()9, x10
    .irp number, 10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,zr
    thunk   \instruction, \width\number, x9
    .endr
.endm

.section .text.transfer, "ax"
thunks transfer_ldr, ldr, w
thunks transfer_ldrsw, ldrsw, x
thunks transfer_ldrsb_x, ldrsb, x
thunks transfer_ldrsb_w, ldrsb, w
thunks transfer_str, str, w
thunks transfer_strb, strb, w
transfer_hvc:
    ldr     x0, [sp, #360]
    hvc     #0
    b       transfer_dump
transfer_smc:
    ldr     x0, [sp, #360]
    .inst   0xd4000003
    b       transfer_dump

transfer_run:
    sub     sp, sp, #368
    stp     x19, x20, [sp, #256]
    stp     x21, x22, [sp, #272]
    stp     x23, x24, [sp, #288]
    stp     x25, x26, [sp, #304]
    stp     x27, x28, [sp, #320]
    stp     x29, x30, [sp, #336]
    stp     x0, x1, [sp, #352]
    msr     elr_el1, x2
    mrs     x3, daif
    orr     x3, x3, #4
    orr     x3, x3, #1
    msr     spsr_el1, x3
    .irp number, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30
    movz    x\number, #0x0808 * \number
    movk    x\number, #0x0808 * \number, lsl #16
    movk    x\number, #0xc0de, lsl #32
    movk    x\number, #0xa500 + \number, lsl #48
    .endr
    eret

transfer_dump:
    stp     x0, x1, [sp]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    str     x30, [sp, #240]
    ldr     x0, [sp, #352]
    mov     x1, #0
1:  ldr     x2, [sp, x1, lsl #3]
    str     x2, [x0, x1, lsl #3]
    add     x1, x1, #1
    cmp     x1, #31
    b.ne    1b
    ldp     x19, x20, [sp, #256]
    ldp     x21, x22, [sp, #272]
    ldp     x23, x24, [sp, #288]
    ldp     x25, x26, [sp, #304]
    ldp     x27, x28, [sp, #320]
    ldp     x29, x30, [sp, #336]
    add     sp, sp, #368
    ret
"#
);

unsafe extern "C" {
    static transfer_ldr: u32;
    static transfer_ldrsw: u32;
    static transfer_ldrsb_x: u32;
    static transfer_ldrsb_w: u32;
    static transfer_str: u32;
    static transfer_strb: u32;
    static transfer_hvc: u32;
    static transfer_smc: u32;
    fn transfer_run(result: *mut [u64; 31], operand: u64, thunk: u64);
}

const THUNK_SIZE: u64 = 12;
const ZERO_REGISTER: u64 = 31;

/// What `transfer_run` puts into a register.
const fn pattern(register: u64) -> u64 {
    ((0xa500 + register) << 48) | (0xc0de << 32) | (0x0808_0808 * register)
}

const fn base_register(register: u64) -> u64 {
    if register == 9 { 10 } else { 9 }
}

fn run(thunk: u64, operand: u64) -> [u64; 31] {
    let mut result = [0; 31];
    // SAFETY: the thunk is one of those above; what it loads from or stores to
    // is a device's register.
    unsafe { transfer_run(&raw mut result, operand, thunk) };
    result
}

/// Runs one thunk of a table and checks every register; `loaded` is what the
/// one under test should hold if the instruction is a load.
fn run_and_compare(table: *const u32, register: u64, address: u64, loaded: Option<u64>) -> Outcome {
    let result = run(table as u64 + THUNK_SIZE * register, address);
    for ((number, name), got) in (0_u64..).zip(NAMES).zip(result) {
        let expected = match loaded {
            Some(value) if number == register => value,
            _ if number == base_register(register) => address,
            _ => pattern(number),
        };
        equal(name, got, expected)?;
    }
    Ok(())
}

/// So that a failure names the register.
const NAMES: [&str; 31] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "x29", "x30",
];

const GICD_TYPER: usize = map::GICD + 4;
/// The priorities of SPIs 12 to 15: four bytes that can be written, as a word
/// or one by one (IHI 0048B.b §4.1.4, §4.3.11).
const PRIORITIES: usize = map::GICD + 0x400 + 44;
const UARTIBRD: usize = map::UART + 0x24;

fn load_each(table: *const u32, address: usize, loaded: u64) -> Outcome {
    (0..=ZERO_REGISTER)
        .try_for_each(|register| run_and_compare(table, register, address as u64, Some(loaded)))
}

/// DDI 0487, LDR (immediate): a 32-bit load clears the upper half.
fn load_each_register() -> Outcome {
    let typer = u64::from(mmio::load32(GICD_TYPER));
    load_each(&raw const transfer_ldr, GICD_TYPER, typer)
}

/// Puts a word with its sign set into the priorities, for a load to find.
fn with_negative_priorities(body: impl FnOnce(u32) -> Outcome) -> Outcome {
    mmio::store32(PRIORITIES, 0xa080_9090);
    let outcome = body(mmio::load32(PRIORITIES));
    mmio::store32(PRIORITIES, 0);
    outcome
}

fn load_signed_word_each_register() -> Outcome {
    with_negative_priorities(|word| {
        let extended = i64::from(word.cast_signed()).cast_unsigned();
        load_each(&raw const transfer_ldrsw, PRIORITIES, extended)
    })
}

fn load_signed_byte_each_register() -> Outcome {
    with_negative_priorities(|word| {
        let byte = word.to_le_bytes()[0].cast_signed();
        let extended = i64::from(byte).cast_unsigned();
        load_each(&raw const transfer_ldrsb_x, PRIORITIES, extended)
    })
}

/// LDRSB to a 32-bit register extends to 32 bits and clears the upper half.
fn load_signed_byte_to_word_each_register() -> Outcome {
    with_negative_priorities(|word| {
        let byte = word.to_le_bytes()[0].cast_signed();
        let extended = u64::from(i32::from(byte).cast_unsigned());
        load_each(&raw const transfer_ldrsb_w, PRIORITIES, extended)
    })
}

/// Which bits of a priority are implemented.
fn priority_bits() -> u32 {
    mmio::store32(PRIORITIES, u32::MAX);
    mmio::load32(PRIORITIES)
}

#[allow(clippy::cast_possible_truncation, reason = "a 32-bit store takes the lower half")]
fn stored(register: u64) -> u32 {
    match register {
        ZERO_REGISTER => 0,
        _ => pattern(register) as u32,
    }
}

fn store_each_register() -> Outcome {
    let implemented = priority_bits();
    for register in 0..=ZERO_REGISTER {
        mmio::store32(PRIORITIES, !stored(register));
        run_and_compare(&raw const transfer_str, register, PRIORITIES as u64, None)?;
        let expected = stored(register) & implemented;
        equal("stored", mmio::load32(PRIORITIES), expected)?;
    }
    mmio::store32(PRIORITIES, 0);
    Ok(())
}

/// A byte store changes its byte and leaves its neighbours.
fn store_byte_each_register() -> Outcome {
    let implemented = priority_bits();
    for register in 0..=ZERO_REGISTER {
        mmio::store32(PRIORITIES, 0xa0a0_a0a0);
        run_and_compare(&raw const transfer_strb, register, PRIORITIES as u64, None)?;
        let expected = (0xa0a0_a000 | stored(register) & 0xff) & implemented;
        equal("stored", mmio::load32(PRIORITIES), expected)?;
    }
    mmio::store32(PRIORITIES, 0);
    Ok(())
}

/// LDRSH, on the 16 bits of UARTIBRD: Linux drives a PL011 by halfwords.
fn signed_halfword() -> Outcome {
    let before = mmio::load16(UARTIBRD);
    mmio::store16(UARTIBRD, 0x8001);
    let (wide, narrow): (u64, u64);
    // SAFETY: two loads of a device's register.
    unsafe {
        core::arch::asm!("ldrsh {0}, [{2}]", "ldrsh {1:w}, [{2}]",
            out(reg) wide, out(reg) narrow, in(reg) UARTIBRD);
    }
    mmio::store16(UARTIBRD, before);
    equal("to 64 bits", wide, 0xffff_ffff_ffff_8001_u64)?;
    equal("to 32 bits", narrow, 0xffff_8001_u64)
}

/// A conduit of SMCCC.
pub enum Call {
    /// HVC #0.
    Hvc,
    /// SMC #0.
    Smc,
}

/// Makes a call and checks that x4 to x30 are as they were.
pub fn call_preserves(conduit: Call, function: u32) -> Outcome {
    let thunk = match conduit {
        Call::Hvc => &raw const transfer_hvc,
        Call::Smc => &raw const transfer_smc,
    };
    let result = run(thunk as u64, u64::from(function));
    for ((number, name), got) in (0_u64..).zip(NAMES).zip(result).skip(4) {
        equal(name, got, pattern(number))?;
    }
    Ok(())
}

/// Makes a call whose x0 has an upper half; what it returns in x0.
pub fn call_with(upper: u64, function: u32) -> u64 {
    let [x0, ..] = run(&raw const transfer_hvc as u64, upper | u64::from(function));
    x0
}
