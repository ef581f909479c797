//! The CPU's random number generator (DDI 0487, FEAT_RNG).

#![allow(unsafe_code, reason = "reads a register that the assembler may not know")]

use crate::registers;
use core::arch::asm;
use evisor_contract::{Entropy, Register};

/// RNDRRS: reseeded from the true generator before each number.
struct Rndrrs;

/// The core's generator, where it has one. All cores are taken to be alike.
pub fn source() -> Option<&'static dyn Entropy> {
    let isar0 = registers::identification(Register::new(3, 0, 0, 6, 0))?;
    (isar0 >> 60 != 0).then_some(&Rndrrs)
}

impl Entropy for Rndrrs {
    /// One try: whoever gets nothing may ask again, and EL2 does not wait.
    fn word(&self) -> Option<u64> {
        let (word, failed): (u64, u64);
        // SAFETY: 1. `source` found FEAT_RNG; reading changes nothing but the flags.
        unsafe {
            asm!(
                "mrs {word}, s3_3_c2_c4_1",
                "cset {failed}, eq",
                word = out(reg) word,
                failed = out(reg) failed,
                options(nomem, nostack),
            );
        }
        (failed == 0).then_some(word)
    }
}
