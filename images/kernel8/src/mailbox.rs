//! The mailbox to the VideoCore, and the properties that its firmware is asked for
//! (github.com/raspberrypi/firmware/wiki, "Mailboxes" and "Mailbox property interface").

use core::sync::atomic::{AtomicU32, Ordering};

use aarch64_cpu::asm::barrier::{self, SY};

use crate::gic;
use crate::registers::{Registers, within};
use crate::uart::say;

const MAILBOX: Registers = Registers(0xfe00_b880);
/// Mailbox 0, which the VideoCore fills.
const READ: usize = 0x0;
const STATUS_0: usize = 0x18;
const CONFIG: usize = 0x1c;
/// Mailbox 1.
const WRITE: usize = 0x20;
const STATUS_1: usize = 0x38;

const EMPTY: u32 = 1 << 30;
const FULL: u32 = 1 << 31;
/// Mailbox 0 interrupts while it is not empty.
const INTERRUPT: u32 = 1 << 0;
const PROPERTIES: u32 = 8;

/// The VideoCore's address of memory, past its cache (BCM2711 ARM Peripherals, "Legacy
/// master addresses").
const UNCACHED: u32 = 0xc000_0000;

/// Of mailbox 0 (chapter 6, "ARMC interrupts").
pub const INTID: u32 = 65;

/// A buffer: its bytes, the code, tags, an end.
#[repr(align(16))]
struct Buffer([AtomicU32; 32]);

static BUFFER: Buffer = Buffer([const { AtomicU32::new(0) }; 32]);
static CAME: AtomicU32 = AtomicU32::new(0);

const ANSWERED: u32 = 0x8000_0000;

const BOARD_REVISION: u32 = 0x0001_0002;
const MAC_ADDRESS: u32 = 0x0001_0003;
const SET_POWER_STATE: u32 = 0x0002_8001;
const CLOCK_RATE: u32 = 0x0003_0002;
const TEMPERATURE: u32 = 0x0003_0006;
const SD_CARD: u32 = 0;
/// On, and not answered before it is.
const ON: u32 = 0b11;
const CORE: u32 = 4;

/// Two words go with each tag here, as none that is asked for has more.
type Value = [u32; 2];

/// The rate of one of the firmware's clocks, in hertz.
pub fn clock_rate(clock: u32) -> Option<u32> {
    let [[_, rate]] = ask([(CLOCK_RATE, [clock, 0])])?;
    Some(rate).filter(|rate| *rate > 0)
}

/// That of the VideoCore's core.
pub fn core_clock() -> Option<u32> {
    clock_rate(CORE)
}

pub fn try_out() {
    let revision = ask([(BOARD_REVISION, [0, 0])]).map(|[[revision, _]]| revision);
    say!("mailbox: board revision {:#x}", revision.unwrap_or_default());
    let warm = ask([(TEMPERATURE, [0, 0])]).is_some_and(|[[_, t]]| (1..85_000).contains(&t));
    say!("mailbox: the temperature lies between 0 and 85 degrees: {warm}");
    let clock = core_clock().is_some();
    say!("mailbox: the core's clock has a rate: {clock}");
    all_at_once();
    by_interrupt();
}

fn all_at_once() {
    let asked = [(SET_POWER_STATE, [SD_CARD, ON]), (MAC_ADDRESS, [0, 0]), (BOARD_REVISION, [0, 0])];
    let Some([[_, on], [first, last], [revision, _]]) = ask(asked) else {
        return say!("mailbox: three tags at once are not answered");
    };
    let [a, b, c, d] = first.to_le_bytes();
    let [e, f, ..] = last.to_le_bytes();
    say!(
        "mailbox: at once: the card's power {on}, {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}, \
         {revision:#x}"
    );
}

/// What the firmware answers, if it answers all of it.
fn ask<const N: usize>(tags: [(u32, Value); N]) -> Option<[Value; N]> {
    put(&tags);
    send();
    let answered = within(1_000_000, || MAILBOX.read(STATUS_0) & EMPTY == 0);
    (answered && take()).then(|| values(&tags)).flatten()
}

fn put(tags: &[(u32, Value)]) {
    let bytes = 4 * (3 + 5 * tags.len() as u32);
    let words = tags.iter().flat_map(|(tag, [first, second])| [*tag, 8, 0, *first, *second]);
    let all = [bytes, 0].into_iter().chain(words).chain([0]);
    BUFFER.0.iter().zip(all).for_each(|(to, word)| to.store(word, Ordering::Relaxed));
}

/// The buffer is in memory before the VideoCore hears of it.
fn send() {
    barrier::dsb(SY);
    drain();
    within(1_000_000, || MAILBOX.read(STATUS_1) & FULL == 0);
    MAILBOX.write(WRITE, address() | PROPERTIES);
}

/// Takes the answers that somebody else left.
fn drain() {
    within(1_000, || {
        let empty = MAILBOX.read(STATUS_0) & EMPTY != 0;
        if !empty {
            MAILBOX.read(READ);
        }
        empty
    });
}

fn address() -> u32 {
    core::ptr::from_ref(&BUFFER).addr() as u32 | UNCACHED
}

/// Whether what comes is this buffer.
fn take() -> bool {
    let came = MAILBOX.read(READ);
    barrier::dsb(SY);
    came == address() | PROPERTIES
}

fn values<const N: usize>(tags: &[(u32, Value); N]) -> Option<[Value; N]> {
    let word = |index: usize| BUFFER.0.get(index).map_or(0, |word| word.load(Ordering::Relaxed));
    let all = (0..N).all(|tag| word(4 + 5 * tag) & ANSWERED != 0);
    let value = |tag: usize| [word(5 + 5 * tag), word(6 + 5 * tag)];
    let mut values = tags.map(|(_, value)| value);
    values.iter_mut().enumerate().for_each(|(tag, to)| *to = value(tag));
    (word(1) == ANSWERED && all).then_some(values)
}

/// An answer that is not asked for again and again.
fn by_interrupt() {
    gic::enable(INTID);
    MAILBOX.write(CONFIG, INTERRUPT);
    put(&[(BOARD_REVISION, [0, 0])]);
    send();
    let came = within(1_000_000, || CAME.load(Ordering::Acquire) != 0);
    MAILBOX.write(CONFIG, 0);
    say!("mailbox: an answer interrupts, INTID {INTID}: {}", came && take());
}

/// It stays while the answer is not taken.
pub fn interrupt() {
    MAILBOX.write(CONFIG, 0);
    CAME.store(1, Ordering::Release);
}
