//! Events that are one trapping instruction.
//!
//! Each is put into the same loop; the loop with NOP for the event says what
//! the guest itself executes. QEMU counts an instruction that is completed: an
//! HVC is, a load or store that aborts is not (the stub that emulates it steps
//! over it). The NOP stands for either, so an aborting access comes out one
//! instruction low, as it does in the figures of others that ours are
//! compared with, and an access that does not trap comes out as 0.
#![allow(unsafe_code, reason = "loops of exactly known instructions")]

use core::arch::asm;

macro_rules! event_loops {
    ($($(#[$doc:meta])* $name:ident: $event:literal;)*) => {$(
        $(#[$doc])*
        pub fn $name(number: u64, operand: u64, value: u64) -> u64 {
            let elapsed: u64;
            // SAFETY: what traps is a call, which keeps to SMCCC, or an access
            // to a device's register; everything that a call may change is
            // declared.
            unsafe {
                asm!(
                    "isb",
                    "mrs x23, cntvct_el0",
                    "1: mov x0, x20",
                    $event,
                    "subs x21, x21, #1",
                    "b.ne 1b",
                    "isb",
                    "mrs x24, cntvct_el0",
                    "sub x24, x24, x23",
                    out("x23") _,
                    out("x24") elapsed,
                    in("x20") operand,
                    inout("x21") number => _,
                    in("x22") value,
                    inout("x1") value => _,
                    clobber_abi("C"),
                );
            }
            elapsed
        }
    )*};
}

event_loops! {
    /// The loop itself.
    nothing: "nop";
    /// A call by HVC; the operand is the function.
    hvc: "hvc #0";
    /// A call by SMC; the operand is the function.
    smc: ".inst 0xd4000003";
    /// A call by HVC with two more arguments: the operand is the function, the value a handle
    /// (`framework/abi`), the operation 0.
    invoke: "mov x1, x22\nmov x2, #0\nmov x3, #0\nhvc #0";
    /// A 32-bit load from the operand.
    load: "ldr w0, [x20]";
    /// A pair of them, whose syndrome does not say so.
    load_pair: "ldp w0, w1, [x20]";
    /// A 32-bit store of the value to the operand.
    store: "str w1, [x20]";
    /// The same from a register that calls preserve.
    store_preserved: "str w22, [x20]";
}
