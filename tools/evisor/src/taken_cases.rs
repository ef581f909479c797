//! Devices of the board that are taken from VMs which run: system tests of who has them, and
//! of who does not.

use std::path::Path;

use anyhow::{Result, ensure};

use crate::case::Case;
use crate::kills::Played;
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

const BESIDE: &str = "tools/evisor/tests/guests/taken-beside.dts";
/// How many numbers are counted there.
const NUMBERS: usize = 4000;

pub fn cases(plan: &mut Plan) {
    for case in ON_VIRT {
        plan.case(case.name, || case.run(Board::QemuVirt));
    }
    for gic in ["2", "3"] {
        let name =
            format!("who shares a core with those who lose a device notices nothing, GICv{gic}");
        plan.case(name, || beside(gic));
    }
}

pub fn on_a_pi(plan: &mut Plan) {
    plan.case(FORWARDED.name, || FORWARDED.run(Board::Raspi4));
}

/// The counter loses no byte while the others lose the device again and again.
fn beside(gic: &str) -> Result<()> {
    let options = ["--gic", gic, "--timeout", "360"].map(str::to_owned);
    let played = Played::of(&format!("taken-beside-{gic}"), Path::new(BESIDE), &options)?;
    played.with_console(went_on(&played))
}

fn went_on(played: &Played) -> Result<()> {
    ensure!(played.status == Some(0), "the status is {:?}", played.status);
    ensure!(played.log("keeper")?.contains("PASS it came and went"), "it did not come and go");
    let counted = played.counted()?;
    ensure!(counted == NUMBERS, "{counted} numbers were counted");
    let off = |vm: &str| played.console.find(&format!("evisor: {vm}: off, verdict 0"));
    let after = off("keeper").zip(off("counter")).is_some_and(|(keeper, last)| keeper < last);
    ensure!(after, "the counter was done before the keeper was");
    Ok(())
}
