//! Floating point on a core that several vCPUs share: it changes hands when the next
//! one uses it, and not before.
//!
//! CPTR_EL2.TFP traps every use, FPCR and FPSR among them, by a vCPU whose values are
//! not in the registers. EL2 itself never uses them. A vCPU stays on its core, so the
//! core alone knows whose values they are.

#![allow(unsafe_code, reason = "reads and writes the registers, and memory of a vCPU")]

use crate::gic;
use crate::vcpu::Vcpu;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::CPTR_EL2;
use core::arch::asm;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering};
use tock_registers::interfaces::{Readable, Writeable};

/// V0 to V31, FPCR and FPSR.
#[derive(Clone, Debug)]
#[repr(C, align(16))]
pub(crate) struct FloatingPoint([u64; 66]);

impl FloatingPoint {
    /// As after a reset.
    pub const ZERO: Self = Self([0; 66]);
}

/// Whose values are in the registers of each core: null if nobody's that are kept.
static OWNERS: [AtomicPtr<FloatingPoint>; gic::CORES] =
    [const { AtomicPtr::new(null_mut()) }; gic::CORES];

/// CPTR_EL2.TFP.
const TFP: u64 = 1 << 10;

/// A core whose floating point changes hands.
pub(crate) struct Guard {
    owner: &'static AtomicPtr<FloatingPoint>,
    /// CPTR_EL2 of whose it is.
    open: u64,
}

impl Guard {
    /// Of this core, number `core`, which is set up for guests; `None` if there are fewer.
    pub fn here(core: usize) -> Option<Self> {
        Some(Self { owner: OWNERS.get(core)?, open: CPTR_EL2.get() & !TFP })
    }

    /// `vcpu` goes onto this core: it may use what is there if it is its own.
    #[inline(always)]
    pub fn meet(&self, vcpu: &Vcpu) {
        let own = self.owner.load(Ordering::Relaxed) == vcpu.floating_point;
        CPTR_EL2.set(if own { self.open } else { self.open | TFP });
    }
}

/// Makes the registers `vcpu`'s, which is on its core, with the values that they had
/// when it used them last.
pub(crate) fn take(vcpu: &Vcpu) {
    CPTR_EL2.set(CPTR_EL2.get() & !TFP);
    barrier::isb(barrier::SY);
    let own = vcpu.floating_point;
    let Some(owner) = OWNERS.get(vcpu.context.core()) else { return };
    let before = owner.swap(own, Ordering::Relaxed);
    if before == own {
        return;
    }
    if !before.is_null() {
        // SAFETY: 1. memory of a vCPU of this core, which is never freed and nobody else
        // touches.
        unsafe { save(before) };
    }
    if !own.is_null() {
        // SAFETY: 1. as above.
        unsafe { load(own) };
    }
}

/// What is in the registers, which are `vcpu`'s after this.
pub(crate) fn read(vcpu: &Vcpu, to: &mut FloatingPoint) {
    take(vcpu);
    // SAFETY: 1. borrowed, and `take` opened the registers.
    unsafe { save(to) };
}

/// Puts it into the registers, which are `vcpu`'s after this.
pub(crate) fn write(vcpu: &Vcpu, from: &FloatingPoint) {
    take(vcpu);
    // SAFETY: 1. as above.
    unsafe { load(from) };
}

/// # Safety
/// 1. `to` is valid for writes; CPTR_EL2 lets EL2 at the registers.
unsafe fn save(to: *mut FloatingPoint) {
    // SAFETY: 1. as the caller says.
    unsafe {
        asm!(
            ".arch_extension fp",
            ".arch_extension simd",
            "stp q0, q1, [{at}], #32",
            "stp q2, q3, [{at}], #32",
            "stp q4, q5, [{at}], #32",
            "stp q6, q7, [{at}], #32",
            "stp q8, q9, [{at}], #32",
            "stp q10, q11, [{at}], #32",
            "stp q12, q13, [{at}], #32",
            "stp q14, q15, [{at}], #32",
            "stp q16, q17, [{at}], #32",
            "stp q18, q19, [{at}], #32",
            "stp q20, q21, [{at}], #32",
            "stp q22, q23, [{at}], #32",
            "stp q24, q25, [{at}], #32",
            "stp q26, q27, [{at}], #32",
            "stp q28, q29, [{at}], #32",
            "stp q30, q31, [{at}], #32",
            "mrs {a}, fpcr",
            "mrs {b}, fpsr",
            "stp {a}, {b}, [{at}]",
            at = inout(reg) to => _,
            a = out(reg) _,
            b = out(reg) _,
            options(nostack),
        );
    }
}

/// # Safety
/// 1. `from` is valid for reads; CPTR_EL2 lets EL2 at the registers.
unsafe fn load(from: *const FloatingPoint) {
    // SAFETY: 1. as the caller says; EL2 keeps nothing in them.
    unsafe {
        asm!(
            ".arch_extension fp",
            ".arch_extension simd",
            "ldp q0, q1, [{at}], #32",
            "ldp q2, q3, [{at}], #32",
            "ldp q4, q5, [{at}], #32",
            "ldp q6, q7, [{at}], #32",
            "ldp q8, q9, [{at}], #32",
            "ldp q10, q11, [{at}], #32",
            "ldp q12, q13, [{at}], #32",
            "ldp q14, q15, [{at}], #32",
            "ldp q16, q17, [{at}], #32",
            "ldp q18, q19, [{at}], #32",
            "ldp q20, q21, [{at}], #32",
            "ldp q22, q23, [{at}], #32",
            "ldp q24, q25, [{at}], #32",
            "ldp q26, q27, [{at}], #32",
            "ldp q28, q29, [{at}], #32",
            "ldp q30, q31, [{at}], #32",
            "ldp {a}, {b}, [{at}]",
            "msr fpcr, {a}",
            "msr fpsr, {b}",
            at = inout(reg) from => _,
            a = out(reg) _,
            b = out(reg) _,
            options(nostack, readonly),
        );
    }
}
