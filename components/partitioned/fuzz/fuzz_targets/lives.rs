//! vCPUs that wake and sleep anyhow, and a core that asks at any time.

#![no_main]

use evisor_contract::Share;
use evisor_testkit::drive_scheduler;
use partitioned as _;

const MEMBERS: [Share; 1] = [Share { priority: 0, budget: 0, period: 0 }; 1];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drive_scheduler("evisor,partitioned", &[], &MEMBERS, bytes);
});
