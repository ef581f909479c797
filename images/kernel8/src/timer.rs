//! The system timer (BCM2711 ARM Peripherals, chapter 10). Of its four compare registers
//! the VideoCore has 0 and 2.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::gic;
use crate::registers::{Registers, delay, within};
use crate::uart::say;

const TIMER: Registers = Registers(0xfe00_3000);
const CS: usize = 0x0;
const CLO: usize = 0x4;
const CHI: usize = 0x8;
const C0: usize = 0xc;

/// Those of the Arm, with their interrupts (chapter 6, "VideoCore interrupts").
const CHANNELS: [(u32, u32); 2] = [(1, 97), (3, 99)];

/// Channels whose interrupt came.
static CAME: AtomicU32 = AtomicU32::new(0);

pub fn try_out() {
    counts();
    for (channel, intid) in CHANNELS {
        say!("system timer: compare {channel} matches: {}", matches(channel));
        gic::enable(intid);
        compare(channel);
        let came = within(100_000, || CAME.load(Ordering::Acquire) >> channel & 1 != 0);
        say!("system timer: compare {channel} interrupts, INTID {intid}: {came}");
        // Where it does not come to the GIC.
        TIMER.write(CS, 1 << channel);
    }
}

/// A hundredth of a second by the generic timer is one here, and not ten.
fn counts() {
    let before = count();
    delay(10_000);
    let passed = count().wrapping_sub(before);
    say!("system timer: counts microseconds: {}", (9_000..100_000_000).contains(&passed));
}

/// Both halves, of one moment.
fn count() -> u64 {
    let (upper, lower) = (TIMER.read(CHI), TIMER.read(CLO));
    match TIMER.read(CHI) {
        again if again == upper => u64::from(upper) << 32 | u64::from(lower),
        // It has just become another, and the lower half begins anew.
        later => u64::from(later) << 32 | u64::from(TIMER.read(CLO)),
    }
}

/// Whether CS has the channel after its match, not before, and no more when it was
/// cleared.
fn matches(channel: u32) -> bool {
    let is_set = || TIMER.read(CS) >> channel & 1 != 0;
    TIMER.write(CS, 1 << channel);
    let before = is_set();
    compare(channel);
    let after = within(100_000, is_set);
    TIMER.write(CS, 1 << channel);
    !before && after && !is_set()
}

/// Has the channel match soon, and not too soon: one whose time has passed when it is
/// written would not match for an hour.
fn compare(channel: u32) {
    let register = C0 + 4 * channel as usize;
    for ahead in [2_000, 10_000, 50_000] {
        let start = TIMER.read(CLO);
        TIMER.write(register, start.wrapping_add(ahead));
        if TIMER.read(CLO).wrapping_sub(start) < ahead {
            return;
        }
    }
}

pub fn interrupt(intid: u32) {
    if let Some((channel, _)) = CHANNELS.iter().find(|(_, own)| *own == intid) {
        TIMER.write(CS, 1 << channel);
        CAME.store(CAME.load(Ordering::Relaxed) | 1 << channel, Ordering::Release);
    }
}

pub fn is_own(intid: u32) -> bool {
    CHANNELS.iter().any(|(_, own)| *own == intid)
}
