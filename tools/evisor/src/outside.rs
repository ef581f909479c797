//! A device crate that lives outside of the repository: made by `new-device`, put
//! into a copy of the repository by two lines of Cargo.toml, measured by the bench.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::Figures;
use crate::budget::Budgets;
use crate::copy::{self, Copy};
use crate::machine::need_qemu;
use crate::new_device::{dependency, write};
use crate::plan::{Plan, Shared};
use crate::process::{Progress, long};
use crate::steps::myself;
use crate::toolchain::Toolchain;
use crate::workspace;

const NAME: &str = "counter";

const TESTS: Duration = Duration::from_secs(1800);

pub fn step(plan: &mut Plan) -> Result<()> {
    plan.need(need_qemu);
    plan.case("its own tests", || Place::prepared()?.test()).in_turn(copy::GROUP);
    plan.case("an image with it", || {
        let place = Place::prepared()?;
        place.differs_only_in(Path::new("images/evisor/Cargo.toml"))?;
        place.measure()
    })
    .in_turn(copy::GROUP);
    Ok(())
}

/// Where all this happens: next to each other.
struct Place {
    copy: Copy,
    /// What was copied. Cargo has lock files in the repository come meanwhile, for others.
    files: Vec<PathBuf>,
    device: PathBuf,
}

impl Place {
    fn new() -> Self {
        let copy = Copy::of_repository();
        Self { device: copy.beside(NAME), files: Vec::new(), copy }
    }

    /// Once, whatever of it is asked for.
    fn prepared() -> Result<&'static Self> {
        static PLACE: Shared<Place> = Shared::new();
        PLACE.get(|| {
            let mut place = Self::new();
            place.prepare().context("cannot prepare a copy of the repository")?;
            Ok(place)
        })
    }

    fn prepare(&mut self) -> Result<()> {
        self.files = self.copy.write(|file, bytes| self.wanted(file, bytes))?;
        write(NAME, &self.device, &self.copy.folder)
    }

    /// What the copy has to hold: the same, but for the two lines.
    fn wanted(&self, file: &Path, bytes: Vec<u8>) -> Result<Vec<u8>> {
        if file != Path::new("images/evisor/Cargo.toml") {
            return Ok(bytes);
        }
        let line = dependency(NAME, &self.device.display().to_string());
        Ok(with_device(&String::from_utf8(bytes)?, &line).into_bytes())
    }

    fn differs_only_in(&self, file: &Path) -> Result<()> {
        let root = workspace::root();
        for source in &self.files {
            let same = fs::read(root.join(source))? == fs::read(self.copy.folder.join(source))?;
            // Cargo writes lock files.
            let may_differ = source == file || source.ends_with("Cargo.lock");
            ensure!(same || may_differ, "{} had to be changed", source.display());
        }
        Ok(())
    }

    fn test(&self) -> Result<()> {
        let mut cargo = Toolchain::of_host().host_cargo();
        cargo.args(["test", "-q", "--target-dir"]).arg(self.copy.results.join("device"));
        long("testing the device that lives elsewhere", cargo.current_dir(&self.device), TESTS)
            .map(drop)
    }

    fn measure(&self) -> Result<()> {
        let progress = Progress::start("measuring the device that lives elsewhere");
        let mut bench = myself("bench");
        bench.arg("--json").arg(self.device.join(format!("{NAME}.dts")));
        let output =
            bench.env("EVISOR_ROOT", &self.copy.folder).current_dir(&self.device).output()?;
        progress.end(output.status.success());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "the bench failed:\n{said}");
        let figures = Figures::from_json(&output.stdout)?;
        let broken = Budgets::read()?.broken(&figures, "", "outside");
        ensure!(broken.is_empty(), broken.join("\n"));
        Ok(())
    }
}

/// The image's Cargo.toml with one more component.
fn with_device(manifest: &str, dependency: &str) -> String {
    manifest.replacen("\ndefault = [\n", &format!("\ndefault = [\n    \"{NAME}\",\n"), 1).replacen(
        "\n[dependencies]\n",
        &format!("\n[dependencies]\n{dependency}\n"),
        1,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_lines_are_added() {
        let manifest = fs::read_to_string(workspace::root().join("images/evisor/Cargo.toml"));
        let manifest = manifest.unwrap();
        let changed = with_device(&manifest, &dependency(NAME, "/elsewhere"));
        assert_eq!(changed.lines().count(), manifest.lines().count() + 2);
        assert!(changed.contains("counter = { path = \"/elsewhere\", optional = true }"));
    }
}
