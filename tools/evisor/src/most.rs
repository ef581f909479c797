//! As many VMs at once as `check` lets through for EL2's heap: all of them start, and not
//! many fewer than there is room for.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::card_file::CardFiles;
use crate::check::{Heap, examine};
use crate::deployment::Deployment;
use crate::diagnostic::Diagnostics;
use crate::image::Features;
use crate::machine::Board;
use crate::plan::Plan;
use crate::steps::myself;
use crate::workspace;

/// More than the heap has room for, and no more than memory has.
const LIMIT: u32 = 64;
const SECONDS: &str = "60";
/// By so many percent of what is given out the bound may be above it. What waits in the
/// heap's lists was needed too, and is not told: about half of this.
const TIGHT: u64 = 20;

pub fn cases(plan: &mut Plan, board: Board, gic: u8) {
    let name = format!("as many VMs as check lets through all start, with a GICv{gic}");
    plan.case(name, move || most(board, gic)).long();
}

/// A VM that resets until it may no more, when eVisor says what is free, and others that
/// wait.
fn manifest(workers: u32) -> Result<String> {
    let mut text = String::from(
        r#"/dts-v1/;
/ {
	evisor,version = <1>;
	console { compatible = "evisor,console"; };
	turns { compatible = "evisor,round-robin"; evisor,cores = <0 1 2 3>; };
	small {
		compatible = "evisor,vm";
		evisor,image = "reset.bin";
		evisor,cores = <0>;
		evisor,no-device-tree;
		evisor,restart-limit = <1 3600>;
		/include/ "guests/machine.dtsi"
		memory@40000000 { device_type = "memory"; reg = <0 0x40000000 0 0x200000>; };
	};
"#,
    );
    for number in 1..=workers {
        let core = number % 4;
        writeln!(text, "	worker-{number} {{")?;
        writeln!(text, "		evisor,cores = <{core}>;")?;
        writeln!(text, "		/include/ \"guests/worker.dtsi\"")?;
        writeln!(text, "	}};")?;
    }
    writeln!(text, "}};")?;
    for number in 1..=workers {
        let arguments = format!("bootargs = \"number={number} units=1\";");
        writeln!(text, "/ {{ worker-{number} {{ chosen {{ {arguments} }}; }}; }};")?;
    }
    Ok(text)
}

/// Where the manifest with so many workers is; and what `check` says of its heap.
fn checked(folder: &Path, board: Board, gic: u8, workers: u32) -> Result<(PathBuf, Heap)> {
    let path = folder.join(format!("{}-{gic}-{workers}.dts", board.name()));
    fs::write(&path, manifest(workers)?)?;
    let deployment = Deployment::load(&path, &CardFiles::default())?;
    let examined = examine(&deployment, board, gic, &Features::Default)?;
    Ok((path, examined.heap))
}

/// The largest that `check` lets through.
fn largest(folder: &Path, board: Board, gic: u8) -> Result<(u32, PathBuf, Heap)> {
    let (mut few, mut many) = (4, LIMIT);
    let mut best = checked(folder, board, gic, few)?;
    while many - few > 1 {
        let workers = few.midpoint(many);
        match checked(folder, board, gic, workers) {
            Ok(found) => (few, best) = (workers, found),
            Err(error) => {
                let said = error.downcast::<Diagnostics>()?.to_string();
                ensure!(said.contains("KiB of memory for eVisor itself"), "{said}");
                many = workers;
            }
        }
    }
    let (path, heap) = best;
    Ok((few, path, heap))
}

fn most(board: Board, gic: u8) -> Result<()> {
    let folder = workspace::root().join("target/evisor/most");
    fs::create_dir_all(&folder)?;
    let reset = workspace::root().join("tools/evisor/tests/guests/reset.bin");
    fs::copy(reset, folder.join("reset.bin"))?;
    let (workers, path, heap) = largest(&folder, board, gic)?;
    let mut run = myself("run");
    run.arg(&path).args(["--board", board.name(), "--gic", &gic.to_string()]);
    run.args(["--timeout", SECONDS, "--until", r"small: restarted 1 times.*; now: heap \d+,"])
        .current_dir(workspace::root());
    let output = run.output().context("cannot start a run")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}; its console:\n{printed}\n{said}", output.status);
    for number in 1..=workers {
        let line = format!("evisor: worker-{number}: starts; ");
        ensure!(printed.contains(&line), "'{line}' is missing:\n{printed}");
    }
    is_tight(&printed, heap)
}

/// What is given out is no more than was said, and not much less.
fn is_tight(printed: &str, heap: Heap) -> Result<()> {
    let free = printed.split("; now: heap ").nth(1).context("what is free is not said")?;
    let free: u64 = free.split(',').next().unwrap_or_default().parse()?;
    let used = heap.has - free / 1024;
    ensure!(used <= heap.needs, "{used} KiB are used, and {} were to be needed", heap.needs);
    let most = used + used * TIGHT / 100;
    ensure!(heap.needs <= most, "{used} KiB are used, and {} were said to be", heap.needs);
    Ok(())
}
