//! Installing what is missing with apt, or saying how.
//!
//! Downloads are bounded in time. Unpacking is not: cut short it would leave
//! the machine's package database half written. Nothing is ever removed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::process::{capture, first_line, long, say};
use crate::sources;

const DOWNLOAD: Duration = Duration::from_secs(900);
const UNPACK: Duration = Duration::from_secs(3600);
const BACKPORTS_FILE: &str = "/etc/apt/sources.list.d/evisor-backports.sources";

/// Where packages are taken from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    Release,
    Backports,
}

/// A Debian package, and what it is for.
pub type Package = (&'static str, &'static str);

/// Whether a program is on the `PATH`.
pub fn have(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Where a program of the administrator's is, whose folders are on root's `PATH` only;
/// installed where it is missing.
pub fn administrators(program: &str, package: Package) -> Result<PathBuf> {
    let places = ["/usr/sbin", "/sbin"].map(|folder| Path::new(folder).join(program));
    let found = || places.iter().find(|path| path.is_file()).cloned();
    if found().is_none() {
        install(&[package], From::Release)?;
    }
    found().with_context(|| format!("{} has no {program}", package.0))
}

/// Installs what is needed where `program` is missing.
pub fn need(program: &str, package: Package) -> Result<()> {
    if have(program) {
        return Ok(());
    }
    install(&[package], From::Release)
}

/// Installs packages, saying which and why; without root, says how.
pub fn install(packages: &[Package], from: From) -> Result<()> {
    let listed: Vec<_> = packages.iter().map(|(name, why)| format!("{name} ({why})")).collect();
    let listed = listed.join(", ");
    let names: Vec<_> = packages.iter().map(|(name, _)| *name).collect();
    if !have("apt-get") {
        bail!(
            "missing here: {listed}; there is no apt-get to install it with: install it and try again"
        );
    }
    let plan = Plan::new(&names, from)?;
    if !is_root() {
        bail!("missing here: {listed}. As root, run:\n{}", plan.as_commands());
    }
    say(&format!("installing {listed}"));
    plan.carry_out()
}

struct Plan {
    /// What to write to `BACKPORTS_FILE` first, if anything.
    entry: Option<String>,
    arguments: Vec<String>,
}

impl Plan {
    fn new(names: &[&str], from: From) -> Result<Self> {
        let mut arguments: Vec<String> =
            ["install", "-y", "--no-install-recommends", "--no-remove"].map(str::to_owned).into();
        let mut entry = None;
        if from == From::Backports {
            let codename = sources::codename()?;
            entry = sources::backports(&sources::of_this_machine()?, &codename)?;
            arguments.extend(["-t".to_owned(), format!("{codename}-backports")]);
        }
        arguments.extend(names.iter().map(|&name| name.to_owned()));
        Ok(Self { entry, arguments })
    }

    fn as_commands(&self) -> String {
        let mut text = String::new();
        if let Some(entry) = &self.entry {
            text.push_str(&format!("  printf '%s' '{entry}' > {BACKPORTS_FILE}\n"));
        }
        text.push_str(&format!("  apt-get update && apt-get {}", self.arguments.join(" ")));
        text
    }

    fn carry_out(&self) -> Result<()> {
        if let Some(entry) = &self.entry {
            say(&format!("writing {BACKPORTS_FILE}"));
            fs::write(BACKPORTS_FILE, entry)
                .with_context(|| format!("cannot write {BACKPORTS_FILE}"))?;
        }
        if self.entry.is_some() || lists_are_empty() {
            update()?;
        }
        if self.download().is_err() {
            // Lists older than the mirror name files that are gone.
            update()?;
            self.download()?;
        }
        long("installing", apt_get().args(&self.arguments), UNPACK).map(drop)
    }

    fn download(&self) -> Result<()> {
        let mut apt = apt_get();
        apt.arg("--download-only").args(&self.arguments);
        long("downloading packages", &mut apt, DOWNLOAD).map(drop)
    }
}

/// apt-get that asks nothing and gives up on a silent mirror.
pub fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args([
        "-q",
        "-oAcquire::Retries=2",
        "-oAcquire::http::Timeout=30",
        "-oAcquire::https::Timeout=30",
    ]);
    command
}

fn is_root() -> bool {
    first_line("id", &["-u"]).as_deref() == Some("0")
}

fn update() -> Result<()> {
    long("reading the package lists", apt_get().arg("update"), DOWNLOAD).map(drop)
}

fn lists_are_empty() -> bool {
    let Ok(entries) = fs::read_dir("/var/lib/apt/lists") else {
        return true;
    };
    !entries.flatten().any(|e| e.file_name().to_string_lossy().contains("_Packages"))
}

/// Whether the release's own package is at least `version`.
pub fn candidate_is_at_least(package: &str, version: &str) -> bool {
    if lists_are_empty() && is_root() && update().is_err() {
        return false;
    }
    let policy = capture(Command::new("apt-cache").args(["policy", package])).unwrap_or_default();
    let policy = String::from_utf8_lossy(&policy).into_owned();
    let Some(candidate) = policy.lines().find_map(|l| l.trim().strip_prefix("Candidate: ")) else {
        return false;
    };
    Command::new("dpkg")
        .args(["--compare-versions", candidate, "ge", version])
        .status()
        .is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_root_the_exact_command_is_shown() {
        let plan = Plan::new(&["lld", "rust-web-src"], From::Release).unwrap();
        assert_eq!(
            plan.as_commands(),
            "  apt-get update && apt-get install -y --no-install-recommends --no-remove lld rust-web-src"
        );
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(have("sh"));
        assert!(!have("no-such-program"));
    }
}
