//! Any accesses and notifications, by way of the contract.

#![no_main]

use bcm2711_avs as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    evisor_testkit::drive("brcm,bcm2711-avs-monitor", bytes);
});
