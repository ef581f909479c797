//! `evisor bench`: instructions at EL2 for an event, and the floor under them.
//!
//! The bench guest counts for itself, with a counter that ticks once an
//! instruction, and prints `bench: NAME VALUE`. The same guest runs on eVisor and
//! on a stub that only saves and restores registers.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::card_bench;
use crate::console::{Console, End};
use crate::deployment::guest;
use crate::image::write_whole;
use crate::latency;
use crate::linux;
use crate::machine::{Board, Machine, Seat, need_qemu};
use crate::run;
use crate::script::{Script, pattern};
use crate::workspace;

/// The deployment that is measured where nothing else is said.
pub const MANIFEST: &str = "manifests/bench.dts";
/// The one that rings another VM.
pub const CHANNEL: &str = "manifests/bench-channel.dts";
/// The one with a virtio console.
pub const PORT: &str = "manifests/bench-port.dts";
/// The one that calls by handles.
pub const HANDLES: &str = "manifests/bench-handles.dts";
/// The one whose vCPUs share a core.
pub const SHARED: &str = "manifests/bench-shared.dts";
const LIMIT: Duration = Duration::from_secs(300);

/// Where the floor expects the guest (images/floor/src/start.rs).
const GUEST_AT: &str = "0x40200000";

/// The guest's last line, where the machine does not end by itself.
const LAST_LINE: &str = "^bench: (end|done)$";

#[derive(Args)]
pub struct Bench {
    /// Device-tree source of a deployment of the bench guest
    #[arg(default_value = MANIFEST)]
    manifest: PathBuf,
    /// The board. On raspi4 the counter ticks once in 16 instructions, so that what is
    /// measured from one deadline (vtimer, wfi_wake), or between two reads of it (eoi), comes out up to 16 off
    #[arg(long, value_enum, default_value_t = Board::QemuVirt, conflicts_with = "linux")]
    board: Board,
    /// Version of the interrupt controller
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    gic: u8,
    /// Compare Linux's instructions with those it takes without a hypervisor
    #[arg(long, conflicts_with = "manifest")]
    linux: bool,
    /// What a block costs that eVisor reads from a Raspberry Pi 4's card
    #[arg(long, conflicts_with_all = ["manifest", "linux", "board"])]
    card: bool,
    /// How late a real-time guest's timer comes beside Linux, on one core; a histogram
    #[arg(long, conflicts_with_all = ["manifest", "linux", "board", "card"])]
    latency: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Instructions by name of event.
pub type Counts = BTreeMap<String, u64>;

/// What was measured.
pub struct Figures {
    pub events: Counts,
    pub floor: Counts,
    /// From reset to the guest's first instruction.
    pub boot: Option<u64>,
}

impl Bench {
    pub fn carry_out(&self) -> Result<u8> {
        if self.linux {
            let comparison = linux::compare(self.gic)?;
            let table =
                if self.json { format!("{}\n", comparison.json()) } else { comparison.table() };
            print!("{table}");
            return Ok(0);
        }
        if self.latency {
            let latency = latency::measure(self.gic)?;
            let table = if self.json { latency.json() + "\n" } else { latency.table() };
            print!("{table}");
            return Ok(0);
        }
        if self.card {
            return self.print(&card_bench::measure()?);
        }
        let machine = match self.board {
            Board::QemuVirt => Machine::for_bench(self.gic),
            Board::Raspi4 => Machine { gic: self.gic, ..Machine::raspi4_for_bench() },
        };
        machine.supported()?;
        self.print(&measure(&machine, &self.manifest)?)
    }

    fn print(&self, figures: &Figures) -> Result<u8> {
        if self.json {
            println!("{}", figures.json());
        } else {
            print!("{}", figures.table());
        }
        Ok(0)
    }
}

/// Runs the bench on eVisor and, where there is one, on the floor.
pub fn measure(machine: &Machine, manifest: &Path) -> Result<Figures> {
    let files = run::prepare(manifest, machine)?;
    need_qemu()?;
    let mut events = listen(machine.boot(Seat::Script, &files.kernel, &files.bundle)?)
        .context("the bench on eVisor")?;
    let boot = events.remove("boot");
    let mut floor = match (machine.board, machine.gic) {
        (Board::QemuVirt, 2) => listen(floor(machine)?).context("the bench on the floor")?,
        // It drives no other.
        _ => Counts::new(),
    };
    floor.remove("boot");
    Ok(Figures { events, floor, boot })
}

fn floor(machine: &Machine) -> Result<Command> {
    let folder = workspace::root().join("target/evisor/floor");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (stub, bench) = (folder.join("floor.bin"), folder.join("bench.bin"));
    write_whole(&stub, &guest("floor")?.raw()?)?;
    write_whole(&bench, &guest("bench")?.raw()?)?;
    let mut qemu = machine.qemu(Seat::Script)?;
    let device = format!("loader,file={},addr={GUEST_AT},force-raw=on", bench.display());
    qemu.arg("-kernel").arg(stub).args(["-device", &device]);
    Ok(qemu)
}

fn listen(qemu: Command) -> Result<Counts> {
    let until = pattern(LAST_LINE).map_err(anyhow::Error::msg)?;
    let mut script = Script::new(Vec::new(), Some(until));
    let mut console = io::Cursor::new(Vec::new());
    let end = Console::start(qemu)?.follow(&mut script, Some(LIMIT), &mut console)?;
    let text = String::from_utf8_lossy(console.get_ref()).into_owned();
    let mut counts = read(&text);
    if let (Some(boot), Some(beginning)) = (counts.get_mut("boot"), beginning(&text)) {
        *boot += beginning;
    }
    let finished = matches!(end, End::Matched | End::Exited(Some(0)) | End::Exited(None));
    if !finished || counts.is_empty() {
        bail!("it gave no figures ({end:?}); its console said:\n{text}");
    }
    Ok(counts)
}

fn read(console: &str) -> Counts {
    console.lines().filter_map(read_line).collect()
}

fn read_line(line: &str) -> Option<(String, u64)> {
    // With several consoles the name of the VM stands before it.
    let line = line.trim();
    let line = line.strip_prefix("bench| ").unwrap_or(line);
    let (name, value) = line.strip_prefix("bench: ")?.split_once(' ')?;
    Some((name.to_owned(), value.trim().parse().ok()?))
}

/// When the VM's time began, as eVisor says: an instruction is a nanosecond.
fn beginning(console: &str) -> Option<u64> {
    let (_, rest) = console.split_once(": starts; its time is the machine's less ")?;
    rest.split_once(" ns")?.0.parse().ok()
}

impl Figures {
    /// What `--json` printed.
    pub fn from_json(text: &[u8]) -> Result<Self> {
        let all: Value = serde_json::from_slice(text).context("the figures are not JSON")?;
        let counts = |name: &str| {
            let map = all.get(name).and_then(Value::as_object).into_iter().flatten();
            map.filter_map(|(event, count)| Some((event.clone(), count.as_u64()?))).collect()
        };
        let boot = all.get("boot").and_then(Value::as_u64);
        Ok(Self { events: counts("events"), floor: counts("floor"), boot })
    }

    fn json(&self) -> String {
        json!({ "events": self.events, "floor": self.floor, "boot": self.boot }).to_string()
    }

    fn table(&self) -> String {
        let mut text = format!("{:<28}{:>10}{:>10}\n", "instructions at EL2", "eVisor", "floor");
        for (name, count) in &self.events {
            let floor = self.floor.get(name).map_or_else(|| "-".to_owned(), u64::to_string);
            text.push_str(&format!("{name:<28}{count:>10}{floor:>10}\n"));
        }
        if let Some(boot) = self.boot {
            text.push_str(&format!("{:<28}{boot:>10}\n", "boot"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_read_from_the_console() {
        let counts =
            read("evisor: up\r\nbench: hvc 71\r\nbench: vtimer 90\r\nbench: end\r\nx bench: y 1\n");
        assert_eq!(read_line("bench| bench: doorbell 299"), Some(("doorbell".to_owned(), 299)));
        assert_eq!(counts, Counts::from([("hvc".to_owned(), 71), ("vtimer".to_owned(), 90)]));
    }

    #[test]
    fn the_beginning_of_time_is_read_too() {
        let said =
            "evisor: up\r\nevisor: bench: starts; its time is the machine's less 2048 ns\r\n";
        assert_eq!(beginning(said), Some(2048));
        assert_eq!(beginning("bench: hvc 71\r\n"), None);
    }

    #[test]
    fn the_json_has_events_floor_and_boot() {
        let figures = Figures {
            events: read("bench: hvc 71"),
            floor: read("bench: hvc 57"),
            boot: Some(1000),
        };
        assert_eq!(figures.json(), r#"{"boot":1000,"events":{"hvc":71},"floor":{"hvc":57}}"#);
        assert!(figures.table().contains("hvc"));
        let again = Figures::from_json(figures.json().as_bytes()).unwrap();
        assert_eq!(again.json(), figures.json());
    }
}
