//! The steps of `evisor test`. Each succeeds, or says what is wrong.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, ensure};

use crate::absent_cases;
use crate::authority_cases;
use crate::bench;
use crate::budget::Budgets;
use crate::card_bench;
use crate::cases::{CASES, ON_A_PI, ON_BOTH};
use crate::channel_cases;
use crate::checkpoint_cases;
use crate::console_cases;
use crate::demo_cases;
use crate::handle_cases;
use crate::image::{self, Features, Image};
use crate::kernel8;
use crate::latency;
use crate::linux;
use crate::machine::{Board, Machine, need_qemu};
use crate::minimal;
use crate::monitor_cases;
use crate::most;
use crate::native;
use crate::packages::Package;
use crate::passed;
use crate::pi_cases;
use crate::pins_cases;
use crate::plan::{Plan, Shared};
use crate::process::{say, show};
use crate::shared_cores::{BY_PRIORITY, ON_SHARED_CORES, STOLEN_TIME};
use crate::shared_lines::SHARED_LINES;
use crate::taken_cases;
use crate::toolchain::Toolchain;
use crate::virtual_pi::VIRTUAL_PI;
use crate::workspace::{self, Crate};

const CLIPPY: Package = ("rust-web-clippy", "finds mistakes in Rust");
const FORMAT: Package = ("rustfmt-web", "formats Rust");

/// Denied here, not in the workspace, so that work in progress still builds.
const DENY: [&str; 3] = ["--", "-D", "warnings"];

pub fn format(plan: &mut Plan) -> Result<()> {
    plan.case("rustfmt", || {
        let mut fmt = Toolchain::of_host().tool("fmt", FORMAT)?;
        succeed(fmt.args(["--all", "--check"]).current_dir(workspace::root()))
    })
    .alone();
    Ok(())
}

/// Lints what runs on this machine, then what runs on the board.
pub fn lint(plan: &mut Plan) -> Result<()> {
    let crates = workspace::crates()?;
    for (what, arguments) in host_groups(&crates, "--all-targets") {
        plan.case(format!("clippy, {what}"), move || {
            let host = Toolchain::of_host();
            let mut clippy = host.tool("clippy", CLIPPY)?;
            succeed(on_host(&mut clippy, host, &arguments).args(DENY))
        })
        .alone();
    }
    for package in crates.into_iter().filter(|c| c.bare) {
        plan.case(format!("clippy, {} for the board", package.name), move || {
            let toolchain = Toolchain::chosen()?;
            let mut clippy = toolchain.tool("clippy", CLIPPY)?;
            toolchain.aim(&mut clippy);
            clippy.args(["--release", "-p", &package.name]).args(bare_targets(&package));
            succeed(clippy.args(DENY))
        })
        .alone();
    }
    Ok(())
}

/// The tests of everything that builds on this machine.
pub fn host(plan: &mut Plan) -> Result<()> {
    let crates = workspace::crates()?;
    for (what, arguments) in host_groups(&crates, "--all-targets") {
        plan.case(format!("tests, {what}"), move || {
            let host = Toolchain::of_host();
            let mut cargo = host.host_cargo();
            if has_nextest(host) {
                cargo.args(["nextest", "run", "--no-tests=pass"]);
            } else {
                cargo.arg("test");
            }
            succeed(on_host(&mut cargo, host, &arguments))
        })
        .alone();
    }
    // nextest leaves the examples in the documentation out.
    let arguments = [vec!["test".to_owned(), "--doc".to_owned()], workspace_without_bare(&crates)];
    plan.case("examples in the documentation", move || {
        let host = Toolchain::of_host();
        let mut cargo = host.host_cargo();
        cargo.env("EVISOR_ROOT", workspace::root());
        succeed(on_host(&mut cargo, host, &arguments.concat()))
    })
    .alone();
    Ok(())
}

/// Every bootable program, with each toolchain that is here.
pub fn build(plan: &mut Plan) -> Result<()> {
    // Makes sure that there is one.
    Toolchain::chosen()?;
    let crates = workspace::crates()?;
    for toolchain in Toolchain::present() {
        let all: Vec<_> = crates.iter().filter(|c| c.bare && has_own_program(c)).collect();
        let names: Vec<_> = all.iter().map(|package| package.name.clone()).collect();
        plan.case(format!("all with {}", toolchain.compiler()?), move || {
            image::build_all(toolchain, &names)
        })
        .alone();
        for package in all {
            let name = package.name.clone();
            plan.case(format!("{name} with {}", toolchain.compiler()?), move || {
                Image::build(toolchain, &name, &Features::Default)?.raw().map(drop)
            })
            .alone();
        }
    }
    Ok(())
}

/// Each broken manifest gives the error that its first line names:
/// `// expect: LINE: MESSAGE`, the message being a part of the true one.
pub fn check(plan: &mut Plan) -> Result<()> {
    for path in broken_manifests()? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        plan.case(name, move || one_error(&path));
    }
    Ok(())
}

/// Real guests, driven through their consoles.
pub fn system(plan: &mut Plan) -> Result<()> {
    let ours = [ON_BOTH, CASES, VIRTUAL_PI, absent_cases::CASES, SHARED_LINES, ON_SHARED_CORES];
    plan.need(need_qemu);
    let others = [BY_PRIORITY, STOLEN_TIME, monitor_cases::CASES];
    let handles = [handle_cases::CASES, handle_cases::ON_A_GICV3, handle_cases::LINUX];
    for case in ours.into_iter().chain(others).chain(handles).flatten() {
        plan.case(case.name, || case.run(Board::QemuVirt));
    }
    for case in channel_cases::CASES.iter().chain(channel_cases::ON_A_GICV3) {
        plan.case(case.name, || case.run(Board::QemuVirt));
    }
    for case in ON_SHARED_CORES {
        let case = case.options(&["--gic", "3"]);
        plan.case(format!("{}, with a GICv3", case.name), move || case.run(Board::QemuVirt));
    }
    checkpoint_cases::cases(plan, Board::QemuVirt);
    demo_cases::cases(plan, Board::QemuVirt);
    most::cases(plan, Board::QemuVirt, 2);
    most::cases(plan, Board::QemuVirt, 3);
    console_cases::cases(plan);
    authority_cases::cases(plan);
    taken_cases::cases(plan);
    native::cases(plan);
    passed::cases(plan);
    minimal::cases(plan);
    Ok(())
}

/// The same on a Raspberry Pi 4, and what its device tree may say.
pub fn raspi4(plan: &mut Plan) -> Result<()> {
    let ours =
        [ON_BOTH, ON_A_PI, VIRTUAL_PI, pins_cases::ON_A_PI, ON_SHARED_CORES, monitor_cases::CASES];
    plan.need(need_qemu);
    for case in ours.into_iter().chain([handle_cases::CASES, channel_cases::CASES]).flatten() {
        plan.case(case.name, || case.run(Board::Raspi4));
    }
    checkpoint_cases::cases(plan, Board::Raspi4);
    demo_cases::cases(plan, Board::Raspi4);
    most::cases(plan, Board::Raspi4, 2);
    console_cases::on_a_pi(plan);
    authority_cases::on_a_pi(plan);
    taken_cases::on_a_pi(plan);
    let (name, of_the_card) = handle_cases::ON_A_CARD;
    plan.case(name, of_the_card);
    pi_cases::cases(plan);
    kernel8::cases(plan);
    Ok(())
}

/// A machine that events are counted on: its name in budgets.json and to people, what
/// makes it, and the deployment.
type Benched = (&'static str, &'static str, fn() -> Machine, &'static str);

const BENCHES: [Benched; 11] = [
    ("gic2", "a GICv2", || Machine::for_bench(2), bench::MANIFEST),
    ("gic3", "a GICv3", || Machine::for_bench(3), bench::MANIFEST),
    ("raspi4", "a Raspberry Pi 4", Machine::raspi4_for_bench, bench::MANIFEST),
    ("shared_gic2", "a shared core, GICv2", || Machine::for_bench(2), bench::SHARED),
    ("shared_gic3", "a shared core, GICv3", || Machine::for_bench(3), bench::SHARED),
    ("channel_gic2", "a channel, GICv2", || Machine::for_bench(2), bench::CHANNEL),
    ("channel_gic3", "a channel, GICv3", || Machine::for_bench(3), bench::CHANNEL),
    ("port_gic2", "a virtio console, GICv2", || Machine::for_bench(2), bench::PORT),
    ("port_gic3", "a virtio console, GICv3", || Machine::for_bench(3), bench::PORT),
    ("handles_gic2", "handles, GICv2", || Machine::for_bench(2), bench::HANDLES),
    ("handles_gic3", "handles, GICv3", || Machine::for_bench(3), bench::HANDLES),
];

/// The bench, the image's sizes and Linux's instructions, against their budgets.
pub fn budgets(plan: &mut Plan) -> Result<()> {
    plan.need(need_qemu);
    plan.need(say_if_unknown);
    for (name, what, machine, manifest) in BENCHES {
        plan.case(format!("events on {what}"), move || {
            within(name, &bench::measure(&machine(), Path::new(manifest))?)
        });
    }
    for (gic, name) in [(2, "latency_gic2"), (3, "latency_gic3")] {
        plan.case(format!("a timer beside Linux under load, GICv{gic}"), move || {
            within(name, &latency::measure(gic)?.figures())
        })
        .long();
    }
    plan.case("a block of the card", || within("card", &card_bench::measure()?));
    for what in ["text_rodata_data", "own_memory"] {
        plan.case(what, move || {
            let sizes =
                Image::build(Toolchain::chosen()?, "evisor", &Features::Default)?.sizes()?;
            let kept = sizes.text + sizes.rodata + sizes.data;
            let bytes = if what == "own_memory" { kept + sizes.bss } else { kept };
            Budgets::read()?.size(what, bytes)
        });
    }
    for what in linux::ROWS {
        plan.case(format!("Linux under eVisor, {what}"), move || more_than_natively(what))
            .in_turn("Linux's instructions")
            .long();
    }
    Ok(())
}

fn say_if_unknown() -> Result<()> {
    let compiler = Toolchain::chosen()?.compiler()?;
    if !Budgets::read()?.knows(&compiler) {
        say(&format!("budgets.json has no figures of {compiler}: only its limits are checked"));
    }
    Ok(())
}

fn within(machine: &str, figures: &bench::Figures) -> Result<()> {
    let compiler = Toolchain::chosen()?.compiler()?;
    let broken = Budgets::read()?.broken(figures, &compiler, machine);
    ensure!(broken.is_empty(), broken.join("\n"));
    Ok(())
}

fn more_than_natively(what: &str) -> Result<String> {
    static COMPARED: Shared<linux::Comparison> = Shared::new();
    let rows = &COMPARED.get(|| linux::compare(2))?.rows;
    let (_, pair) = rows.iter().find(|(row, _)| *row == what).context("it was not measured")?;
    let percent = pair.percent();
    Budgets::read()?.overhead(what, percent)?;
    Ok(format!("{percent:+.2} % instructions"))
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
    static THERE: OnceLock<bool> = OnceLock::new();
    *THERE.get_or_init(|| {
        let there = host.need_subcommand("nextest", "runs the tests");
        if let Err(error) = &there {
            let reason = error.to_string();
            say(&format!("{}: using cargo test", reason.lines().next().unwrap_or_default()));
        }
        there.is_ok()
    })
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
