//! The debug registers of a vCPU (DDI 0487 §D19.3): all there, none doing anything.
//!
//! An operating system resets them as it boots, so most take what they are given
//! and read as zero. The locks and the claim tags are states that software asks
//! for again, and are kept.

use crate::spec::{CLAIM_TAGS, OS_LOCK_THERE, OS_LOCKED, POINTS};
use evisor_contract::{Reply, Restore, RestoreError, Save};

/// Op1, CRn, CRm and Op2 of a register with Op0 = 2.
type Name = (u32, u32, u32, u32);

const MDRAR: Name = (0, 1, 0, 0);
const OSLAR: Name = (0, 1, 0, 4);
const OSLSR: Name = (0, 1, 1, 4);
const OSDLR: Name = (0, 1, 3, 4);
const CLAIMSET: Name = (0, 7, 8, 6);
const CLAIMCLR: Name = (0, 7, 9, 6);
const AUTHSTATUS: Name = (0, 7, 14, 6);
const MDCCSR: Name = (3, 0, 1, 0);

/// What is kept.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Debug {
    os_lock: bool,
    double_lock: bool,
    claim: u64,
}

/// Registers that read as zero and take any write.
const fn is_quiet(name: Name) -> bool {
    match name {
        // DBGBVR<n>_EL1, DBGBCR<n>_EL1, DBGWVR<n>_EL1, DBGWCR<n>_EL1.
        (0, 0, 0..POINTS, 4..=7) => true,
        // MDCCINT_EL1; OSDTRRX_EL1, MDSCR_EL1, OSDTRTX_EL1, OSECCR_EL1.
        (0, 0, 2, 0) | (0, 0, 0 | 2 | 3 | 6, 2) => true,
        // DBGPRCR_EL1; DBGDTR_EL0, DBGDTRRX_EL0 and DBGDTRTX_EL0.
        (0, 1, 4, 4) | (3, 0, 4 | 5, 0) => true,
        _ => false,
    }
}

impl Debug {
    /// After a cold reset the OS lock is locked.
    pub const RESET: Self = Self { os_lock: true, double_lock: false, claim: 0 };

    pub fn read(&self, name: Name) -> Option<u64> {
        match name {
            name if is_quiet(name) => Some(0),
            MDRAR | AUTHSTATUS | MDCCSR => Some(0),
            OSLSR if self.os_lock => Some(OS_LOCK_THERE | OS_LOCKED),
            OSLSR => Some(OS_LOCK_THERE),
            OSDLR => Some(u64::from(self.double_lock)),
            CLAIMSET => Some(CLAIM_TAGS),
            CLAIMCLR => Some(self.claim),
            _ => None,
        }
    }

    pub fn write(&mut self, name: Name, value: u64) -> Reply {
        match name {
            name if is_quiet(name) => {}
            OSLAR => self.os_lock = value & 1 != 0,
            OSDLR => self.double_lock = value & 1 != 0,
            CLAIMSET => self.claim |= value & CLAIM_TAGS,
            CLAIMCLR => self.claim &= !value,
            _ => return Reply::ABSENT,
        }
        Reply::DONE
    }

    pub fn save(&self, to: &mut Save) {
        to.word(u32::from(self.os_lock));
        to.word(u32::from(self.double_lock));
        to.double(self.claim);
    }

    pub fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.os_lock = from.flag()?;
        self.double_lock = from.flag()?;
        self.claim = from.double()?;
        if self.claim & !CLAIM_TAGS == 0 { Ok(()) } else { Err(RestoreError::Impossible) }
    }
}
