//! Any accesses and notifications, by way of the contract.

#![no_main]

use bcm2836_local as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evisor_testkit::drive("brcm,bcm2836-l1-intc", bytes));
