//! Single loads and stores, one instruction each, to any address, so that what
//! a hypervisor sees in the syndrome is what the caller asked for. (The
//! compiler may turn a volatile access in a loop into one with write-back,
//! whose syndrome names no register: ARM DDI 0487, ESR_EL2, ISS encoding for an
//! exception from a Data Abort, ISV.)
//!
//! They are safe to call although nothing checks the address: a guest may read
//! and write what it likes in its own VM, and these guests only use them on
//! device registers, on holes, and on their own scratch memory.
#![allow(unsafe_code, reason = "a load or store of an arbitrary address")]

use core::arch::asm;

macro_rules! accesses {
    ($($load:ident $store:ident $type:ty, $ld:literal $st:literal $register:literal;)*) => {$(
        #[doc = concat!("`", $ld, "` of a ", stringify!($type), ".")]
        #[inline(always)]
        #[must_use]
        pub fn $load(address: usize) -> $type {
            let value: $type;
            // SAFETY: see the module's header.
            unsafe {
                asm!(concat!($ld, " {value:", $register, "}, [{address}]"),
                    value = out(reg) value, address = in(reg) address, options(nostack));
            }
            value
        }

        #[doc = concat!("`", $st, "` of a ", stringify!($type), ".")]
        #[inline(always)]
        pub fn $store(address: usize, value: $type) {
            // SAFETY: see the module's header.
            unsafe {
                asm!(concat!($st, " {value:", $register, "}, [{address}]"),
                    value = in(reg) value, address = in(reg) address, options(nostack));
            }
        }
    )*};
}

accesses! {
    load8 store8 u8, "ldrb" "strb" "w";
    load16 store16 u16, "ldrh" "strh" "w";
    load32 store32 u32, "ldr" "str" "w";
    load64 store64 u64, "ldr" "str" "x";
}
