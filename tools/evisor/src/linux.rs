//! `evisor bench --linux`: how many instructions more Linux takes under eVisor than
//! on the same machine without it.
//!
//! Same QEMU, kernel, initial RAM disk, command line and device tree, the one that
//! eVisor makes for the guest; natively QEMU loads them, and there is no EL2. Each
//! run does one thing and turns the machine off, so that it ends at an exact
//! instruction. What eVisor takes to start and to end by itself is counted with a
//! kernel of the same size that powers off at once, and shown apart.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::card_file::CardFiles;
use crate::check;
use crate::counted;
use crate::deployment::{Deployment, File};
use crate::image::{Features, Image, write_whole};
use crate::machine::{Machine, Seat, need_qemu};
use crate::process::Progress;
use crate::toolchain::Toolchain;
use crate::workspace;

const LIMIT: Duration = Duration::from_secs(180);
/// The VM in manifests/linux.dts, and what its kernel is called there.
const VM: &str = "linux";
const KERNEL: &str = "debian:linux";
const INITRD: &str = "debian:initramfs";
/// As manifests/guests/linux.dtsi gives it.
const MEMORY: &str = "128M";

/// What `/etc/measure` of the initial RAM disk can do (initramfs.rs).
const PROGRAMS: [&str; 2] = ["forks", "dd"];

/// What [`Comparison::rows`] are of.
pub const ROWS: [&str; 3] = ["boot", PROGRAMS[0], PROGRAMS[1]];

/// Powers off by PSCI.
const POWER_OFF: [u32; 3] = [
    0x5280_0100, // mov  w0, #0x8
    0x72b0_8000, // movk w0, #0x8400, lsl #16
    0xd400_0002, // hvc  #0
];

/// Instructions for the same thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    pub native: u64,
    pub evisor: u64,
}

/// What was measured.
pub struct Comparison {
    /// The boot, from the guest's first instruction to where a shell would start,
    /// and power off; then each of `PROGRAMS` alone.
    pub rows: Vec<(&'static str, Pair)>,
    /// What eVisor takes before and after the guest.
    pub own: u64,
}

pub fn compare(gic: u8) -> Result<Comparison> {
    need_qemu()?;
    let bench = Bench::prepare(gic)?;
    let whole = bench.both("boot")?;
    let own = bench.own()?;
    let boot = Pair { native: whole.native, evisor: whole.evisor.saturating_sub(own) };
    let mut rows = vec![("boot", boot)];
    for program in PROGRAMS {
        rows.push((program, bench.both(program)?.less(whole)));
    }
    Ok(Comparison { rows, own })
}

struct Bench {
    machine: Machine,
    folder: PathBuf,
    kernel: PathBuf,
}

impl Bench {
    fn prepare(gic: u8) -> Result<Self> {
        let folder = workspace::root().join("target/evisor").join(format!("bench-linux-gic{gic}"));
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let kernel = folder.join("evisor.bin");
        let image = Image::build(Toolchain::chosen()?, "evisor", &Features::Default)?;
        write_whole(&kernel, &image.raw()?)?;
        let machine = Machine { gic, icount: true, ..Machine::for_tests() };
        Ok(Self { machine, folder, kernel })
    }

    fn both(&self, program: &'static str) -> Result<Pair> {
        let deployment = self.deployment(program)?;
        let progress = Progress::start(&format!("counting Linux's instructions: {program}"));
        let end = format!("measured: {program}");
        let run = |qemu, name: String| counted::run(qemu, &self.folder, &name, Some(&end), LIMIT);
        let pair = run(self.native(&deployment)?, format!("{program}-native")).and_then(|native| {
            let evisor = run(self.below(&deployment)?, format!("{program}-evisor"))?;
            Ok(Pair { native, evisor })
        });
        progress.end(pair.is_ok());
        pair
    }

    /// eVisor alone, with a guest that is over at once.
    fn own(&self) -> Result<u64> {
        let mut deployment = self.deployment("boot")?;
        for file in deployment.files.iter_mut().filter(|file| file.name == KERNEL) {
            power_off_at_once(&mut file.bytes);
        }
        counted::run(self.below(&deployment)?, &self.folder, "own", None, LIMIT)
    }

    /// The demonstration, doing one thing.
    fn deployment(&self, program: &str) -> Result<Deployment> {
        let source = self.folder.join("measured.dts");
        let bootargs = format!("console=ttyAMA0 rdinit=/etc/measure -- {program}");
        let text = format!(
            "/include/ \"linux.dts\"\n/ {{ {VM} {{ chosen {{ bootargs = \"{bootargs}\"; }}; }}; }};\n"
        );
        write_whole(&source, text.as_bytes())?;
        Deployment::load(&source, &CardFiles::default())
    }

    fn below(&self, deployment: &Deployment) -> Result<Command> {
        let bundle = self.folder.join("bundle.cpio");
        write_whole(&bundle, &deployment.bundle()?)?;
        self.machine.boot(Seat::Script, &self.kernel, &bundle)
    }

    fn native(&self, deployment: &Deployment) -> Result<Command> {
        let Machine { board, gic, .. } = self.machine;
        let examined = check::examine(deployment, board, gic, &Features::Default)?;
        let tree = examined.trees.get(VM).context("the checker gave no tree of the guest")?;
        let mut qemu = self.machine.without_hypervisor(Seat::Script, MEMORY)?;
        let parts = [
            ("-kernel", bytes_of(deployment, KERNEL)?),
            ("-initrd", bytes_of(deployment, INITRD)?),
            ("-dtb", tree),
        ];
        for (option, bytes) in parts {
            let file = self.folder.join(format!("native{option}"));
            write_whole(&file, bytes)?;
            qemu.arg(option).arg(file);
        }
        Ok(qemu)
    }
}

fn bytes_of<'a>(deployment: &'a Deployment, name: &str) -> Result<&'a [u8]> {
    let found = deployment.files.iter().find(|file: &&File| file.name == name);
    Ok(&found.with_context(|| format!("manifests/linux.dts names no {name}"))?.bytes)
}

/// Has a kernel power off behind its header, which it keeps, as it does its size.
fn power_off_at_once(kernel: &mut [u8]) {
    const BRANCH_BEHIND_HEADER: u32 = 0x1400_0010; // b .+64
    let code = std::iter::once((0, BRANCH_BEHIND_HEADER)).chain((64..).step_by(4).zip(POWER_OFF));
    for (at, word) in code {
        if let Some(place) = kernel.get_mut(at..at + 4) {
            place.copy_from_slice(&word.to_le_bytes());
        }
    }
}

impl Pair {
    fn less(self, other: Self) -> Self {
        Self {
            native: self.native.saturating_sub(other.native),
            evisor: self.evisor.saturating_sub(other.evisor),
        }
    }

    /// How much more it is under eVisor, in percent of native.
    pub fn percent(self) -> f64 {
        (self.evisor as f64 / self.native as f64 - 1.0) * 100.0
    }
}

impl Comparison {
    pub fn table(&self) -> String {
        let mut text = format!(
            "{:<28}{:>14}{:>14}{:>10}\n",
            "instructions of Linux", "native", "eVisor", "more"
        );
        for (name, pair) in &self.rows {
            let percent = format!("{:.2} %", pair.percent());
            text.push_str(&format!(
                "{name:<28}{:>14}{:>14}{percent:>10}\n",
                pair.native, pair.evisor
            ));
        }
        text.push_str(&format!(
            "{:<28}{:>14}{:>14}\n",
            "eVisor itself, start and end", "-", self.own
        ));
        text
    }

    pub fn json(&self) -> Value {
        let row = |(name, pair): &(&str, Pair)| {
            let value = json!({ "native": pair.native, "evisor": pair.evisor });
            ((*name).to_owned(), value)
        };
        let rows: serde_json::Map<_, _> = self.rows.iter().map(row).collect();
        json!({ "linux": rows, "own": self.own })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_difference_is_in_percent_of_native() {
        let pair = Pair { native: 1000, evisor: 1015 };
        assert!((pair.percent() - 1.5).abs() < 1e-9);
        let whole = Pair { native: 1400, evisor: 1500 };
        assert_eq!(whole.less(pair), Pair { native: 400, evisor: 485 });
    }

    #[test]
    fn only_what_runs_of_the_kernel_changes() {
        let mut kernel = vec![0x5a; 200];
        power_off_at_once(&mut kernel);
        assert_eq!(kernel[..4], [0x10, 0, 0, 0x14]);
        assert!(kernel[4..64].iter().chain(&kernel[76..]).all(|byte| *byte == 0x5a));
    }
}
