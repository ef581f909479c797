//! Which attacks on speculation the host's core is safe from by itself.
//!
//! Of a core that nothing is known of the answer is no. What is known is what the
//! core says in its identification registers (DDI 0487 §D19.2), and for older ones
//! Arm's list ("Cache Speculation Side-channels"): those that run in order do not
//! speculate far enough.

use evisor_contract::{Grants, Register};

/// Arm's cores that run in order: implementer and part number, as in MIDR_EL1.
const IN_ORDER: [(u64, u64); 5] = [
    (0x41, 0xd04), // Cortex-A35
    (0x41, 0xd03), // Cortex-A53
    (0x41, 0xd05), // Cortex-A55
    (0x41, 0xd46), // Cortex-A510
    (0x41, 0xd80), // Cortex-A520
];

/// What there is to know of it. All cores are taken to be like the one that this is
/// read on.
pub(crate) struct Processor {
    in_order: bool,
    /// ID_AA64PFR0_EL1.CSV2.
    csv2: u64,
    /// ID_AA64PFR1_EL1.SSBS.
    ssbs: u64,
}

impl Processor {
    pub fn new(grants: &dyn Grants) -> Self {
        let read = |crm, op2| grants.host_register(Register::new(3, 0, 0, crm, op2)).unwrap_or(0);
        let midr = read(0, 0);
        Self {
            in_order: IN_ORDER.contains(&(midr >> 24 & 0xff, midr >> 4 & 0xfff)),
            csv2: read(4, 0) >> 56 & 0xf,
            ssbs: read(4, 1) >> 4 & 0xf,
        }
    }

    /// Branch targets of one context do not steer another.
    pub fn is_safe_from_variant_2(&self) -> bool {
        self.in_order || self.csv2 >= 1
    }

    /// Loads do not pass stores, or a guest can see to that itself: PSTATE.SSBS.
    pub fn is_safe_from_variant_4(&self) -> bool {
        self.in_order || self.ssbs >= 1
    }

    /// Neither does the branch history (FEAT_CSV2_3).
    pub fn is_safe_from_bhb(&self) -> bool {
        self.in_order || self.csv2 >= 3
    }
}
