//! The guest's SIMD and floating-point registers. EL2 never uses them, so they
//! are the guest's own as long as it is on this core: if they were not, its
//! instruction would have trapped for that.

#![allow(unsafe_code, reason = "reads and writes vector registers")]

use core::arch::asm;
use core::mem::MaybeUninit;

/// V0 to V31, the lower half first.
#[repr(C, align(16))]
pub(crate) struct Vectors([[u64; 2]; 32]);

impl Vectors {
    pub fn read() -> Self {
        let mut vectors = MaybeUninit::<Self>::uninit();
        // SAFETY: 1. there is room for 32 registers of 16 bytes.
        unsafe {
            asm!(
                ".arch_extension fp",
                ".arch_extension simd",
                "st1 {{v0.2d-v3.2d}}, [{0}], #64",
                "st1 {{v4.2d-v7.2d}}, [{0}], #64",
                "st1 {{v8.2d-v11.2d}}, [{0}], #64",
                "st1 {{v12.2d-v15.2d}}, [{0}], #64",
                "st1 {{v16.2d-v19.2d}}, [{0}], #64",
                "st1 {{v20.2d-v23.2d}}, [{0}], #64",
                "st1 {{v24.2d-v27.2d}}, [{0}], #64",
                "st1 {{v28.2d-v31.2d}}, [{0}], #64",
                inout(reg) vectors.as_mut_ptr() => _,
                options(nostack),
            );
        }
        // SAFETY: 1. all of it was just written.
        unsafe { vectors.assume_init() }
    }

    pub fn write(&self) {
        // SAFETY: 1. there are 32 registers of 16 bytes. 2. EL2 uses none of them.
        unsafe {
            asm!(
                ".arch_extension fp",
                ".arch_extension simd",
                "ld1 {{v0.2d-v3.2d}}, [{0}], #64",
                "ld1 {{v4.2d-v7.2d}}, [{0}], #64",
                "ld1 {{v8.2d-v11.2d}}, [{0}], #64",
                "ld1 {{v12.2d-v15.2d}}, [{0}], #64",
                "ld1 {{v16.2d-v19.2d}}, [{0}], #64",
                "ld1 {{v20.2d-v23.2d}}, [{0}], #64",
                "ld1 {{v24.2d-v27.2d}}, [{0}], #64",
                "ld1 {{v28.2d-v31.2d}}, [{0}], #64",
                inout(reg) &raw const self.0 => _,
                options(nostack, readonly),
            );
        }
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the number of registers")]
    pub fn get(&self, number: u8) -> [u64; 2] {
        self.0[usize::from(number & 31)]
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the number of registers")]
    pub fn set(&mut self, number: u8, value: [u64; 2]) {
        self.0[usize::from(number & 31)] = value;
    }
}
