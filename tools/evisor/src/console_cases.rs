//! Several VMs on one line: at a plain terminal, and each on a console of its own.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use crate::machine::Board;
use crate::many;
use crate::plan::Plan;
use crate::steps::myself;
use crate::workspace;

const SERIAL: &str = "manifests/two-serial.dts";
const PIS: &str = "manifests/virtual-pis.dts";

pub fn cases(plan: &mut Plan) {
    both(plan, "virt", &[]);
    many::cases(plan, Board::QemuVirt);
}

pub fn on_a_pi(plan: &mut Plan) {
    both(plan, "pi", &["--board", "raspi4"]);
    many::cases(plan, Board::Raspi4);
}

fn both(plan: &mut Plan, board: &'static str, more: &'static [&str]) {
    plan.case("two VMs at a plain terminal: names, list, switch, replay", || plain(more));
    plan.case("two VMs, each on a console of its own", || apart(board, more));
    plan.case("two virtual Pis: a card and a console each, one restarts", || pis(board, more));
}

/// What was printed by a run that has to end with status 0.
fn run(manifest: &str, more: &[&str], arguments: &[&str]) -> Result<String> {
    let mut command = myself("run");
    command.arg(manifest).args(more).args(arguments).current_dir(workspace::root());
    let output = command.output().context("cannot start a run")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}; its console:\n{printed}\n{said}", output.status);
    Ok(printed)
}

/// The texts come one behind the other.
pub fn in_order(printed: &str, texts: &[&str]) -> Result<()> {
    let mut rest = printed;
    for text in texts {
        let (_, behind) =
            rest.split_once(text).with_context(|| format!("'{text}' is missing:\n{printed}"))?;
        rest = behind;
    }
    Ok(())
}

/// The prefix is Ctrl-T, and Return follows each of what is typed.
fn plain(more: &[&str]) -> Result<()> {
    // In any order; a line of eVisor's that comes late would come into what is typed.
    let all = "((serial: type, |second: starts)(.|\n)*){3}\n";
    let sends = [
        &format!("{all}=hello \x1b]0;title\x07\x1b[31mred"),
        // The list, then a line for the second, which is shown alone.
        "^first. hello red\n=\x14l\x142dark\x1b[7m",
        "^dark.*\n=\x14pfirst",
        "^first$=\x14a\x14?",
        "or one alone; l: list=\x14n\x14asecond again",
        "^second. second again$=exit",
        "^evisor: second: off=\x14pexit",
    ];
    let sends = sends.iter().flat_map(|send| ["--send", send]);
    let arguments: Vec<&str> = sends.chain(["--timeout", "180"]).collect();
    let printed = run(SERIAL, more, &arguments)?;
    in_order(
        &printed,
        &[
            "evisor: 2 consoles; Ctrl-T ? for help",
            "first| hello red\r",
            "evisor: >1 first: 0 unread, 0 lost\r",
            "evisor:  2 second: 0 unread, 0 lost\r",
            "evisor: second is shown and typed to\r",
            "dark\x1b[7m",
            "\x1b[!p\x1b[0m",
            "evisor: first is shown and typed to\r",
            "evisor: all are shown; first is typed to\r",
            "evisor: second is shown and typed to\r",
            "evisor: all are shown; second is typed to\r",
            "second| second again\r",
            "second| serial: goodbye\r",
            "evisor: second: off, verdict 0\r",
            "serial: goodbye\r",
            "evisor: all VMs stopped, status 0\r",
        ],
    )?;
    let filtered = !printed.contains("\x1b[31m") && !printed.contains("title");
    ensure!(filtered, "a sequence came through among lines of all:\n{printed:?}");
    Ok(())
}

fn folder(name: &str) -> Result<PathBuf> {
    let folder = workspace::root().join("target/evisor/consoles").join(name);
    // What an earlier run left is not this one's.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

fn log(folder: &Path, name: &str) -> Result<String> {
    let path = folder.join(format!("{name}.log"));
    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn apart(board: &str, more: &[&str]) -> Result<()> {
    let folder = folder(&format!("serial-{board}"))?;
    let consoles = format!("--consoles={}", folder.display());
    let sends = [
        "@first serial: type, .*\n=\x14n one \x1b[31m",
        "@second serial: type, .*\n=two",
        "@first one .*\n=exit",
        "@second two\n=exit",
    ];
    let sends = sends.iter().flat_map(|send| ["--send", send]);
    let arguments: Vec<&str> = sends.chain(["--timeout", "180", &consoles]).collect();
    let printed = run(SERIAL, more, &arguments)?;
    let greeting = "serial: hello from a guest\r\nserial: running at EL1\r\n\
        serial: type, and it comes back; exit or Ctrl-D ends it\r\n";
    for (name, typed) in [("first", "\x14n one \x1b[31m"), ("second", "two")] {
        let wanted = format!("{greeting}{typed}\r\nexit\r\nserial: goodbye\r\n");
        let shown = log(&folder, name)?;
        ensure!(shown == wanted, "{name} shows {shown:?}");
    }
    in_order(&printed, &["first: off, verdict 0", "all VMs stopped, status 0"])
}

/// Makes a file system on the card, and a file there.
const WRITE: &str = "mke2fs -q /dev/mmcblk0 && mount /dev/mmcblk0 /tmp && echo NAME >/tmp/who \
    && umount /tmp && echo 'card' is NAME\"'s\"";
/// Reads it.
const READ: &str = "mount /dev/mmcblk0 /tmp && echo reads $(cat /tmp/who)";
/// Counts, until it is told to stop.
const COUNT: &str = "(i=0; while :; do echo count $i; i=$((i + 1)); sleep 0.02; done) & c=$!";

/// While one restarts, the other counts: not a byte of that is lost, nor seen elsewhere.
fn pis(board: &str, more: &[&str]) -> Result<()> {
    let folder = folder(&format!("pis-{board}"))?;
    let consoles = format!("--consoles={}", folder.display());
    let sends = [
        &format!("@first ~ # ={}", WRITE.replace("NAME", "alpha")),
        &format!("@second ~ # ={}", WRITE.replace("NAME", "beta")),
        &format!("@second card is beta's[^~]*~ # ={COUNT}"),
        "@first card is alpha's[^~]*~ # =reboot",
        &format!("@first Booting Linux[^~]*~ # ={READ}"),
        "@first reads alpha[^~]*~ # =poweroff",
        "@first Power down=",
        &format!("@second count [0-9]+$=kill $c; {READ}"),
        "@second reads beta[^~]*~ # =poweroff",
    ];
    let sends = sends.iter().flat_map(|send| ["--send", send]);
    let arguments: Vec<&str> = sends.chain(["--timeout", "1200", &consoles]).collect();
    let printed = run(PIS, more, &arguments)?;
    let counted = |text: &str| text.matches("second| count ").count();
    let (before, after) = printed
        .split_once("evisor: first: restarts")
        .with_context(|| format!("the first did not restart:\n{printed}"))?;
    let both = (counted(before), counted(after));
    ensure!(both.0 > 0 && both.1 > 10, "the second counted {both:?} before and after");
    let (first, second) = (log(&folder, "first")?, log(&folder, "second")?);
    in_order(&first, &["card is alpha's", "Restarting system", "reads alpha", "Power down"])?;
    in_order(&second, &["card is beta's", "reads beta", "Power down"])?;
    ensure!(!first.contains("count ") && !first.contains("beta"), "the first shows the second's");
    let alone = !second.contains("alpha") && !second.contains("Restarting");
    ensure!(alone, "the second shows the first's");
    // What eVisor says is nobody's.
    let own = |text: &str| text.contains("evisor: ");
    ensure!(!own(&first) && !own(&second), "a console shows eVisor's lines");
    // One of them stands behind the prompt.
    let numbers = second.lines().filter_map(|line| line.trim_end().rsplit_once("count "));
    let numbers: Vec<u32> = numbers.filter_map(|(_, number)| number.parse().ok()).collect();
    ensure!((0..).zip(&numbers).all(|(n, number)| n == *number), "it counted {numbers:?}");
    ensure!(numbers.len() >= both.0 + both.1, "{} of {both:?} lines are kept", numbers.len());
    Ok(())
}
