//! What the data sheet says: BCM2711 ARM Peripherals (2022-01-18), chapter 2. Section
//! numbers are its. It has the interrupts' enables the wrong way round and one bit less
//! in LCR than there are; Linux's 8250 driver drives the real ones.

use tock_registers::register_bitfields;

/// Symbols that each FIFO holds (§2.2).
pub const FIFO: usize = 8;

/// Offsets of the mini UART's registers from AUX_MU_IO_REG (§2.1.1, Table 2).
pub mod offset {
    /// AUX_MU_IO_REG: data.
    pub const IO: u64 = 0x00;
    /// AUX_MU_IER_REG: interrupt enable.
    pub const IER: u64 = 0x04;
    /// AUX_MU_IIR_REG: interrupt identify; written, it clears FIFOs.
    pub const IIR: u64 = 0x08;
    /// AUX_MU_LCR_REG: line control.
    pub const LCR: u64 = 0x0c;
    /// AUX_MU_MCR_REG: modem control.
    pub const MCR: u64 = 0x10;
    /// AUX_MU_LSR_REG: line status.
    pub const LSR: u64 = 0x14;
    /// AUX_MU_MSR_REG: modem status.
    pub const MSR: u64 = 0x18;
    /// AUX_MU_SCRATCH.
    pub const SCRATCH: u64 = 0x1c;
    /// AUX_MU_CNTL_REG: extra control.
    pub const CNTL: u64 = 0x20;
    /// AUX_MU_STAT_REG: extra status.
    pub const STAT: u64 = 0x24;
    /// AUX_MU_BAUD_REG.
    pub const BAUD: u64 = 0x28;
}

/// Offsets of the registers that the auxiliary peripherals share (§2.1.1).
pub mod aux {
    /// AUX_IRQ: whose interrupt is pending.
    pub const IRQ: u64 = 0x0;
    /// AUX_ENABLES: which are on.
    pub const ENABLES: u64 = 0x4;
}

/// The bits of each register that hold what is written (§2.2.2).
pub mod writable {
    /// The two interrupts, and the two bits behind them of an 8250's.
    pub const IER: u32 = 0xf;
    /// DLAB, break, and two of data size.
    pub const LCR: u32 = 0xc3;
    /// RTS.
    pub const MCR: u32 = 0x2;
    /// All.
    pub const SCRATCH: u32 = 0xff;
    /// All.
    pub const CNTL: u32 = 0xff;
    /// The divisor.
    pub const BAUD: u32 = 0xffff;
    /// The mini UART, SPI1 and SPI2.
    pub const ENABLES: u32 = 0x7;
}

/// AUX_MU_CNTL_REG after reset: receiver and transmitter are on (§2.2.2).
pub const CNTL_RESET: u32 = 0x3;

/// AUX_MU_IIR_REG's bits 7:6: the FIFOs are always on (§2.2.2).
pub const FIFOS_ON: u32 = 0xc0;

register_bitfields![u32,
    /// §2.2.2. The data sheet has the two the other way round.
    pub IER [
        RECEIVE 0,
        TRANSMIT 1
    ],
    /// §2.2.2.
    pub IIR [
        /// Read: which interrupt is pending.
        ID OFFSET(1) NUMBITS(2) [ Transmit = 0b01, Receive = 0b10 ],
        /// Read: none is.
        NONE OFFSET(0) NUMBITS(1) [],
        /// Written: clears the transmit FIFO.
        CLEAR_TRANSMIT OFFSET(2) NUMBITS(1) [],
        /// Written: clears the receive FIFO.
        CLEAR_RECEIVE OFFSET(1) NUMBITS(1) []
    ],
    /// §2.2.2.
    pub LCR [
        /// The first two registers are the divisor's bytes.
        DLAB 7
    ],
    /// §2.2.2.
    pub MCR [
        /// The RTS line is low.
        RTS 1
    ],
    /// §2.2.2.
    pub LSR [
        /// The transmit FIFO is empty and the transmitter idle.
        IDLE 6,
        /// The transmit FIFO accepts a byte.
        ROOM 5,
        /// A byte was lost; cleared by reading.
        OVERRUN 1,
        /// The receive FIFO has a byte.
        READY 0
    ],
    /// §2.2.2.
    pub MSR [
        /// The CTS line is low.
        CTS 5
    ],
    /// §2.2.2.
    pub CNTL [
        TRANSMITTER 1,
        RECEIVER 0
    ],
    /// §2.2.2.
    pub STAT [
        /// Bytes in the transmit FIFO.
        TRANSMIT_LEVEL OFFSET(24) NUMBITS(4),
        /// Bytes in the receive FIFO.
        RECEIVE_LEVEL OFFSET(16) NUMBITS(4),
        /// The FIFO is empty and the transmitter idle.
        TRANSMITTER_DONE OFFSET(9) NUMBITS(1),
        TRANSMIT_EMPTY OFFSET(8) NUMBITS(1),
        /// The CTS line: low.
        CTS OFFSET(7) NUMBITS(1),
        /// The RTS line.
        RTS OFFSET(6) NUMBITS(1),
        TRANSMIT_FULL OFFSET(5) NUMBITS(1),
        OVERRUN OFFSET(4) NUMBITS(1),
        TRANSMITTER_IDLE OFFSET(3) NUMBITS(1),
        RECEIVER_IDLE OFFSET(2) NUMBITS(1),
        TRANSMIT_ROOM OFFSET(1) NUMBITS(1),
        RECEIVED OFFSET(0) NUMBITS(1)
    ],
    /// AUX_ENABLES and AUX_IRQ (§2.1.1).
    pub AUX [
        MINI_UART 0
    ]
];
