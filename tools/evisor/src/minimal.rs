//! Images with only some components: what `build --minimal` writes boots, and what
//! is not in it is refused by name, by `check` and at boot.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cases::ENDS;
use crate::machine::{Machine, Seat, need_qemu};
use crate::steps::myself;
use crate::test::Count;
use crate::workspace;

const WHOLE: &str = ENDS.manifest;
/// The same without a timer.
const SMALLER: &str = "tools/evisor/tests/guests/no-timer.dts";

/// What is left out, and how it is asked for.
const REFUSAL: &str = "build with feature arch-timer";

const SIZE: &str = "text + rodata + data";

pub fn cases(count: &mut Count) -> Result<()> {
    let folder = workspace::root().join("target/evisor/minimal");
    count.one("a minimal image is smaller, and boots", is_smaller(&folder));
    count.one("check names the component that is not built in", refused_by_check());
    count.one("boot names the component that is not built in", refused_at_boot(&folder));
    Ok(())
}

/// Builds both; the folders `whole` and `minimal` of `folder` hold the results.
fn is_smaller(folder: &Path) -> Result<()> {
    let whole = build(WHOLE, &[], &folder.join("whole"))?;
    let minimal = build(SMALLER, &["--minimal"], &folder.join("minimal"))?;
    ensure!(minimal < whole, "{SIZE}: {minimal} bytes, and {whole} with all components");
    ENDS.watch(qemu(&folder.join("minimal"), &folder.join("minimal"))?).map(drop)
}

/// The size that the command prints.
fn build(manifest: &str, options: &[&str], output: &Path) -> Result<u64> {
    let mut command = myself("build");
    command.arg(manifest).args(options).arg("-o").arg(output).current_dir(workspace::root());
    let output = command.output().context("cannot start a build")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "the build of {manifest} failed:\n{said}");
    let table = String::from_utf8_lossy(&output.stdout);
    let row = table.lines().find_map(|line| line.strip_prefix(SIZE));
    row.and_then(|bytes| bytes.trim().parse().ok()).context("the build printed no size")
}

/// The image in one folder with the bundle in another.
fn qemu(image: &Path, bundle: &Path) -> Result<Command> {
    need_qemu()?;
    let (image, bundle) = (image.join("evisor.bin"), bundle.join("bundle.cpio"));
    Machine::for_tests().boot(Seat::Script, &image, &bundle)
}

fn refused_by_check() -> Result<()> {
    let mut command = myself("check");
    command.args(["--features", "console,id-registers,pl011,psci,smccc-services,vgic"]);
    let output = command.arg(WHOLE).current_dir(workspace::root()).output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.code() == Some(1), "its status is {}", output.status);
    let has_line = said.lines().any(|l| l.contains("machine.dtsi:") && l.contains("/serial/timer"));
    ensure!(has_line && said.contains(REFUSAL), "it said:\n{said}");
    Ok(())
}

fn refused_at_boot(folder: &Path) -> Result<()> {
    fs::metadata(folder.join("minimal/evisor.bin")).context("there is no minimal image")?;
    let qemu = qemu(&folder.join("minimal"), &folder.join("whole"))?;
    let console = ENDS.status(1).shows(&[REFUSAL]).watch(qemu)?;
    ensure!(!console.contains("serial: starts"), "it started the VM all the same");
    Ok(())
}
