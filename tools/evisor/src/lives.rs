//! Lives of VMs: each of two guests is crashed in ten ways, while a third counts on its
//! console and not one byte of that is lost; what follows a crash; and that nothing is
//! left behind by ten thousand restarts.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::image::write_whole;
use crate::kills;
use crate::machine::need_qemu;
use crate::plan::Plan;
use crate::steps::myself;
use crate::struck;
use crate::workspace;

/// What the counter writes with, 0 to 3: images/victim.
pub const DIGITS: &str = "{}^$";
/// How many of these make a number.
pub const LENGTH: usize = 8;
/// How many numbers it writes beside our own guest, one a millisecond.
const NUMBERS: usize = 1500;

const RESTARTS: &str = "tools/evisor/tests/guests/restarts.dts";

/// A way to die, and what the console shows of it.
pub struct Way {
    name: &'static str,
    /// What the victim's node says besides.
    pub policy: &'static str,
    pub shows: &'static [&'static str],
    /// It came back as often as it may, and then stays down.
    pub restarts: bool,
}

pub const CRASH: &str = "evisor,on-crash = \"restart\"; evisor,restart-limit = <3 3600>;";
pub const REFUSED: &str = "evisor,on-refused = \"crash\"; evisor,on-crash = \"restart\"; \
    evisor,restart-limit = <3 3600>;";
pub const RESET: &str = "evisor,restart-limit = <3 3600>;";

/// In the order of `WAYS` in images/victim.
pub const WAYS: [Way; 10] = [
    Way {
        name: "to nowhere, without vectors",
        policy: CRASH,
        shows: &["crashed: no memory at its vectors, 0x7f00000000", "fetch at 0x7f00000000;"],
        restarts: true,
    },
    Way {
        name: "a fatal load",
        policy: REFUSED,
        shows: &["crashed: an access to 0x7f00000000 was refused: nothing is there", " load at "],
        restarts: true,
    },
    Way {
        name: "a fatal store",
        policy: REFUSED,
        shows: &["crashed: an access to 0x7f00000000 was refused: nothing is there", " store at "],
        restarts: true,
    },
    Way {
        name: "a fatal register",
        policy: REFUSED,
        shows: &["crashed: an instruction was refused", " MRS at "],
        restarts: true,
    },
    Way { name: "PSCI's reset", policy: RESET, shows: &[], restarts: true },
    Way { name: "its only vCPU off", policy: RESET, shows: &[], restarts: false },
    Way {
        name: "stores over all it has",
        policy: CRASH,
        shows: &["crashed: no memory at its vectors, 0x7f00000000"],
        restarts: true,
    },
    Way {
        name: "tables lost, until its watchdog bites",
        policy: RESET,
        shows: &[],
        restarts: true,
    },
    Way {
        name: "masked for ever, until its watchdog bites",
        policy: RESET,
        shows: &[],
        restarts: true,
    },
    Way {
        name: "nested aborts, until its watchdog bites",
        policy: RESET,
        shows: &[],
        restarts: true,
    },
];

/// Those ways that are tried on a core that both guests share: a crash, a reset, and one
/// that spins until its watchdog bites.
const ON_ONE_CORE: [usize; 3] = [1, 5, 10];

pub fn cases(plan: &mut Plan) -> Result<()> {
    plan.need(need_qemu);
    for (number, way) in (1..).zip(&WAYS) {
        let name = format!("a guest dies beside another: {}", way.name);
        plan.case(name, move || dies(number, way, false));
    }
    for number in ON_ONE_CORE {
        let Some(way) = WAYS.get(number - 1) else { continue };
        let name = format!("a guest dies on the core of another: {}", way.name);
        plan.case(name, move || dies(number, way, true));
    }
    plan.case("ten thousand restarts leave nothing behind", leaves_nothing).long();
    kills::cases(plan);
    struck::cases(plan);
    Ok(())
}

/// A deployment of the counter and of `victim`, the rest of a VM's node; on one core, if
/// that is `shared`.
fn manifest(name: &str, victim: &str, numbers: usize, shared: bool) -> Result<PathBuf> {
    let (scheduler, core) = match shared {
        true => (
            "scheduler { compatible = \"evisor,round-robin\"; evisor,cores = <0>; };",
            "evisor,cores = <0>;",
        ),
        false => ("", ""),
    };
    let folder = workspace::root().join("target/evisor/lives");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join(format!("{name}.dts"));
    let text = format!(
        "/dts-v1/;
/ {{
	evisor,version = <1>;
	console {{ compatible = \"evisor,console\"; }};
	{scheduler}
	victim {{ {core} {victim} }};
	counter {{
		compatible = \"evisor,vm\";
		{core}
		evisor,image = \"image:victim\";
		/include/ \"guests/machine.dtsi\"
		chosen {{ bootargs = \"number={numbers}\"; }};
		memory@40000000 {{ device_type = \"memory\"; reg = <0 0x40000000 0 0x4000000>; }};
	}};
}};
"
    );
    write_whole(&path, text.as_bytes())?;
    Ok(path)
}

/// A Raspberry Pi's watchdog.
pub const WATCHDOG: &str = "watchdog@fe100000 { compatible = \"brcm,bcm2835-pm-wdt\"; \
    reg = <0 0xfe100000 0 0x28>; };";

fn dies(number: usize, way: &Way, shared: bool) -> Result<()> {
    let victim = format!(
        "compatible = \"evisor,vm\";
		evisor,image = \"image:victim\";
		{}
		/include/ \"guests/machine.dtsi\"
		chosen {{ bootargs = \"way={number}\"; }};
		memory@40000000 {{ device_type = \"memory\"; reg = <0 0x40000000 0 0x800000>; }};
		{WATCHDOG}",
        way.policy
    );
    let path = manifest(
        &format!("way-{number}{}", if shared { "-shared" } else { "" }),
        &victim,
        NUMBERS,
        shared,
    )?;
    let (status, console) = run(&[&path.to_string_lossy(), "--timeout", "180"])?;
    let wanted = if way.restarts { 102 } else { 0 };
    ensure!(status == Some(wanted), "the status is {status:?}, not {wanted}:\n{console}");
    let counted = counted(&console)?;
    ensure!(counted == NUMBERS, "{counted} numbers were counted:\n{console}");
    let whole = without_counter(&console);
    let ends = console.matches('\n').count();
    let lines = NUMBERS + cuts(&console) + whole.matches("evisor: ").count();
    ensure!(ends == lines, "{ends} ends of {lines} lines came:\n{console}");
    let off = |name: &str| whole.find(&format!("evisor: {name}: off"));
    let went_on =
        off("victim").zip(off("counter")).is_some_and(|(victim, counter)| victim < counter);
    ensure!(went_on, "the counter was done before the victim was:\n{console}");
    let console = whole;
    if way.restarts {
        let restarts = console.matches("victim: restarts").count();
        ensure!(restarts == 3, "it restarts {restarts} times:\n{console}");
        has(&console, "victim: restarted too often, and stays down")?;
    }
    has(&console, &format!("victim: off, verdict {wanted}"))?;
    way.shows.iter().try_for_each(|text| has(&console, text))?;
    Ok(())
}

/// What eVisor wrote, without the counter's bytes between.
fn without_counter(console: &str) -> String {
    console.chars().filter(|c| !DIGITS.contains(*c) && !matches!(c, '\r' | '\n')).collect()
}

pub fn has(console: &str, text: &str) -> Result<()> {
    ensure!(console.contains(text), "'{text}' is missing:\n{console}");
    Ok(())
}

/// How many numbers the counter wrote, if each is one more than the last: whatever the
/// others wrote between its bytes.
pub fn counted(console: &str) -> Result<usize> {
    let digits: Vec<usize> = console.chars().filter_map(|c| DIGITS.find(c)).collect();
    let numbers = digits.chunks_exact(LENGTH);
    ensure!(numbers.remainder().is_empty(), "{} digits are no numbers:\n{console}", digits.len());
    let read = numbers.map(|number| number.iter().fold(0, |all, digit| all << 2 | digit));
    for (expected, number) in read.clone().enumerate() {
        ensure!(number == expected, "{expected} was lost, {number} came:\n{console}");
    }
    Ok(read.len())
}

/// How often the counter's line ended within a number, or before its own end came. The
/// console waits only so long for the rest of a line, which on a busy machine may come
/// later.
fn cuts(console: &str) -> usize {
    let mut digits = 0;
    let cut = |line: &&str| {
        digits += line.chars().filter(|c| DIGITS.contains(*c)).count();
        let within = line.ends_with(|c| DIGITS.contains(c)) && !digits.is_multiple_of(LENGTH);
        within || *line == "counter|"
    };
    console.lines().map(str::trim_end).filter(cut).count()
}

fn leaves_nothing() -> Result<()> {
    let (status, console) = run(&[RESTARTS, "--timeout", "1800"])?;
    ensure!(status == Some(102), "the status is {status:?}");
    let starts = console.matches("small: starts;").count();
    ensure!(starts == 10_001, "it starts {starts} times");
    let line = console.lines().find_map(|line| {
        line.split_once("restarted 10000 times; free before: ").map(|(_, free)| free)
    });
    let (before, now) =
        line.and_then(|line| line.split_once("; now: ")).context("what is free is not said")?;
    let (before, now) = (before.trim(), now.trim());
    ensure!(before == now, "free before: {before}; now: {now}");
    Ok(())
}

fn run(arguments: &[&str]) -> Result<(Option<i32>, String)> {
    let output = myself("run").args(arguments).current_dir(workspace::root()).output();
    let output = output.context("cannot start a run")?;
    let mut console = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(1) {
        console += &String::from_utf8_lossy(&output.stderr);
    }
    Ok((output.status.code(), console))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_the_console_cut_is_no_lost_one() {
        let whole = "counter| {{{{{{{{\r\nevisor: x\r\ncounter| {{{{{{{}\r\n";
        assert_eq!(cuts(whole), 0);
        let cut = whole.replace("counter| {{{{{{{}", "counter| {{\r\nevisor: y\r\ncounter| {{{{{}");
        assert_eq!(cuts(&cut), 1);
        assert_eq!(counted(&cut).unwrap(), 2);
        assert_eq!(cuts(&whole.replace("evisor: x", "counter| ")), 1);
    }

    #[test]
    fn a_lost_byte_is_seen() {
        let sound = "{{{{{{{{\nevi{{{{sor: x{{{}\n{{{{{{{^";
        assert_eq!(counted(sound).unwrap(), 3);
        assert!(counted(&sound.replacen('{', "", 1)).is_err());
        assert!(counted(&sound.replacen('}', "$", 1)).is_err());
    }
}
