//! What the specification says: Paravirtualized Time for Arm-based Systems, DEN 0057A.

/// Function ids, in the range of the standard hypervisor service.
pub mod function {
    /// PV_TIME_FEATURES.
    pub const FEATURES: u32 = 0xc500_0020;
    /// PV_TIME_ST.
    pub const STOLEN: u32 = 0xc500_0021;
}

/// Return codes.
pub mod code {
    pub const SUCCESS: u64 = 0;
    pub const NOT_SUPPORTED: u64 = -1i64 as u64;
}

/// How far the vCPUs' structures are apart: their length, and what they are aligned to.
/// Revision and attributes, the first two words, are 0; stolen time, in
/// nanoseconds, is the doubleword behind them.
pub const STRUCTURE: u64 = 64;
