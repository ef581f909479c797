//! The line that eVisor's console is on: the PL011 or the mini UART, as the tree says.

#![allow(unsafe_code, reason = "makes drivers from the address of the registers")]

use crate::mailbox::{self, clock_rate};
use alloc::boxed::Box;
use core::ptr::NonNull;
use evisor_aarch64::{device, timer, window};
use evisor_contract::{HostSerial, Window};
use evisor_fdt::{Node, Tree};
use evisor_machine::binding;
use evisor_serial::mini_uart::{self, AUX_WORDS, MU_WORDS, MiniUart};
use evisor_serial::pl011::{self, PL011Registers, Pl011};
use spin::Once;

/// UARTCLK, which the tree leaves to the VideoCore, if that does not answer:
/// `init_uart_clock` of config.txt, where it says nothing else.
const PL011_CLOCK: u32 = 48_000_000;
/// The core clock, for a mini UART that the firmware left off, if the VideoCore does not
/// answer: `core_freq` of config.txt, where it says nothing else.
const CORE_CLOCK: u32 = 500_000_000;

/// Which it is, and where its registers are mapped.
#[derive(Clone, Copy)]
enum Line {
    Pl011(u64),
    MiniUart(u64),
}

/// Set once the line can be written to.
static LINE: Once<Line> = Once::new();

pub fn bring_up(tree: &Tree<'_>) -> Result<(Box<dyn HostSerial>, u32), &'static str> {
    let lacks = "the tree's stdout-path leads to no PL011 and to no mini UART";
    let node = console(tree).ok_or(lacks)?;
    let intid = node.gic_interrupt(0).ok_or(lacks)?;
    let up = if is_pl011(node) { bring_up_pl011(node) } else { bring_up_mini_uart(node) };
    let (line, serial) = up.ok_or("the UART that stdout-path names cannot be set up")?;
    LINE.call_once(|| line);
    Ok((serial, intid))
}

/// The UART that `stdout-path` names, or else the first that has an alias.
fn console<'t>(tree: &'t Tree<'_>) -> Option<Node<'t>> {
    let stdout = tree.find("/chosen").and_then(|chosen| chosen.string("stdout-path"));
    let paths = stdout.into_iter().chain(["serial0", "serial1"]);
    let is_it = |node: &Node<'_>| is_pl011(*node) || node.is_compatible("brcm,bcm2835-aux-uart");
    paths.filter_map(|path| tree.find(path)).find(|node| node.is_enabled() && is_it(node))
}

fn is_pl011(node: Node<'_>) -> bool {
    node.is_compatible("arm,pl011")
}

type Up = (Line, Box<dyn HostSerial>);

fn bring_up_pl011(node: Node<'_>) -> Option<Up> {
    let at = map(node)?;
    let serial = Pl011::new(pl011_at(at)?, clock_rate(mailbox::UART).unwrap_or(PL011_CLOCK))?;
    Some((Line::Pl011(at), Box::new(serial)))
}

/// Its clock is its bit of the auxiliary peripherals, whose registers turn it on.
fn bring_up_mini_uart(node: Node<'_>) -> Option<Up> {
    let mut auxiliary = words_at(map(node.reference("clocks")?)?, AUX_WORDS)?;
    let at = map(node)?;
    let serial = MiniUart::new(&mut auxiliary, words_at(at, MU_WORDS)?, core_clock());
    Some((Line::MiniUart(at), Box::new(serial)))
}

fn core_clock() -> u32 {
    clock_rate(mailbox::CORE).unwrap_or(CORE_CLOCK)
}

/// Maps a node's first registers.
fn map(node: Node<'_>) -> Option<u64> {
    device(binding::registers(node)?, 0x40).ok()
}

/// Registers of a UART. There are two of each at a time: the consoles' driver's, and
/// those that [`put`] makes for eVisor's own lines, which looks for room and writes.
fn pl011_at(at: u64) -> Option<pl011::Registers> {
    let registers = NonNull::new(at as *mut PL011Registers)?;
    // SAFETY: 1. a PL011 is mapped there for good. 2. of two drivers, one touches
    // registers without state of its own.
    Some(unsafe { pl011::Registers::new(registers) })
}

fn words_at(at: u64, words: usize) -> Option<Window> {
    // SAFETY: 1. and 2. as for `pl011_at`.
    unsafe { window(at, words) }
}

/// Writes a byte, waiting for room.
pub fn put(byte: u8) {
    match LINE.get() {
        Some(Line::Pl011(at)) => _ = pl011_at(*at).map(|uart| pl011::put(uart, byte)),
        Some(Line::MiniUart(at)) => {
            _ = words_at(*at, MU_WORDS).map(|uart| mini_uart::put(uart, byte));
        }
        None => {}
    }
}

/// Waits until the last byte is on the line: what the FIFO holds takes 3 ms.
pub fn drain() {
    let limit = timer::now() + timer::frequency() / 100;
    while !is_drained() && timer::now() < limit {
        core::hint::spin_loop();
    }
}

/// Whether all that was written is on the line.
pub fn is_drained() -> bool {
    let idle = match LINE.get() {
        Some(Line::Pl011(at)) => pl011_at(*at).map(pl011::is_idle),
        Some(Line::MiniUart(at)) => words_at(*at, MU_WORDS).as_ref().map(mini_uart::is_idle),
        None => None,
    };
    idle.unwrap_or(true)
}
