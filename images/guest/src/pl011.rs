//! PL011 UART (ARM DDI 0183, issue G, chapter 3). After reset its FIFOs are off;
//! [`enable_reception`] turns them on.
#![allow(unsafe_code, reason = "one reference to the device's registers")]
#![allow(missing_docs, reason = "the register macros make items that no comment reaches")]

use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

use crate::map;
use crate::timer::let_others;

register_bitfields! {u32,
    /// UARTFR (DDI 0183G §3.3.3).
    pub FR [
        /// Transmit FIFO empty.
        TXFE OFFSET(7) NUMBITS(1) [],
        /// Receive FIFO full.
        RXFF OFFSET(6) NUMBITS(1) [],
        /// Transmit FIFO full.
        TXFF OFFSET(5) NUMBITS(1) [],
        /// Receive FIFO empty.
        RXFE OFFSET(4) NUMBITS(1) [],
        /// Busy transmitting.
        BUSY OFFSET(3) NUMBITS(1) []
    ],
    /// UARTCR (DDI 0183G §3.3.8).
    pub CR [
        /// Receive enable.
        RXE OFFSET(9) NUMBITS(1) [],
        /// Transmit enable.
        TXE OFFSET(8) NUMBITS(1) [],
        /// Loopback enable.
        LBE OFFSET(7) NUMBITS(1) [],
        /// UART enable.
        UARTEN OFFSET(0) NUMBITS(1) []
    ],
    /// The interrupts, in the order that IMSC, RIS, MIS and ICR share
    /// (DDI 0183G §3.3.10 to §3.3.13).
    pub INTERRUPTS [
        /// Receive timeout.
        RT OFFSET(6) NUMBITS(1) [],
        /// Transmit.
        TX OFFSET(5) NUMBITS(1) [],
        /// Receive.
        RX OFFSET(4) NUMBITS(1) [],
        /// Every interrupt.
        ALL OFFSET(0) NUMBITS(11) []
    ]
}

register_structs! {
    /// The registers (DDI 0183G table 3-1).
    #[allow(missing_docs, reason = "they are named as in the manual")]
    pub Registers {
        (0x000 => pub dr: ReadWrite<u32>),
        (0x004 => pub rsr: ReadWrite<u32>),
        (0x008 => _reserved0),
        (0x018 => pub fr: ReadOnly<u32, FR::Register>),
        (0x01c => _reserved1),
        (0x024 => pub ibrd: ReadWrite<u32>),
        (0x028 => pub fbrd: ReadWrite<u32>),
        (0x02c => pub lcr_h: ReadWrite<u32>),
        (0x030 => pub cr: ReadWrite<u32, CR::Register>),
        (0x034 => pub ifls: ReadWrite<u32>),
        (0x038 => pub imsc: ReadWrite<u32, INTERRUPTS::Register>),
        (0x03c => pub ris: ReadOnly<u32, INTERRUPTS::Register>),
        (0x040 => pub mis: ReadOnly<u32, INTERRUPTS::Register>),
        (0x044 => pub icr: WriteOnly<u32, INTERRUPTS::Register>),
        (0x048 => pub dmacr: ReadWrite<u32>),
        (0x04c => _reserved2),
        (0xfe0 => pub periph_id: [ReadOnly<u32>; 4]),
        (0xff0 => pub cell_id: [ReadOnly<u32>; 4]),
        (0x1000 => @END),
    }
}

/// The UART's registers.
#[must_use]
pub fn registers() -> &'static Registers {
    // SAFETY: the guest's map has a PL011 at this address, for good, and its
    // registers may be read and written by anyone at any time.
    unsafe { &*(map::UART as *const Registers) }
}

/// Sends one byte when there is room for it.
pub fn transmit(byte: u8) {
    let uart = registers();
    while uart.fr.is_set(FR::TXFF) {
        let_others();
    }
    uart.dr.set(u32::from(byte));
}

/// Takes one received byte, if there is one.
#[must_use]
pub fn receive() -> Option<u8> {
    let uart = registers();
    if uart.fr.is_set(FR::RXFE) {
        return None;
    }
    // Bits 8 to 11 say what was wrong with the character.
    Some(uart.dr.get().to_le_bytes()[0])
}

/// UARTLCR_H (§3.3.7): FIFOs on, 8 bits, no parity.
const FIFOS_8N1: u32 = 1 << 4 | 0b11 << 5;

/// Turns the UART and its FIFOs on, with an interrupt for what is received.
pub fn enable_reception() {
    let uart = registers();
    uart.cr.set(0);
    uart.lcr_h.set(FIFOS_8N1);
    // Before it is on: cleared after, a byte that came meanwhile would not be told.
    uart.icr.write(INTERRUPTS::ALL.val(0x7ff));
    uart.cr.write(CR::UARTEN::SET + CR::TXE::SET + CR::RXE::SET);
    uart.imsc.write(INTERRUPTS::RX::SET + INTERRUPTS::RT::SET);
}
