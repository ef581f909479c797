//! System registers by encoding, in instructions that are made at run time (ARM DDI 0487,
//! "MRS", "MSR (register)", "SYS", "SYSL").
#![allow(unsafe_code, reason = "code written at run time")]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use evisor_guest::exception::attempt;
use evisor_guest::{read_register, write_register};

/// Op2 of a register.
const OP2: u32 = 8;

/// For each Op2 an instruction of x0, and a return.
static CODE: [[AtomicU32; 2]; OP2 as usize] =
    [const { [AtomicU32::new(0), AtomicU32::new(RET)] }; OP2 as usize];
const RET: u32 = 0xd65f_03c0;

/// MSR or SYS, by x0, of Op0 0.
const WRITE: u32 = 0xd500_0000;
/// MRS or SYSL.
const READ: u32 = WRITE | 1 << 21;

/// ESR_EL1.EC of what is undefined.
const UNKNOWN: u64 = 0;

/// Has EL1 trap nothing to itself: CPACR_EL1.FPEN, ZEN and SMEN.
pub fn open() {
    let closed: u64 = read_register!("cpacr_el1");
    write_register!("cpacr_el1", closed | 0b11 << 24 | 0b11 << 20 | 0b11 << 16);
}

/// A bit for each Op2 whose register can be read. `name` has Op0 in bits 15 and 14, Op1 from
/// 11, CRn from 7, CRm from 3.
pub fn reads(name: u32) -> u8 {
    fill(READ | name << 5);
    (0..OP2).fold(0, |bits, op2| bits | u8::from(execute(op2, 0).is_some()) << op2)
}

/// The same of writes, of those in `of`. What is written is what was read, or zero.
pub fn writes(name: u32, of: u8) -> u8 {
    let those = || (0..OP2).filter(|op2| of & 1 << op2 != 0);
    let mut values = [0; OP2 as usize];
    fill(READ | name << 5);
    for (value, op2) in values.iter_mut().zip(0..OP2) {
        if of & 1 << op2 != 0 {
            *value = execute(op2, 0).unwrap_or(0);
        }
    }
    fill(WRITE | name << 5);
    let value = |op2: u32| values.get(op2 as usize).copied().unwrap_or(0);
    those().fold(0, |bits, op2| bits | u8::from(execute(op2, value(op2)).is_some()) << op2)
}

/// Makes the instructions of all Op2, and has them seen (B2.7.4.2).
fn fill(instruction: u32) {
    for ([made, _], op2) in CODE.iter().zip(0..OP2) {
        made.store(instruction | op2 << 5, Ordering::Relaxed);
        // SAFETY: maintenance of what was just written.
        unsafe {
            asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb", in(reg) made.as_ptr());
        }
    }
}

/// What x0 is after the instruction, if that is not undefined.
#[expect(clippy::panic, reason = "a panic is how a guest ends early")]
fn execute(op2: u32, x0: u64) -> Option<u64> {
    let [made, _] = CODE.get(op2 as usize)?;
    let mut x0 = x0;
    let run = attempt(|| {
        // SAFETY: 1. it uses x0 alone; what it does to system registers is the file's to say.
        unsafe {
            asm!("blr {code}", code = in(reg) made.as_ptr(), inout("x0") x0, out("x30") _);
        }
    });
    match run {
        Ok(()) => Some(x0),
        Err(taken) if taken.class() == UNKNOWN => None,
        Err(taken) => panic!("{:#x}: {taken:x?}", made.load(Ordering::Relaxed)),
    }
}
