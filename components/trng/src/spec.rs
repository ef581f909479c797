//! What the specification says: Arm True Random Number Generator Firmware
//! Interface, DEN 0098, version 1.0. Its functions are named here by their names.

/// TRNG_VERSION's answer: 1.0.
pub const VERSION_1_0: u64 = 0x1_0000;

/// Function ids.
pub mod function {
    pub const VERSION: u32 = 0x8400_0050;
    pub const FEATURES: u32 = 0x8400_0051;
    pub const GET_UUID: u32 = 0x8400_0052;
    pub const RND32: u32 = 0x8400_0053;
    pub const RND64: u32 = 0xc400_0053;
    /// The last id that is kept for TRNG.
    pub const LAST: u32 = 0x8400_005f;
    /// What a 64-bit function's id has besides (DEN 0028 §2.5).
    pub const SMC64: u32 = 0x4000_0000;
}

/// Return codes.
pub mod code {
    pub const SUCCESS: u64 = 0;
    pub const NOT_SUPPORTED: u64 = -1i64 as u64;
    pub const INVALID_PARAMETERS: u64 = -2i64 as u64;
    pub const NO_ENTROPY: u64 = -3i64 as u64;
}

/// How many bits TRNG_RND32 gives at most: three words of 32.
pub const RND32_BITS: u64 = 96;
/// How many bits TRNG_RND64 gives at most: three words of 64.
pub const RND64_BITS: u64 = 192;

/// Which back end this is: 5a6be0b2-3c1d-4f7e-8a44-e0150b5e0002. Each word holds
/// four bytes of it, the first in its lowest bits (DEN 0028 §6.2).
pub const UUID: [u64; 4] = [0xb2e0_6b5a, 0x7e4f_1d3c, 0x15e0_448a, 0x0200_5e0b];
