//! Exceptions at EL1 (ARM DDI 0487, "The AArch64 System Level Programmers'
//! Model"): the vectors, a hook for interrupts, and a way to do what may fault
//! and see what came of it.
//!
//! Each core has its own. Anything else ends the guest by a panic.
#![allow(unsafe_code, reason = "vectors are assembly; the hook is kept as a pointer")]

use core::arch::global_asm;
use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{DAIF, ESR_EL1, FAR_EL1};
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::InMemoryRegister;

use crate::cores;

/// What the vectors saved.
#[repr(C)]
#[derive(Debug)]
pub struct Frame {
    /// x0 to x30.
    pub x: [u64; 31],
    /// ELR_EL1: where to return to.
    pub elr: u64,
    /// SPSR_EL1.
    pub spsr: u64,
}

// 33 registers take 264 bytes; the stack pointer stays aligned to 16. Each
// vector's number, its offset over 0x80, goes to Rust in x0.
global_asm!(
    r#"
.section .text.vectors, "ax"
.balign 0x800
.global guest_vectors
guest_vectors:
.irp number, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    .balign 0x80
    sub     sp, sp, #272
    stp     x0, x1, [sp]
    mov     x0, #\number
    b       guest_exception
.endr

guest_exception:
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
    mrs     x1, elr_el1
    mrs     x2, spsr_el1
    stp     x30, x1, [sp, #240]
    str     x2, [sp, #256]
    mov     x1, sp
    bl      {exception}
    ldp     x30, x1, [sp, #240]
    ldr     x2, [sp, #256]
    msr     elr_el1, x1
    msr     spsr_el1, x2
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldp     x0, x1, [sp]
    add     sp, sp, #272
    eret
"#,
    exception = sym exception,
);

const SYNCHRONOUS: u64 = 4;
const INTERRUPT: u64 = 5;

extern "C" fn exception(vector: u64, frame: &mut Frame) {
    match vector {
        SYNCHRONOUS => synchronous(frame),
        INTERRUPT => interrupt(),
        _ => unexpected(vector, frame),
    }
}

#[cold]
#[allow(clippy::panic, reason = "a panic is how a guest ends early")]
fn unexpected(vector: u64, frame: &Frame) -> ! {
    panic!(
        "unexpected exception: vector {vector} ESR {:#x} FAR {:#x} {frame:#x?}",
        ESR_EL1.get(),
        FAR_EL1.get()
    )
}

/// A synchronous exception that [`attempt`] caught.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exception {
    /// ESR_EL1.
    pub esr: u64,
    /// FAR_EL1.
    pub far: u64,
    /// ELR_EL1.
    pub elr: u64,
}

impl Exception {
    /// The exception class, ESR_EL1.EC.
    #[must_use]
    pub fn class(self) -> u64 {
        InMemoryRegister::<u64, ESR_EL1::Register>::new(self.esr).read(ESR_EL1::EC)
    }

    /// The instruction-specific syndrome, ESR_EL1.ISS.
    #[must_use]
    pub fn iss(self) -> u64 {
        InMemoryRegister::<u64, ESR_EL1::Register>::new(self.esr).read(ESR_EL1::ISS)
    }

    /// The fault status code of an abort, ISS[5:0].
    #[must_use]
    pub fn fault_status(self) -> u64 {
        self.iss() & 0x3f
    }
}

/// What each core has of its own.
struct Core {
    expecting: AtomicBool,
    caught: AtomicBool,
    esr: AtomicU64,
    far: AtomicU64,
    elr: AtomicU64,
    hook: AtomicPtr<()>,
}

static CORES: [Core; cores::MOST] = [const {
    Core {
        expecting: AtomicBool::new(false),
        caught: AtomicBool::new(false),
        esr: AtomicU64::new(0),
        far: AtomicU64::new(0),
        elr: AtomicU64::new(0),
        hook: AtomicPtr::new(ptr::null_mut()),
    }
}; cores::MOST];

/// This core's; `cores::number` is always below the number of them.
#[expect(clippy::indexing_slicing, reason = "reduced to the size of the array")]
fn own() -> &'static Core {
    &CORES[cores::number() % cores::MOST]
}

/// Does something that may take one synchronous exception, and says which came
/// or what was the result.
///
/// The instruction that faulted is skipped and the rest of `access` runs, so it
/// should be one instruction, such as those of [`crate::mmio`]. A fetch that
/// faults returns to x30: reach it by a call. A second exception is unexpected.
///
/// # Errors
///
/// The exception that was taken.
#[inline(never)]
pub fn attempt<T>(access: impl FnOnce() -> T) -> Result<T, Exception> {
    let own = own();
    own.caught.store(false, Ordering::SeqCst);
    own.expecting.store(true, Ordering::SeqCst);
    barrier::dsb(barrier::SY);
    let result = access();
    barrier::dsb(barrier::SY);
    own.expecting.store(false, Ordering::SeqCst);
    if !own.caught.load(Ordering::SeqCst) {
        return Ok(result);
    }
    Err(Exception {
        esr: own.esr.load(Ordering::Relaxed),
        far: own.far.load(Ordering::Relaxed),
        elr: own.elr.load(Ordering::Relaxed),
    })
}

fn synchronous(frame: &mut Frame) {
    let own = own();
    if !own.expecting.swap(false, Ordering::SeqCst) {
        unexpected(SYNCHRONOUS, frame);
    }
    own.esr.store(ESR_EL1.get(), Ordering::Relaxed);
    own.far.store(FAR_EL1.get(), Ordering::Relaxed);
    own.elr.store(frame.elr, Ordering::Relaxed);
    own.caught.store(true, Ordering::SeqCst);
    frame.elr = match ESR_EL1.read_as_enum(ESR_EL1::EC) {
        Some(ESR_EL1::EC::Value::InstrAbortCurrentEL) => frame.x[30],
        // An SVC's preferred return address is the next instruction already.
        Some(ESR_EL1::EC::Value::SVC64) => frame.elr,
        _ => frame.elr + 4,
    };
}

/// Sets what is called, with IRQs masked, when this core takes an interrupt. It must
/// acknowledge and end the interrupt itself.
pub fn on_interrupt(hook: fn()) {
    own().hook.store(hook as *mut (), Ordering::SeqCst);
}

fn interrupt() {
    let hook = own().hook.load(Ordering::SeqCst);
    if !hook.is_null() {
        // SAFETY: only `on_interrupt` sets it, to a `fn()`.
        let hook = unsafe { mem::transmute::<*mut (), fn()>(hook) };
        hook();
    }
}

/// Lets interrupts be taken.
pub fn unmask_interrupts() {
    DAIF.write(DAIF::D::Masked + DAIF::A::Masked + DAIF::I::Unmasked + DAIF::F::Masked);
    barrier::isb(barrier::SY);
}

/// Keeps interrupts pending.
pub fn mask_interrupts() {
    DAIF.write(DAIF::D::Masked + DAIF::A::Masked + DAIF::I::Masked + DAIF::F::Masked);
    barrier::isb(barrier::SY);
}
