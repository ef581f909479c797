//! The life of an interrupt, on either controller (IHI 0048B.b §3 and §4.4; IHI 0069
//! §4 and §12.2).
//!
//! All of it with the core's own mask on, by polling the acknowledge register: that
//! leaves nothing to chance.
#![allow(unsafe_code, reason = "system registers by name")]

use evisor_guest::gic::{self, SPURIOUS, abandon};

use crate::check::{Outcome, equal, holds};
use crate::checks;
use crate::lines::{A, B, C, comes, comes_and_ends, retire, with};

checks! { "interrupt":
    interface_registers idle pending_to_inactive most_urgent_first lowest_number_first
    priority_mask mask_is_strict mask_of_zero preempts does_not_preempt equal_does_not_preempt
    pending_while_active disabled_stays_pending
    clear_pending_withdraws distributor_off interface_off more_than_list_registers
    twenty_pending_read_back nested_three nested_four nested_ten
    set_pending_twice_is_once priority_changes_while_pending looking_acknowledges_nothing
    active_by_register clear_active_releases spurious_end
}

pub fn with_two(body: impl FnOnce() -> Outcome) -> Outcome {
    with(&[A, B], body)
}

/// §4.4: what is written is what is read.
fn interface_registers() -> Outcome {
    gic::set_mask(0x80);
    let mask = gic::mask();
    gic::set_mask(0xff);
    gic::set_binary_point(4);
    let point = gic::binary_point();
    abandon();
    equal("GICC_PMR", mask, 0x80_u32)?;
    equal("GICC_BPR", point, 4_u32)
}

/// §4.4.4, §4.4.6, §4.4.7: nothing pending, nothing running.
fn idle() -> Outcome {
    comes("GICC_IAR", SPURIOUS)?;
    equal("GICC_HPPIR", gic::highest_pending(), SPURIOUS)?;
    equal("GICC_RPR", gic::running_priority(), 0xff_u32)
}

/// §3.2.4, the state machine: pending, active, inactive.
fn pending_to_inactive() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        equal("GICC_HPPIR", gic::highest_pending(), A)?;
        comes("GICC_IAR", A)?;
        holds("no longer pending", !gic::is_pending(A))?;
        holds("active", gic::is_active(A))?;
        equal("GICC_RPR", gic::running_priority(), 0x80_u32)?;
        comes("while active", SPURIOUS)?;
        gic::end(A);
        holds("inactive", !gic::is_active(A))?;
        equal("GICC_RPR after", gic::running_priority(), 0xff_u32)
    })
}

/// §3.3: lower is more urgent.
fn most_urgent_first() -> Outcome {
    with_two(|| {
        gic::set_priority(B, 0x40);
        gic::set_pending(A);
        gic::set_pending(B);
        comes_and_ends("first", B)?;
        comes_and_ends("second", A)?;
        comes("then", SPURIOUS)
    })
}

/// §3.3: of the same priority, any; every implementation takes the lowest.
fn lowest_number_first() -> Outcome {
    with_two(|| {
        gic::set_pending(B);
        gic::set_pending(A);
        comes_and_ends("first", A)?;
        comes_and_ends("second", B)
    })
}

/// §4.4.2: only what is more urgent than the mask gets through.
fn priority_mask() -> Outcome {
    with_two(|| {
        gic::set_mask(0x80);
        gic::set_pending(A);
        let masked = gic::intid(gic::acknowledge());
        gic::set_mask(0xff);
        equal("masked", masked, SPURIOUS)?;
        comes_and_ends("unmasked", A)
    })
}

/// §4.4.2: of two the one above the mask waits, the one below it does not.
fn mask_is_strict() -> Outcome {
    with_two(|| {
        gic::set_priority(B, 0x70);
        gic::set_mask(0x80);
        gic::set_pending(A);
        gic::set_pending(B);
        comes_and_ends("below the mask", B)?;
        comes("at the mask", SPURIOUS)?;
        gic::set_mask(0xff);
        comes_and_ends("unmasked", A)
    })
}

/// §4.4.2: nothing is more urgent than 0.
fn mask_of_zero() -> Outcome {
    with_two(|| {
        gic::set_priority(A, 0);
        gic::set_mask(0);
        gic::set_pending(A);
        comes("masked", SPURIOUS)?;
        holds("pending", gic::is_pending(A))?;
        gic::set_mask(0xff);
        comes_and_ends("unmasked", A)
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
        equal("GICC_RPR", gic::running_priority(), 0x40_u32)?;
        gic::end(B);
        equal("GICC_RPR after", gic::running_priority(), 0x80_u32)?;
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
        comes_and_ends("after the end", A)
    })
}

/// §3.3.2: to preempt takes a higher priority.
fn equal_does_not_preempt() -> Outcome {
    with_two(|| {
        gic::set_pending(B);
        comes("first", B)?;
        gic::set_pending(A);
        comes("its equal", SPURIOUS)?;
        gic::end(B);
        comes_and_ends("after the end", A)
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
        comes_and_ends("again", A)?;
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
        comes_and_ends("enabled", A)
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
        gic::set_distributor(false);
        gic::set_pending(A);
        let off = gic::intid(gic::acknowledge());
        gic::set_distributor(true);
        equal("off", off, SPURIOUS)?;
        comes_and_ends("on", A)
    })
}

/// §4.4.1.
fn interface_off() -> Outcome {
    with_two(|| {
        gic::set_interface(false);
        gic::set_pending(A);
        let off = gic::intid(gic::acknowledge());
        gic::set_interface(true);
        equal("off", off, SPURIOUS)?;
        comes_and_ends("on", A)
    })
}

const MANY: core::ops::Range<u32> = A..A + 20;

/// Runs a check with many enabled, the highest number the most urgent, and leaves
/// nothing of them behind.
fn with_many(body: impl FnOnce() -> Outcome) -> Outcome {
    for (intid, rank) in MANY.zip((0..20_u8).rev()) {
        gic::set_edge(intid, true);
        gic::set_priority(intid, rank * 8);
        gic::enable_interrupt(intid);
    }
    let outcome = body();
    MANY.for_each(retire);
    abandon();
    outcome
}

/// More at once than any GIC has list registers (4 in GIC-400, 16 at most):
/// they come in the order of their priority, whoever keeps the rest.
fn more_than_list_registers() -> Outcome {
    with_many(|| {
        MANY.for_each(gic::set_pending);
        MANY.rev().try_for_each(|intid| comes_and_ends("next", intid))?;
        comes("then", SPURIOUS)
    })
}

/// §4.3.7: the pending state reads the same wherever it is kept.
fn twenty_pending_read_back() -> Outcome {
    with_many(|| {
        MANY.for_each(gic::set_pending);
        MANY.clone().try_for_each(|intid| holds("pending", gic::is_pending(intid)))?;
        // Half of them go, every other one.
        MANY.step_by(2).for_each(gic::clear_pending);
        MANY.clone().try_for_each(|intid| {
            equal("pending after", gic::is_pending(intid), !intid.is_multiple_of(2))
        })?;
        MANY.rev().step_by(2).try_for_each(|intid| comes_and_ends("next", intid))?;
        comes("then", SPURIOUS)
    })
}

/// Interrupts of as many priorities, each preempting the one before: all active at
/// once (§4.3.9), and ended in their order.
fn nested(number: u8) -> Outcome {
    let nested = A..A + u32::from(number);
    with_many(|| {
        for (intid, rank) in nested.clone().zip((1..=number).rev()) {
            gic::set_priority(intid, rank * 16);
        }
        nested.clone().try_for_each(|intid| {
            gic::set_pending(intid);
            comes("preempts", intid)
        })?;
        nested.clone().try_for_each(|intid| holds("active", gic::is_active(intid)))?;
        equal("GICC_RPR", gic::running_priority(), 0x10_u32)?;
        nested.clone().rev().for_each(gic::end);
        nested.clone().try_for_each(|intid| holds("inactive", !gic::is_active(intid)))?;
        equal("GICC_RPR after", gic::running_priority(), 0xff_u32)
    })
}

/// As many as the smallest GIC has list registers.
fn nested_four() -> Outcome {
    nested(4)
}

/// More than that.
fn nested_ten() -> Outcome {
    nested(10)
}

/// §3.3.2: each end uncovers the priority below.
fn nested_three() -> Outcome {
    with(&[A, B, C], || {
        let priorities = [0xc0_u8, 0x80, 0x40];
        for (intid, priority) in (A..=C).zip(priorities) {
            gic::set_priority(intid, priority);
            gic::set_pending(intid);
            comes("preempts", intid)?;
            equal("GICC_RPR", gic::running_priority(), priority)?;
        }
        for (intid, priority) in [A, B, C].into_iter().zip(priorities).rev() {
            equal("GICC_RPR on the way back", gic::running_priority(), priority)?;
            gic::end(intid);
        }
        equal("GICC_RPR after", gic::running_priority(), 0xff_u32)
    })
}

/// §3.2.4: an edge-triggered interrupt that is pending stays that.
fn set_pending_twice_is_once() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        gic::set_pending(A);
        comes_and_ends("first", A)?;
        comes("then", SPURIOUS)
    })
}

/// §4.3.11: the priority counts when the interrupt is chosen.
fn priority_changes_while_pending() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        gic::set_pending(B);
        gic::set_priority(B, 0x40);
        comes_and_ends("raised", B)?;
        comes_and_ends("the other", A)
    })
}

/// §4.4.7: GICC_HPPIR has no side effect.
fn looking_acknowledges_nothing() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        equal("first look", gic::highest_pending(), A)?;
        equal("second look", gic::highest_pending(), A)?;
        holds("pending", gic::is_pending(A))?;
        holds("not active", !gic::is_active(A))?;
        comes_and_ends("then", A)
    })
}

/// §4.3.9: what is active by register is not signalled until it is not.
fn active_by_register() -> Outcome {
    with_two(|| {
        gic::set_active(A);
        gic::set_pending(A);
        comes("while active", SPURIOUS)?;
        gic::clear_active(A);
        comes_and_ends("after", A)
    })
}

/// §4.3.10: with its active state taken away and its priority dropped it is new.
fn clear_active_releases() -> Outcome {
    with_two(|| {
        gic::set_end_mode(true);
        gic::set_pending(A);
        comes("first", A)?;
        gic::end(A);
        gic::clear_active(A);
        holds("inactive", !gic::is_active(A))?;
        gic::set_pending(A);
        comes("again", A)?;
        gic::end(A);
        gic::deactivate(A);
        Ok(())
    })
}

/// §4.4.5: the end of a spurious interrupt changes nothing.
fn spurious_end() -> Outcome {
    with_two(|| {
        gic::set_pending(A);
        comes("first", A)?;
        gic::end(SPURIOUS);
        holds("still active", gic::is_active(A))?;
        equal("GICC_RPR", gic::running_priority(), 0x80_u32)?;
        gic::end(A);
        Ok(())
    })
}
