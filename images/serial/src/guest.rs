//! The guest, where there is no operating system below.

use core::sync::atomic::{AtomicUsize, Ordering};

use aarch64_cpu::asm::wfi;
use aarch64_cpu::registers::CurrentEL;
use evisor_guest::{call, exception, gic, map, pl011, println};
use tock_registers::interfaces::Readable;

evisor_guest::entry!(main, mmu = false);

const END_OF_TRANSMISSION: u8 = 0x04;

/// The lines that end the guest.
const GOODBYES: [&[u8]; 2] = [b"exit", b"quit"];

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
            if end_of_line() {
                goodbye();
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

// How much of each goodbye the line so far matches, and how long the line is:
// enough to know at its end whether it is one of them.
static MATCHED: [AtomicUsize; 2] = [AtomicUsize::new(0), AtomicUsize::new(0)];
static LENGTH: AtomicUsize = AtomicUsize::new(0);

fn remember(byte: u8) {
    let position = LENGTH.fetch_add(1, Ordering::Relaxed);
    for (goodbye, matched) in GOODBYES.iter().zip(&MATCHED) {
        if matched.load(Ordering::Relaxed) == position && goodbye.get(position) == Some(&byte) {
            matched.store(position + 1, Ordering::Relaxed);
        }
    }
}

fn end_of_line() -> bool {
    let length = LENGTH.swap(0, Ordering::Relaxed);
    let mut goodbyes = GOODBYES.iter().zip(&MATCHED);
    let found = goodbyes.any(|(goodbye, matched)| {
        goodbye.len() == length && matched.load(Ordering::Relaxed) == length
    });
    for matched in &MATCHED {
        matched.store(0, Ordering::Relaxed);
    }
    found
}
