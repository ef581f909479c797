//! The periods, and what is said of them.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use aarch64_cpu::asm::wfi;
use evisor_guest::{exception, gic, map, pl011, println, timer, tree};

use crate::control::{Loop, ONE};
use crate::lateness::{Lateness, Summary};
use crate::spin;

evisor_guest::entry!(main);

/// In microseconds.
pub const PERIOD: u64 = 1_000;
/// Periods between two reports: a second.
const REPORT: u64 = 1_000;

const END_OF_TRANSMISSION: u8 = 0x04;

static LATENESS: Lateness = Lateness::new();
static CONTROL: Loop = Loop::new();
/// When the next period begins, in counts.
static NEXT: AtomicU64 = AtomicU64::new(0);
static MISSED: AtomicU64 = AtomicU64::new(0);
/// A report is due; the end was asked for.
static REPORTS: AtomicBool = AtomicBool::new(false);
static ENDS: AtomicBool = AtomicBool::new(false);

fn main() -> u8 {
    let periods = tree::boot_argument("periods");
    pl011::enable_reception();
    println!("realtime: {PERIOD} us a period; a key asks for a report, Ctrl-D ends it");
    exception::on_interrupt(serve);
    gic::enable();
    gic::enable_interrupt(map::UART_INTID);
    gic::enable_interrupt(map::TIMER_INTID);
    begin(timer::count() + timer::microseconds(PERIOD));
    exception::unmask_interrupts();
    loop {
        wfi();
        if REPORTS.swap(false, Ordering::Relaxed) {
            report();
        }
        if ENDS.load(Ordering::Relaxed) {
            return 0;
        }
        if periods.is_some_and(|periods| LATENESS.periods() >= periods) {
            return finish();
        }
    }
}

/// The next period begins then.
fn begin(next: u64) {
    NEXT.store(next, Ordering::Relaxed);
    timer::arm(next);
}

/// The interrupt hook.
fn serve() {
    let now = timer::count();
    let acknowledged = gic::acknowledge();
    match gic::intid(acknowledged) {
        map::TIMER_INTID => period(now),
        map::UART_INTID => keys(),
        gic::SPURIOUS => return,
        _ => {}
    }
    gic::end(acknowledged);
}

fn period(now: u64) {
    let due = NEXT.load(Ordering::Relaxed);
    let number = LATENESS.note(now.wrapping_sub(due));
    CONTROL.period(ONE);
    if number.is_multiple_of(REPORT) {
        REPORTS.store(true, Ordering::Relaxed);
    }
    let mut next = due + timer::microseconds(PERIOD);
    while next <= timer::count() {
        MISSED.fetch_add(1, Ordering::Relaxed);
        next += timer::microseconds(PERIOD);
    }
    begin(next);
}

fn keys() {
    while let Some(byte) = pl011::receive() {
        let which = if byte == END_OF_TRANSMISSION { &ENDS } else { &REPORTS };
        which.store(true, Ordering::Relaxed);
    }
}

fn report() {
    let Some(Summary { periods, least, mean, most }) = LATENESS.summary() else { return };
    let [least, mean, most] = [least, mean, most].map(timer::nanoseconds);
    let missed = MISSED.load(Ordering::Relaxed);
    println!(
        "realtime: {periods} periods, late {least} to {most} ns, mean {mean}, missed {missed}"
    );
}

/// All periods that were asked for are over.
fn finish() -> u8 {
    exception::mask_interrupts();
    timer::disarm();
    report();
    println!("realtime: the motor is at {} % of its speed", CONTROL.percent());
    for (counts, times) in LATENESS.each() {
        println!("realtime: late {} {times}", timer::nanoseconds(counts));
    }
    if let Some(periods) = tree::boot_argument("spin") {
        spin::report(periods);
    }
    u8::from(MISSED.load(Ordering::Relaxed) != 0)
}
