//! The registers: BCM2711 ARM Peripherals (2022-01-18), chapter 2. All are words; the
//! numbers are their indices in the two windows.

use tock_registers::register_bitfields;

/// In the window onto the auxiliary peripherals' own registers.
pub mod aux {
    /// AUX_ENABLES: which of the mini UART, SPI1 and SPI2 are on. The registers of one
    /// that is off are not accessible.
    pub const ENABLES: usize = 1;
}

/// In the window onto the mini UART's.
pub mod mu {
    /// AUX_MU_IO_REG: the FIFOs, while LCR's bit 7 is clear.
    pub const IO: usize = 0;
    /// AUX_MU_IER_REG.
    pub const IER: usize = 1;
    /// AUX_MU_IIR_REG; written, it clears FIFOs.
    pub const IIR: usize = 2;
    /// AUX_MU_LCR_REG.
    pub const LCR: usize = 3;
    /// AUX_MU_MCR_REG: RTS.
    pub const MCR: usize = 4;
    /// AUX_MU_LSR_REG.
    pub const LSR: usize = 5;
    /// AUX_MU_CNTL_REG.
    pub const CNTL: usize = 8;
    /// AUX_MU_BAUD_REG.
    pub const BAUD: usize = 10;
}

/// How many words the window onto the auxiliary peripherals' registers has.
pub const AUX_WORDS: usize = 2;
/// How many that onto the mini UART's.
pub const MU_WORDS: usize = 11;

/// Symbols that each FIFO holds (§2.2).
pub const FIFO: usize = 8;

/// The rate is the clock divided by eight and by BAUD + 1 (§2.2.1).
pub const OVERSAMPLING: u32 = 8;

register_bitfields! { u32,
    pub ENABLES [ MINI_UART 0 ],
    /// The data sheet has had bits 0 and 1 the wrong way round, and says nothing good of
    /// bits 3:2; Linux drives it as the 8250 that it is laid out like.
    pub IER [ RECEIVE 0, TRANSMIT 1, LINE_STATUS 2 ],
    /// Each is cleared by writing one.
    pub IIR [ RECEIVE_FIFO 1, TRANSMIT_FIFO 2 ],
    /// Both bits make eight, as an 8250's do; the data sheet has one.
    pub LCR [ DATA_SIZE OFFSET(0) NUMBITS(2) [ Bits7 = 0b10, Bits8 = 0b11 ] ],
    pub LSR [ DATA_READY 0, TRANSMITTER_HAS_ROOM 5, TRANSMITTER_IDLE 6 ],
    /// The flow control, in the bits behind, is off.
    pub CNTL [ RECEIVER 0, TRANSMITTER 1 ]
}
