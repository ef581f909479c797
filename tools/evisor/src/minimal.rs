//! Images with only some components: what `build --minimal` writes boots, and what
//! is not in it is refused by name, by `check` and at boot.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::cases::ENDS;
use crate::machine::{Machine, Seat};
use crate::plan::{Plan, Shared};
use crate::steps::myself;
use crate::workspace;

const WHOLE: &str = ENDS.manifest;
/// The same without a timer.
const SMALLER: &str = "tools/evisor/tests/guests/no-timer.dts";

/// What is left out, and how it is asked for.
const REFUSAL: &str = "build with feature arch-timer";

const SIZE: &str = "text + rodata + data";

pub fn cases(plan: &mut Plan) {
    plan.case("a minimal image is smaller, and boots", is_smaller);
    plan.case("check names the component that is not built in", refused_by_check);
    plan.case("boot names the component that is not built in", refused_at_boot);
}

/// Both images, and the sizes that the command prints of them.
struct Built {
    whole: (PathBuf, u64),
    minimal: (PathBuf, u64),
}

impl Built {
    fn both() -> Result<&'static Self> {
        static BUILT: Shared<Built> = Shared::new();
        BUILT.get(|| {
            let folder = workspace::root().join("target/evisor/minimal");
            let (whole, minimal) = (folder.join("whole"), folder.join("minimal"));
            let sizes = (build(WHOLE, &[], &whole)?, build(SMALLER, &["--minimal"], &minimal)?);
            Ok(Self { whole: (whole, sizes.0), minimal: (minimal, sizes.1) })
        })
    }
}

fn is_smaller() -> Result<()> {
    let Built { whole: (_, whole), minimal: (folder, minimal) } = Built::both()?;
    ensure!(minimal < whole, "{SIZE}: {minimal} bytes, and {whole} with all components");
    ENDS.watch(qemu(folder, folder)?).map(drop)
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

fn refused_at_boot() -> Result<()> {
    let Built { whole: (whole, _), minimal: (minimal, _) } = Built::both()?;
    let qemu = qemu(minimal, whole)?;
    let console = ENDS.status(1).shows(&[REFUSAL]).watch(qemu)?;
    ensure!(!console.contains("serial: starts"), "it started the VM all the same");
    Ok(())
}
