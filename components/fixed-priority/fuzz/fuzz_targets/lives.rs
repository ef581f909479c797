//! vCPUs that wake and sleep anyhow, and a core that asks at any time.

#![no_main]

use evisor_contract::Share;
use evisor_testkit::drive_scheduler;
use fixed_priority as _;

const fn share(priority: u8, budget: u32, period: u32) -> Share {
    Share { priority, budget, period }
}

const MEMBERS: [Share; 5] =
    [share(9, 20, 100), share(9, 50, 300), share(5, 100, 1000), share(0, 0, 0), share(0, 0, 0)];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drive_scheduler("evisor,fixed-priority", &[("evisor,slice", 100)], &MEMBERS, bytes);
});
