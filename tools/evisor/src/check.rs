//! `evisor check`: every error of a manifest, at its line.
//!
//! What is right is decided by the framework's own reader, the one that runs at
//! boot, built for this machine as `evisor-check`; this adds the places.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::authority::{self, Format};
use crate::card_file::CardFiles;
use crate::deployment::Deployment;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::graph;
use crate::image::{Features, executable, write_whole};
use crate::machine::Board;
use crate::manifest::Manifest;
use crate::process::{long, say};
use crate::toolchain::Toolchain;
use crate::workspace;

const CHECKER: &str = "evisor-check";
const BUILD: Duration = Duration::from_secs(1800);

#[derive(Args)]
pub struct Check {
    /// Device-tree source of the deployment
    manifest: PathBuf,
    /// The board that it is to boot on
    #[arg(long, value_enum, default_value_t = Board::QemuVirt)]
    board: Board,
    /// Version of the board's interrupt controller
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(2..=3))]
    gic: u8,
    /// Check against an image that has only these components
    #[arg(long, value_name = "FEATURE", value_delimiter = ',')]
    features: Option<Vec<String>>,
    /// Say what each VM can reach: every address, register, function and interrupt, and through
    /// which object
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "text", value_enum)]
    report: Option<Format>,
    /// Draw the VMs, their capabilities and the objects that these lead to, as SVG
    #[arg(long, value_name = "FILE")]
    graph: Option<PathBuf>,
    #[command(flatten)]
    card_files: CardFiles,
}

impl Check {
    pub fn carry_out(self) -> Result<u8> {
        let deployment = Deployment::load(&self.manifest, &self.card_files)?;
        let features = self.features.map_or(Features::Default, Features::Only);
        let examined = examine(&deployment, self.board, self.gic, &features)?;
        if let Some(format) = self.report {
            println!("{}", authority::report(&examined.authority, format)?);
        }
        if let Some(path) = self.graph {
            let drawing = graph::svg(&examined.authority)?;
            write_whole(&path, drawing.as_bytes())?;
        }
        let Heap { needs, has } = examined.heap;
        say(&format!("{} is right", self.manifest.display()));
        say(&format!("it needs at most {needs} KiB of the {has} KiB for eVisor itself"));
        Ok(0)
    }
}

/// What the checker says of a manifest that is right.
#[derive(Debug, PartialEq, Eq)]
pub struct Examined {
    /// The features of the image that it needs.
    pub features: Vec<String>,
    /// By VM, the device tree that its guest will read.
    pub trees: BTreeMap<String, Vec<u8>>,
    /// What each VM can reach.
    pub authority: Value,
    /// What it needs of EL2's heap.
    pub heap: Heap,
}

/// EL2's heap, in KiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heap {
    /// What the deployment needs at most.
    pub needs: u64,
    /// What there is.
    pub has: u64,
}

/// Has the manifest checked for a board and an image with these features.
pub fn examine(
    deployment: &Deployment,
    board: Board,
    gic: u8,
    features: &Features,
) -> Result<Examined> {
    board.comes_with(gic)?;
    // One with other features takes the place of this one's file.
    let _alone = Toolchain::of_host().lock()?;
    let checker = build(features)?;
    let bundle = checker.with_file_name(format!("bundle-{}.cpio", std::process::id()));
    fs::write(&bundle, deployment.whole()?)
        .with_context(|| format!("cannot write {}", bundle.display()))?;
    let mut command = Command::new(&checker);
    command.arg(&bundle).args(["--board", board.name(), "--gic", &gic.to_string()]);
    let output = command.output();
    fs::remove_file(&bundle).with_context(|| format!("cannot remove {}", bundle.display()))?;
    let output = output.context("cannot run the checker")?;
    let report = String::from_utf8_lossy(&output.stdout);
    match read(&report, &deployment.manifest)? {
        Report::Right(examined) if output.status.success() => Ok(examined),
        Report::Wrong(errors) if !output.status.success() => Err(errors.into()),
        _ => bail!(
            "the checker ended with {} and said: {report}{}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        ),
    }
}

fn build(features: &Features) -> Result<PathBuf> {
    let toolchain = Toolchain::of_host();
    let mut cargo = toolchain.host_cargo();
    cargo
        .args([
            "build",
            "--message-format=json-render-diagnostics",
            "-p",
            "evisor",
            "--bin",
            CHECKER,
        ])
        .arg("--target-dir")
        .arg(toolchain.target_dir())
        .current_dir(workspace::root());
    let needed = workspace::required_features("evisor", CHECKER)?;
    match features {
        Features::Default if needed.is_empty() => {}
        Features::Default => _ = cargo.args(["--features", &needed.join(",")]),
        Features::Only(list) => {
            let all: Vec<_> = list.iter().chain(&needed).map(String::as_str).collect();
            cargo.args(["--no-default-features", "--features", &all.join(",")]);
        }
    }
    let messages = long("building the checker", &mut cargo, BUILD)?;
    executable(&messages, CHECKER).with_context(|| format!("cargo built no {CHECKER}"))
}

#[derive(Debug)]
enum Report {
    Right(Examined),
    Wrong(Diagnostics),
}

/// Reads the checker's lines of JSON.
fn read(report: &str, manifest: &Manifest) -> Result<Report> {
    let (mut right, mut errors) = (None, Vec::new());
    for line in report.lines().filter(|l| !l.trim().is_empty()) {
        let value: Value = serde_json::from_str(line)
            .with_context(|| format!("the checker said what is not JSON: {line}"))?;
        match examined(&value) {
            Some(examined) => right = Some(examined),
            None => errors.push(error(&value, manifest)),
        }
    }
    match right {
        Some(examined) if errors.is_empty() => Ok(Report::Right(examined)),
        _ => Ok(Report::Wrong(Diagnostics(errors))),
    }
}

fn examined(line: &Value) -> Option<Examined> {
    let features = line.get("features")?.as_array()?;
    let features = features.iter().filter_map(Value::as_str).map(str::to_owned).collect();
    let bytes = |tree: &Value| serde_json::from_value(tree.clone()).ok();
    let trees = line.get("trees")?.as_object()?.iter();
    let trees = trees.map(|(vm, tree)| Some((vm.clone(), bytes(tree)?))).collect::<Option<_>>()?;
    let heap = line.get("heap")?;
    let heap = Heap { needs: heap.get("needs")?.as_u64()?, has: heap.get("has")?.as_u64()? };
    Some(Examined { features, trees, authority: line.get("authority")?.clone(), heap })
}

fn error(value: &Value, manifest: &Manifest) -> Diagnostic {
    let text = |name| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let property = Some(text("property")).filter(|p| !p.is_empty());
    let message = match property {
        Some(property) => format!("{property}: {}", text("message")),
        None => text("message").to_owned(),
    };
    manifest.place(text("node"), property).error(message, text("remedy")).at_node(text("node"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Places;

    fn manifest() -> Manifest {
        let places = Places::read(
            "/ { /* m.dts:1:1-9:3 */\nlinux { /* m.dts:3:1-8:3 */\nreg = <1>; /* m.dts:4:1-4:9 */\n}; /* x */\n};\n",
        );
        Manifest { path: "m.dts".into(), tree: Vec::new(), places }
    }

    #[test]
    fn errors_point_at_their_lines() {
        let report = r#"{"node":"/linux","property":"reg","message":"too large","remedy":"Make it smaller."}
{"node":"/linux","property":"","message":"no memory","remedy":""}"#;
        let Report::Wrong(errors) = read(report, &manifest()).unwrap() else {
            panic!("it is wrong");
        };
        assert_eq!(
            errors.to_string(),
            "m.dts:4: error: /linux: reg: too large\n    Make it smaller.\nm.dts:3: error: /linux: no memory"
        );
    }

    #[test]
    fn a_right_manifest_says_what_it_needs() {
        let line = r#"{"features":["pl011","psci"],"trees":{"linux":[208,13]},"authority":[],"heap":{"needs":300,"has":2560}}"#;
        let Report::Right(examined) = read(line, &manifest()).unwrap() else {
            panic!("it is right");
        };
        assert_eq!(examined.features, ["pl011", "psci"]);
        assert_eq!(examined.trees, BTreeMap::from([("linux".to_owned(), vec![208, 13])]));
        assert_eq!(examined.heap, Heap { needs: 300, has: 2560 });
    }

    #[test]
    fn other_output_is_an_error() {
        assert!(read("thread main panicked", &manifest()).is_err());
    }
}
