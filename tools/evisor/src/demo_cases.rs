//! What a newcomer boots: `./evisor run` without an argument, and what the demonstration's
//! own words say can be done there.

use anyhow::{Context, Result, ensure};

use crate::console_cases::in_order;
use crate::machine::Board;
use crate::plan::Plan;
use crate::steps::myself;
use crate::workspace;

pub fn cases(plan: &mut Plan, board: Board) {
    let name = "what is booted without an argument: Linux, a real-time guest, an echo, the monitor";
    plan.case(name, move || demonstration(board));
}

/// The prefix is Ctrl-T, and Return follows each of what is typed. Linux's view is left when
/// the real-time guest has had time to report: that takes a second at least.
const SENDS: [&str; 11] = [
    "~ # =sleep 3; echo $(nproc) cp'us'",
    "2 cpus\n(.|\n)*~ # =\x142",
    "realtime is shown(.|\n)*missed [0-9]+\n=\x143eVisor hears",
    "^eVisor hears\n=\x14mvms",
    "serial +on (.|\n)*> =cores",
    "realtime vCPU 0(.|\n)*> =\x141echo back a'gain'",
    "^back again\n(.|\n)*~ # =poweroff",
    "^evisor: linux: off, verdict 0=\x142",
    "realtime is shown(.|\n)*missed [0-9]+\n(.|\n)*missed [0-9]+\n=\x143it goes on",
    "^it goes on\n=\x14mvms",
    "linux +off (.|\n)*> =end",
];

const SHOWN: [&str; 35] = [
    "evisor: 3 consoles; Ctrl-T ? for help\r",
    "evisor: linux is shown and typed to\r",
    "eVisor demonstration: Debian Linux",
    "a real-time one, Ctrl-T 2, and an echo, Ctrl-T 3;\r",
    "Ctrl-T 1 this Linux; with --consoles each has a\r",
    "end in the monitor everything.\r",
    "2 cpus\r",
    "evisor: realtime is shown and typed to\r",
    "realtime: 1000 us a period",
    " periods, late ",
    "evisor: serial is shown and typed to\r",
    "serial: hello from a guest\r",
    "serial: type, and it comes back",
    "eVisor hears\r",
    "evisor: monitor is shown and typed to\r",
    "linux           on        2 ",
    "realtime        on        1 ",
    "serial          on        1 ",
    "core 0: fixed-priority\r",
    "linux vCPU 0: ran ",
    "core 1: fixed-priority\r",
    "linux vCPU 1: ran ",
    "realtime vCPU 0: ran ",
    "priority 10, 200/1000 us\r",
    "evisor: linux is shown and typed to\r",
    "back again\r",
    "The other guests go on; end in eVisor's monitor, Ctrl-T m, turns them off.\r",
    "evisor: linux: off, verdict 0\r",
    "evisor: realtime is shown and typed to\r",
    "evisor: serial is shown and typed to\r",
    "it goes on\r",
    "linux           off       2 ",
    "realtime        on        1 ",
    "serial          on        1 ",
    "evisor: all VMs stopped, status 0\r",
];

fn demonstration(board: Board) -> Result<()> {
    let mut run = myself("run");
    run.args(["--board", board.name(), "--timeout", "360"]).current_dir(workspace::root());
    run.args(SENDS.iter().flat_map(|send| ["--send", send]));
    let output = run.output().context("cannot start a run")?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{}; its console:\n{printed}\n{said}", output.status);
    in_order(&printed, &SHOWN)?;
    ensure!(!printed.contains("core 2:"), "it takes more than two cores:\n{printed}");
    first_view_is_linux(&printed)
}

/// Until it is left nobody else is heard there, but eVisor itself.
fn first_view_is_linux(printed: &str) -> Result<()> {
    let (view, _) =
        printed.split_once("evisor: realtime is shown").context("Linux's view is not left")?;
    let others = ["realtime: ", "serial: ", "realtime| ", "serial| ", "linux| "];
    let heard = |line: &&str| others.iter().any(|other| line.starts_with(other));
    ensure!(view.lines().find(heard).is_none(), "others are heard in Linux's view:\n{view}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_heard_in_linuxs_view_is_found() {
        let view = |line| format!("evisor: serial: starts\r\n{line}\r\nevisor: realtime is shown");
        first_view_is_linux(&view("~ # ls")).unwrap();
        for line in ["realtime: 1000 periods", "serial| hello", "linux| ~ # "] {
            assert!(first_view_is_linux(&view(line)).is_err(), "{line}");
        }
    }
}
