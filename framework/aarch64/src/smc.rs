//! Calls to the firmware, on boards that have one that answers.

use smccc::psci;

/// Has core `affinity` start at physical address `entry`.
pub fn start_core(affinity: u64, entry: u64) -> bool {
    psci::cpu_on::<smccc::Smc>(affinity, entry, 0).is_ok()
}

/// Resets the board. Comes back only if the firmware refuses.
pub fn system_reset() {
    let _ = psci::system_reset::<smccc::Smc>();
}

/// Turns the board off. Comes back only if the firmware refuses.
pub fn system_off() {
    let _ = psci::system_off::<smccc::Smc>();
}
