//! Events that end in the guest's own interrupt handler, or wake it.
//!
//! The handlers are a few instructions behind vectors of their own: going
//! through the guest crate's would measure that. They use registers that the
//! loops, the only code that runs with interrupts unmasked, keep free for them:
//! x9 holds the address of GICC_IAR, x10 is set to 1, x11 to 13 are scratch, x14 is
//! each handler's own. A GICv3's differ in how they acknowledge and end.
#![allow(unsafe_code, reason = "vectors, and loops of exactly known instructions")]

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::VBAR_EL1;
use evisor_guest::gic::{self, Version};
use evisor_guest::{cores, map, timer};
use tock_registers::interfaces::{Readable, Writeable};

/// What the loop and the handler of [`sgi_to_self`] take for one SGI where nothing
/// traps: mov, the one that sends, cbz, subs, b.ne, and the handler's acknowledge,
/// end, mov, eret. Natively, under QEMU, it is what the counter says.
pub const SGI_OWN: u64 = 9;

/// The instructions between the timer's deadline and the handler's first, where
/// nothing is in between, as QEMU counts them.
pub const TIMER_OWN: u64 = 1;

/// Between two reads of the counter with one instruction between them.
pub const END_OWN: u64 = 2;

/// From reading the counter to the other core's handler: the read, the one that
/// sends, WFE.
pub const OTHER_OWN: u64 = 3;

/// Between the deadline and the first instruction behind WFI.
pub const WAKE_OWN: u64 = 1;

// EL1 with SP_EL1, IRQ: at 0x280. Anything before waits there for a debugger.
global_asm!(
    r#"
.macro bench_begin name
.balign 0x800
\name:
    .rept 0x280 / 4
    b       .
    .endr
.endm

.macro bench_acknowledge version
.if \version == 2
    ldr     w11, [x9]
.else
    mrs     x11, S3_0_C12_C12_0
.endif
.endm

.macro bench_end version
.if \version == 2
    str     w11, [x9, #4]
.else
    msr     S3_0_C12_C12_1, x11
.endif
.endm

.macro bench_vectors version
bench_begin bench_sgi_v\version
    bench_acknowledge \version
    bench_end \version
    mov     x10, #1
    eret

bench_begin bench_end_v\version
    bench_acknowledge \version
    mrs     x12, cntvct_el0
    bench_end \version
    mrs     x13, cntvct_el0
    sub     x13, x13, x12
    add     x14, x14, x13
    mov     x10, #1
    eret

bench_begin bench_timer_v\version
    mrs     x12, cntvct_el0
    msr     cntv_ctl_el0, xzr
    isb
    bench_acknowledge \version
    bench_end \version
    mov     x10, #1
    eret

bench_begin bench_other_v\version
    mrs     x12, cntvct_el0
    bench_acknowledge \version
    bench_end \version
    str     x12, [x14]
    eret

bench_begin bench_bell_v\version
    bench_acknowledge \version
    bench_end \version
    sub     x13, x13, #1
    str     w13, [x14]
    eret
.endm

.section .text.bench_vectors, "ax"
    bench_vectors 2
    bench_vectors 3
.balign 0x800
"#
);

unsafe extern "C" {
    static bench_sgi_v2: u8;
    static bench_sgi_v3: u8;
    static bench_end_v2: u8;
    static bench_end_v3: u8;
    static bench_timer_v2: u8;
    static bench_timer_v3: u8;
    static bench_other_v2: u8;
    static bench_other_v3: u8;
    static bench_bell_v2: u8;
    static bench_bell_v3: u8;
}

/// What is different with each version of the GIC.
struct Parts {
    sgi: *const u8,
    end: *const u8,
    timer: *const u8,
    other: *const u8,
    /// Sends SGIs; the numbers that make one go to this core and to core 1.
    loops: Loops,
    to_self: u64,
    to_other: u64,
}

/// Offset of GICC_IAR; GICC_EOIR follows it (IHI 0048B.b table 4-2).
const GICC_IAR: usize = 0xc;
/// Offset of GICD_SGIR.
const GICD_SGIR: usize = 0xf00;

fn parts() -> Parts {
    match gic::version() {
        // GICD_SGIR: TargetListFilter and CPUTargetList (IHI 0048B.b §4.3.15).
        Version::V2 => Parts {
            sgi: &raw const bench_sgi_v2,
            end: &raw const bench_end_v2,
            timer: &raw const bench_timer_v2,
            other: &raw const bench_other_v2,
            loops: Loops { to_self: to_self_v2, to_other: to_other_v2 },
            to_self: 0b10 << 24,
            to_other: 0b10 << 16,
        },
        // ICC_SGI1R_EL1: TargetList, one bit a core (IHI 0069 §12.2.37).
        Version::V3 => Parts {
            sgi: &raw const bench_sgi_v3,
            end: &raw const bench_end_v3,
            timer: &raw const bench_timer_v3,
            other: &raw const bench_other_v3,
            loops: Loops { to_self: to_self_v3, to_other: to_other_v3 },
            to_self: 0b01,
            to_other: 0b10,
        },
    }
}

fn with_vectors<T>(vectors: *const u8, body: impl FnOnce() -> T) -> T {
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
    let parts = parts();
    gic::enable_interrupt(0);
    let (elapsed, _) = with_vectors(parts.sgi, || (parts.loops.to_self)(number, parts.to_self));
    gic::disable_interrupt(0);
    elapsed
}

/// The same; returns the counts that the ends of the interrupts took.
pub fn ends(number: u64) -> u64 {
    let parts = parts();
    gic::enable_interrupt(0);
    let (_, ends) = with_vectors(parts.end, || (parts.loops.to_self)(number, parts.to_self));
    gic::disable_interrupt(0);
    ends
}

/// The loops that send.
struct Loops {
    /// The counts elapsed, and what the handler left in x14.
    to_self: fn(u64, u64) -> (u64, u64),
    /// The sum of the counts from sending to the other core's handler.
    to_other: fn(u64, u64) -> u64,
}

macro_rules! loops {
    ($to_self:ident, $to_other:ident, $send:literal) => {
        fn $to_self(number: u64, sgi: u64) -> (u64, u64) {
            let (elapsed, left): (u64, u64);
            // SAFETY: the handler behind the vectors that are now set changes only
            // registers that are declared, and touches no memory.
            unsafe {
                asm!(
                    "msr daifclr, #2",
                    "isb",
                    "mrs x15, cntvct_el0",
                    "1: mov x10, #0",
                    $send,
                    "2: cbz x10, 2b",
                    "subs {number}, {number}, #1",
                    "b.ne 1b",
                    "isb",
                    "mrs {elapsed}, cntvct_el0",
                    "msr daifset, #2",
                    "sub {elapsed}, {elapsed}, x15",
                    elapsed = out(reg) elapsed,
                    number = inout(reg) number => _,
                    in("x16") sgi,
                    in("x17") map::GICD + GICD_SGIR,
                    in("x9") map::GICC + GICC_IAR,
                    out("x10") _, out("x11") _, out("x12") _, out("x13") _,
                    inout("x14") 0_u64 => left, out("x15") _,
                    out("x0") _, out("x1") _, out("x2") _, out("x3") _,
                );
            }
            (elapsed, left)
        }

        fn $to_other(number: u64, sgi: u64) -> u64 {
            let sum: u64;
            // SAFETY: x9 points to an atomic that lives for good; the other core's
            // handler writes to nothing else.
            unsafe {
                asm!(
                    "1: str xzr, [x9]",
                    "isb",
                    "mrs x15, cntvct_el0",
                    $send,
                    "2: wfe",
                    "ldr x10, [x9]",
                    "cbz x10, 2b",
                    "sub x10, x10, x15",
                    "add {sum}, {sum}, x10",
                    "subs {number}, {number}, #1",
                    "b.ne 1b",
                    sum = inout(reg) 0_u64 => sum,
                    number = inout(reg) number => _,
                    in("x16") sgi,
                    in("x17") map::GICD + GICD_SGIR,
                    in("x9") HANDLED_AT.as_ptr(),
                    out("x10") _, out("x15") _,
                    out("x0") _, out("x1") _, out("x2") _, out("x3") _,
                );
            }
            sum
        }
    };
}

loops!(to_self_v2, to_other_v2, "str w16, [x17]");
loops!(to_self_v3, to_other_v3, "msr S3_0_C12_C11_5, x16");
// INVOKE of the handle x16, RING of line 0 (framework/abi).
loops!(
    bell_to_self_loop,
    bell_to_other_loop,
    "movz w0, #0x0104\nmovk w0, #0xc600, lsl #16\nmov x1, x16\nmov x2, #0\nmov x3, #0\nhvc #0"
);
/// What those execute more than the one that sends an SGI.
pub const BELL_MORE: u64 = 5;

/// When the other core handled an SGI; 0 until it did.
static HANDLED_AT: AtomicU64 = AtomicU64::new(0);
/// Whether the other core can be sent to: an SGI to one whose GICv3 is not set up
/// yet may be lost.
static READY: AtomicU64 = AtomicU64::new(0);
/// What lets the other core go.
static OVER: AtomicU64 = AtomicU64::new(0);

/// The core that SGIs are sent to.
const OTHER: usize = 1;
/// It waits so that it stays within its guest, or so that it may leave it.
const RUNS: u64 = 0;
const WAITS: u64 = 1;

/// How long it may take to get there, in microseconds.
const PATIENCE: u64 = 1_000_000;

/// Whether there is another core to send to. Who knows no PSCI does not say so.
fn has_other() -> bool {
    const OFF: i32 = 1;
    cores::count() > OTHER && (cores::power(OTHER) == OFF) && cores::bring_up(OTHER)
}

/// Sends SGIs to another core; the sum of the counts from sending to its handler,
/// first to one that runs, then to one that waits.
///
/// Under QEMU's `-icount` with one thread, cores run in turn and the counter is the
/// sum of what all of them execute. This core gives its turn away by WFE, after what
/// sending takes, and gets it back by the other's: so what elapses is what the
/// hypervisor executes on both, and nothing is counted twice or runs beside it.
pub fn sgi_to_other(number: u64) -> Option<[u64; 2]> {
    let parts = parts();
    let send = |number| (parts.loops.to_other)(number, parts.to_other);
    has_other().then(|| [RUNS, WAITS].map(|how| to_other(number, how, send)))
}

fn to_other(number: u64, how: u64, send: impl Fn(u64) -> u64) -> u64 {
    READY.store(0, Ordering::SeqCst);
    OVER.store(0, Ordering::SeqCst);
    let is_ready = || READY.load(Ordering::SeqCst) != 0;
    if !cores::begin(OTHER, handle_there, how) || !timer::wait_until(PATIENCE, is_ready) {
        return 0;
    }
    // The first may find it on its way to waiting.
    let _ = send(1);
    let sum = send(number);
    OVER.store(1, Ordering::SeqCst);
    let _ = send(1);
    if cores::finish(OTHER).is_some() { sum } else { 0 }
}

/// The doorbell: SPI 40.
const BELL_INTID: u32 = 72;

/// Rings this core by a handle and handles each; returns the counts elapsed.
pub fn bell_to_self(number: u64, bell: u64) -> u64 {
    gic::set_edge(BELL_INTID, true);
    gic::enable_interrupt(BELL_INTID);
    let (elapsed, _) = with_vectors(parts().sgi, || bell_to_self_loop(number, bell));
    gic::disable_interrupt(BELL_INTID);
    elapsed
}

/// Rings another core by a handle. As [`sgi_to_other`] to one that runs.
pub fn bell_to_other(number: u64, bell: u64) -> Option<u64> {
    has_other().then(|| to_other(number, RUNS, |number| bell_to_other_loop(number, bell)))
}

/// What the other core does: wait, and handle what comes.
fn handle_there(how: u64) -> u64 {
    gic::enable_core();
    gic::enable_interrupt(0);
    gic::enable_interrupt(BELL_INTID);
    with_vectors(parts().other, || {
        READY.store(1, Ordering::SeqCst);
        wait_there(how);
    });
    gic::disable_interrupt(BELL_INTID);
    gic::disable_interrupt(0);
    0
}

fn wait_there(how: u64) {
    // SAFETY: as in `to_self`; the handler's x14 points to an atomic.
    unsafe {
        asm!(
            "msr daifclr, #2",
            "1: cbz {how}, 2f",
            "wfi",
            "b 3f",
            "2: wfe",
            "3: ldr x10, [{over}]",
            "cbz x10, 1b",
            "msr daifset, #2",
            how = in(reg) how,
            over = in(reg) OVER.as_ptr(),
            in("x9") map::GICC + GICC_IAR,
            in("x14") HANDLED_AT.as_ptr(),
            out("x10") _, out("x11") _, out("x12") _, out("x13") _,
        );
    }
}

/// What the VM that is rung executes of one ring and its answer: acknowledge, end, sub, the
/// store that rings, eret, cbnz, WFE.
pub const ANSWER_OWN: u64 = 7;

/// Rings another VM, which rings back; the sum of the counts from ringing to the handler of
/// the answer. As [`sgi_to_other`] otherwise.
pub fn rings(number: u64, bell: u64) -> u64 {
    with_vectors(parts().other, || {
        // SAFETY: interrupts are handled by what was just set, which is given in x14 where
        // to write; registers that are not declared stay.
        unsafe { asm!("msr daifclr, #2") };
        let _ = ring_other(1, bell);
        let sum = ring_other(number, bell);
        // SAFETY: as before.
        unsafe { asm!("msr daifset, #2") };
        sum
    })
}

fn ring_other(number: u64, bell: u64) -> u64 {
    let sum: u64;
    // SAFETY: x14 points to an atomic that lives for good; the handler writes to nothing
    // else.
    unsafe {
        asm!(
            "1: str xzr, [x14]",
            "isb",
            "mrs x15, cntvct_el0",
            "str w16, [x17]",
            "2: wfe",
            "ldr x10, [x14]",
            "cbz x10, 2b",
            "sub x10, x10, x15",
            "add {sum}, {sum}, x10",
            "subs {number}, {number}, #1",
            "b.ne 1b",
            sum = inout(reg) 0_u64 => sum,
            number = inout(reg) number => _,
            in("x9") map::GICC + GICC_IAR,
            in("x14") HANDLED_AT.as_ptr(),
            in("x16") 1_u64,
            in("x17") bell,
            out("x10") _, out("x11") _, out("x12") _, out("x15") _,
        );
    }
    sum
}

/// Rings back whenever it is rung, so often.
pub fn answer(number: u64, bell: u64) {
    let vectors = match gic::version() {
        Version::V2 => &raw const bench_bell_v2,
        Version::V3 => &raw const bench_bell_v3,
    };
    with_vectors(vectors, || {
        // SAFETY: the handler changes only registers that are declared, and rings.
        unsafe {
            asm!(
                "msr daifclr, #2",
                "1: wfe",
                "cbnz x13, 1b",
                "msr daifset, #2",
                in("x9") map::GICC + GICC_IAR,
                inout("x13") number => _,
                in("x14") bell,
                out("x11") _,
            );
        }
    });
}

/// Sets deadlines some microseconds ahead and handles each; returns the sum of
/// the counts from deadline to handler.
pub fn timer_deadlines(number: u64) -> u64 {
    gic::enable_interrupt(map::TIMER_INTID);
    let ahead = timer::microseconds(20);
    let late = with_vectors(parts().timer, || (0..number).map(|_| one_deadline(ahead)).sum());
    gic::disable_interrupt(map::TIMER_INTID);
    late
}

fn one_deadline(ahead: u64) -> u64 {
    let late: u64;
    // SAFETY: as in `to_self`.
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

/// Waits for deadlines by WFI, with interrupts masked; returns the sum of the counts
/// from deadline to the first instruction behind it.
pub fn wakes(number: u64) -> u64 {
    gic::enable_interrupt(map::TIMER_INTID);
    let ahead = timer::microseconds(20);
    let late = (0..number).map(|_| one_wake(ahead)).sum();
    gic::disable_interrupt(map::TIMER_INTID);
    late
}

fn one_wake(ahead: u64) -> u64 {
    let late: u64;
    // SAFETY: only registers that are declared change; the timer ends the wait.
    unsafe {
        asm!(
            "isb",
            "mrs {deadline}, cntvct_el0",
            "add {deadline}, {deadline}, {ahead}",
            "msr cntv_cval_el0, {deadline}",
            "mov x11, #1",
            "msr cntv_ctl_el0, x11",
            "isb",
            // Something else may end a wait: that is none of them.
            "2: wfi",
            "mrs x12, cntvct_el0",
            "cmp x12, {deadline}",
            "b.lo 2b",
            "msr cntv_ctl_el0, xzr",
            "isb",
            "sub {deadline}, x12, {deadline}",
            deadline = out(reg) late,
            ahead = in(reg) ahead,
            out("x11") _, out("x12") _,
        );
    }
    gic::end(gic::acknowledge());
    late
}
