//! The mini UART of the BCM2835 and its successors (BCM2711 ARM Peripherals, chapter
//! 2.2): laid out like an 8250, with FIFOs of eight symbols, and clocked by the
//! VideoCore's core clock.

mod spec;

use crate::BAUD;
use evisor_contract::{HostSerial, Window};
use spec::{CNTL, ENABLES, FIFO, IER, IIR, LCR, LSR, OVERSAMPLING, aux, mu};

pub use spec::{AUX_WORDS, MU_WORDS};

/// The driver behind the consoles.
pub struct MiniUart(Window);

impl MiniUart {
    /// Takes it over; interrupted by what is received. `auxiliary` are the registers that
    /// it has in common with SPI1 and SPI2, `registers` its own.
    ///
    /// If the firmware has it on, its rate stays: the firmware knows the core clock. If
    /// not, it is turned on at [`BAUD`] made of a core clock of `clock` Hz.
    pub fn new(auxiliary: &mut Window, registers: Window, clock: u32) -> Self {
        let mut uart = Self(registers);
        let enables = read(auxiliary, aux::ENABLES);
        let was_on = ENABLES::MINI_UART.is_set(enables);
        if !was_on {
            let enables = ENABLES::MINI_UART::SET.modify(enables);
            write(auxiliary, aux::ENABLES, enables);
            uart.set(mu::CNTL, 0);
            uart.set(mu::BAUD, divisor(clock));
            uart.set(mu::IIR, (IIR::RECEIVE_FIFO::SET + IIR::TRANSMIT_FIFO::SET).value);
        }
        uart.set(mu::LCR, LCR::DATA_SIZE::Bits8.value);
        uart.set(mu::MCR, 0);
        uart.interrupt_when_writable(false);
        uart.set(mu::CNTL, (CNTL::RECEIVER::SET + CNTL::TRANSMITTER::SET).value);
        uart
    }

    fn set(&mut self, register: usize, value: u32) {
        write(&mut self.0, register, value);
    }

    /// Writes while there is room, looking before each byte.
    #[cold]
    fn write_with_care(&mut self, bytes: &[u8]) -> usize {
        let room = bytes.iter().take_while(|byte| {
            let room = LSR::TRANSMITTER_HAS_ROOM.is_set(read(&self.0, mu::LSR));
            if room {
                write(&mut self.0, mu::IO, u32::from(**byte));
            }
            room
        });
        room.count()
    }
}

/// What BAUD has to be, to the nearest.
fn divisor(clock: u32) -> u32 {
    let unit = OVERSAMPLING * BAUD;
    (clock.saturating_add(unit / 2) / unit).saturating_sub(1)
}

fn read(window: &Window, register: usize) -> u32 {
    (**window).get(register).map_or(0, |register| register.read())
}

fn write(window: &mut Window, register: usize, value: u32) {
    if let Some(mut register) = window.get(register) {
        register.write(value);
    }
}

/// Writes a byte, waiting for room.
pub fn put(mut registers: Window, byte: u8) {
    while !LSR::TRANSMITTER_HAS_ROOM.is_set(read(&registers, mu::LSR)) {
        core::hint::spin_loop();
    }
    write(&mut registers, mu::IO, u32::from(byte));
}

/// Whether all that was written is on the line.
pub fn is_idle(registers: &Window) -> bool {
    LSR::TRANSMITTER_IDLE.is_set(read(registers, mu::LSR))
}

impl HostSerial for MiniUart {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        // An idle transmitter takes that many without being asked again.
        for part in bytes.chunks(FIFO) {
            if !is_idle(&self.0) {
                return sent + self.write_with_care(part);
            }
            part.iter().for_each(|byte| self.set(mu::IO, u32::from(*byte)));
            sent += part.len();
        }
        sent
    }

    fn try_read(&mut self) -> Option<u8> {
        let ready = LSR::DATA_READY.is_set(read(&self.0, mu::LSR));
        ready.then(|| read(&self.0, mu::IO) as u8)
    }

    fn interrupt_when_writable(&mut self, on: bool) {
        let receive = IER::RECEIVE::SET + IER::LINE_STATUS::SET;
        self.set(mu::IER, if on { receive + IER::TRANSMIT::SET } else { receive }.value);
    }

    /// Nothing: both interrupts are levels, of data that waits and of room that is
    /// wanted. A line error goes when LSR is read, before each byte.
    fn acknowledge(&mut self) {}
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test fails by panicking")]
mod tests {
    use super::*;
    use safe_mmio::UniqueMmioPointer;
    use safe_mmio::fields::ReadPureWrite;

    /// Registers that keep what is written.
    fn registers(words: usize) -> Window {
        let memory: Vec<ReadPureWrite<u32>> = (0..words).map(|_| ReadPureWrite(0)).collect();
        UniqueMmioPointer::from(memory.leak())
    }

    /// A driver, its UART being on already or not, and what AUX_ENABLES is then.
    fn taken_over(enables: u32, baud: u32) -> (MiniUart, u32) {
        let (mut auxiliary, mut own) = (registers(AUX_WORDS), registers(MU_WORDS));
        write(&mut auxiliary, aux::ENABLES, enables);
        write(&mut own, mu::BAUD, baud);
        let uart = MiniUart::new(&mut auxiliary, own, 500_000_000);
        (uart, read(&auxiliary, aux::ENABLES))
    }

    /// BCM2711 ARM Peripherals §2.2.2: AUX_ENABLES, AUX_MU_BAUD_REG and the rest.
    #[test]
    fn a_rate_that_the_firmware_set_stays() {
        let (uart, enables) = taken_over(0b101, 270);
        assert_eq!((read(&uart.0, mu::BAUD), enables), (270, 0b101));
        assert_eq!(read(&uart.0, mu::LCR), 0b11);
        assert_eq!(read(&uart.0, mu::CNTL), 0b11);
        assert_eq!(read(&uart.0, mu::IER), 0b101);
    }

    /// §2.2.1: the rate is the clock / (8 * (BAUD + 1)).
    #[test]
    fn one_that_is_off_is_turned_on_at_the_usual_rate() {
        let (uart, enables) = taken_over(0b100, 0);
        assert_eq!(enables, 0b101);
        let rate = 500_000_000 / (8 * (read(&uart.0, mu::BAUD) + 1));
        assert!(rate.abs_diff(BAUD) < BAUD / 500, "{rate}");
        assert_eq!(read(&uart.0, mu::IIR), 0b110);
        assert_eq!([0, 1, 921_600, 1_843_200].map(divisor), [0, 0, 0, 1]);
    }

    #[test]
    fn it_sends_no_more_than_there_is_room_for() {
        let (mut uart, _) = taken_over(1, 270);
        assert_eq!(uart.write(b"x"), 0);
        uart.set(mu::LSR, 1 << 5);
        assert_eq!(uart.write(b"12345678"), 8);
        // Not idle: after eight it looks again, before each.
        assert_eq!(uart.write(b"123456789"), 8);
        uart.set(mu::LSR, 1 << 5 | 1 << 6);
        assert_eq!(uart.write(b"123456789"), 9);
        assert_eq!(read(&uart.0, mu::IO), u32::from(b'9'));
    }

    #[test]
    fn it_reads_only_what_is_there() {
        let (mut uart, _) = taken_over(1, 270);
        uart.set(mu::IO, 0xff41);
        assert_eq!(uart.try_read(), None);
        uart.set(mu::LSR, 1);
        assert_eq!(uart.try_read(), Some(0x41));
    }

    #[test]
    fn room_is_told_only_while_it_is_wanted() {
        let (mut uart, _) = taken_over(1, 270);
        let mut enabled = |on| {
            uart.interrupt_when_writable(on);
            read(&uart.0, mu::IER)
        };
        assert_eq!([true, false].map(&mut enabled), [0b111, 0b101]);
    }
}
