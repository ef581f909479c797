//! eVisor's own words: lines on the board's serial line, each behind `evisor:`.
//!
//! They go out at once, until the consoles keep them ([`Messages`]) to show them between
//! what guests say: then they wait here, and the consoles are interrupted. A panic and a
//! fault wait for nobody.

use crate::board::Board;
use core::fmt::{self, Write};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use evisor_aarch64::fault::{Fault, set_report};
use evisor_aarch64::{gic, heap};
use evisor_contract::{Bytes, Level, Messages};
use log::{LevelFilter, Log, Metadata, Record};
use spin::{Mutex, Once};

static BOARD: Once<&'static Board> = Once::new();

/// The serial line, byte by byte.
struct Line;

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if let Some(board) = BOARD.get() {
            for byte in text.bytes() {
                if byte == b'\n' {
                    (board.put)(b'\r');
                }
                (board.put)(byte);
            }
        }
        Ok(())
    }
}

/// The board, once it is known.
pub(crate) fn board() -> Option<&'static Board> {
    BOARD.get().copied()
}

/// How many bytes wait at most: the records of four crashes.
const ROOM: usize = 8192;

/// How many of them the consoles get at once: a core is kept for so long.
const PIECE: usize = 16;

/// Lines that wait for the consoles.
struct Waiting {
    bytes: [u8; ROOM],
    first: usize,
    count: usize,
    /// Lines for which there was no room.
    lost: usize,
}

/// Held while a line is written, so that those of two cores do not mix.
static WAITING: Mutex<Waiting> =
    Mutex::new(Waiting { bytes: [0; ROOM], first: 0, count: 0, lost: 0 });

/// The consoles show what waits.
static KEPT: AtomicBool = AtomicBool::new(false);

/// The INTID that the consoles come to look at; 0 before it is known.
static BELL: AtomicU32 = AtomicU32::new(0);

impl Write for Waiting {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            if self.count == ROOM {
                return Err(fmt::Error);
            }
            let at = (self.first + self.count) % ROOM;
            self.bytes.get_mut(at).map(|slot| *slot = byte).ok_or(fmt::Error)?;
            self.count += 1;
        }
        Ok(())
    }
}

impl Waiting {
    /// Keeps a whole line, or none of it.
    fn keep(&mut self, text: fmt::Arguments<'_>) {
        let count = self.count;
        let lost = core::mem::take(&mut self.lost);
        let told =
            if lost == 0 { Ok(()) } else { writeln!(self, "evisor: {lost} lines were lost") };
        if told.and_then(|()| writeln!(self, "evisor: {text}")).is_err() {
            self.count = count;
            self.lost = lost + 1;
        }
    }

    fn pop(&mut self) -> Option<u8> {
        self.count = self.count.checked_sub(1)?;
        let byte = self.bytes.get(self.first).copied();
        self.first = (self.first + 1) % ROOM;
        byte
    }

    /// Writes all that waits to the line.
    fn flush(&mut self) {
        while let Some(byte) = self.pop() {
            let _ = Line.write_char(char::from(byte));
        }
    }
}

/// The lines, for the consoles.
struct Lines;

impl Messages for Lines {
    fn keep(&self) {
        KEPT.store(true, Ordering::Relaxed);
    }

    fn next(&self) -> Bytes {
        let mut waiting = WAITING.lock();
        let mut bytes = Bytes::NONE;
        while let Some(byte) = waiting.pop() {
            bytes.push(byte);
            if byte == b'\n' || bytes.count() as usize == PIECE {
                break;
            }
        }
        bytes
    }

    fn level(&self) -> Level {
        match log::max_level() {
            LevelFilter::Off | LevelFilter::Error => Level::Error,
            LevelFilter::Warn => Level::Warning,
            _ => Level::Info,
        }
    }

    fn set_level(&self, level: Level) {
        log::set_max_level(match level {
            Level::Error => LevelFilter::Error,
            Level::Warning => LevelFilter::Warn,
            Level::Info => LevelFilter::Info,
        });
    }
}

/// eVisor's own lines, as the consoles get them.
pub(crate) fn messages() -> &'static dyn Messages {
    &Lines
}

/// Shared interrupt `intid` is the one that the consoles are interrupted by.
pub(crate) fn consoles_come_with(intid: u32) {
    BELL.store(intid, Ordering::Relaxed);
}

/// Writes one line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let mut waiting = WAITING.lock();
    if !KEPT.load(Ordering::Relaxed) {
        return line_at_once(text);
    }
    waiting.keep(text);
    match BELL.load(Ordering::Relaxed) {
        0 => {}
        intid => gic::pend(intid as usize),
    }
}

/// Lines go out at once again, and those that wait now: nobody shows them any more.
pub(crate) fn keep_no_more() {
    let mut waiting = WAITING.lock();
    KEPT.store(false, Ordering::Relaxed);
    waiting.flush();
}

/// Writes one line, whoever else does: for the record of a fault, which may have
/// happened in the middle of one.
fn line_at_once(text: fmt::Arguments<'_>) {
    // The serial line takes everything: nothing can fail.
    let _ = writeln!(Line, "evisor: {text}");
}

/// Nothing can be started; why was said where it was found.
#[derive(Debug)]
pub(crate) struct Refused;

/// Says why nothing can be started.
#[cold]
#[inline(never)]
pub(crate) fn refuse(why: fmt::Arguments<'_>) -> Refused {
    line(format_args!("error: {why}"));
    Refused
}

/// The same in another's words.
#[cold]
#[inline(never)]
pub(crate) fn refuse_for(why: &dyn fmt::Display) -> Refused {
    refuse(format_args!("{why}"))
}

struct Logger;

impl Log for Logger {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        line(*record.args());
    }

    fn flush(&self) {}
}

/// From now on messages, and the record of a fault, go to `board`'s line.
pub(crate) fn to(board: &'static Board) {
    BOARD.call_once(|| board);
    set_report(fault);
    // Set once: it cannot be taken.
    let _ = log::set_logger(&Logger);
    log::set_max_level(LevelFilter::Info);
}

/// Shows what waits before a last word, unless a line is being written.
fn last_lines() {
    if let Some(mut waiting) = WAITING.try_lock() {
        waiting.flush();
    }
}

fn fault(fault: &Fault) {
    last_lines();
    let Fault { vector, esr, elr, far } = fault;
    line_at_once(format_args!(
        "fault at EL2 through vector {vector}: ESR {esr:#x}, ELR {elr:#x}, FAR {far:#x}; halted"
    ));
}

/// The record of a panic.
pub fn panicked(info: &core::panic::PanicInfo<'_>) {
    last_lines();
    if let Some(bytes) = heap::was_too_small() {
        return line_at_once(format_args!(
            "the deployment needs more memory for eVisor itself than its {} KiB: leave out a VM; halted",
            bytes >> 10
        ));
    }
    line_at_once(format_args!("{info}; halted"));
}
