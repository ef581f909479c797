//! The system timer (BCM2711 ARM Peripherals, chapter 10). Of its four compare registers
//! the VideoCore has 0 and 2.

use core::sync::atomic::{AtomicU32, Ordering};

use crate::gic;
use crate::registers::{self, Registers, delay, micros_since, within};
use crate::uart::say;

const TIMER: Registers = Registers(0xfe00_3000);
const CS: usize = 0x0;
const CLO: usize = 0x4;
const CHI: usize = 0x8;
const C0: usize = 0xc;

/// Those of the Arm, with their interrupts (chapter 6, "VideoCore interrupts").
const CHANNELS: [(u32, u32); 2] = [(1, 97), (3, 99)];

/// How long a match may take, in microseconds.
const LIMIT: u64 = 1_000_000;

/// Channels whose interrupt came.
static CAME: AtomicU32 = AtomicU32::new(0);

pub fn try_out() {
    counts();
    for (channel, intid) in CHANNELS {
        say!("system timer: compare {channel} matches: {}", matches(channel));
        gic::enable(intid);
        compare(channel);
        let came = within(LIMIT, || CAME.load(Ordering::Acquire) >> channel & 1 != 0);
        say!("system timer: compare {channel} interrupts, INTID {intid}: {came}");
        // Where it does not come to the GIC.
        TIMER.write(CS, 1 << channel);
    }
}

/// Between two looks at the generic timer no more microseconds pass here than there, and
/// no fewer than were waited for; but for one in a hundred.
fn counts() {
    let (generic, before) = (registers::count(), count());
    delay(10_000);
    let passed = count().wrapping_sub(before);
    let most = micros_since(generic);
    let right = (9_900..=most + most / 100).contains(&passed);
    say!("system timer: counts microseconds: {right}");
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
    let at = compare(channel);
    let after = within(LIMIT, is_set) && TIMER.read(CLO).wrapping_sub(at) < u32::MAX / 2;
    TIMER.write(CS, 1 << channel);
    !before && after && !is_set()
}

/// Has the channel match soon, and gives when; not too soon, for one whose time has passed
/// when it is written would not match for an hour. Of a core that was stopped meanwhile
/// that cannot be told: then another match is asked for, and the one that may have been is
/// cleared.
fn compare(channel: u32) -> u32 {
    let mut at = 0;
    for ahead in [2_000, 10_000, 50_000] {
        TIMER.write(CS, 1 << channel);
        let start = TIMER.read(CLO);
        at = start.wrapping_add(ahead);
        TIMER.write(C0 + 4 * channel as usize, at);
        if TIMER.read(CLO).wrapping_sub(start) < ahead {
            break;
        }
    }
    at
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
