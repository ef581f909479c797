//! Any accesses and notifications, by way of the contract.

#![no_main]

use virtio_console as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| evisor_testkit::drive("evisor,virtio-console", bytes));
