//! What the specification says: Power State Coordination Interface, DEN 0022
//! (version 1.1); its functions are described in §5, in the
//! order of their ids, and named here by their names.

/// PSCI_VERSION's answer, 1.1.
pub const VERSION_1_1: u64 = 0x1_0001;

/// Function ids (§5.1). Those with a 64-bit variant have it at
/// [`SMC64`](function::SMC64) above.
pub mod function {
    /// What a 64-bit function's id has besides (DEN 0028 §2.5).
    pub const SMC64: u32 = 0x4000_0000;
    pub const VERSION: u32 = 0x8400_0000;
    pub const CPU_SUSPEND: u32 = 0x8400_0001;
    pub const CPU_OFF: u32 = 0x8400_0002;
    pub const CPU_ON: u32 = 0x8400_0003;
    pub const AFFINITY_INFO: u32 = 0x8400_0004;
    pub const MIGRATE_INFO_TYPE: u32 = 0x8400_0006;
    pub const SYSTEM_OFF: u32 = 0x8400_0008;
    pub const SYSTEM_RESET: u32 = 0x8400_0009;
    pub const FEATURES: u32 = 0x8400_000a;
    pub const SYSTEM_RESET2: u32 = 0x8400_0012;
    /// The last id that is kept for PSCI.
    pub const LAST: u32 = 0x8400_001f;
    /// Not PSCI's own, but PSCI_FEATURES must know it.
    pub const SMCCC_VERSION: u32 = 0x8000_0000;
}

/// Return codes (§5.2.2), as 64-bit values: a caller of a 32-bit
/// function looks at the low half only.
pub mod code {
    pub const SUCCESS: u64 = 0;
    pub const NOT_SUPPORTED: u64 = -1i64 as u64;
    pub const INVALID_PARAMETERS: u64 = -2i64 as u64;
    pub const ALREADY_ON: u64 = -4i64 as u64;
    pub const ON_PENDING: u64 = -5i64 as u64;
    pub const INTERNAL_FAILURE: u64 = -6i64 as u64;
    pub const INVALID_ADDRESS: u64 = -9i64 as u64;
}

/// AFFINITY_INFO's answers.
pub mod affinity {
    pub const ON: u64 = 0;
    pub const OFF: u64 = 1;
    pub const ON_PENDING: u64 = 2;
}

/// The bits of CPU_SUSPEND's power_state that are reserved in its original format:
/// what is not the power level, the state's type and its id.
pub const POWER_STATE_RESERVED: u64 = 0xfcfe_0000;

/// SYSTEM_RESET2's one architectural type. Those with bit 31 set are the vendor's.
pub const SYSTEM_WARM_RESET: u64 = 0;

/// MIGRATE_INFO_TYPE: there is no Trusted OS to migrate.
pub const NO_TRUSTED_OS: u64 = 2;

/// The bits of an MPIDR value that name a core: Aff3 and Aff2 to Aff0 (§5.1).
pub const MPIDR: u64 = 0xff_00ff_ffff;
