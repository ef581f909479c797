//! Faults of one line, seeded into a copy of the repository: each has to make a named
//! check of test-app fail, and nothing hang. `images/test-app/faults` lists them.

use std::fs;

use anyhow::{Context, Result, bail, ensure};

use crate::copy::{self, Copy};
use crate::machine::need_qemu;
use crate::new_device::write_changed;
use crate::plan::{Plan, Shared};
use crate::steps::myself;
use crate::workspace;

const LIST: &str = "images/test-app/faults";

/// Each takes a build and a boot: where nobody asked for this step, every so many-th.
const SAMPLE: usize = 9;

/// Seconds that a boot may take.
const LIMIT: &str = "360";

/// One line that is wrong, and the checks of which one sees it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Fault {
    file: String,
    right: String,
    wrong: String,
    checks: Vec<String>,
    several_cores: bool,
}

pub fn step(plan: &mut Plan) -> Result<()> {
    plan.need(need_qemu);
    let text = fs::read_to_string(workspace::root().join(LIST)).context(LIST)?;
    let one_in = if plan.named { 1 } else { SAMPLE };
    let chosen: Vec<_> = parse(&text)?.into_iter().step_by(one_in).collect();
    let (several, one): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|f| f.several_cores);
    for (manifest, faults) in [(ONE_CORE, one), (SEVERAL_CORES, several)] {
        if faults.is_empty() {
            continue;
        }
        let checks: Vec<_> = faults.iter().flat_map(|fault| fault.checks.clone()).collect();
        plan.case(format!("{manifest} without a fault"), move || without(manifest, &checks))
            .in_turn(copy::GROUP);
        for fault in faults {
            plan.case(fault.name(), move || Place::prepared()?.with(&fault)).in_turn(copy::GROUP);
        }
    }
    Ok(())
}

fn without(manifest: &str, checks: &[String]) -> Result<()> {
    let console = Place::prepared()?.boot(manifest)?;
    let missing = checks.iter().find(|check| !passes(&console, check));
    missing.map_or(Ok(()), |check| bail!("{check} does not pass"))
}

const ONE_CORE: &str = "manifests/test-app.dts";
const SEVERAL_CORES: &str = "manifests/test-app-smp.dts";

fn passes(console: &str, check: &str) -> bool {
    console.lines().any(|line| line.trim_end() == format!("PASS {check}"))
}

fn fails(console: &str, check: &str) -> bool {
    console.lines().any(|line| line.starts_with(&format!("FAIL {check}:")))
}

fn parse(text: &str) -> Result<Vec<Fault>> {
    let mut faults: Vec<Fault> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        if word == "in" {
            faults.push(Fault { file: rest.to_owned(), ..Fault::default() });
            continue;
        }
        let fault = faults.last_mut().with_context(|| format!("{LIST}:{number}: in what file?"))?;
        match (word, rest) {
            ("-", line) => line.clone_into(&mut fault.right),
            ("+", line) => line.clone_into(&mut fault.wrong),
            ("fails", checks) => fault.checks = checks.split(' ').map(str::to_owned).collect(),
            ("on", "smp") => fault.several_cores = true,
            _ => bail!("{LIST}:{number}: '{line}' is neither -, +, fails nor on smp"),
        }
    }
    Ok(faults)
}

impl Fault {
    fn name(&self) -> String {
        format!("{}: {}", self.file, self.wrong)
    }

    /// The file with the wrong line in the place of the right one.
    fn seed(&self, source: &str) -> Result<String> {
        let here = |line: &&str| line.trim_start() == self.right;
        let found = source.lines().filter(here).count();
        ensure!(found == 1, "'{}' stands there {found} times", self.right);
        let lines = source.lines().map(|line| {
            if here(&line) { line.replacen(&self.right, &self.wrong, 1) } else { line.to_owned() }
        });
        Ok(lines.map(|line| line + "\n").collect())
    }
}

/// The copy that all this happens in.
struct Place(Copy);

impl Place {
    /// Once, whatever of it is asked for.
    fn prepared() -> Result<&'static Self> {
        static PLACE: Shared<Place> = Shared::new();
        PLACE.get(|| {
            let copy = Copy::of_repository();
            copy.write(|_, bytes| Ok(bytes)).context("cannot prepare a copy of the repository")?;
            Ok(Self(copy))
        })
    }

    /// What the console says of a boot that ended by itself.
    fn boot(&self, manifest: &str) -> Result<String> {
        let mut run = myself("run");
        run.args([manifest, "--timeout", LIMIT]).env("EVISOR_ROOT", &self.0.folder);
        let output = run.current_dir(&self.0.folder).output()?;
        let console = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            console.contains("test-app: ") && !said.contains("the time is over"),
            "it did not end; the console:\n{console}\n{said}"
        );
        Ok(console)
    }

    /// One of the checks has to fail with this fault, and only then.
    fn with(&self, fault: &Fault) -> Result<()> {
        let file = self.0.folder.join(&fault.file);
        let right = fs::read_to_string(&file).with_context(|| fault.file.clone())?;
        let wrong = fault.seed(&right)?;
        write_changed(&file, wrong.as_bytes())?;
        let console = self.boot(if fault.several_cores { SEVERAL_CORES } else { ONE_CORE });
        write_changed(&file, right.as_bytes())?;
        let caught = console.map(|console| fault.checks.iter().any(|check| fails(&console, check)));
        ensure!(caught?, "no check of {} fails", fault.checks.join(", "));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed() -> Vec<Fault> {
        parse(&fs::read_to_string(workspace::root().join(LIST)).unwrap()).unwrap()
    }

    #[test]
    fn there_are_thirty_and_each_can_be_seeded() {
        let faults = listed();
        assert!(faults.len() >= 30, "{}", faults.len());
        for fault in faults {
            let source = fs::read_to_string(workspace::root().join(&fault.file)).unwrap();
            let wrong = fault.seed(&source).unwrap_or_else(|e| panic!("{}: {e}", fault.file));
            assert_ne!(wrong, source);
        }
    }

    #[test]
    fn each_check_is_one_of_test_apps() {
        let folder = workspace::root().join("images/test-app/src");
        let sources: Vec<_> = folder
            .read_dir()
            .unwrap()
            .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
            .collect();
        for check in listed().iter().flat_map(|fault| &fault.checks) {
            let (area, name) = check.split_once('.').unwrap();
            let there = sources.iter().any(|source| {
                source.contains(&format!("checks! {{ \"{area}\":"))
                    && source.contains(&format!("fn {name}() -> Outcome"))
            });
            assert!(there, "{check}");
        }
    }

    #[test]
    fn a_line_that_is_not_there_is_an_error() {
        let fault = Fault { right: "b".to_owned(), wrong: "c".to_owned(), ..Fault::default() };
        assert_eq!(fault.seed("a\n  b\n").unwrap(), "a\n  c\n");
        assert!(fault.seed("a\n").is_err());
        assert!(fault.seed("b\nb\n").is_err());
    }
}
