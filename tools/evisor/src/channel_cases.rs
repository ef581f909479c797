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

/// Linux keeps what the guest sends, and sends it back.
const LINUX: Case =
    Case::new("Linux exchanges 64 MiB by a virtio console", "manifests/linux-channel.dts")
        .sends(&[
            "~ # =head -c 67108864 /dev/vport0p0 > /a; sha256sum /a; echo got $((40+2))",
            "got 42=cat /a > /dev/vport0p0; echo sent $((40+3))",
            "sent 43=poweroff",
        ])
        .seconds(300)
        .shows(&[
            "2012df3f1575506dc67cd4457a815911d39ecccce02ec61407dc040c50bc8de4  /a",
            "channel: sent 67108864 bytes, cksum 1695551558",
            "channel: received 67108864 bytes, cksum 1695551558",
            "peer: off, verdict 0",
            "linux: off, verdict 0",
        ]);

/// On either board.
pub const CASES: &[Case] = &[
    Case::new("two guests exchange 64 MiB", "manifests/channel.dts").seconds(180).shows(LARGE),
    Case::new(
        "two ends of a channel on one core",
        "tools/evisor/tests/guests/channel-shared-core.dts",
    )
    .seconds(120)
    .shows(SMALL),
    linux_hvc("Linux has a shell at a virtio console"),
    Case::new("an end crashes and comes back", "tools/evisor/tests/guests/channel-restarts.dts")
        .seconds(120)
        .shows(&[
            "falls: restarts after its crash",
            "channel: end 0 of 131072 bytes, life 2",
            "channel: life 1 met life 2",
            "falls: off, verdict 0",
            "stays: off, verdict 0",
        ]),
];

/// Sixty times what the channel holds: more is no other with another interrupt controller.
const fn linux_exchanges_less(name: &'static str) -> Case {
    Case::new(name, "tools/evisor/tests/guests/linux-channel-less.dts")
        .sends(&[
            "~ # =head -c 8000000 /dev/vport0p0 > /a; sha256sum /a; echo got $((40+2))",
            "got 42=cat /a > /dev/vport0p0; echo sent $((40+3))",
            "sent 43=poweroff",
        ])
        .seconds(120)
        .shows(&[
            "91e593687eca578d7260c9f956636884a3957ae1d649ec86ced113e4a6250a25  /a",
            "channel: sent 8000000 bytes, cksum 4214761439",
            "channel: received 8000000 bytes, cksum 4214761439",
            "peer: off, verdict 0",
            "linux: off, verdict 0",
        ])
}

/// Its standard streams are the console, whose other end types and reads.
const fn linux_hvc(name: &'static str) -> Case {
    Case::new(name, "tools/evisor/tests/guests/linux-hvc.dts")
        .sends(&["~ # =sh </dev/hvc0 >/dev/hvc0 2>&1; echo left $((40+4))", "left 44=poweroff"])
        .seconds(300)
        .shows(&[
            "PASS 42-Linux",
            "PASS /dev/hvc0",
            "peer: off, verdict 0",
            "linux: off, verdict 0",
        ])
}

/// On virt, some with a GICv3.
pub const ON_VIRT: &[Case] = &[
    LINUX,
    Case::new("two guests exchange 64 MiB, GICv3", "manifests/channel.dts")
        .options(&["--gic", "3"])
        .seconds(180)
        .shows(LARGE),
    linux_exchanges_less("Linux exchanges 8 MB by a virtio console, GICv3")
        .options(&["--gic", "3"]),
    linux_hvc("Linux has a shell at a virtio console, GICv3").options(&["--gic", "3"]),
];

pub const ON_A_PI: &[Case] = &[linux_exchanges_less("Linux exchanges 8 MB by a virtio console")];
