//! The guest that does at random what guests should not: eVisor stays up, says little,
//! does the same twice, and is never busy for long.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use object::{Object, ObjectSymbol};

use crate::budget::Budgets;
use crate::console::{Console, End};
use crate::machine::{EACH_INSTRUCTION, Machine, Seat, need_qemu};
use crate::plan::{Plan, Shared};
use crate::process::{Progress, say};
use crate::run::{Files, prepare};
use crate::workspace;

const ONE_CORE: &str = "manifests/torture.dts";
const FOUR_CORES: &str = "manifests/torture-smp.dts";
const SHORT: &str = "tools/evisor/tests/guests/torture-short.dts";
const PORT: &str = "tools/evisor/tests/guests/port-hostile.dts";
const LIMIT: Duration = Duration::from_secs(300);

pub fn step(plan: &mut Plan) -> Result<()> {
    plan.need(need_qemu);
    plan.case("one core, the same twice", || {
        let machine = Machine { smp: Some(1), ..Machine::for_tests() };
        let (first, second) = (torture(ONE_CORE, &machine)?, torture(ONE_CORE, &machine)?);
        ensure!(first == second, "the same seed gave the traces {first} and {second}");
        Ok(())
    });
    plan.case("four cores", || torture(FOUR_CORES, &Machine::for_tests()).map(drop));
    plan.case("four cores of a Raspberry Pi 4", || {
        torture(FOUR_CORES, &Machine::raspi4()).map(drop)
    });
    for hunt in &HUNTS {
        for kind in ["trap", "interrupt"] {
            let name = format!("the longest {kind}{}", hunt.name);
            plan.case(name, move || hunt.keeps_to_bound(kind)).in_turn("longest");
        }
    }
    Ok(())
}

/// A run of which each stay at EL2 is counted.
struct Hunt {
    name: &'static str,
    manifest: &'static str,
    gic: u8,
    /// What its bounds begin with.
    bounds: &'static str,
    longest: Shared<Longest>,
}

static HUNTS: [Hunt; 3] = [
    Hunt::new("", SHORT, 2, ""),
    Hunt::new(" with a GICv3", SHORT, 3, ""),
    Hunt::new(" of a hostile driver", PORT, 2, "port_"),
];

impl Hunt {
    const fn new(
        name: &'static str,
        manifest: &'static str,
        gic: u8,
        bounds: &'static str,
    ) -> Self {
        Self { name, manifest, gic, bounds, longest: Shared::new() }
    }

    fn keeps_to_bound(&self, kind: &str) -> Result<()> {
        let Longest { trap, interrupt } = self.longest.get(|| longest(self.manifest, self.gic))?;
        let most = if kind == "trap" { trap } else { interrupt };
        Budgets::read()?.longest(&format!("{}{kind}", self.bounds), *most)
    }
}

/// Runs it to its end; the trace that it gives.
fn torture(manifest: &str, machine: &Machine) -> Result<String> {
    let path = workspace::root().join(manifest);
    let files = prepare(&path, machine)?;
    let progress = Progress::start(manifest);
    let start = Instant::now();
    let qemu = machine.boot(Seat::Script, &files.kernel, &files.bundle)?;
    let (end, console) = Console::start(qemu)?.watch(Vec::new(), LIMIT)?;
    let seconds = start.elapsed().as_secs();
    progress.end(end == End::Exited(Some(0)));
    ensure!(end == End::Exited(Some(0)), "it ended with {end:?}; its console:\n{console}");
    is_quiet(&console, seconds)?;
    let trace = console.lines().find_map(|line| line.trim_end().strip_prefix("torture: trace "));
    Ok(trace.context("it printed no trace")?.to_owned())
}

/// What eVisor says of its own while the guest runs: a line a second.
fn is_quiet(console: &str, seconds: u64) -> Result<()> {
    let while_it_runs = console
        .lines()
        .skip_while(|line| !line.contains(": starts"))
        .skip(1)
        .take_while(|line| !line.contains(": off, verdict"));
    let own: Vec<_> = while_it_runs.filter(|line| line.starts_with("evisor: ")).collect();
    let enough = seconds + 1;
    ensure!(own.len() as u64 <= enough, "{} lines in {seconds} s:\n{}", own.len(), own.join("\n"));
    Ok(())
}

/// The most instructions between an exception to EL2 and the next.
#[derive(Debug, Default, PartialEq, Eq)]
struct Longest {
    trap: u64,
    interrupt: u64,
}

/// Counts every instruction at EL2 of a short run: QEMU writes each down.
fn longest(manifest: &str, gic: u8) -> Result<Longest> {
    let counted = Machine { gic, smp: Some(1), icount: true, ..Machine::for_tests() };
    let mut machine = Machine { accelerator: EACH_INSTRUCTION, ..counted };
    let files = prepare(&workspace::root().join(manifest), &machine)?;
    let vectors = vectors(&files, machine.gic)?;
    let log = workspace::root().join("target/evisor/torture-instructions");
    machine.qemu_args = logging(vectors, &log).iter().map(Into::into).collect();
    let progress = Progress::start("counting instructions at EL2");
    let qemu = machine.boot(Seat::Script, &files.kernel, &files.bundle)?;
    let (end, console) = Console::start(qemu)?.watch(Vec::new(), LIMIT)?;
    let counted = File::open(&log).context("QEMU wrote no instructions down").map(|log| {
        let mut longest = Longest::default();
        let lines = BufReader::new(log).lines().map_while(Result::ok);
        measure(lines.filter_map(|line| address(&line)), vectors, &mut longest);
        longest
    });
    // It is large, and of no use to anybody.
    let _ = fs::remove_file(&log);
    progress.end(counted.is_ok());
    // QEMU may warn after eVisor's last line, that nothing is left to wait for.
    let well = matches!(end, End::Exited(Some(0) | None)) && console.contains("off, verdict 0");
    ensure!(well, "it ended with {end:?}; its console:\n{console}");
    let longest = counted?;
    let Longest { trap, interrupt } = longest;
    ensure!(trap > 0 && interrupt > 0, "no exception to EL2 was seen");
    say(&format!("the longest stay at EL2: {trap} after a trap, {interrupt} after an interrupt"));
    Ok(longest)
}

/// Where the vectors of EL2 are, for this version of the GIC.
fn vectors(files: &Files, gic: u8) -> Result<u64> {
    let name = format!("vectors_v{gic}");
    let elf = object::File::parse(files.image.elf())?;
    let symbol = elf.symbols().find(|symbol| symbol.name() == Ok(&name));
    Ok(symbol.context("the image has no vectors")?.address())
}

/// How much of the image, from its start on, may be code.
const IMAGE: u64 = 0x10_0000;

fn logging(vectors: u64, log: &Path) -> [String; 6] {
    let start = vectors & !(IMAGE - 1);
    [
        "-d".to_owned(),
        "exec,nochain".to_owned(),
        "-dfilter".to_owned(),
        format!("{start:#x}+{IMAGE:#x}"),
        "-D".to_owned(),
        PathBuf::from(log).display().to_string(),
    ]
}

/// The address in a line of QEMU's: `Trace 0: HOST [FLAGS/ADDRESS/…] …`.
fn address(line: &str) -> Option<u64> {
    let address = line.split_once('[')?.1.split('/').nth(1)?;
    u64::from_str_radix(address, 16).ok()
}

/// Vectors for exceptions from a guest in AArch64: synchronous, IRQ.
const TRAP: u64 = 0x400;
const INTERRUPT: u64 = 0x480;

/// A stay at EL2 ends with the next exception from a guest. What follows the last one,
/// after which no guest goes on, is the end of the VM, whose memory is scrubbed: it keeps
/// nobody waiting.
fn measure(addresses: impl Iterator<Item = u64>, vectors: u64, longest: &mut Longest) {
    let (mut entry, mut length) = (0, 0);
    for address in addresses {
        let offset = address.wrapping_sub(vectors);
        if offset == TRAP || offset == INTERRUPT {
            match entry {
                TRAP => longest.trap = longest.trap.max(length),
                INTERRUPT => longest.interrupt = longest.interrupt.max(length),
                _ => {}
            }
            (entry, length) = (offset, 0);
        }
        length += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_address() {
        let line = "Trace 0: 0x7f35a8000100 [00000000/0000004000000c00/0000b0c2/ff020201] ";
        assert_eq!(address(line), Some(0x40_0000_0c00));
        assert_eq!(address("Stopped execution of TB chain"), None);
    }

    #[test]
    fn a_stay_lasts_until_the_next_exception() {
        let addresses = [1, 2, 0x1400, 3, 4, 0x1480, 5, 0x1400, 6, 7, 8, 9];
        let mut longest = Longest::default();
        measure(addresses.into_iter(), 0x1000, &mut longest);
        assert_eq!(longest, Longest { trap: 3, interrupt: 2 });
    }

    #[test]
    fn what_is_said_before_and_after_does_not_count() {
        let console = "evisor: a\nevisor: torture: starts\nevisor: x\nevisor: y\n\
            evisor: torture: off, verdict 0\nevisor: b\n";
        assert!(is_quiet(console, 1).is_ok());
        assert!(is_quiet(console, 0).is_err());
    }
}
