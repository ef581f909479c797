//! The machines that a deployment boots on, as QEMU's command line.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use evisor_fdt::{Aligned, Tree};

use crate::card_reader::CardReader;
use crate::debian_guest;
use crate::packages::{self, From};
use crate::process::{capture, say};
use crate::sources;

const QEMU: &str = "qemu-system-aarch64";
const PACKAGE: packages::Package = ("qemu-system-arm", "boots the images");

/// The first QEMU that has `raspi4b`.
const QEMU_WANTED: &str = "1:9.0";

/// Where gdb finds the machine; QEMU's own default port.
const GDB: &str = "tcp:127.0.0.1:1234";

/// The CPU and the number of cores of qemu-virt, where nothing is said.
const CPU: &str = "cortex-a53";
const CORES: u8 = 4;

/// The fastest on few cores.
const ONE_THREAD: &str = "tcg,thread=single";

/// The same, each instruction on its own: `-d exec` writes every one down.
pub const EACH_INSTRUCTION: &str = "tcg,thread=single,one-insn-per-tb=on";

/// A board that eVisor runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Board {
    /// QEMU's virt machine
    QemuVirt,
    /// Raspberry Pi 4
    Raspi4,
}

impl Board {
    /// The name that the checker and the manifests' authors know it by.
    pub fn name(self) -> &'static str {
        match self {
            Self::QemuVirt => "qemu-virt",
            Self::Raspi4 => "raspi4",
        }
    }

    /// The feature of the image that builds it in.
    pub fn feature(self) -> String {
        format!("board-{}", self.name())
    }

    /// Refuses an interrupt controller that it does not come with.
    pub fn comes_with(self, gic: u8) -> Result<()> {
        match (self, gic) {
            (Self::Raspi4, 3) => bail!("--gic 3: the board raspi4 has a GICv2, and no other"),
            _ => Ok(()),
        }
    }
}

/// What to boot on.
#[derive(Clone, Debug, Args)]
pub struct Machine {
    /// The board
    #[arg(long, value_enum, default_value_t = Board::QemuVirt)]
    pub board: Board,
    /// Version of the interrupt controller
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    pub gic: u8,
    /// QEMU's model of the CPU, of qemu-virt [default: cortex-a53]
    #[arg(long, value_name = "MODEL")]
    pub cpu: Option<String>,
    /// Device tree of the board, of raspi4 [default: the one of Debian's kernel]
    #[arg(long = "dtb", value_name = "FILE")]
    pub tree: Option<PathBuf>,
    /// Number of cores, of qemu-virt [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=8))]
    pub smp: Option<u8>,
    /// Count instructions as time: each takes one nanosecond
    #[arg(long)]
    pub icount: bool,
    /// Wait for gdb before the first instruction
    #[arg(long)]
    pub gdb: bool,
    #[command(flatten)]
    pub card: CardReader,
    #[arg(skip = ONE_THREAD)]
    pub accelerator: &'static str,
    /// One more argument for QEMU (repeatable)
    #[arg(long = "qemu-arg", value_name = "ARG", allow_hyphen_values = true)]
    pub qemu_args: Vec<OsString>,
}

/// Who is at the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seat {
    /// A person: Ctrl-A X ends QEMU.
    Person,
    /// A script: every byte is the guest's.
    Script,
}

impl Machine {
    /// The machine that the figures of the bench are measured on.
    pub fn for_bench(gic: u8) -> Self {
        Self {
            board: Board::QemuVirt,
            gic,
            cpu: Some("max".to_owned()),
            tree: None,
            smp: None,
            icount: true,
            gdb: false,
            card: CardReader::default(),
            accelerator: ONE_THREAD,
            qemu_args: Vec::new(),
        }
    }

    /// The machine that `evisor run` boots on where nothing is said.
    pub fn for_tests() -> Self {
        Self { cpu: None, icount: false, ..Self::for_bench(2) }
    }

    /// A Raspberry Pi 4.
    pub fn raspi4() -> Self {
        Self { board: Board::Raspi4, ..Self::for_tests() }
    }

    /// What the bench measures on it with.
    pub fn raspi4_for_bench() -> Self {
        Self { icount: true, ..Self::raspi4() }
    }

    /// Refuses what the board does not have.
    pub fn supported(&self) -> Result<()> {
        self.board.comes_with(self.gic)?;
        match (self.board, &self.cpu, self.smp, &self.tree) {
            (Board::Raspi4, Some(cpu), ..) => {
                bail!("--cpu {cpu}: the board raspi4 has Cortex-A72 cores, and no others")
            }
            (Board::Raspi4, _, Some(smp), _) => {
                bail!("--smp {smp}: the board raspi4 has four cores, no more and no fewer")
            }
            (Board::QemuVirt, .., Some(_)) => {
                bail!("--dtb: QEMU makes the device tree of the board qemu-virt")
            }
            _ => Ok(()),
        }
    }

    /// QEMU with this machine and nothing to boot on it.
    pub fn qemu(&self, seat: Seat) -> Result<Command> {
        match self.board {
            Board::QemuVirt => self.virt(seat, "virtualization=on", "1G"),
            Board::Raspi4 => self.pi(seat),
        }
    }

    /// The same without EL2, so that a guest can run on it with no hypervisor below.
    pub fn without_hypervisor(&self, seat: Seat, memory: &str) -> Result<Command> {
        self.virt(seat, "virtualization=off", memory)
    }

    fn virt(&self, seat: Seat, levels: &str, memory: &str) -> Result<Command> {
        let mut qemu = Command::new(QEMU);
        let machine = format!("virt,{levels},gic-version={}", self.gic);
        let (cpu, smp) = (self.cpu.as_deref().unwrap_or(CPU), self.smp.unwrap_or(CORES));
        qemu.args(["-M", &machine, "-cpu", cpu, "-m", memory, "-smp", &smp.to_string()]);
        self.complete(qemu, seat)
    }

    /// The console is where its tree has it: Debian's on the mini UART, which is QEMU's
    /// second serial line. The first, the PL011, is left open then.
    fn pi(&self, seat: Seat) -> Result<Command> {
        let (path, tree) = match &self.tree {
            Some(path) => {
                let tree = fs::read(path);
                (path.clone(), tree.with_context(|| format!("cannot read {}", path.display()))?)
            }
            None => debian_guest::pi_tree()?,
        };
        let mut qemu = Command::new(QEMU);
        qemu.args(["-M", "raspi4b", "-m", "2G", "-smp", "4", "-dtb"]).arg(&path);
        if !console_is_pl011(&tree).with_context(|| path.display().to_string())? {
            qemu.args(["-serial", "null"]);
        }
        self.complete(qemu, seat)
    }

    /// What does not depend on the board.
    fn complete(&self, mut qemu: Command, seat: Seat) -> Result<Command> {
        self.supported()?;
        qemu.args(["-accel", self.accelerator, "-display", "none", "-net", "none"]);
        qemu.args(match seat {
            Seat::Person => ["-serial", "mon:stdio"].as_slice(),
            Seat::Script => &["-serial", "stdio", "-monitor", "none"],
        });
        if self.icount {
            qemu.args(["-icount", "shift=0,sleep=off"]);
        }
        if self.gdb {
            qemu.args(["-gdb", GDB, "-S"]);
        }
        qemu.args(self.card.arguments(self.board)?).args(&self.qemu_args);
        Ok(qemu)
    }

    /// QEMU that boots eVisor with a bundle.
    pub fn boot(&self, seat: Seat, kernel: &Path, bundle: &Path) -> Result<Command> {
        let mut qemu = self.qemu(seat)?;
        qemu.arg("-kernel").arg(kernel).arg("-initrd").arg(bundle);
        Ok(qemu)
    }

    /// Tells a person who asked for gdb how to come in.
    pub fn announce_gdb(&self, symbols: &Path) {
        if self.gdb {
            let symbols = symbols.display();
            say(&format!("waiting for gdb: gdb-multiarch {symbols} -ex 'target remote {GDB}'"));
        }
    }
}

/// Whether `stdout-path` of a tree leads to a PL011.
fn console_is_pl011(tree: &[u8]) -> Result<bool> {
    let tree = Aligned::copy(tree);
    let tree = Tree::new(tree.bytes()).map_err(|error| anyhow!("the device tree {error}"))?;
    let console = tree.find("/chosen").and_then(|chosen| tree.find(chosen.string("stdout-path")?));
    Ok(console.is_some_and(|node| node.is_compatible("arm,pl011")))
}

/// Installs QEMU where there is none, or none that has both boards.
pub fn need_qemu() -> Result<()> {
    let machines = capture(Command::new(QEMU).args(["-M", "help"])).unwrap_or_default();
    if String::from_utf8_lossy(&machines).contains("raspi4b") {
        return Ok(());
    }
    let new_enough = packages::candidate_is_at_least(PACKAGE.0, QEMU_WANTED);
    let from =
        if new_enough || sources::codename().is_err() { From::Release } else { From::Backports };
    packages::install(&[PACKAGE], from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arguments(machine: &Machine, seat: Seat) -> String {
        let qemu = machine.qemu(seat).unwrap();
        let arguments: Vec<_> = qemu.get_args().map(|a| a.to_string_lossy()).collect();
        arguments.join(" ")
    }

    #[test]
    fn the_bench_counts_instructions() {
        let line = arguments(&Machine::for_bench(3), Seat::Script);
        assert!(line.contains("gic-version=3 -cpu max"), "{line}");
        assert!(line.contains("-icount shift=0,sleep=off"), "{line}");
    }

    #[test]
    fn a_script_has_no_monitor_that_a_guest_or_text_could_reach() {
        let machine = Machine::for_bench(2);
        assert!(arguments(&machine, Seat::Person).contains("mon:stdio"));
        assert!(!arguments(&machine, Seat::Script).contains("mon:"));
    }

    #[test]
    fn what_a_board_does_not_have_is_refused_by_its_option() {
        let pi = Machine::raspi4;
        let refused = |machine: Machine| machine.supported().unwrap_err().to_string();
        assert!(refused(Machine { gic: 3, ..pi() }).contains("--gic 3"));
        assert!(refused(Machine { cpu: Some("max".to_owned()), ..pi() }).contains("--cpu max"));
        assert!(refused(Machine { smp: Some(2), ..pi() }).contains("--smp 2"));
        let other_tree = Some("pi.dtb".into());
        assert!(refused(Machine { tree: other_tree, ..Machine::for_tests() }).contains("--dtb"));
        pi().supported().unwrap();
        Machine::for_bench(3).supported().unwrap();
    }
}
