//! Any accesses and notifications, by way of the contract. The first byte says to which.

#![no_main]

use bcm2711_absent as _;

const ALL: [&str; 3] = ["brcm,bcm2835-usb", "brcm,bcm2711-pcie", "brcm,bcm2711-genet-v5"];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Some((first, rest)) = bytes.split_first() {
        evisor_testkit::drive(ALL[usize::from(*first) % ALL.len()], rest);
    }
});
