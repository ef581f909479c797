//! What a data sheet would say: the registers and the function of README.md.

/// How large the register window is.
pub const WINDOW: u64 = 0x1000;

/// Offsets of the registers.
pub mod offset {
    pub const COUNT: u64 = 0x000;
    pub const ID: u64 = 0x004;
}

/// What ID reads as.
pub const ID: u64 = 0x4556_0001;

/// The function that tells the count: of the vendor-specific hypervisor services
/// (DEN 0028 §6.1), behind those that are eVisor's own.
pub const TELL: u32 = 0xc600_0100;
