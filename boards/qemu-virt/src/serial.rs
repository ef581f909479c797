//! The PL011 that eVisor's console is on.

#![allow(unsafe_code, reason = "makes drivers from the address of the registers")]

use alloc::boxed::Box;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use evisor_contract::HostSerial;
use evisor_fdt::Tree;
use evisor_machine::binding;
use evisor_serial::pl011::{self, PL011Registers, Pl011, Registers};

/// Where the registers are mapped; 0 before they are.
static AT: AtomicU64 = AtomicU64::new(0);

/// QEMU's UART clock, as its tree says.
const CLOCK: u32 = 24_000_000;

pub fn bring_up(tree: &Tree<'_>) -> Result<(Box<dyn HostSerial>, u32), &'static str> {
    let lacks = "the board's tree has no PL011";
    let node = tree.compatible("arm,pl011").next().ok_or(lacks)?;
    let physical = binding::registers(node).ok_or(lacks)?;
    let intid = node.gic_interrupt(0).ok_or(lacks)?;
    let at = evisor_aarch64::device(physical, 0x1000).map_err(|_| "the PL011 cannot be mapped")?;
    AT.store(at, Ordering::Relaxed);
    let uart = registers().and_then(|registers| Pl011::new(registers, CLOCK));
    Ok((Box::new(uart.ok_or("the PL011 takes no 115200 baud")?), intid))
}

/// The registers. There are two of them at a time: the consoles' driver's, and those
/// that [`put`] makes for eVisor's own lines, which only reads FR and writes DR.
fn registers() -> Option<Registers> {
    let registers = NonNull::new(AT.load(Ordering::Relaxed) as *mut PL011Registers)?;
    // SAFETY: 1. a PL011 is mapped there for good. 2. of two drivers, one touches
    // registers without state of its own.
    Some(unsafe { Registers::new(registers) })
}

/// Writes a byte, waiting for room.
pub fn put(byte: u8) {
    if let Some(registers) = registers() {
        pl011::put(registers, byte);
    }
}

/// Whether all that was written is on the line.
pub fn is_drained() -> bool {
    registers().is_none_or(pl011::is_idle)
}
