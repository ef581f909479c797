//! What the Arm Architecture Reference Manual says, DDI 0487 (issue J.a),
//! §D19.2 for the AArch64 registers and §D19.2.60 on for the AArch32 ones; and,
//! field by field, how much of it a guest is told.
//!
//! A field that is not listed reads as zero, which says "not implemented" in
//! every field where that matters. A listed one never promises more than the
//! value that it is listed with: what a later architecture adds stays hidden
//! until someone has looked at it.

/// How one field of four bits is told.
#[derive(Clone, Copy)]
pub enum Field {
    /// The host's value, at most this one.
    AtMost(u32, u64),
    /// The host's value, at most this one; 0b1111 means "not implemented" and
    /// stays (fields of the signed scheme, §D19.1.3).
    SignedAtMost(u32, u64),
    /// Always this value, whatever the host has.
    Always(u32, u64),
    /// The whole register is the host's.
    All,
}

use Field::{All, Always, AtMost, SignedAtMost};

impl Field {
    /// What the guest sees of `host` in this field.
    pub const fn of(self, host: u64) -> u64 {
        match self {
            AtMost(shift, most) => lesser(host >> shift & 15, most) << shift,
            SignedAtMost(shift, most) => match host >> shift & 15 {
                15 => 15 << shift,
                value => lesser(value, most) << shift,
            },
            Always(shift, value) => value << shift,
            All => host,
        }
    }
}

const fn lesser(a: u64, b: u64) -> u64 {
    if a < b { a } else { b }
}

/// CRm 1 to 7 of the space Op0 = 3, Op1 = 0, CRn = 0.
pub const FIRST_CRM: u32 = 1;
/// See [`FIRST_CRM`].
pub const LAST_CRM: u32 = 7;
/// How many registers that is.
pub const COUNT: usize = 56;

/// The fields of the register (CRm, Op2) that a guest is told.
pub const fn fields(crm: u32, op2: u32) -> &'static [Field] {
    match (crm, op2) {
        (4, 0) => AA64PFR0,
        (4, 1) => AA64PFR1,
        (5, 0) => AA64DFR0,
        (6, 0) => AA64ISAR0,
        (6, 1) => AA64ISAR1,
        (6, 2) => AA64ISAR2,
        (7, 0) => AA64MMFR0,
        (7, 1) => AA64MMFR1,
        (7, 2) => AA64MMFR2,
        (1, 0) => PFR0,
        (1, 1) => PFR1,
        (3, 4) => PFR2,
        // ID_MMFR0 to 3; ID_ISAR0 to 5, ID_MMFR4, ID_ISAR6; MVFR0 to 2.
        (1, 4..=7) | (2, 0..=7) | (3, 0..=2) => &[All],
        // ID_DFR0, ID_AFR0, ID_DFR1, ID_MMFR5, ID_AA64ZFR0, ID_AA64SMFR0,
        // ID_AA64DFR1, ID_AA64AFR0, ID_AA64AFR1, ID_AA64MMFR3, ID_AA64MMFR4, and
        // what is reserved.
        _ => &[],
    }
}

/// What is told besides to a guest whose interrupt controller has system registers.
pub const fn fields_with_gicv3(crm: u32, op2: u32) -> &'static [Field] {
    match (crm, op2) {
        (4, 0) => &[AtMost(24, 1)], // GIC: 3 would promise GICv4.1
        _ => &[],
    }
}

const AA64PFR0: &[Field] = &[
    AtMost(0, 2),        // EL0: AArch32 too where the host has it
    Always(4, 1),        // EL1: AArch64 only, as HCR_EL2.RW has it
    SignedAtMost(16, 1), // FP
    SignedAtMost(20, 1), // AdvSIMD
    AtMost(48, 1),       // DIT
    AtMost(56, 1),       // CSV2: 2 would promise SCXTNUM_EL1
    AtMost(60, 1),       // CSV3
];

const AA64PFR1: &[Field] = &[
    AtMost(0, 1),  // BT
    AtMost(4, 2),  // SSBS
    AtMost(32, 1), // CSV2_frac
];

/// Debug as small as it may be: Armv8.0 (6), two breakpoints and two watchpoints
/// (each field is one less), one of which knows contexts.
const AA64DFR0: &[Field] = &[Always(0, 6), Always(12, 1), Always(20, 1), Always(28, 0)];

/// How many breakpoints and how many watchpoints that is.
pub const POINTS: u32 = 2;

/// OSLSR_EL1.OSLM: the OS lock is there.
pub const OS_LOCK_THERE: u64 = 1 << 3;
/// OSLSR_EL1.OSLK.
pub const OS_LOCKED: u64 = 1 << 1;
/// DBGCLAIMSET_EL1.CLAIM: always eight tags.
pub const CLAIM_TAGS: u64 = 0xff;

const AA64ISAR0: &[Field] = &[
    AtMost(4, 2),  // AES
    AtMost(8, 1),  // SHA1
    AtMost(12, 2), // SHA2
    AtMost(16, 1), // CRC32
    AtMost(20, 2), // Atomic
    AtMost(28, 1), // RDM
    AtMost(32, 1), // SHA3
    AtMost(36, 1), // SM3
    AtMost(40, 1), // SM4
    AtMost(44, 1), // DP
    AtMost(48, 1), // FHM
    AtMost(52, 2), // TS
    AtMost(56, 2), // TLB
    AtMost(60, 1), // RNDR
];

/// Without APA, API, GPA, GPI: pointer authentication would trap, HCR_EL2.API
/// and APK being zero.
const AA64ISAR1: &[Field] = &[
    AtMost(0, 2),  // DPB
    AtMost(12, 1), // JSCVT
    AtMost(16, 1), // FCMA
    AtMost(20, 2), // LRCPC
    AtMost(32, 1), // FRINTTS
    AtMost(36, 1), // SB
    AtMost(40, 1), // SPECRES
    AtMost(44, 1), // BF16
    AtMost(48, 1), // DGH
    AtMost(52, 1), // I8MM
];

const AA64ISAR2: &[Field] = &[
    AtMost(20, 1), // BC
    AtMost(28, 1), // CLRBHB
    AtMost(52, 1), // CSSC
];

const AA64MMFR0: &[Field] = &[
    AtMost(0, 5),        // PARange: 48 bits
    AtMost(4, 2),        // ASIDBits
    AtMost(20, 1),       // TGran16
    SignedAtMost(24, 0), // TGran64
    SignedAtMost(28, 0), // TGran4
];

const AA64MMFR1: &[Field] = &[
    AtMost(0, 2),  // HAFDBS
    AtMost(12, 2), // HPDS
    AtMost(20, 3), // PAN
    AtMost(36, 2), // ETS
    AtMost(44, 1), // AFP
    AtMost(48, 1), // nTLBPA
];

const AA64MMFR2: &[Field] = &[
    AtMost(0, 1),  // CnP
    AtMost(4, 1),  // UAO
    AtMost(8, 1),  // LSM
    AtMost(20, 1), // CCIDX: CCSIDR_EL1 is the host's
    AtMost(28, 1), // ST
    AtMost(32, 1), // AT
    AtMost(48, 1), // TTL
    AtMost(52, 2), // BBM
    AtMost(60, 1), // E0PD
];

const PFR0: &[Field] = &[
    AtMost(0, 1),  // State0: A32
    AtMost(4, 3),  // State1: T32
    AtMost(8, 2),  // State2: Jazelle
    AtMost(16, 1), // CSV2
    AtMost(24, 1), // DIT
];

const PFR1: &[Field] = &[AtMost(0, 1), AtMost(16, 1)]; // ProgMod, GenTimer

const PFR2: &[Field] = &[AtMost(0, 1), AtMost(4, 1)]; // CSV3, SSBS
