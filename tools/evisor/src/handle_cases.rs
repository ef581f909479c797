//! System tests of what VMs hold by handles.

use crate::case::Case;

/// On either board.
pub const CASES: &[Case] = &[
    Case::new(
        "two VMs on four cores hand capabilities to each other",
        "tools/evisor/tests/guests/capability.dts",
    )
    .seconds(300)
    .shows(&[
        "first| 500000 random handles and functions",
        "second| 500000 random handles and functions",
        "first| PASS nothing was found by them",
        "second| PASS nothing was found by them",
        "first| PASS handed over, used, revoked, and denied",
        "second| PASS handed over, used, revoked, and denied",
        "first| PASS two revoke from each other",
        "second| PASS two revoke from each other",
        "evisor: first: off, verdict 0",
        "evisor: second: off, verdict 0",
    ]),
    Case::new("a supervisor starts a VM that crashes", "manifests/supervisor.dts")
        .seconds(120)
        .status(CRASHED)
        .shows(&[
            "supervisor| PASS it crashed once more",
            "supervisor| PASS it is off for good",
            "evisor: supervisor: off, verdict 0",
        ]),
    Case::new(
        "a supervisor without the control right only looks",
        "tools/evisor/tests/guests/supervisor-looks.dts",
    )
    .seconds(60)
    .status(CRASHED)
    .shows(&["PASS it may not be changed", "evisor: supervisor: off, verdict 0"]),
    Case::new(
        "the same guest without capabilities is refused",
        "tools/evisor/tests/guests/supervisor-without.dts",
    )
    .seconds(60)
    .status(CRASHED)
    .shows(&["evisor: supervisor: off, verdict 0"]),
    Case::new(
        "a device is taken from a VM that uses it, and given to another",
        "tools/evisor/tests/guests/taken-device.dts",
    )
    .seconds(60)
    .shows(&[
        "user| PASS it went while it was used",
        "heir| PASS it can be used",
        "user| PASS it is back as after a reset",
        "evisor: keeper: off, verdict 0",
        "evisor: user: off, verdict 0",
        "evisor: heir: off, verdict 0",
    ]),
    // What it reached is the last byte of x20.
    Case::new(
        "a VM with memory and a vCPU reaches nothing",
        "tools/evisor/tests/guests/nothing.dts",
    )
    .seconds(60)
    .status(CRASHED)
    .shows(&["nothing:   x20: 6e6f7468696e6700"]),
];

/// The watched VM's verdict.
const CRASHED: u8 = 102;

/// The supervisor watches a Linux, which an access that is refused ends.
pub const LINUX: &[Case] = &[Case::new(
    "a supervisor starts Linux that crashes",
    "tools/evisor/tests/guests/supervisor-linux.dts",
)
.options(&["--consoles"])
.sends(&[
    "@linux ~ # =devmem 0x0b000000",
    "@linux ~ # =devmem 0x0b000000",
    "@linux ~ # =devmem 0x0b000000",
    "@linux ~ # =poweroff",
])
.seconds(300)
.shows(&[
    "supervisor: vCPU 0 crashed for reason 3",
    "PASS it ends by itself",
    "evisor: supervisor: off, verdict 0",
])];
