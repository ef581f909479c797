//! vCPUs that wake and sleep anyhow, and a core that asks at any time.

#![no_main]

use evisor_contract::Share;
use evisor_testkit::drive_scheduler;
use round_robin as _;

const MEMBERS: [Share; 4] = [Share { priority: 0, budget: 0, period: 0 }; 4];

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    drive_scheduler("evisor,round-robin", &[], &MEMBERS, bytes);
});
