//! Ten VMs at once, each of which does its units of work and shows them on its own console
//! only.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::machine::Board;
use crate::plan::Plan;
use crate::process::capture;
use crate::steps::myself;
use crate::workspace;

const MANIFEST: &str = "manifests/many.dts";
const LINUX: [(&str, u32); 2] = [("linux-a", 3000), ("linux-b", 4000)];
const WORKERS: u32 = 8;
const UNITS: u32 = 40;
/// One of a shell's takes as long as four of a worker's, which waits in most of its own.
const SHELLS_UNITS: u32 = 10;
/// On idle cores of a host it takes a small part of that.
const SECONDS: &str = "400";

pub fn cases(plan: &mut Plan, board: Board) {
    let name = "two Linux and eight of our guests at once, until each has done its units";
    plan.case(name, move || many(board)).long();
}

/// What the manifest calls it.
fn worker(number: u32) -> String {
    format!("worker-{number}")
}

/// A shell's units: what it computes twice, with a pause between, has to be the same.
fn shell(last: u32, pause: &str) -> String {
    format!(
        "n=0; u() {{ seq $n {last} | sha256sum | cut -c1-16; }}; while [ $n -lt {SHELLS_UNITS} ]; \
         do n=$((n+1)); s=$(u); {pause}; [ $s = $(u) ] && echo un''it $n of {SHELLS_UNITS}: $s; done"
    )
}

/// The same, computed here.
fn shells_units(last: u32) -> Result<Vec<String>> {
    let printed = capture(Command::new("sh").args(["-c", &shell(last, ":")]))?;
    Ok(String::from_utf8(printed)?.lines().map(str::to_owned).collect())
}

/// What the worker of this number prints: images/worker.
fn workers_units(number: u32) -> Vec<String> {
    let unit = |unit| {
        let crc = crc_of_block(number << 16 | unit);
        format!("worker: unit {unit} of {UNITS}: {crc:08x}")
    };
    (1..=UNITS).map(unit).collect()
}

/// CRC-32 of 2048 words of a xorshift generator.
fn crc_of_block(seed: u32) -> u32 {
    let words = std::iter::successors(Some(next(seed)), |number| Some(next(*number)));
    let bytes = words.take(2048).flat_map(u32::to_le_bytes);
    let shift = |crc: u32, _| if crc & 1 == 0 { crc >> 1 } else { crc >> 1 ^ 0xedb8_8320 };
    !bytes.fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(byte), shift))
}

fn next(mut number: u32) -> u32 {
    number ^= number << 13;
    number ^= number >> 17;
    number ^ number << 5
}

/// What is typed on whose console, and after what. Nobody begins before all are there: the
/// workers are when Linux is, and may have greeted before eVisor was asked for frames.
fn sends() -> Vec<String> {
    let begin =
        |(name, last): (&str, u32)| format!("@{name} ~ # ={}; poweroff", shell(last, "sleep 0.1"));
    let [a, b] = LINUX;
    let prompt = format!("@{} ~ # =", b.0);
    let workers = (1..=WORKERS).map(|number| format!("@worker-{number} =told {number}"));
    [prompt, begin(a)].into_iter().chain(workers).chain([begin(b)]).collect()
}

fn many(board: Board) -> Result<()> {
    let folder = workspace::root().join("target/evisor/consoles/many").join(board.name());
    // What an earlier run left is not this one's.
    let _ = fs::remove_dir_all(&folder);
    let mut run = myself("run");
    run.args([MANIFEST, "--board", board.name(), "--timeout", SECONDS]);
    run.arg(format!("--consoles={}", folder.display())).current_dir(workspace::root());
    run.args(sends().iter().flat_map(|send| ["--send", send]));
    let output = run.output().context("cannot start a run")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}; its console:\n{printed}\n{said}", output.status);
    ended_well(&printed)?;
    at_once(&printed)?;
    LINUX.iter().try_for_each(|(name, last)| linux_shows(&folder, name, *last))?;
    (1..=WORKERS).try_for_each(|number| worker_shows(&folder, number))
}

fn names() -> impl Iterator<Item = String> {
    LINUX.iter().map(|(name, _)| (*name).to_owned()).chain((1..=WORKERS).map(worker))
}

fn ended_well(printed: &str) -> Result<()> {
    for name in names() {
        let line = format!("evisor: {name}: off, verdict 0");
        ensure!(printed.contains(&line), "'{line}' is missing:\n{printed}");
    }
    ensure!(printed.contains("evisor: all VMs stopped, status 0"), "{printed}");
    Ok(())
}

/// Each had done a unit before any had done its last.
fn at_once(printed: &str) -> Result<()> {
    let mut lines: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, line) in printed.lines().enumerate() {
        if let Some((name, unit)) = line.split_once("| ")
            && is_unit(unit)
        {
            lines.entry(name).or_default().push(at);
        }
    }
    let first = lines.values().filter_map(|at| at.first()).max();
    let last = lines.values().filter_map(|at| at.last()).min();
    ensure!(lines.len() == names().count() && first < last, "not all worked at once:\n{printed}");
    Ok(())
}

fn is_unit(line: &str) -> bool {
    line.trim_start_matches("worker: ").starts_with("unit ")
}

fn log(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(format!("{name}.log"));
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Its units, each at its place, and nothing of another's.
fn linux_shows(folder: &Path, name: &str, last: u32) -> Result<()> {
    let shown = log(folder, name)?;
    let units: Vec<&str> = shown.lines().map(str::trim_end).filter(|line| is_unit(line)).collect();
    ensure!(units == shells_units(last)?, "{name} shows:\n{shown}");
    let alone =
        !["worker: ", "worker-", "told ", "evisor:"].iter().any(|word| shown.contains(word));
    ensure!(alone && shown.contains("Power down"), "{name} shows:\n{shown}");
    let other = if last == 3000 { "$n 4000" } else { "$n 3000" };
    ensure!(!shown.contains(other), "{name} shows what was typed elsewhere:\n{shown}");
    Ok(())
}

/// Every byte of its console is known.
fn worker_shows(folder: &Path, number: u32) -> Result<()> {
    let mut lines = vec![format!("told {number}")];
    lines.extend(workers_units(number));
    lines.push(format!("worker: all {UNITS} are right"));
    let told: String = lines.iter().map(|line| line.clone() + "\r\n").collect();
    let all = format!("worker: {UNITS} units; Return begins\r\n{told}");
    let shown = log(folder, &worker(number))?;
    // Of its greeting, what came behind the beginning of frames.
    let known = all.ends_with(&shown) && shown.ends_with(&told);
    ensure!(known, "worker {number} shows:\n{shown}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_known_by_what_others_compute() {
        assert_eq!(crc_of_block(0x1_0001), 0xef9c_7a8d);
    }

    #[test]
    fn a_shell_counts_its_units() {
        let units = shells_units(100).unwrap();
        assert_eq!(units.len(), SHELLS_UNITS as usize);
        assert!(units.iter().all(|unit| is_unit(unit) && unit.len() > 24), "{units:?}");
    }

    #[test]
    fn nobody_may_end_before_all_have_begun() {
        let lines = |unit| names().map(move |name| format!("{name}| unit {unit} of 40: x\r\n"));
        let sound: String = lines(1).chain(lines(2)).collect();
        at_once(&sound).unwrap();
        let late: String = lines(1).take(9).chain(lines(2)).chain(lines(3)).collect();
        assert!(at_once(&late.replace("worker-8| unit 2", "worker-8| x")).is_err());
        assert!(at_once(&sound.replace("linux-b|", "linux-a|")).is_err());
    }
}
