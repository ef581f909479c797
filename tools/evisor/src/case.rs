//! A system test: what is booted, what is typed at its console, and what has to come of
//! it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::console::{Console, End};
use crate::machine::{Board, Machine, Seat, need_qemu};
use crate::run::{self, Files};
use crate::script::Send;
use crate::steps::myself;
use crate::workspace;

/// So many times longer than it says may a case take: others run beside it, and its time
/// is only there for what hangs.
pub const PATIENCE: u64 = 3;

/// One boot.
#[derive(Clone, Copy)]
pub struct Case {
    pub name: &'static str,
    pub manifest: &'static str,
    options: &'static [&'static str],
    sends: &'static [&'static str],
    until: Option<&'static str>,
    seconds: u64,
    patience: u64,
    status: u8,
    shows: &'static [&'static str],
}

impl Case {
    /// One that ends by itself within a minute, with status 0.
    pub const fn new(name: &'static str, manifest: &'static str) -> Self {
        let (options, sends, shows) = (&[], &[], &[]);
        let (until, patience) = (None, PATIENCE);
        Self { name, manifest, options, sends, until, seconds: 60, patience, status: 0, shows }
    }

    /// The same by another name.
    pub const fn called(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// The same of another manifest.
    pub const fn of(mut self, manifest: &'static str) -> Self {
        self.manifest = manifest;
        self
    }

    /// What of the machine `evisor run` is told besides.
    pub const fn options(mut self, options: &'static [&'static str]) -> Self {
        self.options = options;
        self
    }

    /// What is typed and after what, `REGEX=TEXT`, in order.
    pub const fn sends(mut self, sends: &'static [&'static str]) -> Self {
        self.sends = sends;
        self
    }

    /// It has ended when this was printed.
    pub const fn until(mut self, regex: &'static str) -> Self {
        self.until = Some(regex);
        self
    }

    /// How long it may take where nothing runs beside it.
    pub const fn seconds(mut self, seconds: u64) -> Self {
        self.seconds = seconds;
        self
    }

    /// It has to be ended after this time.
    pub const fn ends_after(mut self, seconds: u64) -> Self {
        (self.seconds, self.patience) = (seconds, 1);
        self
    }

    pub const fn status(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// What the console has to show, line by line in any order.
    pub const fn shows(mut self, shows: &'static [&'static str]) -> Self {
        self.shows = shows;
        self
    }

    /// What `evisor run` is given.
    fn arguments(&self, board: Board) -> Vec<String> {
        let mut arguments = vec![self.manifest];
        if board != Board::QemuVirt {
            arguments.extend(["--board", board.name()]);
        }
        arguments.extend(self.options);
        arguments.extend(self.sends.iter().flat_map(|send| ["--send", send]));
        arguments.extend(self.until.into_iter().flat_map(|until| ["--until", until]));
        let seconds = (self.seconds * self.patience).to_string();
        arguments.extend(["--timeout", &seconds]);
        arguments.into_iter().map(str::to_owned).collect()
    }

    /// Runs it as its user would.
    pub fn run(&self, board: Board) -> Result<()> {
        let mut run = myself("run");
        run.args(self.arguments(board)).current_dir(workspace::root());
        let output = run.output().context("cannot start a run")?;
        let console = String::from_utf8_lossy(&output.stdout).into_owned();
        let missing = self.missing(&console);
        let right = output.status.code() == Some(self.status.into()) && missing.is_none();
        if right {
            return Ok(());
        }
        let missing = missing.map(|text| format!(", '{text}' is missing")).unwrap_or_default();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        bail!(
            "{}, {} was wanted{missing}; the console:\n{console}\n{said}",
            output.status,
            self.status
        )
    }

    /// Boots it on a machine that no option of `run` makes; gives what it printed.
    pub fn boot(&self, machine: &Machine) -> Result<String> {
        need_qemu()?;
        let Files { kernel, bundle, .. } = run::prepare(Path::new(self.manifest), machine)?;
        self.watch(machine.boot(Seat::Script, &kernel, &bundle)?)
    }

    /// Follows a machine that boots it to its end; gives what it printed.
    pub fn watch(&self, qemu: Command) -> Result<String> {
        let sends: Result<Vec<Send>, _> = self.sends.iter().map(|send| send.parse()).collect();
        let limit = Duration::from_secs(self.seconds * self.patience);
        let sends = sends.map_err(anyhow::Error::msg)?;
        let (end, console) = Console::start(qemu)?.watch(sends, limit)?;
        let missing = self.missing(&console);
        ensure!(
            end == End::Exited(Some(self.status)) && missing.is_none(),
            "it ended with {end:?}, {missing:?} is missing; its console:\n{console}"
        );
        Ok(console)
    }

    fn missing(&self, console: &str) -> Option<&'static str> {
        let shown = |text: &str| {
            let (vm, text) = text.split_once("| ").unwrap_or(("", text));
            let vms = of_vms(console);
            let mut vms = vms.iter().filter(|(name, _)| vm.is_empty() || vm == **name);
            vms.any(|(_, said)| said.contains(text))
        };
        let missing = |text: &&&str| !console.contains(**text) && !shown(text);
        self.shows.iter().find(missing).copied()
    }
}

/// What each VM said where lines begin with their names, without ends of lines: a line that
/// waits for its end too long is cut, and goes on behind the name once more.
fn of_vms(console: &str) -> BTreeMap<&str, String> {
    let mut vms: BTreeMap<&str, String> = BTreeMap::new();
    for (name, said) in console.lines().filter_map(|line| line.split_once("| ")) {
        vms.entry(name).or_default().push_str(said.trim_end_matches('\r'));
    }
    vms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_was_cut_is_shown_all_the_same() {
        const CASE: Case = Case::new("", "").shows(&["first| hello there", "PASS one"]);
        let cut = "first| hel\r\r\nsecond| PASS o\r\r\nfirst| lo there\r\r\nsecond| ne\r\r\n";
        assert_eq!(CASE.missing(cut), None);
        assert_eq!(CASE.missing(&cut.replace("lo there", "lo")), Some("first| hello there"));
        assert_eq!(CASE.missing(&cut.replace("second", "first")), Some("first| hello there"));
    }
}
