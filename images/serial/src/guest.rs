//! The guest, where there is no operating system below.

use core::sync::atomic::{AtomicUsize, Ordering};

use aarch64_cpu::asm::wfi;
use aarch64_cpu::registers::CurrentEL;
use evisor_guest::{call, exception, gic, map, pl011, println};
use tock_registers::interfaces::Readable;

evisor_guest::entry!(main, mmu = false);

const END_OF_TRANSMISSION: u8 = 0x04;

/// A line, and what it does.
type Command = (&'static [u8], fn() -> !);

/// The lines that end the guest, the last one by a crash.
const COMMANDS: [Command; 3] = [(b"exit", goodbye), (b"quit", goodbye), (b"crash", call::crash)];

fn main() -> u8 {
    // First: what is typed during the greeting waits in the FIFO.
    pl011::enable_reception();
    println!("serial: hello from a guest");
    println!("serial: running at EL{}", CurrentEL.read(CurrentEL::EL));
    println!("serial: type, and it comes back; exit or Ctrl-D ends it");

    exception::on_interrupt(serve);
    gic::enable();
    gic::enable_interrupt(map::UART_INTID);
    exception::unmask_interrupts();
    loop {
        wfi();
    }
}

/// The interrupt hook. A spurious interrupt must not be ended (IHI 0048B.b
/// §4.4.5).
fn serve() {
    let acknowledged = gic::acknowledge();
    if gic::intid(acknowledged) == map::UART_INTID {
        while let Some(byte) = pl011::receive() {
            echo(byte);
        }
    }
    if gic::intid(acknowledged) != gic::SPURIOUS {
        gic::end(acknowledged);
    }
}

fn echo(byte: u8) {
    match byte {
        END_OF_TRANSMISSION => goodbye(),
        b'\r' | b'\n' => {
            println!();
            if let Some(end) = end_of_line() {
                end();
            }
        }
        _ => {
            pl011::transmit(byte);
            remember(byte);
        }
    }
}

fn goodbye() -> ! {
    println!("serial: goodbye");
    call::verdict(0)
}

// How much of each command the line so far matches, and how long the line is:
// enough to know at its end whether it is one of them.
static MATCHED: [AtomicUsize; 3] = [const { AtomicUsize::new(0) }; 3];
static LENGTH: AtomicUsize = AtomicUsize::new(0);

fn remember(byte: u8) {
    let position = LENGTH.fetch_add(1, Ordering::Relaxed);
    for ((command, _), matched) in COMMANDS.iter().zip(&MATCHED) {
        if matched.load(Ordering::Relaxed) == position && command.get(position) == Some(&byte) {
            matched.store(position + 1, Ordering::Relaxed);
        }
    }
}

fn end_of_line() -> Option<fn() -> !> {
    let length = LENGTH.swap(0, Ordering::Relaxed);
    let mut commands = COMMANDS.iter().zip(&MATCHED);
    let found = commands.find(|((command, _), matched)| {
        command.len() == length && matched.load(Ordering::Relaxed) == length
    });
    let end = found.map(|((_, end), _)| *end);
    for matched in &MATCHED {
        matched.store(0, Ordering::Relaxed);
    }
    end
}
