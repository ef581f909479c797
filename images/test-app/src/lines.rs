//! Interrupts to play with, and how to leave nothing of them behind.
#![allow(unsafe_code, reason = "system registers by name")]

use evisor_guest::gic::{self, SPURIOUS, Version};
use evisor_guest::pl011::{self, INTERRUPTS};
use evisor_guest::{map, timer, write_register};
use tock_registers::interfaces::{Readable, Writeable};

use crate::check::{Outcome, equal, holds};

/// SPIs 12 and up: lines that nothing drives.
pub const A: u32 = 44;
/// See [`A`].
pub const B: u32 = 45;
/// See [`A`].
pub const C: u32 = 46;

/// The priority that [`with`] gives.
pub const MIDDLE: u8 = 0x80;

/// Runs a check with these enabled at a middle priority, the SPIs edge-triggered, and
/// leaves nothing of them behind.
pub fn with(intids: &[u32], body: impl FnOnce() -> Outcome) -> Outcome {
    for &intid in intids {
        if intid >= gic::FIRST_SHARED {
            gic::set_edge(intid, true);
        }
        gic::set_priority(intid, MIDDLE);
        gic::enable_interrupt(intid);
    }
    let outcome = body();
    intids.iter().copied().for_each(retire);
    abandon();
    outcome
}

/// Takes an interrupt out of use.
pub fn retire(intid: u32) {
    gic::disable_interrupt(intid);
    gic::clear_pending(intid);
    gic::clear_active(intid);
    gic::set_priority(intid, 0);
}

/// Puts this core's interface back, whatever a failed check left of it: no running
/// priority, nothing masked.
pub fn abandon() {
    gic::set_end_mode(false);
    gic::set_binary_point(0);
    gic::set_mask(0xff);
    if gic::running_priority() == 0xff {
        return;
    }
    match gic::version() {
        Version::V2 => gic::v2::cpu_interface().apr.iter().for_each(|r| r.set(0)),
        // ICC_AP1R0_EL1, and ICC_AP0R0_EL1.
        Version::V3 => {
            write_register!("S3_0_C12_C9_0", 0);
            write_register!("S3_0_C12_C8_4", 0);
        }
    }
}

/// Acknowledges and expects this interrupt.
pub fn comes(what: &'static str, intid: u32) -> Outcome {
    equal(what, gic::intid(gic::acknowledge()), intid)
}

/// Acknowledges, expects this interrupt, and ends it.
pub fn comes_and_ends(what: &'static str, intid: u32) -> Outcome {
    let acknowledged = gic::acknowledge();
    if gic::intid(acknowledged) != SPURIOUS {
        gic::end(acknowledged);
    }
    equal(what, gic::intid(acknowledged), intid)
}

/// A level-sensitive line that can be moved: the UART's, which with room to transmit
/// is up unless it is masked. It starts low, with its interrupt enabled.
pub fn with_level(body: impl FnOnce() -> Outcome) -> Outcome {
    let uart = pl011::registers();
    uart.imsc.set(0);
    pl011::transmit(b'\n');
    let up = timer::wait_until(100_000, || uart.ris.is_set(INTERRUPTS::TX));
    gic::set_edge(map::UART_INTID, false);
    gic::set_priority(map::UART_INTID, MIDDLE);
    gic::enable_interrupt(map::UART_INTID);
    let outcome = holds("the UART asks", up).and_then(|()| body());
    lower();
    uart.icr.write(INTERRUPTS::TX::SET);
    gic::set_edge(map::UART_INTID, false);
    retire(map::UART_INTID);
    abandon();
    outcome
}

/// Moves the line of [`with_level`] up.
pub fn raise() {
    pl011::registers().imsc.write(INTERRUPTS::TX::SET);
}

/// Moves the line of [`with_level`] down.
pub fn lower() {
    pl011::registers().imsc.set(0);
}
