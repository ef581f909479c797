//! Devices of the board that are taken from VMs which run: system tests of who has them, and
//! of who does not.

use crate::case::Case;
use crate::machine::Board;
use crate::plan::Plan;

/// Of QEMU's `virt` machine, whose GPIO fills a page.
const DIRECT: &str = "tools/evisor/tests/guests/taken-board-device.dts";
/// Of a Raspberry Pi, whose UART does not.
const FORWARDED: Case = come_and_go(
    "a device of the board, behind eVisor, goes from one VM to another",
    "tools/evisor/tests/guests/taken-pi-serial.dts",
);

const ON_VIRT: &[Case] = &[
    come_and_go("a device of the board goes from one VM to another while two vCPUs use it", DIRECT),
    come_and_go("a device of the board goes from one VM to another, with a GICv3", DIRECT)
        .options(&["--gic", "3"]),
    Case::new(
        "a device of the board is taken from a VM that may miss nothing",
        "tools/evisor/tests/guests/taken-fatal.dts",
    )
    .seconds(60)
    .status(CRASHED)
    .shows(&[
        "crashed: an access to 0x9030",
        " was refused, as /user/gpio@9030000 is withheld from it",
        "evisor: user: off, verdict 102",
        "heir| PASS it interrupts whoever has it",
        "keeper| PASS the dead can have it",
        "evisor: keeper: off, verdict 0",
        "evisor: heir: off, verdict 0",
    ]),
];

const fn come_and_go(name: &'static str, manifest: &'static str) -> Case {
    Case::new(name, manifest).seconds(120).shows(&[
        "user| PASS it went while it was used",
        "heir| PASS it interrupts whoever has it",
        "user| PASS it interrupts whoever has it",
        "keeper| PASS it came and went",
        "evisor: keeper: off, verdict 0",
        "evisor: user: off, verdict 0",
        "evisor: heir: off, verdict 0",
    ])
}

const CRASHED: u8 = 102;

pub fn cases(plan: &mut Plan) {
    for case in ON_VIRT {
        plan.case(case.name, || case.run(Board::QemuVirt));
    }
}

pub fn on_a_pi(plan: &mut Plan) {
    plan.case(FORWARDED.name, || FORWARDED.run(Board::Raspi4));
}
