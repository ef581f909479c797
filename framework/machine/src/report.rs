//! eVisor's own words: lines on the board's serial line, each behind `evisor:`.

use crate::board::Board;
use core::fmt::{self, Write};
use evisor_aarch64::fault::{Fault, set_report};
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

/// Held while a line is written, so that those of two cores do not mix.
static WHOLE: Mutex<()> = Mutex::new(());

/// Writes one line.
pub(crate) fn line(text: fmt::Arguments<'_>) {
    let _whole = WHOLE.lock();
    line_at_once(text);
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

fn fault(fault: &Fault) {
    let Fault { vector, esr, elr, far } = fault;
    line_at_once(format_args!(
        "fault at EL2 through vector {vector}: ESR {esr:#x}, ELR {elr:#x}, FAR {far:#x}; halted"
    ));
}

/// The record of a panic.
pub fn panicked(info: &core::panic::PanicInfo<'_>) {
    line_at_once(format_args!("{info}; halted"));
}
