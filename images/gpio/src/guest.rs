//! What is tried, in order; the restart comes last.
//!
//! The device makes its own interrupts: an input that is low, where a low level is
//! waited for (DDI 0190B §3.3). QEMU's inputs are.

use evisor_guest::call::{VERDICT, hvc};
use evisor_guest::exception::attempt;
use evisor_guest::{gic, map, mmio, println, timer};
use smccc::psci::PSCI_SYSTEM_RESET;

evisor_guest::entry!(main);

/// The registers (DDI 0190B table 3-1).
const GPIODIR: usize = map::GPIO + 0x400;
const GPIOIS: usize = map::GPIO + 0x404;
const GPIOIBE: usize = map::GPIO + 0x408;
const GPIOIEV: usize = map::GPIO + 0x40c;
const GPIOIE: usize = map::GPIO + 0x410;
const GPIORIS: usize = map::GPIO + 0x414;
const GPIOPERIPHID0: usize = map::GPIO + 0xfe0;

/// The input that is used; nothing else is on it.
const INPUT: u32 = 1 << 6;
/// What no reset of the manifest takes away: that the guest ran before.
const RAN: u32 = 0xa5;

/// How long an interrupt is waited for, in microseconds.
const PATIENCE: u64 = 50_000;

type Check = (&'static str, fn() -> bool);

const FIRST: [Check; 5] = [
    ("registers keep what is written, in any width", registers_keep),
    ("a level that is held interrupts again after its end", level_comes_again),
    ("a level that is gone does not", level_goes),
    ("a level that is not enabled does no harm", disabled_does_no_harm),
    ("it comes when it is enabled", comes_when_enabled),
];

const SECOND: [Check; 3] = [
    ("the restart reset the device", device_was_reset),
    ("nothing is left of its interrupt", nothing_is_left),
    ("it interrupts after the restart", comes_when_enabled_anew),
];

fn main() -> u8 {
    gic::enable();
    gic::enable_interrupt(map::TIMER_INTID);
    let first = mmio::load32(GPIOIBE) != RAN;
    let mut failed = 0;
    for (name, check) in if first { FIRST.as_slice() } else { &SECOND } {
        let passed = check();
        println!("{} {name}", if passed { "PASS" } else { "FAIL" });
        failed += u8::from(!passed);
    }
    if !first {
        mmio::store32(GPIOIBE, 0);
        return failed.min(1);
    }
    identify();
    if failed == 0 {
        mmio::store32(GPIOIBE, RAN);
        mmio::store32(GPIODIR, 0xf0);
        raise();
        hvc(PSCI_SYSTEM_RESET, [0; 3]);
    }
    hvc(VERDICT, [1, 0, 0]);
    1
}

/// The peripheral identification lies at the end of the page.
fn identify() {
    match attempt(|| mmio::load32(GPIOPERIPHID0)) {
        Ok(part) => println!("gpio: part {part:#x}"),
        Err(taken) => println!("gpio: no part, ESR {:#x}", taken.esr),
    }
}

fn registers_keep() -> bool {
    mmio::store32(GPIODIR, 0x81);
    mmio::store8(GPIOIS, 0x18);
    mmio::store16(GPIOIEV, 0x42);
    let read = (mmio::load8(GPIODIR), mmio::load32(GPIOIS), mmio::load16(GPIOIEV));
    for register in [GPIODIR, GPIOIS, GPIOIEV] {
        mmio::store32(register, 0);
    }
    read == (0x81, 0x18, 0x42)
}

/// The line goes up.
fn raise() {
    mmio::store32(GPIOIS, INPUT);
    mmio::store32(GPIOIEV, 0);
    mmio::store32(GPIOIE, INPUT);
}

/// The line goes down.
fn lower() {
    mmio::store32(GPIOIE, 0);
}

/// The next interrupt, ended; or that none came.
fn next() -> Option<u32> {
    timer::arm(timer::count() + timer::microseconds(PATIENCE));
    let acknowledged = loop {
        aarch64_cpu::asm::wfi();
        let acknowledged = gic::acknowledge();
        if gic::intid(acknowledged) != gic::SPURIOUS {
            break acknowledged;
        }
    };
    timer::disarm();
    gic::end(acknowledged);
    Some(gic::intid(acknowledged)).filter(|intid| *intid != map::TIMER_INTID)
}

fn level_comes_again() -> bool {
    gic::enable_interrupt(map::GPIO_INTID);
    raise();
    (0..5).all(|_| next() == Some(map::GPIO_INTID))
}

/// What was pending when it went may come once more.
fn level_goes() -> bool {
    lower();
    let _ = next();
    next().is_none() && mmio::load32(GPIORIS) & INPUT != 0
}

/// A level that EL2 did not keep down would leave the guest no time.
fn disabled_does_no_harm() -> bool {
    gic::disable_interrupt(map::GPIO_INTID);
    raise();
    let mut rounds = 0;
    let end = timer::count() + timer::microseconds(PATIENCE);
    while timer::count() < end {
        rounds += 1;
    }
    rounds > 100 && next().is_none() && gic::is_pending(map::GPIO_INTID)
}

fn comes_when_enabled() -> bool {
    gic::enable_interrupt(map::GPIO_INTID);
    let came = next() == Some(map::GPIO_INTID) && next() == Some(map::GPIO_INTID);
    lower();
    let _ = next();
    came && next().is_none()
}

fn comes_when_enabled_anew() -> bool {
    raise();
    comes_when_enabled()
}

fn device_was_reset() -> bool {
    mmio::load32(GPIODIR) == 0 && mmio::load32(GPIOIE) == 0
}

fn nothing_is_left() -> bool {
    let pending = gic::is_pending(map::GPIO_INTID) || gic::is_active(map::GPIO_INTID);
    gic::enable_interrupt(map::GPIO_INTID);
    !pending && next().is_none()
}
