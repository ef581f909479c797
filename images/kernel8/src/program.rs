//! What it does, in its order: everything, and then the watchdog's reset; and again, when
//! the card says that the reset was on its way, to the end.
#![allow(unsafe_code, reason = "the address that the others start at")]

use aarch64_cpu::registers::CurrentEL;
use tock_registers::interfaces::Readable;

use crate::sd::Card;
use crate::uart::say;
use crate::{cores, gic, gpio, mailbox, pm, rng, sd, sd_trial, timer, uart};

/// What a Pi 4's firmware gives the core, where it does not say.
const CORE_CLOCK: u32 = 500_000_000;
/// How long somebody has to type.
const TYPING: u64 = 30_000_000;

pub extern "C" fn main(core: usize) -> ! {
    if core != 0 {
        cores::run(core);
    }
    gpio::init();
    uart::init(mailbox::core_clock().unwrap_or(CORE_CLOCK));
    say!("hello from EL{}", CurrentEL.read(CurrentEL::EL));
    match Card::find() {
        Ok(card) => with_card(&card),
        Err(fault) => say!("sd: {fault}"),
    }
    pm::off()
}

/// The first time, and again.
fn with_card(card: &Card) {
    match sd_trial::is_marked(card) {
        Ok(false) => {
            try_out();
            match sd_trial::try_out(card).and_then(|()| sd_trial::mark(card)) {
                Ok(()) => reset(),
                Err(fault) => say!("sd: {fault}"),
            }
        }
        Ok(true) => {
            say!("again, after the reset, as the card says");
            say!("pm: knows that it was the watchdog: {}", pm::remembers());
            try_out();
            match sd_trial::clear(card) {
                Ok(()) => say!("off"),
                Err(fault) => say!("sd: {fault}"),
            }
        }
        Err(fault) => say!("sd: {fault}"),
    }
}

fn reset() -> ! {
    say!("pm: the watchdog resets");
    pm::reset()
}

/// What needs no card.
fn try_out() {
    gic::init();
    cores::report(0);
    gic::enable(uart::INTID);
    console();
    cores::start_others(entry());
    cores::go_round();
    cores::call_others();
    timer::try_out();
    mailbox::try_out();
    gpio::try_out();
    rng::try_out();
}

fn console() {
    say!("uart: each fill of the FIFO interrupted: {}", uart::send_by_interrupt());
    say!("uart: type a line");
    let mut buffer = [0; 64];
    match uart::hear_by_interrupt(TYPING, &mut buffer) {
        Some(line) => say!("uart: heard by interrupt: {line}"),
        None => say!("uart: nobody typed"),
    }
}

/// Where the program starts, for all cores.
fn entry() -> u64 {
    unsafe extern "C" {
        fn start();
    }
    (start as *const ()).addr() as u64
}

pub extern "C" fn interrupt() {
    let acknowledged = gic::acknowledge();
    match acknowledged & 0x3ff {
        sgi @ 0..=15 => cores::heard(sgi, acknowledged >> 10 & 7),
        cores::VIRTUAL_TIMER => cores::virtual_tick(),
        cores::PHYSICAL_TIMER => cores::physical_tick(),
        uart::INTID => uart::interrupt(),
        mailbox::INTID => mailbox::interrupt(),
        sd::INTID => sd::interrupt(),
        intid if timer::is_own(intid) => timer::interrupt(intid),
        // Spurious: nothing is to be ended (IHI 0048B.b §3.2.1).
        1020.. => return,
        other => say!("interrupt {other}?"),
    }
    gic::end(acknowledged);
}
