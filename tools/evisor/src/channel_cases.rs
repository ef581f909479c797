//! System tests of channels.

use crate::case::Case;

/// POSIX's `cksum` of what ends 0 and 1 send: 64 MiB, and 8 MB.
const LARGE: &[&str] = &[
    "channel: received 67108864 bytes, cksum 1695551558",
    "channel: received 67108864 bytes, cksum 797766453",
    "left: off, verdict 0",
    "right: off, verdict 0",
];
const SMALL: &[&str] = &[
    "channel: received 8000000 bytes, cksum 4214761439",
    "channel: received 8000000 bytes, cksum 3051396210",
    "left: off, verdict 0",
    "right: off, verdict 0",
];

/// On either board.
pub const CASES: &[Case] = &[
    Case::new("two guests exchange 64 MiB", "manifests/channel.dts").seconds(180).shows(LARGE),
    Case::new(
        "two ends of a channel on one core",
        "tools/evisor/tests/guests/channel-shared-core.dts",
    )
    .seconds(120)
    .shows(SMALL),
    Case::new("an end crashes and comes back", "tools/evisor/tests/guests/channel-restarts.dts")
        .seconds(120)
        .shows(&[
            "falls: restarts after its crash",
            "channel: end 0 of 131072 bytes, life 2",
            "channel: met life 2",
            "falls: off, verdict 0",
            "stays: off, verdict 0",
        ]),
];

/// Where the interrupt controller is a GICv3.
pub const ON_A_GICV3: &[Case] =
    &[Case::new("two guests exchange 64 MiB, GICv3", "manifests/channel.dts")
        .options(&["--gic", "3"])
        .seconds(180)
        .shows(LARGE)];
