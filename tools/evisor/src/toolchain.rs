//! Which Rust builds for the bare machine.
//!
//! The user's own, where it has the target's standard library or `rustup` can
//! fetch it; else Debian's, which builds `core` and `alloc` from its source
//! package. Each has its own folder of results, so that using both costs no
//! rebuilds.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::packages::{self, From, have};
use crate::process::{capture, first_line, hold, long, say};
use crate::workspace;

/// The target of everything that runs on the board.
pub const TARGET: &str = "aarch64-unknown-none-softfloat";

const FORCE: &str = "EVISOR_TOOLCHAIN";
const FETCH: Duration = Duration::from_secs(120);
const INSTALL: Duration = Duration::from_secs(900);
const DEBIAN_CARGO: &str = "/usr/bin/cargo";
const DEBIAN_RUSTC: &str = "/usr/bin/rustc";

/// A Rust that can build for the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Toolchain {
    /// The cargo that the user's `PATH` names, with the target's prebuilt library.
    Prebuilt,
    /// Debian's packages, building the library from source.
    Debian,
}

fn debian_environment(command: &mut Command) {
    command.env("RUSTC", DEBIAN_RUSTC).env("RUSTDOC", "/usr/bin/rustdoc");
    command.env_remove("RUSTUP_TOOLCHAIN");
}

impl Toolchain {
    /// The one that this run of the command builds with.
    pub fn chosen() -> Result<Self> {
        static CHOSEN: OnceLock<Toolchain> = OnceLock::new();
        if let Some(&chosen) = CHOSEN.get() {
            return Ok(chosen);
        }
        let chosen = Self::choose()?;
        Ok(*CHOSEN.get_or_init(|| chosen))
    }

    /// The first that works, or the one that the user forces; says which.
    fn choose() -> Result<Self> {
        let chosen = match std::env::var(FORCE).unwrap_or_default().as_str() {
            "rustup" => Self::with_rustup()?,
            "debian" => Self::with_debian()?,
            "" => Self::with_rustup().or_else(|error| {
                say(&format!("{error:#}; using Debian's Rust"));
                Self::with_debian()
            })?,
            other => bail!("{FORCE} is '{other}': it can be 'rustup' or 'debian'"),
        };
        say(&format!("building with {}", chosen.describe()));
        Ok(chosen)
    }

    /// The one that built this command: it also builds what runs on this machine.
    pub fn of_host() -> Self {
        match std::env::var_os("EVISOR_CARGO") {
            Some(cargo) if cargo == DEBIAN_CARGO => Self::Debian,
            _ => Self::Prebuilt,
        }
    }

    /// Cargo for what runs on this machine.
    pub fn host_cargo(self) -> Command {
        let mut cargo = match self {
            Self::Prebuilt => Command::new("cargo"),
            Self::Debian => Command::new(DEBIAN_CARGO),
        };
        if self == Self::Debian {
            debian_environment(&mut cargo);
        }
        cargo
    }

    /// A tool that comes with Rust, `clippy` or `fmt`, ready for its arguments. It
    /// is installed where it is missing.
    pub fn tool(self, tool: &str, debian_package: packages::Package) -> Result<Command> {
        if self == Self::Debian {
            let program = format!("/usr/bin/cargo-{tool}");
            if !Path::new(&program).exists() {
                packages::install(&[debian_package], From::Release)?;
            }
            // By path: cargo itself would prefer a rustup proxy to it.
            let mut command = Command::new(program);
            debian_environment(&mut command);
            command.env("CARGO", DEBIAN_CARGO).env("RUSTFMT", "/usr/bin/rustfmt").arg(tool);
            return Ok(command);
        }
        if capture(self.host_cargo().args([tool, "--version"])).is_err() {
            let component = if tool == "fmt" { "rustfmt" } else { tool };
            let mut rustup = Command::new("rustup");
            rustup.args(["component", "add", component]);
            long(&format!("fetching {component} with rustup"), &mut rustup, FETCH)?;
        }
        let mut cargo = self.host_cargo();
        cargo.arg(tool);
        Ok(cargo)
    }

    /// Installs `cargo-NAME`, a program of crates.io, where it is missing.
    pub fn need_subcommand(self, name: &str, why: &str) -> Result<()> {
        if capture(self.host_cargo().args([name, "--version"])).is_ok() {
            return Ok(());
        }
        let mut install = self.host_cargo();
        // Optimised, it takes longer to build than it would ever save here.
        install.args(["install", "--locked", "--debug", &format!("cargo-{name}"), "--target-dir"]);
        // Not a temporary one: an attempt that ran out of time goes on the next time.
        install.arg(self.target_dir().join(name));
        long(&format!("installing cargo-{name} ({why})"), &mut install, INSTALL).map(drop)
    }

    /// The machine that this is, as Rust calls it.
    pub fn machine(self) -> Result<String> {
        first_line(self.rustc(), &["--print", "host-tuple"]).context("rustc names no host")
    }

    /// Those that work without installing anything.
    pub fn present() -> Vec<Self> {
        let prebuilt = prebuilt_library().is_ok_and(|there| there);
        let debian = missing_for_debian().is_empty();
        [(prebuilt, Self::Prebuilt), (debian, Self::Debian)]
            .into_iter()
            .filter_map(|(there, toolchain)| there.then_some(toolchain))
            .collect()
    }

    fn with_rustup() -> Result<Self> {
        if prebuilt_library()? {
            return Ok(Self::Prebuilt);
        }
        if !have("rustup") {
            bail!("rustc has no library for {TARGET}, and there is no rustup to fetch it with");
        }
        let mut rustup = Command::new("rustup");
        rustup.args(["target", "add", TARGET]).current_dir(workspace::root());
        long(&format!("fetching {TARGET} with rustup"), &mut rustup, FETCH)?;
        Ok(Self::Prebuilt)
    }

    fn with_debian() -> Result<Self> {
        let missing = missing_for_debian();
        if !missing.is_empty() {
            packages::install(&missing, From::Release)?;
        }
        Ok(Self::Debian)
    }

    fn describe(self) -> String {
        let compiler = self.compiler().unwrap_or_else(|_| "rustc of unknown version".to_owned());
        match self {
            Self::Prebuilt => format!("{compiler} and its library for {TARGET}"),
            Self::Debian => format!("Debian's {compiler}, building core and alloc from source"),
        }
    }

    fn rustc(self) -> &'static str {
        if self == Self::Debian { DEBIAN_RUSTC } else { "rustc" }
    }

    /// What the compiler says that it is: `rustc 1.95.0 (…)`.
    pub fn compiler(self) -> Result<String> {
        let rustc = self.rustc();
        first_line(rustc, &["--version"]).with_context(|| format!("cannot run {rustc}"))
    }

    /// Cargo, told to build for the board: the command comes first, then what it
    /// needs to know of the target.
    pub fn cargo(self, command: &str) -> Command {
        let mut cargo = self.host_cargo();
        cargo.arg(command);
        self.aim(&mut cargo);
        cargo
    }

    /// Adds what a cargo command needs to build for the board.
    pub fn aim(self, cargo: &mut Command) {
        cargo.args(["--target", TARGET, "--target-dir"]).arg(self.target_dir());
        cargo.current_dir(workspace::root());
        if self == Self::Debian {
            cargo
                .arg("-Zbuild-std=core,alloc")
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER", "ld.lld");
        }
    }

    /// Waits until no other build of this command writes to [`target_dir`](Self::target_dir);
    /// none does while the file is held.
    pub fn lock(self) -> Result<File> {
        hold(&self.target_dir().join("evisor.lock"))
    }

    pub fn target_dir(self) -> PathBuf {
        let target = workspace::root().join("target");
        match self {
            Self::Prebuilt => target,
            Self::Debian => target.join("debian"),
        }
    }
}

/// Whether the compiler on the `PATH` has the target's library.
fn prebuilt_library() -> Result<bool> {
    let libraries = first_line("rustc", &["--print", "target-libdir", "--target", TARGET])
        .context("there is no working rustc on the PATH")?;
    let Ok(mut entries) = Path::new(&libraries).read_dir() else {
        return Ok(false);
    };
    Ok(entries.any(|e| e.is_ok_and(|e| e.file_name().to_string_lossy().starts_with("libcore"))))
}

fn missing_for_debian() -> Vec<packages::Package> {
    let wanted = [
        (DEBIAN_RUSTC, ("rustc-web", "the compiler")),
        (DEBIAN_CARGO, ("cargo-web", "builds Rust")),
        ("/usr/lib/rustlib/src/rust/library/core", ("rust-web-src", "the source of Rust's core")),
        ("/usr/bin/ld.lld", ("lld", "links for the board")),
    ];
    wanted.into_iter().filter(|(path, _)| !Path::new(path).exists()).map(|(_, p)| p).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn toolchains_keep_their_results_apart() {
        assert_ne!(Toolchain::Prebuilt.target_dir(), Toolchain::Debian.target_dir());
    }

    #[test]
    fn only_debians_builds_the_library_from_source() {
        let arguments = |t: Toolchain| -> Vec<_> {
            t.cargo("build").get_args().map(|a| a.to_string_lossy().into_owned()).collect()
        };
        let from_source = "-Zbuild-std=core,alloc".to_owned();
        assert!(arguments(Toolchain::Debian).contains(&from_source));
        assert!(!arguments(Toolchain::Prebuilt).contains(&from_source));
    }
}
