//! SPIs to other cores (IHI 0048B.b §4.3.12, GICD_ITARGETSR; IHI 0069 §12.9.22,
//! GICD_IROUTER), and what each core has of its own (IHI 0048B.b §4.1.3, IHI 0069
//! §12.11).

use core::sync::atomic::{AtomicU64, Ordering};

use evisor_guest::gic::{self, SPURIOUS, Version, distributor};
use evisor_guest::map::UART_INTID;
use evisor_guest::{cores, timer};
use tock_registers::interfaces::{Readable, Writeable};

use crate::check::{Outcome, answer, equal, holds, on, only_gic, only_on_evisor, with_cores};
use crate::checks;
use crate::lines::{A, B, comes, comes_and_ends, lower, raise, with, with_level};

checks! { "route":
    spi_to_each_core spi_moves_while_pending spi_back_again level_to_another_core
    active_elsewhere_reads_active ended_elsewhere_comes_again deactivated_by_another
    one_of_several disabled_by_another two_spis_two_cores cleared_by_another
    pending_set_by_another priority_set_by_another
    private_enable_is_own private_priority_is_own private_pending_is_own
    private_active_is_own private_group_is_own interface_is_own mask_is_own
    running_priority_is_own end_mode_is_own
}

const NOTHING: u64 = u64::MAX;
const PATIENCE: u64 = 1_000_000;
const SHORT: u64 = 2_000;

/// On another core: takes one interrupt of any kind within so many microseconds.
fn take(limit: u64) -> u64 {
    gic::enable_core();
    let mut acknowledged = SPURIOUS;
    let came = timer::wait_until(limit, || {
        acknowledged = gic::acknowledge();
        gic::intid(acknowledged) != SPURIOUS
    });
    if !came {
        return NOTHING;
    }
    gic::end(acknowledged);
    gic::intid(acknowledged).into()
}

fn spi_to_each_core() -> Outcome {
    with_cores(2)?;
    with(&[A], || {
        for core in 1..cores::count() {
            gic::route(A, core);
            gic::set_pending(A);
            equal("on its core", on(core, take, PATIENCE)?, A)?;
            comes("not on this one", SPURIOUS)?;
        }
        Ok(())
    })
}

/// A pending interrupt goes where it is routed now.
fn spi_moves_while_pending() -> Outcome {
    with_cores(2)?;
    with(&[A], || {
        gic::set_pending(A);
        equal("here first", gic::highest_pending(), A)?;
        gic::route(A, 1);
        comes("no longer here", SPURIOUS)?;
        equal("on the second core", on(1, take, PATIENCE)?, A)
    })
}

fn spi_back_again() -> Outcome {
    with_cores(2)?;
    with(&[A], || {
        gic::route(A, 1);
        gic::set_pending(A);
        gic::route(A, 0);
        equal("not on the second core", on(1, take, SHORT)?, NOTHING)?;
        comes_and_ends("here", A)
    })
}

/// On another core: takes the UART's interrupt and, before it ends it, lowers the
/// line.
fn serve_uart(_: u64) -> u64 {
    gic::enable_core();
    let came = timer::wait_until(PATIENCE, || gic::intid(gic::acknowledge()) == UART_INTID);
    lower();
    if came {
        gic::end(UART_INTID);
    }
    let again = gic::intid(gic::acknowledge());
    u64::from(came) << 32 | u64::from(again)
}

fn level_to_another_core() -> Outcome {
    with_cores(2)?;
    with_level(|| {
        gic::route(UART_INTID, 1);
        raise();
        equal("once, on the second core", on(1, serve_uart, 0)?, 1 << 32 | u64::from(SPURIOUS))?;
        comes("not here", SPURIOUS)
    })
}

static PHASE: AtomicU64 = AtomicU64::new(0);

fn reach(phase: u64) {
    PHASE.store(phase, Ordering::SeqCst);
}

fn reached(phase: u64) -> bool {
    timer::wait_until(PATIENCE, || PHASE.load(Ordering::SeqCst) >= phase)
}

/// On another core: acknowledges, and ends when told.
fn hold(_: u64) -> u64 {
    gic::enable_core();
    let mut acknowledged = SPURIOUS;
    timer::wait_until(PATIENCE, || {
        acknowledged = gic::acknowledge();
        gic::intid(acknowledged) != SPURIOUS
    });
    reach(1);
    reached(2);
    if gic::intid(acknowledged) != SPURIOUS {
        gic::end(acknowledged);
    }
    gic::intid(acknowledged).into()
}

/// Runs the body while A is active on the second core; A is ended there after.
fn with_a_active_on_second(body: impl FnOnce() -> Outcome) -> Outcome {
    with_cores(2)?;
    with(&[A], || {
        reach(0);
        gic::route(A, 1);
        gic::set_pending(A);
        holds("the second core is free", cores::begin(1, hold, 0))?;
        let active = reached(1);
        let outcome = body();
        reach(2);
        let held = answer(1)?;
        holds("it was acknowledged in time", active)?;
        equal("what was held", held, A)?;
        outcome
    })
}

/// §4.3.9: the active state of an SPI is the same for all.
fn active_elsewhere_reads_active() -> Outcome {
    with_a_active_on_second(|| {
        holds("active", gic::is_active(A))?;
        holds("not pending", !gic::is_pending(A))
    })?;
    holds("inactive after its end", !gic::is_active(A))
}

/// §3.2.4: pending again while active elsewhere, it waits, wherever it goes then.
fn ended_elsewhere_comes_again() -> Outcome {
    with_a_active_on_second(|| {
        gic::set_pending(A);
        holds("active and pending", gic::is_active(A) && gic::is_pending(A))?;
        comes("not here", SPURIOUS)
    })
}

/// §4.3.10: any core may take the active state of an SPI away.
fn deactivated_by_another() -> Outcome {
    with_a_active_on_second(|| {
        gic::clear_active(A);
        holds("inactive", !gic::is_active(A))
    })
}

/// IHI 0048B.b §3.2.3, the 1-N model: of several targets one gets it. (QEMU 10 keeps
/// the models of the GIC of the ARM11 MPCore, where that is one of two.)
fn one_of_several() -> Outcome {
    only_gic(Version::V2)?;
    only_on_evisor()?;
    with_cores(4)?;
    with(&[A], || {
        let Some(target) = distributor().itargetsr.get(A as usize) else { return Ok(()) };
        target.set(0b1110);
        for core in 1..4 {
            holds("the other core is free", cores::begin(core, take, 20_000))?;
        }
        gic::set_pending(A);
        let mut times = 0_u64;
        for core in 1..4 {
            times += u64::from(answer(core)? == u64::from(A));
        }
        equal("times", times, 1_u64)
    })
}

/// On another core: disables.
#[allow(clippy::cast_possible_truncation, reason = "an INTID")]
fn disable(intid: u64) -> u64 {
    gic::disable_interrupt(intid as u32);
    0
}

fn disabled_by_another() -> Outcome {
    with_cores(2)?;
    with(&[A], || {
        on(1, disable, A.into())?;
        holds("disabled", !gic::is_enabled(A))?;
        gic::set_pending(A);
        comes("nothing comes", SPURIOUS)
    })
}

fn two_spis_two_cores() -> Outcome {
    with_cores(2)?;
    with(&[A, B], || {
        gic::route(B, 1);
        gic::set_pending(B);
        gic::set_pending(A);
        comes_and_ends("here", A)?;
        equal("there", on(1, take, PATIENCE)?, B)
    })
}

#[allow(clippy::cast_possible_truncation, reason = "an INTID")]
fn clear(intid: u64) -> u64 {
    gic::clear_pending(intid as u32);
    0
}

/// §4.3.8: pending here, perhaps in a list register, cleared there.
fn cleared_by_another() -> Outcome {
    with_cores(2)?;
    with(&[A], || {
        gic::set_pending(A);
        equal("here", gic::highest_pending(), A)?;
        on(1, clear, A.into())?;
        holds("not pending", !gic::is_pending(A))?;
        comes("nothing comes", SPURIOUS)
    })
}

#[allow(clippy::cast_possible_truncation, reason = "an INTID")]
fn set(intid: u64) -> u64 {
    gic::set_pending(intid as u32);
    0
}

fn pending_set_by_another() -> Outcome {
    with_cores(2)?;
    with(&[A], || {
        on(1, set, A.into())?;
        let came = timer::wait_until(PATIENCE, || gic::highest_pending() == A);
        holds("it comes", came)?;
        comes_and_ends("it is acknowledged", A)
    })
}

#[allow(clippy::cast_possible_truncation, reason = "an INTID")]
fn raise_priority(intid: u64) -> u64 {
    gic::set_priority(intid as u32, 0x20);
    0
}

/// §4.3.11: of two that are pending here, one is made more urgent there.
fn priority_set_by_another() -> Outcome {
    with_cores(2)?;
    with(&[A, B], || {
        gic::set_pending(A);
        gic::set_pending(B);
        on(1, raise_priority, B.into())?;
        let chosen = timer::wait_until(PATIENCE, || gic::highest_pending() == B);
        holds("the more urgent", chosen)?;
        comes_and_ends("first", B)?;
        comes_and_ends("second", A)
    })
}

/// PPI 0, which nothing drives.
const PPI: u32 = 16;

fn is_enabled(_: u64) -> u64 {
    gic::is_enabled(PPI).into()
}

fn private_enable_is_own() -> Outcome {
    with_cores(2)?;
    on(1, disable, PPI.into())?;
    with(&[PPI], || {
        holds("here", gic::is_enabled(PPI))?;
        equal("there", on(1, is_enabled, 0)?, 0_u64)
    })
}

fn priority_there(_: u64) -> u64 {
    gic::priority(PPI).into()
}

fn private_priority_is_own() -> Outcome {
    with_cores(2)?;
    with(&[PPI], || {
        on(1, raise_priority, PPI.into())?;
        equal("here", gic::priority(PPI), 0x80_u8)?;
        equal("there", on(1, priority_there, 0)?, 0x20_u64)
    })
}

fn is_pending(_: u64) -> u64 {
    gic::is_pending(PPI).into()
}

fn private_pending_is_own() -> Outcome {
    with_cores(2)?;
    with(&[PPI], || {
        gic::set_pending(PPI);
        equal("there", on(1, is_pending, 0)?, 0_u64)?;
        holds("here", gic::is_pending(PPI))?;
        gic::clear_pending(PPI);
        on(1, set, PPI.into())?;
        holds("not here", !gic::is_pending(PPI))?;
        equal("but there", on(1, is_pending, 0)?, 1_u64)?;
        on(1, clear, PPI.into())?;
        Ok(())
    })
}

fn is_active(_: u64) -> u64 {
    gic::is_active(PPI).into()
}

fn private_active_is_own() -> Outcome {
    with_cores(2)?;
    with(&[PPI], || {
        gic::set_active(PPI);
        holds("here", gic::is_active(PPI))?;
        equal("there", on(1, is_active, 0)?, 0_u64)
    })
}

fn group_there(group: u64) -> u64 {
    let [groups, ..] = &gic::bank(PPI).igroupr;
    let bit = 1 << PPI;
    let others = groups.get() & !bit;
    groups.set(if group == 1 { others | bit } else { others });
    (groups.get() >> PPI & 1).into()
}

/// IHI 0048B.b §4.3.4: GICD_IGROUPR0 is banked.
fn private_group_is_own() -> Outcome {
    with_cores(2)?;
    let before = group_there(0);
    let there = on(1, group_there, 1)?;
    let [groups, ..] = &gic::bank(PPI).igroupr;
    let here = groups.get() >> PPI & 1;
    on(1, group_there, u64::from(gic::version() == Version::V3))?;
    group_there(u64::from(gic::version() == Version::V3));
    equal("before", before, 0_u64)?;
    equal("there", there, 1_u64)?;
    equal("here", here, 0_u32)
}

fn turn_interface(on: u64) -> u64 {
    gic::enable_core();
    gic::set_interface(on == 1);
    0
}

fn interface_is_own() -> Outcome {
    with_cores(2)?;
    with(&[A], || {
        on(1, turn_interface, 0)?;
        gic::set_pending(A);
        let here = comes_and_ends("here", A);
        on(1, turn_interface, 1)?;
        here
    })
}

#[allow(clippy::cast_possible_truncation, reason = "a priority")]
fn set_mask(priority: u64) -> u64 {
    gic::enable_core();
    gic::set_mask(priority as u32);
    gic::mask().into()
}

fn mask_is_own() -> Outcome {
    with_cores(2)?;
    equal("there", on(1, set_mask, 0x40)?, 0x40_u64)?;
    let here = gic::mask();
    on(1, set_mask, 0xff)?;
    holds("here", here > 0x40)
}

fn running_priority_is_own() -> Outcome {
    with_a_active_on_second(|| {
        equal("here", gic::running_priority(), 0xff_u32)?;
        gic::enable_interrupt(B);
        gic::set_edge(B, true);
        gic::set_priority(B, 0xc0);
        gic::set_pending(B);
        let less_urgent = comes_and_ends("a less urgent one here", B);
        crate::lines::retire(B);
        less_urgent
    })
}

fn set_end_mode(separate: u64) -> u64 {
    gic::enable_core();
    gic::set_end_mode(separate == 1);
    0
}

fn end_mode_is_own() -> Outcome {
    with_cores(2)?;
    with(&[A], || {
        on(1, set_end_mode, 1)?;
        gic::set_pending(A);
        let ended = comes_and_ends("here", A).and_then(|()| holds("ended", !gic::is_active(A)));
        on(1, set_end_mode, 0)?;
        ended
    })
}
