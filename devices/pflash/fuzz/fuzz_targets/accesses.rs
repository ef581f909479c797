//! Any accesses and notifications, by way of the contract.

#![no_main]

use pflash as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evisor_testkit::drive("cfi-flash", bytes));
