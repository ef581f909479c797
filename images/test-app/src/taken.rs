//! Interrupts as the core takes them: exceptions, their masks, and WFI.
#![allow(unsafe_code, reason = "system registers by name")]

use core::sync::atomic::{AtomicU32, Ordering};

use aarch64_cpu::asm::wfi;
use evisor_guest::gic::{self, SPURIOUS};
use evisor_guest::{exception, read_register, timer};

use crate::check::{Outcome, equal, holds};
use crate::checks;
use crate::interrupts::with_two;
use crate::lines::{A, B, comes_and_ends};

checks! { "interrupt":
    taken_once masked_is_not_taken pending_shows_in_isr wfi_wakes_though_masked
    taken_while_handling_another
}

static TAKEN: AtomicU32 = AtomicU32::new(0);
static LAST: AtomicU32 = AtomicU32::new(SPURIOUS);

fn take() {
    let acknowledged = gic::acknowledge();
    LAST.store(gic::intid(acknowledged), Ordering::Relaxed);
    TAKEN.fetch_add(1, Ordering::Relaxed);
    gic::end(acknowledged);
}

/// As an exception: one pending, one taken.
fn taken_once() -> Outcome {
    with_two(|| {
        TAKEN.store(0, Ordering::Relaxed);
        exception::on_interrupt(take);
        exception::unmask_interrupts();
        gic::set_pending(A);
        timer::wait_until(1_000, || TAKEN.load(Ordering::Relaxed) > 1);
        exception::mask_interrupts();
        equal("times", TAKEN.load(Ordering::Relaxed), 1_u32)?;
        equal("INTID", LAST.load(Ordering::Relaxed), A)
    })
}

fn masked_is_not_taken() -> Outcome {
    with_two(|| {
        TAKEN.store(0, Ordering::Relaxed);
        exception::on_interrupt(take);
        gic::set_pending(A);
        timer::wait_until(1_000, || TAKEN.load(Ordering::Relaxed) > 0);
        equal("while masked", TAKEN.load(Ordering::Relaxed), 0_u32)?;
        exception::unmask_interrupts();
        timer::wait_until(1_000, || TAKEN.load(Ordering::Relaxed) > 0);
        exception::mask_interrupts();
        equal("unmasked", TAKEN.load(Ordering::Relaxed), 1_u32)
    })
}

/// DDI 0487, ISR_EL1.I: an IRQ is pending, whatever PSTATE masks.
fn pending_shows_in_isr() -> Outcome {
    const I: u64 = 1 << 7;
    with_two(|| {
        equal("before", read_register!("isr_el1") & I, 0_u64)?;
        gic::set_pending(A);
        let shown = timer::wait_until(1_000, || read_register!("isr_el1") & I != 0);
        holds("pending", shown)?;
        comes_and_ends("it comes", A)?;
        equal("after", read_register!("isr_el1") & I, 0_u64)
    })
}

/// DDI 0487, "Wait for Interrupt": what is pending wakes the core though PSTATE masks
/// it. If it does not, the guest hangs here.
fn wfi_wakes_though_masked() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        wfi();
        comes_and_ends("it comes", A)
    })
}

static NESTED: AtomicU32 = AtomicU32::new(0);

/// Handles A; while it does, unmasked, B comes and is handled.
fn take_nested() {
    let acknowledged = gic::acknowledge();
    let elr = read_register!("elr_el1");
    let spsr = read_register!("spsr_el1");
    if gic::intid(acknowledged) == A {
        gic::set_pending(B);
        exception::unmask_interrupts();
        timer::wait_until(1_000, || TAKEN.load(Ordering::Relaxed) == 1);
        exception::mask_interrupts();
        NESTED.store(TAKEN.load(Ordering::Relaxed), Ordering::Relaxed);
    } else {
        TAKEN.fetch_add(1, Ordering::Relaxed);
    }
    evisor_guest::write_register!("elr_el1", elr);
    evisor_guest::write_register!("spsr_el1", spsr);
    gic::end(acknowledged);
}

/// §3.3.2, as exceptions.
fn taken_while_handling_another() -> Outcome {
    with_two(|| {
        TAKEN.store(0, Ordering::Relaxed);
        NESTED.store(0, Ordering::Relaxed);
        gic::set_priority(B, 0x40);
        exception::on_interrupt(take_nested);
        exception::unmask_interrupts();
        gic::set_pending(A);
        timer::wait_until(1_000, || NESTED.load(Ordering::Relaxed) == 1);
        exception::mask_interrupts();
        equal("within the first", NESTED.load(Ordering::Relaxed), 1_u32)?;
        equal("GICC_RPR after", gic::running_priority(), 0xff_u32)?;
        holds("nothing is active", !gic::is_active(A) && !gic::is_active(B))
    })
}
