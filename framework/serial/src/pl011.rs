//! The PL011 (DDI 0183G).

use crate::BAUD;
use arm_pl011_uart::{
    DataBits, FifoLevel, Interrupts, LineConfig, Parity, StopBits, Uart, UniqueMmioPointer,
};
use evisor_contract::HostSerial;

pub use arm_pl011_uart::PL011Registers;

/// Its registers.
pub type Registers = UniqueMmioPointer<'static, PL011Registers>;

/// How deep the transmit FIFO is at least (DDI 0183G 1.1.1: 16 before r1p5).
const FIFO: usize = 16;

/// How often to look whether it has sent all: more than a full FIFO takes.
const PATIENCE: u32 = 1_000_000;

/// The driver behind the consoles.
pub struct Pl011(Uart<'static>);

impl Pl011 {
    /// Takes it over: 8 bits, no parity, one stop bit, at [`BAUD`] made of a UARTCLK
    /// of `clock` Hz; interrupted by what is received. `None` if the clock does not
    /// give that rate.
    pub fn new(registers: Registers, clock: u32) -> Option<Self> {
        let mut turns = PATIENCE;
        let mut uart = Uart::new(registers);
        // What the firmware sent last would be cut off.
        while uart.is_busy() && turns > 0 {
            turns -= 1;
        }
        let config = LineConfig {
            data_bits: DataBits::Bits8,
            parity: Parity::None,
            stop_bits: StopBits::One,
        };
        uart.enable(config, BAUD, clock).ok()?;
        // A half of what the consoles send at once is above the level, whatever the depth.
        uart.set_interrupt_fifo_levels(FifoLevel::Bytes4, FifoLevel::Bytes4);
        uart.set_interrupt_masks(Interrupts::RXI | Interrupts::RTI);
        Some(Self(uart))
    }

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

/// Writes a byte, waiting for room.
pub fn put(registers: Registers, byte: u8) {
    let mut uart = Uart::new(registers);
    while uart.is_tx_fifo_full() {
        core::hint::spin_loop();
    }
    uart.write_word(byte);
}

/// Whether all that was written is on the line.
pub fn is_idle(registers: Registers) -> bool {
    !Uart::new(registers).is_busy()
}

impl HostSerial for Pl011 {
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
