//! The count and the EL2 physical timer (DDI 0487, D12).

use crate::registers;
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTHP_CTL_EL2, CNTPCT_EL0};
use tock_registers::interfaces::{Readable, Writeable};

/// INTID of the EL2 physical timer: PPI 10 (BSA §3.8.1).
pub const INTID: usize = 26;

/// The host's count.
#[inline(always)]
pub fn now() -> u64 {
    // The read may be made early without it (D12.2.1).
    barrier::isb(barrier::SY);
    CNTPCT_EL0.get()
}

/// Counts a second.
pub fn frequency() -> u64 {
    CNTFRQ_EL0.get()
}

/// How long `counts` are, rounded down.
pub fn nanoseconds(counts: u64) -> u64 {
    let nanoseconds = u128::from(counts) * 1_000_000_000 / u128::from(frequency().max(1));
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}

/// What [`nanoseconds`] does, made ready for the path on which vCPUs are switched.
#[derive(Clone, Copy, Debug)]
pub struct Rate(u64);

impl Rate {
    /// The machine's. Lower than the true one by one part in 2^32 at most, for any
    /// frequency up to 1 GHz.
    pub fn here() -> Self {
        Self((1_000_000_000 << 32) / frequency().max(1))
    }

    /// How long `counts` are.
    #[inline(always)]
    pub fn nanoseconds(self, counts: u64) -> u64 {
        ((u128::from(counts) * u128::from(self.0)) >> 32) as u64
    }
}

/// Fires [`INTID`] on this core when the count reaches `count`; never for
/// `u64::MAX`.
#[inline(always)]
pub fn set(count: u64) {
    registers::set_cnthp_cval(count);
    CNTHP_CTL_EL2.set(u64::from(count != u64::MAX));
}
