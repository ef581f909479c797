//! Any accesses and notifications, by way of the contract.

#![no_main]

use arch_timer as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evisor_testkit::drive("arm,armv8-timer", bytes));
