//! The generic timer's virtual timer (ARM DDI 0487, "The Generic Timer in
//! AArch64 state").
#![allow(unsafe_code, reason = "a hint that has no other name")]

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{CNTFRQ_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVCT_EL0};
use tock_registers::interfaces::{Readable, Writeable};

/// Counts a second.
#[must_use]
pub fn frequency() -> u64 {
    CNTFRQ_EL0.get()
}

/// The virtual count. The barrier keeps it from being read early.
#[must_use]
pub fn count() -> u64 {
    barrier::isb(barrier::SY);
    CNTVCT_EL0.get()
}

/// The counts in some microseconds.
#[must_use]
pub fn microseconds(number: u64) -> u64 {
    number * frequency() / 1_000_000
}

/// The nanoseconds in some counts, rounded down.
#[must_use]
pub fn nanoseconds(counts: u64) -> u64 {
    let nanoseconds = u128::from(counts) * 1_000_000_000 / u128::from(frequency().max(1));
    u64::try_from(nanoseconds).unwrap_or(u64::MAX)
}

/// Sets a deadline, in counts of the virtual counter, with its interrupt on.
pub fn arm(deadline: u64) {
    CNTV_CVAL_EL0.set(deadline);
    CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
    barrier::isb(barrier::SY);
}

/// Turns the virtual timer off.
pub fn disarm() {
    CNTV_CTL_EL0.set(0);
    barrier::isb(barrier::SY);
}

/// Polls until the condition holds; false if some microseconds went by first.
pub fn wait_until(limit: u64, mut condition: impl FnMut() -> bool) -> bool {
    let end = count() + microseconds(limit);
    loop {
        if condition() {
            return true;
        }
        if count() > end {
            return condition();
        }
        let_others();
    }
}

/// YIELD: another core may be what is waited for. (QEMU with one thread for all cores
/// gives each a tenth of a second otherwise.)
pub fn let_others() {
    // SAFETY: a hint.
    unsafe { core::arch::asm!("yield", options(nomem, nostack, preserves_flags)) };
}
