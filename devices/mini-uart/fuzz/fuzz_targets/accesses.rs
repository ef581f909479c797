//! Any accesses and notifications, by way of the contract.

#![no_main]

use mini_uart as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    evisor_testkit::drive("brcm,bcm2835-aux-uart", bytes);
    evisor_testkit::drive("brcm,bcm2835-aux", bytes);
});
