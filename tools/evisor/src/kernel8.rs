//! Our guest for the bare Raspberry Pi 4 prints the same lines on QEMU's `raspi4b` and in
//! a virtual Pi, but for those of [`LACKED`]: there QEMU has less than the machine.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::card_reader::CardReader;
use crate::console::{Console, End};
use crate::deployment::guest;
use crate::image::write_whole;
use crate::machine::{Machine, Seat};
use crate::plan::{Plan, Shared};
use crate::run;
use crate::script::Send;
use crate::workspace;

const GUEST: &str = "kernel8";
const MANIFEST: &str = "manifests/virtual-pi-bare.dts";
/// The same with the board's card.
const WITH_CARD: &str = "tools/evisor/tests/guests/kernel8-card.dts";

/// Every line that it prints on QEMU's `raspi4b`, before and after its reset.
const ON_MACHINE: &str = include_str!("../tests/kernel8.txt");

/// What it prints there, and in a virtual Pi in its place. QEMU does not lead the system
/// timer's interrupts to the GIC (`hw/arm/bcm2838.c`), and forgets PM_RSTS at a reset
/// (`hw/misc/bcm2835_powermgt.c`).
const LACKED: [(&str, &str); 3] = [
    (
        "kernel8: system timer: compare 1 interrupts, INTID 97: false",
        "kernel8: system timer: compare 1 interrupts, INTID 97: true",
    ),
    (
        "kernel8: system timer: compare 3 interrupts, INTID 99: false",
        "kernel8: system timer: compare 3 interrupts, INTID 99: true",
    ),
    (
        "kernel8: pm: knows that it was the watchdog: false",
        "kernel8: pm: knows that it was the watchdog: true",
    ),
];

/// QEMU's `raspi4b` has no RNG200. A virtual Pi has, and its numbers where the core has
/// any.
const NO_RNG: &str = "kernel8: rng: is not there";
const DRY_RNG: &str = "kernel8: rng: is there, and its FIFO stays empty";
const RNG: &str = "kernel8: rng: gives words, and they differ: true";

/// Before the reset and after it.
const SENDS: [&str; 2] = ["type a line=hello pi", "type a line=hello again"];

/// A card's bytes, as many as the manifest's disk has.
const CARD: u64 = 16 << 20;

const LIMIT: Duration = Duration::from_secs(360);

/// Where it runs in a virtual Pi: what makes the machine, the manifest, and what there is
/// of an RNG200.
type Place = (&'static str, fn() -> Result<Machine>, &'static str, &'static str);

const PLACES: [Place; 4] = [
    ("on virt", || Ok(Machine::for_tests()), MANIFEST, DRY_RNG),
    ("on virt, whose core has random numbers", with_rng, MANIFEST, RNG),
    ("on a Pi", || Ok(Machine::raspi4()), MANIFEST, DRY_RNG),
    ("on a Pi, with its card", || with_new_card("virtual.img"), WITH_CARD, DRY_RNG),
];

pub fn cases(plan: &mut Plan) {
    static NATIVELY: Shared<Vec<String>> = Shared::new();
    plan.case("a kernel8.img drives QEMU's Raspberry Pi 4 itself", || {
        as_written(NATIVELY.get(on_machine)?)
    });
    for (place, machine, manifest, rng) in PLACES {
        plan.case(format!("it prints the same in a virtual Pi {place}"), move || {
            let expected = in_virtual_pi(NATIVELY.get(on_machine)?, rng);
            differ_nowhere(&expected, &in_vm(manifest, &machine()?)?)
        });
    }
}

fn with_rng() -> Result<Machine> {
    Ok(Machine { cpu: Some("max".to_owned()), ..Machine::for_tests() })
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::root().join("target/evisor/kernel8");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// A Pi with a card of zeros.
fn with_new_card(name: &str) -> Result<Machine> {
    let path = folder()?.join(name);
    File::create(&path)
        .and_then(|card| card.set_len(CARD))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Machine { card: CardReader::keeping(path), ..Machine::raspi4() })
}

fn on_machine() -> Result<Vec<String>> {
    let file = folder()?.join("kernel8.img");
    write_whole(&file, &guest(GUEST)?.raw()?)?;
    let mut qemu = with_new_card("card.img")?.qemu(Seat::Script)?;
    qemu.arg("-kernel").arg(file);
    lines(Console::start(qemu)?, None)
}

fn in_vm(manifest: &str, machine: &Machine) -> Result<Vec<String>> {
    let files = run::prepare(Path::new(manifest), machine)?;
    lines(Console::start(machine.boot(Seat::Script, &files.kernel, &files.bundle)?)?, Some(0))
}

/// What the guest itself printed, until it turned the machine off.
fn lines(console: Console, verdict: Option<u8>) -> Result<Vec<String>> {
    let sends: Result<Vec<Send>, String> = SENDS.iter().map(|send| send.parse()).collect();
    let (end, printed) = console.watch(sends.map_err(anyhow::Error::msg)?, LIMIT)?;
    ensure!(end == End::Exited(verdict), "it ended with {end:?}; its console:\n{printed}");
    let own = printed.lines().map(str::trim_end).filter(|line| line.starts_with("kernel8: "));
    Ok(own.map(str::to_owned).collect())
}

fn as_written(natively: &[String]) -> Result<()> {
    let written: Vec<_> = ON_MACHINE.lines().map(str::to_owned).collect();
    differ_nowhere(&written, natively)
}

/// What the machine itself would have printed, had it all that a virtual Pi has.
fn in_virtual_pi(natively: &[String], rng: &str) -> Vec<String> {
    let differs = LACKED.into_iter().chain([(NO_RNG, rng)]);
    let differs: Vec<_> = differs.collect();
    let virtually = |line: &String| {
        let other = differs.iter().find(|(natively, _)| natively == line);
        other.map_or_else(|| line.clone(), |(_, virtually)| (*virtually).to_owned())
    };
    natively.iter().map(virtually).collect()
}

fn differ_nowhere(expected: &[String], printed: &[String]) -> Result<()> {
    let pairs = expected.iter().zip(printed);
    let other = pairs.enumerate().find(|(_, (expected, printed))| expected != printed);
    if let Some((number, (expected, printed))) = other {
        anyhow::bail!("line {}: '{printed}', and '{expected}' was expected", number + 1);
    }
    let (wanted, came) = (expected.len(), printed.len());
    ensure!(wanted == came, "{came} lines, and {wanted} were expected");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_that_differs_is_printed_on_the_machine() {
        let lacked = LACKED.map(|(natively, _)| natively);
        for line in lacked.into_iter().chain([NO_RNG]) {
            assert!(ON_MACHINE.lines().any(|printed| printed == line), "{line}");
        }
    }

    #[test]
    fn a_line_more_less_or_other_is_a_difference() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert!(differ_nowhere(&lines("a b"), &lines("a b")).is_ok());
        for other in ["a", "a b c", "a c"] {
            assert!(differ_nowhere(&lines("a b"), &lines(other)).is_err(), "{other}");
        }
    }
}
