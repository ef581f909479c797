//! What the specification says: SMC Calling Convention, DEN 0028 (version 1.2).
//! Section numbers are issue D's.

/// SMCCC_VERSION's answer, 1.2 (§7.2). It promises that x4 to x17 are preserved
/// by every function that does not return results there: nothing here touches
/// them, and the kernel restores them.
pub const VERSION_1_2: u64 = 0x1_0002;

/// Function ids.
pub mod function {
    /// SMCCC_VERSION (§7.2), and the first of the Arm architecture calls.
    pub const VERSION: u32 = 0x8000_0000;
    /// SMCCC_ARCH_FEATURES (§7.3).
    pub const ARCH_FEATURES: u32 = 0x8000_0001;
    /// PV_TIME_FEATURES (DEN 0057A), which is another component's: who asks whether
    /// it is there asks here.
    pub const PV_TIME_FEATURES: u32 = 0xc500_0020;
    /// SMCCC_ARCH_WORKAROUND_3 (§7.7): Spectre-BHB, CVE-2022-23960.
    pub const ARCH_WORKAROUND_3: u32 = 0x8000_3fff;
    /// SMCCC_ARCH_WORKAROUND_2 (§7.6): Spectre variant 4, CVE-2018-3639.
    pub const ARCH_WORKAROUND_2: u32 = 0x8000_7fff;
    /// SMCCC_ARCH_WORKAROUND_1 (§7.5): Spectre variant 2, CVE-2017-5715.
    pub const ARCH_WORKAROUND_1: u32 = 0x8000_8000;
    /// The last of the 32-bit Arm architecture calls (§6.1).
    pub const ARCH_LAST: u32 = 0x8000_ffff;
    /// The first of the vendor-specific hypervisor service calls (§6.1) that are
    /// eVisor's own.
    pub const OWN: u32 = 0x8600_0000;
    /// The last of eVisor's own.
    pub const OWN_LAST: u32 = 0x8600_00ff;
    /// The first of the hypervisor service's general queries (§6.2).
    pub const GENERAL: u32 = 0x8600_ff00;
    /// The last of them, and of the range.
    pub const GENERAL_LAST: u32 = 0x8600_ffff;
    /// What a 64-bit function's id has besides (§2.5).
    pub const SMC64: u32 = 0x4000_0000;
    /// Call UID of the hypervisor service (§6.2).
    pub const UID: u32 = 0x8600_ff01;
    /// Revision of the hypervisor service (§6.2).
    pub const REVISION: u32 = 0x8600_ff03;
    /// eVisor's own: the guest says how its work ended.
    pub const VERDICT: u32 = 0xc600_0001;
}

/// Return codes (§7.1).
pub mod code {
    pub const SUCCESS: u64 = 0;
    pub const NOT_SUPPORTED: u64 = -1i64 as u64;
    pub const NOT_REQUIRED: u64 = -2i64 as u64;
    pub const INVALID_PARAMETER: u64 = -3i64 as u64;
    /// SMCCC_ARCH_FEATURES of workarounds 1 and 3: they may be called, and this
    /// core does not need them (§7.5, §7.7).
    pub const UNAFFECTED: u64 = 1;
}

/// Who answers the hypervisor service calls:
/// d0f8a2c1-6e0b-4c55-9f0e-e0150b5e0001. Each word holds four bytes of it, the
/// first in its lowest bits (§6.2).
pub const UID: [u64; 4] = [0xc1a2_f8d0, 0x554c_0b6e, 0x15e0_0e9f, 0x0100_5e0b];

/// The revision of eVisor's service calls.
pub const REVISION: (u64, u64) = (1, 0);
