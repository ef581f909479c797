//! `evisor fuzz`: runs the fuzz targets, which are what is found in the folders
//! `fuzz` of the repository's crates.
//!
//! cargo-fuzz builds them. They run here, not through it, so that what they keep
//! lies in `target/`, apart for each target: `corpus/`, what found something new,
//! and `artifacts/`, what failed. Files in `fuzz/seeds/TARGET` are where a target
//! starts from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow, ensure};
use clap::Args;
use serde_json::Value;

use crate::packages::need;
use crate::plan::Plan;
use crate::process::{capture, long, say};
use crate::toolchain::Toolchain;
use crate::workspace::{self, shown};

const COMPILER: (&str, &str) = ("g++", "builds libFuzzer");
const BUILD: Duration = Duration::from_secs(1800);

/// How long each target runs in `evisor test`.
const IN_TESTS: u64 = 10;
/// What a run may take longer: it ends by itself, unless an input hangs.
const GRACE: Duration = Duration::from_secs(60);
/// An input that takes longer, in seconds, counts as one that hangs.
const SLOWEST: &str = "-timeout=20";

#[derive(Args)]
pub struct Fuzz {
    /// CRATE, as its folder is called, or CRATE/TARGET; all if none is named
    target: Option<String>,
    /// How long each target runs
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Only run the target on one input, such as one that failed
    #[arg(long, value_name = "FILE", requires = "target", conflicts_with = "seconds")]
    input: Option<PathBuf>,
    /// List the targets
    #[arg(long)]
    list: bool,
}

/// A fuzz target.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    /// The folder of the crate whose target it is, relative to the root.
    folder: PathBuf,
    /// The program's name, which only its crate has no other of.
    program: String,
}

impl Fuzz {
    pub fn carry_out(&self) -> Result<u8> {
        let targets = self.wanted()?;
        if self.list {
            targets.iter().for_each(|target| println!("{}", target.name()));
            return Ok(0);
        }
        prepare()?;
        let mut failed = false;
        for target in &targets {
            let result = match &self.input {
                Some(input) => target.run_one(input),
                None => target.run(self.seconds),
            };
            match result {
                Ok(figures) => println!("{}: {figures}", target.name()),
                Err(error) => {
                    failed = true;
                    say(&format!("{}: {error:#}", target.name()));
                }
            }
        }
        Ok(u8::from(failed))
    }

    fn wanted(&self) -> Result<Vec<Target>> {
        let all = targets()?;
        let Some(name) = &self.target else { return Ok(all) };
        let known = all.iter().map(Target::name).collect::<Vec<_>>().join(", ");
        let wanted: Vec<_> = all.into_iter().filter(|target| target.is_called(name)).collect();
        ensure!(!wanted.is_empty(), "there is no target {name}: there are {known}");
        let one = self.input.is_none() || wanted.len() == 1;
        ensure!(one, "{name} has several targets, and the input is for one of them");
        Ok(wanted)
    }
}

/// Each target for some seconds.
pub fn step(plan: &mut Plan) -> Result<()> {
    plan.need(prepare);
    for target in targets()? {
        plan.case(target.name(), move || target.run(IN_TESTS));
    }
    Ok(())
}

fn prepare() -> Result<()> {
    need("c++", COMPILER)?;
    Toolchain::of_host().need_subcommand("fuzz", "runs the fuzz targets")
}

/// The targets of all crates, by name.
fn targets() -> Result<Vec<Target>> {
    let root = workspace::root();
    let mut found = Vec::new();
    for top in ["boards", "components", "devices", "framework", "images", "tools"] {
        let entries = root.join(top).read_dir().with_context(|| format!("cannot read {top}"))?;
        for entry in entries.flatten() {
            let folder = Path::new(top).join(entry.file_name());
            if root.join(&folder).join("fuzz/Cargo.toml").is_file() {
                found.extend(targets_of(&folder)?);
            }
        }
    }
    found.sort_by_key(Target::name);
    Ok(found)
}

fn targets_of(folder: &Path) -> Result<Vec<Target>> {
    let mut cargo = Toolchain::of_host().host_cargo();
    cargo.args(["metadata", "--no-deps", "--format-version=1"]);
    cargo.current_dir(workspace::root().join(folder).join("fuzz"));
    let text = capture(&mut cargo).with_context(|| format!("cannot read {}", folder.display()))?;
    let metadata = serde_json::from_slice(&text).context("cargo metadata is not JSON")?;
    let programs = programs(&metadata);
    Ok(programs.into_iter().map(|program| Target { folder: folder.into(), program }).collect())
}

fn programs(metadata: &Value) -> Vec<String> {
    let targets = metadata.pointer("/packages/0/targets").and_then(Value::as_array);
    let is_program = |target: &&Value| target.pointer("/kind/0") == Some(&Value::from("bin"));
    let programs = targets.into_iter().flatten().filter(is_program);
    programs.filter_map(|program| Some(program.get("name")?.as_str()?.to_owned())).collect()
}

impl Target {
    fn crate_name(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    fn name(&self) -> String {
        format!("{}/{}", self.crate_name(), self.program)
    }

    fn is_called(&self, name: &str) -> bool {
        self.crate_name() == name || self.name() == name
    }

    /// Builds it; the program's path.
    fn build(&self) -> Result<PathBuf> {
        // Targets of different crates share a name: the next build replaces this one.
        static BUILDS: Mutex<()> = Mutex::new(());
        let _alone = BUILDS.lock().unwrap_or_else(PoisonError::into_inner);
        let (host, results) = (Toolchain::of_host(), results());
        let machine = host.machine()?;
        let mut cargo = host.host_cargo();
        cargo.args(["fuzz", "build", "--sanitizer", "none", "--target", &machine]);
        cargo.arg("--target-dir").arg(&results).arg(&self.program);
        // Coverage is asked for by options that are not stable yet.
        cargo.env("RUSTC_BOOTSTRAP", "1").current_dir(workspace::root().join(&self.folder));
        long(&format!("building the fuzz target {}", self.name()), &mut cargo, BUILD)?;
        let built = results.join(machine).join("release").join(&self.program);
        let kept = self.place("programs")?.join(&self.program);
        fs::copy(&built, &kept).with_context(|| format!("cannot copy {}", built.display()))?;
        Ok(kept)
    }

    /// A folder of its own among the results.
    fn place(&self, kind: &str) -> Result<PathBuf> {
        let place = results().join(kind).join(self.name());
        fs::create_dir_all(&place).with_context(|| format!("cannot make {}", place.display()))?;
        Ok(place)
    }

    /// What it did in so many seconds.
    fn run(&self, seconds: u64) -> Result<String> {
        let mut fuzzer = Command::new(self.build()?);
        let artifacts = self.place("artifacts")?;
        fuzzer.arg(self.place("corpus")?);
        let seeds = workspace::root().join(&self.folder).join("fuzz/seeds").join(&self.program);
        if seeds.is_dir() {
            fuzzer.arg(seeds);
        }
        fuzzer.arg(format!("-max_total_time={seconds}")).arg(SLOWEST);
        fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display()));
        let start = SystemTime::now();
        let what = format!("fuzzing {} for {seconds} s", self.name());
        // libFuzzer speaks on standard error only.
        fuzzer.env("RUST_BACKTRACE", "1");
        match said(&what, &mut fuzzer, Duration::from_secs(seconds) + GRACE) {
            Ok(text) => Ok(figures(&text)),
            Err(error) => match newest(&artifacts, start) {
                Some(artifact) => Err(error.context(self.how_to_replay(&artifact))),
                None => Err(error),
            },
        }
    }

    fn how_to_replay(&self, artifact: &Path) -> String {
        let artifact = shown(artifact);
        let name = self.name();
        format!("{artifact} fails; to replay: ./evisor fuzz {name} --input {artifact}")
    }

    fn run_one(&self, input: &Path) -> Result<String> {
        let mut fuzzer = Command::new(self.build()?);
        fuzzer.arg(input).env("RUST_BACKTRACE", "1");
        said(&format!("running {}", self.name()), &mut fuzzer, GRACE)?;
        Ok(format!("{} passes", input.display()))
    }
}

/// Where the targets are built, and what they keep.
fn results() -> PathBuf {
    Toolchain::of_host().target_dir().join("fuzz")
}

/// What the fuzzer says, which it does on standard error.
fn said(what: &str, fuzzer: &mut Command, limit: Duration) -> Result<String> {
    let mut shell = Command::new("sh");
    // `long` returns what a program prints on standard output.
    shell.args(["-c", "exec \"$0\" \"$@\" 2>&1"]).arg(fuzzer.get_program()).args(fuzzer.get_args());
    shell.envs(fuzzer.get_envs().filter_map(|(name, value)| Some((name, value?))));
    long(what, &mut shell, limit).map_err(|error| anyhow!(without_progress(&error.to_string())))
}

/// A line for every input that found something is too much for a message.
fn without_progress(said: &str) -> String {
    said.lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// The last line with figures: `#2639170 DONE cov: 21 ft: 22 corp: 6/81b …`.
fn figures(said: &str) -> String {
    let Some(line) = said.lines().rev().find(|line| line.contains("DONE")) else {
        return "it gave no figures".to_owned();
    };
    let after = |word: &str| line.split_whitespace().skip_while(|w| *w != word).nth(1);
    let runs = line.trim_start_matches('#').split_whitespace().next().unwrap_or_default();
    let (edges, kept) = (after("cov:").unwrap_or("?"), after("corp:").unwrap_or("?"));
    let kept = kept.split('/').next().unwrap_or_default();
    format!("{runs} runs, {edges} edges, {kept} inputs kept")
}

fn newest(folder: &Path, since: SystemTime) -> Option<PathBuf> {
    let entries = folder.read_dir().ok()?.flatten();
    let dated = entries.filter_map(|e| Some((e.metadata().ok()?.modified().ok()?, e.path())));
    dated.filter(|(when, _)| *when >= since).max().map(|(_, path)| path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_found() {
        let names: Vec<_> = targets().unwrap().iter().map(Target::name).collect();
        assert!(names.contains(&"pl011/accesses".to_owned()), "{names:?}");
    }

    #[test]
    fn a_target_is_called_by_its_crate_or_whole() {
        let target = Target { folder: "devices/pl011".into(), program: "accesses".to_owned() };
        assert!(target.is_called("pl011") && target.is_called("pl011/accesses"));
        assert!(!target.is_called("accesses") && !target.is_called("devices/pl011"));
    }

    #[test]
    fn figures_are_those_of_the_last_line() {
        let said = "#2\tINITED cov: 16 ft: 17 corp: 1/1b\n\
            #2639170\tDONE   cov: 21 ft: 22 corp: 6/81b lim: 4096 exec/s: 659792 rss: 29Mb\n\
            Done 2639170 runs in 4 second(s)\n";
        assert_eq!(figures(said), "2639170 runs, 21 edges, 6 inputs kept");
        assert_eq!(figures("ERROR"), "it gave no figures");
    }

    #[test]
    fn cargo_names_the_programs() {
        let targets = ["lib", "bin", "custom-build"]
            .map(|kind| serde_json::json!({ "name": format!("a {kind}"), "kind": [kind] }));
        let metadata = serde_json::json!({ "packages": [{ "targets": targets }] });
        assert_eq!(programs(&metadata), ["a bin"]);
    }
}
