//! GICv2's CPU interface and the life of an interrupt (IHI 0048B.b §3 and §4.4).
//!
//! Most of it with the core's own mask on, by polling GICC_IAR: that leaves
//! nothing to chance.

use core::sync::atomic::{AtomicU32, Ordering};

use evisor_guest::gic::{self, IAR, SPURIOUS, cpu_interface, distributor};
use evisor_guest::{exception, map, pl011, timer};
use tock_registers::interfaces::{Readable, Writeable};

use crate::check::{Outcome, equal, holds};
use crate::checks;

checks! { "interrupt":
    interface_registers idle pending_to_inactive most_urgent_first lowest_number_first
    priority_mask preempts does_not_preempt pending_while_active disabled_stays_pending
    clear_pending_withdraws distributor_off interface_off more_than_list_registers
    taken_once masked_is_not_taken level_fires_again
}

/// SPIs 12 and up: lines that nothing drives.
const A: u32 = 44;
const B: u32 = 45;

/// Runs a check with A and B enabled at a middle priority, and leaves nothing
/// of them behind.
fn with_two(body: impl FnOnce() -> Outcome) -> Outcome {
    for intid in [A, B] {
        gic::set_priority(intid, 0x80);
        gic::enable_interrupt(intid);
    }
    let outcome = body();
    for intid in [A, B] {
        retire(intid);
    }
    outcome
}

fn retire(intid: u32) {
    gic::disable_interrupt(intid);
    gic::clear_pending(intid);
    gic::clear_active(intid);
    gic::set_priority(intid, 0);
}

/// Acknowledges and expects this interrupt.
fn comes(what: &'static str, intid: u32) -> Outcome {
    equal(what, gic::intid(gic::acknowledge()), intid)
}

/// §4.4: what is written is what is read.
fn interface_registers() -> Outcome {
    let interface = cpu_interface();
    equal("GICC_CTLR", interface.ctlr.get() & 1, 1_u32)?;
    interface.pmr.set(0x80);
    equal("GICC_PMR", interface.pmr.get(), 0x80_u32)?;
    interface.pmr.set(0xff);
    interface.bpr.set(4);
    equal("GICC_BPR", interface.bpr.get(), 4_u32)?;
    interface.bpr.set(0);
    holds(
        "GICC_IIDR",
        exception::attempt(|| interface.iidr.get()).is_ok(),
    )
}

/// §4.4.4, §4.4.6, §4.4.7: nothing pending, nothing running.
fn idle() -> Outcome {
    comes("GICC_IAR", SPURIOUS)?;
    equal(
        "GICC_HPPIR",
        cpu_interface().hppir.read(IAR::INTID),
        SPURIOUS,
    )?;
    equal("GICC_RPR", cpu_interface().rpr.get() & 0xff, 0xff_u32)
}

/// §3.2.4, the state machine: pending, active, inactive.
fn pending_to_inactive() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        equal("GICC_HPPIR", cpu_interface().hppir.read(IAR::INTID), A)?;
        comes("GICC_IAR", A)?;
        holds("no longer pending", !gic::is_pending(A))?;
        holds("active", gic::is_active(A))?;
        equal("GICC_RPR", cpu_interface().rpr.get() & 0xff, 0x80_u32)?;
        comes("while active", SPURIOUS)?;
        gic::end(A);
        holds("inactive", !gic::is_active(A))?;
        equal("GICC_RPR after", cpu_interface().rpr.get() & 0xff, 0xff_u32)
    })
}

/// §3.3: lower is more urgent.
fn most_urgent_first() -> Outcome {
    with_two(|| {
        gic::set_priority(B, 0x40);
        gic::set_pending(A);
        gic::set_pending(B);
        comes("first", B)?;
        gic::end(B);
        comes("second", A)?;
        gic::end(A);
        comes("then", SPURIOUS)
    })
}

/// §3.3: of the same priority, any; every implementation takes the lowest.
fn lowest_number_first() -> Outcome {
    with_two(|| {
        gic::set_pending(B);
        gic::set_pending(A);
        comes("first", A)?;
        gic::end(A);
        comes("second", B)?;
        gic::end(B);
        Ok(())
    })
}

/// §4.4.2: only what is more urgent than the mask gets through.
fn priority_mask() -> Outcome {
    with_two(|| {
        cpu_interface().pmr.set(0x80);
        gic::set_pending(A);
        let masked = gic::intid(gic::acknowledge());
        cpu_interface().pmr.set(0xff);
        equal("masked", masked, SPURIOUS)?;
        comes("unmasked", A)?;
        gic::end(A);
        Ok(())
    })
}

/// §3.3.2.
fn preempts() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        comes("first", A)?;
        gic::set_priority(B, 0x40);
        gic::set_pending(B);
        comes("the more urgent", B)?;
        equal("GICC_RPR", cpu_interface().rpr.get() & 0xff, 0x40_u32)?;
        gic::end(B);
        equal("GICC_RPR after", cpu_interface().rpr.get() & 0xff, 0x80_u32)?;
        gic::end(A);
        Ok(())
    })
}

fn does_not_preempt() -> Outcome {
    with_two(|| {
        gic::set_priority(B, 0x40);
        gic::set_pending(B);
        comes("first", B)?;
        gic::set_pending(A);
        comes("the less urgent", SPURIOUS)?;
        gic::end(B);
        comes("after the end", A)?;
        gic::end(A);
        Ok(())
    })
}

/// §3.2.4: active and pending; it comes again after its end.
fn pending_while_active() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        comes("first", A)?;
        gic::set_pending(A);
        holds("active", gic::is_active(A))?;
        holds("and pending", gic::is_pending(A))?;
        comes("while active", SPURIOUS)?;
        gic::end(A);
        comes("again", A)?;
        gic::end(A);
        comes("then", SPURIOUS)
    })
}

/// §3.2.4: disabling keeps it from the core, not from pending.
fn disabled_stays_pending() -> Outcome {
    with_two(|| {
        gic::disable_interrupt(A);
        gic::set_pending(A);
        comes("disabled", SPURIOUS)?;
        holds("pending", gic::is_pending(A))?;
        gic::enable_interrupt(A);
        comes("enabled", A)?;
        gic::end(A);
        Ok(())
    })
}

fn clear_pending_withdraws() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        gic::clear_pending(A);
        comes("withdrawn", SPURIOUS)?;
        gic::set_pending(A);
        gic::disable_interrupt(A);
        comes("disabled when pending", SPURIOUS)
    })
}

/// §4.3.1: the distributor forwards nothing, and forgets nothing.
fn distributor_off() -> Outcome {
    with_two(|| {
        distributor().ctlr.set(0);
        gic::set_pending(A);
        let off = gic::intid(gic::acknowledge());
        distributor().ctlr.set(1);
        equal("off", off, SPURIOUS)?;
        comes("on", A)?;
        gic::end(A);
        Ok(())
    })
}

/// §4.4.1.
fn interface_off() -> Outcome {
    with_two(|| {
        cpu_interface().ctlr.set(0);
        gic::set_pending(A);
        let off = gic::intid(gic::acknowledge());
        cpu_interface().ctlr.set(1);
        equal("off", off, SPURIOUS)?;
        comes("on", A)?;
        gic::end(A);
        Ok(())
    })
}

/// More at once than any GIC has list registers (4 in GIC-400, 16 at most):
/// they come in the order of their priority, whoever keeps the rest.
fn more_than_list_registers() -> Outcome {
    let many = A..A + 20;
    for (intid, rank) in many.clone().zip((0..20_u8).rev()) {
        gic::set_priority(intid, rank * 8);
        gic::enable_interrupt(intid);
        gic::set_pending(intid);
    }
    let outcome = many.clone().rev().try_for_each(|intid| {
        comes("next", intid)?;
        gic::end(intid);
        Ok(())
    });
    let after = gic::intid(gic::acknowledge());
    many.for_each(retire);
    outcome?;
    equal("then", after, SPURIOUS)
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

/// §3.2.4: a level-sensitive interrupt whose line stays up comes again after
/// its end; the UART's, with room to transmit, is such a line.
fn level_fires_again() -> Outcome {
    use pl011::INTERRUPTS as I;
    let uart = pl011::registers();
    pl011::transmit(b'\n');
    uart.imsc.write(I::TX::SET);
    let up = timer::wait_until(100_000, || uart.mis.is_set(I::TX));
    gic::enable_interrupt(map::UART_INTID);
    let first = gic::intid(gic::acknowledge());
    gic::end(first);
    let second = gic::intid(gic::acknowledge());
    uart.icr.write(I::TX::SET);
    gic::end(second);
    let third = gic::intid(gic::acknowledge());
    uart.imsc.set(0);
    gic::disable_interrupt(map::UART_INTID);
    holds("the line went up", up)?;
    equal("first", first, map::UART_INTID)?;
    equal("again", second, map::UART_INTID)?;
    equal("with the line down", third, SPURIOUS)
}
