//! Events that end in the guest's own interrupt handler.
//!
//! The handlers are a few instructions behind vectors of their own: going
//! through the guest crate's would measure that. They use registers that the
//! loops, the only code that runs with interrupts unmasked, keep free for them:
//! x9 holds the address of GICC_IAR, x10 is set to 1, x11 to 13 are scratch.
//! There are two of each, as many instructions long: a GICv2 is reached through
//! memory, a GICv3 by system registers.
#![allow(unsafe_code, reason = "vectors, and loops of exactly known instructions")]

use core::arch::{asm, global_asm};

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::VBAR_EL1;
use evisor_guest::gic::{self, Version};
use evisor_guest::{map, timer};
use tock_registers::interfaces::{Readable, Writeable};

/// What [`sgi_to_self`]'s loop and handler take for one SGI where nothing
/// traps: mov, str or msr, cbz, subs, b.ne, and the handler's four.
/// Natively, under QEMU, it is what the counter says.
pub const SGI_OWN: u64 = 9;

/// The instructions between the timer's deadline and the handler's first, where
/// nothing is in between, as QEMU counts them.
pub const TIMER_OWN: u64 = 1;

// EL1 with SP_EL1, IRQ: at 0x280. Anything else waits there for a debugger.
global_asm!(
    r#"
.macro end_v2
    ldr     w11, [x9]
    str     w11, [x9, #4]
.endm

.macro end_v3
    mrs     x11, S3_0_C12_C12_0     // ICC_IAR1_EL1
    msr     S3_0_C12_C12_1, x11     // ICC_EOIR1_EL1
.endm

.macro handlers version
bench_sgi_\version:
    .rept 0x280 / 4
    b       .
    .endr
    end_\version
    mov     x10, #1
    eret
    .rept (0x800 - 0x290) / 4
    b       .
    .endr

bench_timer_\version:
    .rept 0x280 / 4
    b       .
    .endr
    mrs     x12, cntvct_el0
    msr     cntv_ctl_el0, xzr
    isb
    end_\version
    mov     x10, #1
    eret
    .rept (0x800 - 0x29c) / 4
    b       .
    .endr
.endm

.section .text.bench_vectors, "ax"
.balign 0x800
    handlers v2
    handlers v3
"#
);

unsafe extern "C" {
    static bench_sgi_v2: u8;
    static bench_sgi_v3: u8;
    static bench_timer_v2: u8;
    static bench_timer_v3: u8;
}

/// Offset of GICC_IAR; GICC_EOIR follows it (IHI 0048B.b table 4-2).
const GICC_IAR: usize = 0xc;
/// Offset of GICD_SGIR.
const GICD_SGIR: usize = 0xf00;
/// GICD_SGIR: SGI 0 to the core that asks (IHI 0048B.b §4.3.15).
const SGI_0_TO_SELF: u64 = 0b10 << 24;
/// ICC_SGI1R_EL1: SGI 0 to the core with affinity 0, the one that boots.
const SGI_0_TO_FIRST: u64 = 1;

fn with_vectors(vectors: *const u8, body: impl FnOnce() -> u64) -> u64 {
    let previous = VBAR_EL1.get();
    VBAR_EL1.set(vectors as u64);
    barrier::isb(barrier::SY);
    let result = body();
    VBAR_EL1.set(previous);
    barrier::isb(barrier::SY);
    result
}

/// Sends SGIs to this core and handles each; returns the counts elapsed.
pub fn sgi_to_self(number: u64) -> u64 {
    gic::enable_interrupt(0);
    let elapsed = match gic::version() {
        Version::V2 => with_vectors(&raw const bench_sgi_v2, || sgis_through_memory(number)),
        Version::V3 => with_vectors(&raw const bench_sgi_v3, || sgis_by_register(number)),
    };
    gic::disable_interrupt(0);
    elapsed
}

macro_rules! sgi_loop {
    ($(#[$doc:meta])* $name:ident, $send:literal, $sgi:expr) => {
        $(#[$doc])*
        fn $name(number: u64) -> u64 {
            let elapsed: u64;
            // SAFETY: the handler behind the vectors that are now set changes only
            // registers that are declared, and touches no memory.
            unsafe {
                asm!(
                    "msr daifclr, #2",
                    "isb",
                    "mrs {start}, cntvct_el0",
                    "1: mov x10, #0",
                    $send,
                    "2: cbz x10, 2b",
                    "subs {number}, {number}, #1",
                    "b.ne 1b",
                    "isb",
                    "mrs {elapsed}, cntvct_el0",
                    "msr daifset, #2",
                    "sub {elapsed}, {elapsed}, {start}",
                    start = out(reg) _,
                    elapsed = out(reg) elapsed,
                    number = inout(reg) number => _,
                    in("x8") map::GICD + GICD_SGIR,
                    in("x9") map::GICC + GICC_IAR,
                    out("x10") _, out("x11") _, out("x12") _,
                    in("x13") $sgi,
                );
            }
            elapsed
        }
    };
}

sgi_loop!(
    /// By GICD_SGIR.
    sgis_through_memory, "str w13, [x8]", SGI_0_TO_SELF
);
sgi_loop!(
    /// By ICC_SGI1R_EL1.
    sgis_by_register, "msr S3_0_C12_C11_5, x13", SGI_0_TO_FIRST
);

/// Sets deadlines some microseconds ahead and handles each; returns the sum of
/// the counts from deadline to handler.
pub fn timer_deadlines(number: u64) -> u64 {
    gic::enable_interrupt(map::TIMER_INTID);
    let ahead = timer::microseconds(20);
    let vectors = match gic::version() {
        Version::V2 => &raw const bench_timer_v2,
        Version::V3 => &raw const bench_timer_v3,
    };
    let late = with_vectors(vectors, || (0..number).map(|_| one_deadline(ahead)).sum());
    gic::disable_interrupt(map::TIMER_INTID);
    late
}

fn one_deadline(ahead: u64) -> u64 {
    let late: u64;
    // SAFETY: as in `sgi_loop!`.
    unsafe {
        asm!(
            "msr daifclr, #2",
            "mov x10, #0",
            "isb",
            "mrs {deadline}, cntvct_el0",
            "add {deadline}, {deadline}, {ahead}",
            "msr cntv_cval_el0, {deadline}",
            "mov x11, #1",
            "msr cntv_ctl_el0, x11",
            "isb",
            "2: mrs x13, cntvct_el0",
            "cbz x10, 2b",
            "msr daifset, #2",
            "sub {deadline}, x12, {deadline}",
            deadline = out(reg) late,
            ahead = in(reg) ahead,
            in("x9") map::GICC + GICC_IAR,
            out("x10") _, out("x11") _, out("x12") _, out("x13") _,
        );
    }
    late
}
