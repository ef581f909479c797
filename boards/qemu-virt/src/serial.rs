//! The PL011 that eVisor's console is on.

#![allow(unsafe_code, reason = "makes drivers from the address of the registers")]

use alloc::boxed::Box;
use arm_pl011_uart::{
    DataBits, FifoLevel, Interrupts, LineConfig, PL011Registers, Parity, StopBits, Uart,
    UniqueMmioPointer,
};
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use evisor_contract::HostSerial;
use evisor_fdt::Tree;

/// Where the registers are mapped; 0 before they are.
static AT: AtomicU64 = AtomicU64::new(0);

/// QEMU's UART clock, as its tree says, and the rate that nobody measures.
const CLOCK: u32 = 24_000_000;
const BAUD: u32 = 115_200;

/// How deep the transmit FIFO is at least (DDI 0183G 1.1.1: 16 before r1p5).
const FIFO: usize = 16;

/// The driver behind the consoles.
struct Serial(Uart<'static>);

pub fn bring_up(tree: &Tree<'_>) -> Result<(Box<dyn HostSerial>, u32), &'static str> {
    let lacks = "the board's tree has no PL011";
    let node = tree.compatible("arm,pl011").next().ok_or(lacks)?;
    let physical = crate::registers(node).ok_or(lacks)?;
    let intid = crate::interrupt(node).ok_or(lacks)?;
    let at = evisor_aarch64::device(physical, 0x1000).map_err(|_| "the PL011 cannot be mapped")?;
    AT.store(at, Ordering::Relaxed);
    let mut uart = driver().ok_or(lacks)?;
    let config =
        LineConfig { data_bits: DataBits::Bits8, parity: Parity::None, stop_bits: StopBits::One };
    uart.enable(config, BAUD, CLOCK).map_err(|_| "the PL011 takes no 115200 baud")?;
    uart.set_interrupt_fifo_levels(FifoLevel::Bytes4, FifoLevel::Bytes16);
    uart.set_interrupt_masks(Interrupts::RXI | Interrupts::RTI);
    Ok((Box::new(Serial(uart)), intid))
}

/// A driver of the UART. There are two at a time: the consoles', and the one that
/// [`put`] makes for eVisor's own lines, which only reads FR and writes DR.
fn driver() -> Option<Uart<'static>> {
    let registers = NonNull::new(AT.load(Ordering::Relaxed) as *mut PL011Registers)?;
    // SAFETY: 1. a PL011 is mapped there for good. 2. of two drivers, one touches
    // registers without state of its own.
    Some(Uart::new(unsafe { UniqueMmioPointer::new(registers) }))
}

/// Writes a byte, waiting for room.
pub fn put(byte: u8) {
    if let Some(mut uart) = driver() {
        while uart.is_tx_fifo_full() {
            core::hint::spin_loop();
        }
        uart.write_word(byte);
    }
}

impl Serial {
    /// Writes while there is room, looking before each byte.
    #[cold]
    fn write_with_care(&mut self, bytes: &[u8]) -> usize {
        let room = bytes.iter().take_while(|byte| {
            let room = !self.0.is_tx_fifo_full();
            if room {
                self.0.write_word(**byte);
            }
            room
        });
        room.count()
    }
}

impl HostSerial for Serial {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        // An empty FIFO takes that many without being asked again.
        for part in bytes.chunks(FIFO) {
            if !self.0.is_tx_fifo_empty() {
                return sent + self.write_with_care(part);
            }
            part.iter().for_each(|byte| self.0.write_word(*byte));
            sent += part.len();
        }
        sent
    }

    fn try_read(&mut self) -> Option<u8> {
        // A byte with a line error is dropped; there is nobody to tell.
        loop {
            match self.0.read_word() {
                Ok(word) => return word,
                Err(_) => continue,
            }
        }
    }

    fn interrupt_when_writable(&mut self, on: bool) {
        let receive = Interrupts::RXI | Interrupts::RTI;
        self.0.set_interrupt_masks(if on { receive | Interrupts::TXI } else { receive });
    }

    /// The reception interrupts are left to go by themselves, when what was
    /// received is read (DDI 0183G 2.8.2): cleared by hand with bytes still in the
    /// FIFO, they would not come again for those.
    fn acknowledge(&mut self) {
        self.0.clear_interrupts(Interrupts::TXI);
    }
}
