//! What the data sheet says: PrimeCell Real Time Clock (PL031) Technical
//! Reference Manual, DDI 0224. Section numbers are its.

use tock_registers::register_bitfields;

/// Offsets of the registers (§3.2).
pub mod offset {
    /// RTCDR: the count of seconds.
    pub const DR: u64 = 0x000;
    /// RTCMR: the count to match.
    pub const MR: u64 = 0x004;
    /// RTCLR: the count to go on from.
    pub const LR: u64 = 0x008;
    /// RTCCR: control.
    pub const CR: u64 = 0x00c;
    /// RTCIMSC: interrupt mask set/clear.
    pub const IMSC: u64 = 0x010;
    /// RTCRIS: raw interrupt status.
    pub const RIS: u64 = 0x014;
    /// RTCMIS: masked interrupt status.
    pub const MIS: u64 = 0x018;
    /// RTCICR: interrupt clear.
    pub const ICR: u64 = 0x01c;
    /// RTCPeriphID0; seven more identification registers follow.
    pub const PERIPH_ID0: u64 = 0xfe0;
}

/// RTCCR once the clock has been started: it cannot be stopped (§3.3.4).
pub const STARTED: u32 = 1;

/// RTCPeriphID0–3 and RTCPCellID0–3 (§3.3.9, §3.3.10): part 0x031, designer 0x41
/// (Arm), revision 0, configuration 0; then the PrimeCell number.
pub const IDENTIFICATION: [u8; 8] = [0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1];

register_bitfields![u32,
    /// The one interrupt, as in IMSC, RIS, MIS and ICR (§3.3.5–§3.3.8).
    pub INT [
        /// The count has matched.
        MATCH 0
    ]
];
