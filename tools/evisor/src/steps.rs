//! The steps of `evisor test`. Each succeeds, or says what is wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::absent_cases;
use crate::authority_cases;
use crate::bench;
use crate::budget::Budgets;
use crate::card_bench;
use crate::cases::{CASES, ON_A_PI};
use crate::console_cases;
use crate::image::{Features, Image};
use crate::kernel8;
use crate::linux;
use crate::machine::{Board, Machine};
use crate::minimal;
use crate::monitor_cases;
use crate::native;
use crate::packages::Package;
use crate::passed;
use crate::pi_cases;
use crate::pins_cases;
use crate::process::{say, show};
use crate::shared_cores::{BY_PRIORITY, ON_A_GICV3, ON_SHARED_CORES};
use crate::shared_lines::SHARED_LINES;
use crate::test::Count;
use crate::toolchain::Toolchain;
use crate::virtual_pi::VIRTUAL_PI;
use crate::workspace::{self, Crate};

const CLIPPY: Package = ("rust-web-clippy", "finds mistakes in Rust");
const FORMAT: Package = ("rustfmt-web", "formats Rust");

/// Denied here, not in the workspace, so that work in progress still builds.
const DENY: [&str; 3] = ["--", "-D", "warnings"];

pub fn format(count: &mut Count) -> Result<()> {
    let mut fmt = Toolchain::of_host().tool("fmt", FORMAT)?;
    fmt.args(["--all", "--check"]).current_dir(workspace::root());
    count.one("rustfmt", succeed(&mut fmt));
    Ok(())
}

/// Lints what runs on this machine, then what runs on the board.
pub fn lint(count: &mut Count) -> Result<()> {
    let crates = workspace::crates()?;
    let host = Toolchain::of_host();
    for (what, arguments) in host_groups(&crates, "--all-targets") {
        let mut clippy = host.tool("clippy", CLIPPY)?;
        on_host(&mut clippy, host, &arguments).args(DENY);
        count.one(&format!("clippy, {what}"), succeed(&mut clippy));
    }
    let toolchain = Toolchain::chosen()?;
    for package in crates.iter().filter(|c| c.bare) {
        let mut clippy = toolchain.tool("clippy", CLIPPY)?;
        toolchain.aim(&mut clippy);
        clippy.args(["--release", "-p", &package.name]).args(bare_targets(package)).args(DENY);
        count.one(&format!("clippy, {} for the board", package.name), succeed(&mut clippy));
    }
    Ok(())
}

/// The tests of everything that builds on this machine.
pub fn host(count: &mut Count) -> Result<()> {
    let crates = workspace::crates()?;
    let host = Toolchain::of_host();
    let nextest = has_nextest(host);
    for (what, arguments) in host_groups(&crates, "--all-targets") {
        let mut cargo = host.host_cargo();
        if nextest {
            cargo.args(["nextest", "run", "--no-tests=pass"]);
        } else {
            cargo.arg("test");
        }
        count.one(&format!("tests, {what}"), succeed(on_host(&mut cargo, host, &arguments)));
    }
    // nextest leaves the examples in the documentation out.
    let mut cargo = host.host_cargo();
    let arguments = [vec!["test".to_owned(), "--doc".to_owned()], workspace_without_bare(&crates)];
    cargo.env("EVISOR_ROOT", workspace::root());
    count.one(
        "examples in the documentation",
        succeed(on_host(&mut cargo, host, &arguments.concat())),
    );
    Ok(())
}

/// Every bootable program, with each toolchain that is here.
pub fn build(count: &mut Count) -> Result<()> {
    // Makes sure that there is one.
    Toolchain::chosen()?;
    let crates = workspace::crates()?;
    for toolchain in Toolchain::present() {
        for package in crates.iter().filter(|c| c.bare && has_own_program(c)) {
            let built =
                Image::build(toolchain, &package.name, &Features::Default).and_then(|i| i.raw());
            count.one(&format!("{} with {}", package.name, toolchain.compiler()?), built.map(drop));
        }
    }
    Ok(())
}

/// Each broken manifest gives the error that its first line names:
/// `// expect: LINE: MESSAGE`, the message being a part of the true one.
pub fn check(count: &mut Count) -> Result<()> {
    for path in broken_manifests()? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        count.one(&name, one_error(&path));
    }
    Ok(())
}

/// Real guests, driven through their consoles.
pub fn system(count: &mut Count) -> Result<()> {
    let ours = [CASES, VIRTUAL_PI, absent_cases::CASES, SHARED_LINES, ON_SHARED_CORES];
    for case in ours.into_iter().chain([ON_A_GICV3, BY_PRIORITY, monitor_cases::CASES]).flatten() {
        count.one(case.name, case.run(Board::QemuVirt));
    }
    console_cases::cases(count);
    authority_cases::cases(count);
    native::cases(count);
    passed::cases(count)?;
    minimal::cases(count)
}

/// The same on a Raspberry Pi 4, and what its device tree may say.
pub fn raspi4(count: &mut Count) -> Result<()> {
    let ours = [ON_A_PI, VIRTUAL_PI, pins_cases::ON_A_PI, ON_SHARED_CORES, monitor_cases::CASES];
    for case in ours.into_iter().flatten() {
        count.one(case.name, case.run(Board::Raspi4));
    }
    console_cases::on_a_pi(count);
    authority_cases::on_a_pi(count);
    pi_cases::cases(count)?;
    kernel8::cases(count)
}

/// The bench, the image's sizes and Linux's instructions, against their budgets.
pub fn budgets(count: &mut Count) -> Result<()> {
    let compiler = Toolchain::chosen()?.compiler()?;
    let budgets = Budgets::read()?;
    if !budgets.knows(&compiler) {
        say(&format!("budgets.json has no figures of {compiler}: only its limits are checked"));
    }
    let machines = [
        ("gic2", "a GICv2", Machine::for_bench(2), bench::MANIFEST),
        ("gic3", "a GICv3", Machine::for_bench(3), bench::MANIFEST),
        ("raspi4", "a Raspberry Pi 4", Machine::raspi4_for_bench(), bench::MANIFEST),
        ("shared_gic2", "a shared core, GICv2", Machine::for_bench(2), bench::SHARED),
        ("shared_gic3", "a shared core, GICv3", Machine::for_bench(3), bench::SHARED),
    ];
    for (name, what, machine, manifest) in machines {
        let figures = bench::measure(&machine, Path::new(manifest))?;
        let broken = budgets.broken(&figures, &compiler, name);
        let kept = if broken.is_empty() { Ok(()) } else { Err(anyhow::anyhow!(broken.join("\n"))) };
        count.one(&format!("events on {what}"), kept);
    }
    let card = card_bench::measure()?;
    let broken = budgets.broken(&card, &compiler, "card");
    let kept = if broken.is_empty() { Ok(()) } else { Err(anyhow::anyhow!(broken.join("\n"))) };
    count.one("a block of the card", kept);
    let sizes = Image::build(Toolchain::chosen()?, "evisor", &Features::Default)?.sizes()?;
    let kept = sizes.text + sizes.rodata + sizes.data;
    for (what, bytes) in [("text_rodata_data", kept), ("own_memory", kept + sizes.bss)] {
        count.one(what, budgets.size(what, bytes));
    }
    for (what, pair) in linux::compare(2)?.rows {
        let name = format!("Linux, {what}: {:+.2} % instructions under eVisor", pair.percent());
        count.one(&name, budgets.overhead(what, pair.percent()));
    }
    Ok(())
}

fn succeed(command: &mut Command) -> Result<()> {
    ensure!(show(command)?, "see above");
    Ok(())
}

/// Adds the arguments, and where builds for this machine go.
fn on_host<'a>(command: &'a mut Command, host: Toolchain, arguments: &[String]) -> &'a mut Command {
    let target = host.target_dir();
    command.args(arguments).arg("--target-dir").arg(target).current_dir(workspace::root())
}

/// What to name to cargo for the host: the crates that build there, and the host's
/// programs of those that do not.
fn host_groups(crates: &[Crate], targets: &str) -> Vec<(String, Vec<String>)> {
    let mut all = workspace_without_bare(crates);
    all.push(targets.to_owned());
    let mut groups = vec![("host crates".to_owned(), all)];
    for package in crates.iter().filter(|c| c.bare) {
        for program in package.programs.iter().filter(|p| p.name != package.name) {
            let mut one = ["-p", &package.name, "--bin", &program.name].map(str::to_owned).to_vec();
            if !program.required_features.is_empty() {
                one.extend(["--features".to_owned(), program.required_features.join(",")]);
            }
            groups.push((program.name.clone(), one));
        }
    }
    groups
}

fn workspace_without_bare(crates: &[Crate]) -> Vec<String> {
    let mut arguments = vec!["--workspace".to_owned()];
    for package in crates.iter().filter(|c| c.bare) {
        arguments.extend(["--exclude".to_owned(), package.name.clone()]);
    }
    arguments
}

fn has_own_program(package: &Crate) -> bool {
    package.programs.iter().any(|p| p.name == package.name)
}

fn bare_targets(package: &Crate) -> Vec<String> {
    let library = package.has_library.then(|| vec!["--lib".to_owned()]);
    let program = has_own_program(package).then(|| vec!["--bin".to_owned(), package.name.clone()]);
    library.into_iter().chain(program).flatten().collect()
}

/// Whether tests run with nextest, which is installed where it can be had.
fn has_nextest(host: Toolchain) -> bool {
    let there = host.need_subcommand("nextest", "runs the tests");
    if let Err(error) = &there {
        let reason = error.to_string();
        say(&format!("{}: using cargo test", reason.lines().next().unwrap_or_default()));
    }
    there.is_ok()
}

fn broken_manifests() -> Result<Vec<PathBuf>> {
    let folder = workspace::root().join("tools/evisor/tests/broken");
    let entries = folder.read_dir().with_context(|| format!("cannot read {}", folder.display()))?;
    let mut sources: Vec<_> = entries
        .flatten()
        .map(|e| e.path())
        .filter(|p| p.extension().is_some_and(|e| e == "dts"))
        .collect();
    sources.sort();
    Ok(sources)
}

fn one_error(manifest: &Path) -> Result<()> {
    let text = std::fs::read_to_string(manifest)?;
    let first = text.lines().next().unwrap_or_default();
    let expected =
        first.strip_prefix("// expect: ").context("its first line is no '// expect: '")?;
    let (line, message) = expected.split_once(": ").context("it expects no LINE: MESSAGE")?;
    let output = myself("check").arg(manifest).output()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let errors: Vec<_> = said.lines().filter(|l| l.contains(": error: ")).collect();
    ensure!(output.status.code() == Some(1), "its status is {}", output.status);
    let right =
        |error: &&str| error.contains(&format!(":{line}: error: ")) && error.contains(message);
    ensure!(errors.len() == 1 && errors.iter().all(right), "it gives other errors:\n{said}");
    Ok(())
}

/// This command again, as its user would start it.
pub fn myself(task: &str) -> Command {
    let mut command =
        Command::new(std::env::current_exe().unwrap_or_else(|_| "evisor-tool".into()));
    command.arg(task).stdin(Stdio::null());
    command
}
