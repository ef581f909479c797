//! What the data sheet says: PrimeCell UART (PL011) Technical Reference Manual,
//! DDI 0183G (r1p5). Section numbers are its.

use tock_registers::register_bitfields;

/// Entries in each FIFO: 32 from r1p5 on (§2.4.4, §2.4.5, and `PERIPH_ID`'s revision).
pub const DEPTH: usize = 32;

/// Offsets of the registers (§3.2, Table 3-1).
pub mod offset {
    /// UARTDR: data.
    pub const DR: u64 = 0x000;
    /// UARTRSR and UARTECR: receive status, error clear.
    pub const RSR_ECR: u64 = 0x004;
    /// UARTFR: flags.
    pub const FR: u64 = 0x018;
    /// UARTILPR: IrDA low-power counter.
    pub const ILPR: u64 = 0x020;
    /// UARTIBRD: integer baud rate.
    pub const IBRD: u64 = 0x024;
    /// UARTFBRD: fractional baud rate.
    pub const FBRD: u64 = 0x028;
    /// UARTLCR_H: line control.
    pub const LCR_H: u64 = 0x02c;
    /// UARTCR: control.
    pub const CR: u64 = 0x030;
    /// UARTIFLS: interrupt FIFO level select.
    pub const IFLS: u64 = 0x034;
    /// UARTIMSC: interrupt mask set/clear.
    pub const IMSC: u64 = 0x038;
    /// UARTRIS: raw interrupt status.
    pub const RIS: u64 = 0x03c;
    /// UARTMIS: masked interrupt status.
    pub const MIS: u64 = 0x040;
    /// UARTICR: interrupt clear.
    pub const ICR: u64 = 0x044;
    /// UARTDMACR: DMA control.
    pub const DMACR: u64 = 0x048;
    /// UARTPeriphID0; seven more identification registers follow.
    pub const PERIPH_ID0: u64 = 0xfe0;
}

/// The bits of each register that hold what is written (§3.3).
pub mod writable {
    /// ILPDVSR (§3.3.4).
    pub const ILPR: u32 = 0xff;
    /// BAUD DIVINT (§3.3.5).
    pub const IBRD: u32 = 0xffff;
    /// BAUD DIVFRAC (§3.3.6).
    pub const FBRD: u32 = 0x3f;
    /// SPS to BRK (§3.3.7).
    pub const LCR_H: u32 = 0xff;
    /// All but bits 6:3 (§3.3.8).
    pub const CR: u32 = 0xff87;
    /// RXIFLSEL and TXIFLSEL (§3.3.9).
    pub const IFLS: u32 = 0x3f;
    /// The eleven interrupts (§3.3.10).
    pub const IMSC: u32 = 0x7ff;
    /// RXDMAE, TXDMAE, DMAONERR (§3.3.14).
    pub const DMACR: u32 = 0x7;
}

/// Values after reset that are not zero (Table 3-1).
pub mod reset {
    /// RXE and TXE.
    pub const CR: u32 = 0x300;
    /// Both levels at one half.
    pub const IFLS: u32 = 0x12;
}

/// UARTPeriphID0–3 and UARTPCellID0–3 (§3.3.15, §3.3.16): part 0x011, designer
/// 0x41 (Arm), revision 3 (r1p5), configuration 0; then the PrimeCell number.
pub const IDENTIFICATION: [u8; 8] = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

/// UARTIFLS's fields as FIFO levels: 1/8, 1/4, 1/2, 3/4, 7/8 of [`DEPTH`]; the
/// rest are reserved and taken as the last (§3.3.9).
pub const LEVELS: [usize; 8] = [4, 8, 16, 24, 28, 28, 28, 28];

register_bitfields![u32,
    /// §3.3.1.
    pub DR [
        /// Overrun.
        OE 11
    ],
    /// §3.3.2.
    pub RSR [
        /// Overrun.
        OE 3
    ],
    /// §3.3.3.
    pub FR [
        /// Transmit FIFO empty.
        TXFE 7,
        /// Receive FIFO full.
        RXFF 6,
        /// Transmit FIFO full.
        TXFF 5,
        /// Receive FIFO empty.
        RXFE 4,
        /// Transmitting.
        BUSY 3,
        /// Data carrier detect.
        DCD 2,
        /// Data set ready.
        DSR 1,
        /// Clear to send.
        CTS 0
    ],
    /// §3.3.7.
    pub LCR_H [
        /// Enable FIFOs.
        FEN 4
    ],
    /// §3.3.8.
    pub CR [
        /// Receive enable.
        RXE 9,
        /// Loopback enable.
        LBE 7
    ],
    /// §3.3.9.
    pub IFLS [
        /// Receive interrupt FIFO level.
        RX OFFSET(3) NUMBITS(3),
        /// Transmit interrupt FIFO level.
        TX OFFSET(0) NUMBITS(3)
    ],
    /// The interrupts, as in RIS, MIS, IMSC and ICR (§3.3.10–§3.3.13).
    pub INT [
        /// Overrun.
        OE 10,
        /// Receive timeout.
        RT 6,
        /// Transmit.
        TX 5,
        /// Receive.
        RX 4
    ]
];
