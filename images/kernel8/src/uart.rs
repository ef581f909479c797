//! The mini UART (BCM2711 ARM Peripherals, chapter 2). The chapter has the enables of its
//! interrupts the wrong way round, and one bit less of data size than there are; two more
//! bits have to be set for interrupts to come at all (elinux.org, "BCM2835 datasheet
//! errata").

use core::fmt;
use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use crate::registers::{Registers, within};

const AUX: Registers = Registers(0xfe21_5000);
const AUX_IRQ: usize = 0x0;
const AUX_ENABLES: usize = 0x4;
/// Of both.
const MINI_UART: u32 = 1 << 0;

const UART: Registers = Registers(0xfe21_5040);
const IO: usize = 0x0;
const IER: usize = 0x4;
const IIR: usize = 0x8;
const LCR: usize = 0xc;
const MCR: usize = 0x10;
const LSR: usize = 0x14;
const CNTL: usize = 0x20;
const BAUD: usize = 0x28;

const IER_RECEIVE: u32 = 1 << 0;
const IER_TRANSMIT: u32 = 1 << 1;
const IER_NEEDED: u32 = 0b11 << 2;
const IIR_CLEAR_BOTH: u32 = 0b11 << 1;
const LCR_8_BITS: u32 = 0b11;
const LSR_READY: u32 = 1 << 0;
const LSR_ROOM: u32 = 1 << 5;
const LSR_IDLE: u32 = 1 << 6;
const CNTL_ENABLE: u32 = 0b11;

/// Symbols that the FIFO holds (§2.2).
const FIFO: usize = 8;
const RATE: u32 = 115_200;

/// The interrupt of the three peripherals there (chapter 6, "AUX").
pub const INTID: u32 = 125;

/// Prints a line.
macro_rules! say {
    ($($text:tt)*) => {{
        use core::fmt::Write;
        _ = writeln!(crate::uart::Uart, "kernel8: {}", format_args!($($text)*));
    }};
}
pub(crate) use say;

/// Turns it on, at 115,200 baud of the core's clock (§2.2.1).
pub fn init(core_clock: u32) {
    AUX.write(AUX_ENABLES, AUX.read(AUX_ENABLES) | MINI_UART);
    UART.write(IER, 0);
    UART.write(CNTL, 0);
    UART.write(LCR, LCR_8_BITS);
    UART.write(MCR, 0);
    UART.write(IIR, IIR_CLEAR_BOTH);
    UART.write(BAUD, (core_clock / (8 * RATE)).saturating_sub(1));
    UART.write(CNTL, CNTL_ENABLE);
}

/// Who prints waits for room in the FIFO, but not for ever: then the byte is lost.
pub struct Uart;

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if byte == b'\n' {
                put(b'\r');
            }
            put(byte);
        }
        Ok(())
    }
}

fn put(byte: u8) {
    if within(100_000, || UART.read(LSR) & LSR_ROOM != 0) {
        UART.write(IO, u32::from(byte));
    }
}

/// What is printed leaves the machine.
pub fn flush() {
    within(100_000, || UART.read(LSR) & LSR_IDLE != 0);
}

/// What the interrupts send, and how far they have come. The first core writes the former
/// while the latter's interrupt is off.
const SENT: &str = "kernel8: this line goes out by interrupt, eight bytes at a time\r\n";
static POSITION: AtomicU32 = AtomicU32::new(0);
static SENDINGS: AtomicU32 = AtomicU32::new(0);

/// What the interrupts hear, up to Return.
static LINE: [AtomicU8; 64] = [const { AtomicU8::new(0) }; 64];
static HEARD: AtomicU32 = AtomicU32::new(0);
static COMPLETE: AtomicU32 = AtomicU32::new(0);

/// Has the line sent by interrupts, and says whether each brought the FIFO's fill.
pub fn send_by_interrupt() -> bool {
    flush();
    UART.write(IER, IER_TRANSMIT | IER_NEEDED);
    let all = within(1_000_000, || UART.read(IER) & IER_TRANSMIT == 0);
    UART.write(IER, 0);
    flush();
    all && SENDINGS.load(Ordering::Acquire) as usize >= SENT.len().div_ceil(FIFO)
}

/// A line that was heard by interrupts, if one was typed within so many microseconds.
pub fn hear_by_interrupt(micros: u64, buffer: &mut [u8; 64]) -> Option<&str> {
    UART.write(IER, IER_RECEIVE | IER_NEEDED);
    let typed = within(micros, || COMPLETE.load(Ordering::Acquire) != 0);
    UART.write(IER, 0);
    buffer.iter_mut().zip(&LINE).for_each(|(to, from)| *to = from.load(Ordering::Acquire));
    let heard = buffer.get(..HEARD.load(Ordering::Acquire) as usize)?;
    core::str::from_utf8(heard).ok().filter(|_| typed)
}

/// The first core's interrupt.
pub fn interrupt() {
    if AUX.read(AUX_IRQ) & MINI_UART == 0 {
        return;
    }
    match UART.read(IIR) & 0b111 {
        0b100 => receive(),
        0b010 => transmit(),
        _ => {}
    }
}

/// It says that the FIFO is empty.
fn transmit() {
    let sent = POSITION.load(Ordering::Relaxed) as usize;
    let rest = SENT.as_bytes().get(sent..).unwrap_or_default();
    for byte in rest.iter().take(FIFO) {
        UART.write(IO, u32::from(*byte));
    }
    POSITION.store((sent + FIFO) as u32, Ordering::Relaxed);
    SENDINGS.store(SENDINGS.load(Ordering::Relaxed) + 1, Ordering::Release);
    if rest.len() <= FIFO {
        UART.write(IER, 0);
    }
}

/// It says that the FIFO is not empty.
fn receive() {
    for _ in 0..FIFO {
        if UART.read(LSR) & LSR_READY == 0 {
            return;
        }
        hear(UART.read(IO) as u8);
    }
}

fn hear(byte: u8) {
    let count = HEARD.load(Ordering::Relaxed);
    if matches!(byte, b'\r' | b'\n') {
        COMPLETE.store(1, Ordering::Release);
    } else if let Some(place) = LINE.get(count as usize) {
        place.store(byte, Ordering::Relaxed);
        HEARD.store(count + 1, Ordering::Release);
    }
}
