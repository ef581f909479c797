//! The power manager's watchdog, which is how a Pi resets.
//!
//! BCM2711 ARM Peripherals does not describe it; what is here is what Linux's
//! `bcm2835_wdt.c` and the firmware agree on. There is no power switch: to turn off is
//! to reset with a word to the firmware that it stays down.

#![allow(unsafe_code, reason = "makes a window onto the registers")]

use crate::serial;
use evisor_aarch64::{device, timer, window};
use evisor_contract::Window;
use evisor_fdt::Tree;
use evisor_machine::binding;
use spin::Once;
use tock_registers::register_bitfields;

/// The registers, as indices of words.
const RSTC: usize = 0x1c / 4;
const RSTS: usize = 0x20 / 4;
const WDOG: usize = 0x24 / 4;
const WORDS: usize = 0x28 / 4;

register_bitfields! { u32,
    /// What is written to any of them without the password does not count.
    PASSWORD [ PASSWORD OFFSET(24) NUMBITS(8) [ Right = 0x5a ] ],
    RSTC [ CONFIGURATION OFFSET(4) NUMBITS(2) [ FullReset = 2 ] ]
}

/// The partition to boot from, in RSTS: every second bit. With all of them set, 63, the
/// firmware halts; with none it looks for one.
const PARTITION: u32 = 0x555;
/// Until the watchdog bites, in units of 16 µs.
const SOON: u32 = 10;

static AT: Once<u64> = Once::new();

pub fn bring_up(tree: &Tree<'_>) -> Result<(), &'static str> {
    let lacks = "the board's tree has no brcm,bcm2835-pm-wdt";
    let node = tree.compatible("brcm,bcm2835-pm-wdt").next().ok_or(lacks)?;
    let physical = binding::registers(node).ok_or(lacks)?;
    let at = device(physical, 4 * WORDS as u64).map_err(|_| "the watchdog cannot be mapped")?;
    AT.call_once(|| at);
    Ok(())
}

/// Turns the machine off.
pub fn off() {
    bite(|rsts| rsts | PARTITION);
}

/// Resets it, into the partition that it comes from on its own.
pub fn reset() {
    bite(|rsts| rsts & !PARTITION);
}

/// Has the watchdog bite, with a word for the firmware.
fn bite(word: impl FnOnce(u32) -> u32) {
    // A reset takes what the UART has not sent.
    serial::drain();
    // SAFETY: 1. mapped for good by `bring_up`. 2. this is its only user, and the last.
    let window = AT.get().and_then(|at| unsafe { window(*at, WORDS) });
    if let Some(mut window) = window {
        change(&mut window, RSTS, word);
        change(&mut window, WDOG, |_| SOON);
        change(&mut window, RSTC, |rstc| RSTC::CONFIGURATION::FullReset.modify(rstc));
        let limit = timer::now() + timer::frequency() / 100;
        while timer::now() < limit {
            core::hint::spin_loop();
        }
    }
}

/// Writes what `to` makes of a register, with the password.
fn change(window: &mut Window, register: usize, to: impl FnOnce(u32) -> u32) {
    if let Some(mut register) = window.get(register) {
        let value = to(register.read());
        register.write(PASSWORD::PASSWORD::Right.modify(value));
    }
}
