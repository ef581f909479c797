//! What the data sheet says: BCM2711 ARM Peripherals (2022-01-18), chapter 10. Section
//! numbers are its.

/// How often the count goes up in a second (§10.1; the `clock-frequency` of the binding).
pub const FREQUENCY: u32 = 1_000_000;

/// Compare registers, each with an interrupt.
pub const CHANNELS: usize = 4;

/// The bits of CS that are there: M0 to M3, whether each has matched. A one that is
/// written clears (§10.2).
pub const MATCHES: u32 = 0xf;

/// Offsets of the registers (§10.2, Table 168).
pub mod offset {
    /// CS: control and status.
    pub const CS: u64 = 0x00;
    /// CLO: the count's lower half.
    pub const CLO: u64 = 0x04;
    /// CHI: its upper half.
    pub const CHI: u64 = 0x08;
    /// C0: what the lower half is compared with; C1 to C3 follow.
    pub const C0: u64 = 0x0c;
    /// C3.
    pub const C3: u64 = 0x18;
}
