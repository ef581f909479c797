//! Any accesses and notifications, by way of the contract.

#![no_main]

use rng200 as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evisor_testkit::drive("brcm,bcm2711-rng200", bytes));
