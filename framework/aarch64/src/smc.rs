//! Calls to the firmware, on boards that have one that answers.

use smccc::psci;

/// Turns the board off. Comes back only if the firmware refuses.
pub fn system_off() {
    let _ = psci::system_off::<smccc::Smc>();
}
