//! Linux with four vCPUs, booted again and again: on each interrupt controller and
//! each model of the core in turn, and on the Raspberry Pi 4, with a core taken off and put back, and a reboot.
//! What hangs is said, and its console kept.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::case::Case;
use crate::image::write_whole;
use crate::machine::{Machine, Seat, need_qemu};
use crate::process::Progress;
use crate::run::{self, Files};
use crate::test::Count;
use crate::workspace;

const GICS: [u8; 2] = [2, 3];
const CORES: [&str; 3] = ["cortex-a53", "cortex-a72", "max"];

/// The first boot counts its cores, takes one off and puts it back, and looks who
/// was interrupted by others; the second ends. What is typed does not hold what is
/// looked for.
const LINUX: Case = Case::new("Linux on four vCPUs", "manifests/linux-smp.dts")
    .sends(&[
        "~ # =f=/sys/devices/system/cpu/cpu3/online; echo 'has' $(nproc); \
        echo 0 >$f; echo 'then' $(nproc); echo 1 >$f; echo 'and' $(nproc)",
        "~ # =awk '/^IPI/ { for (n = 2; n < 6; n++) c[n] += $n } \
        END { for (n in c) if (c[n] > 0) k++; print \"IPIs \" \"reached\", k }' /proc/interrupts",
        "~ # =reboot",
        "Booting Linux[^~]*~ # =poweroff",
    ])
    .seconds(240)
    .shows(&["has 4", "then 3", "and 4", "IPIs reached 4", "Power down"]);

/// Boots so many times, twice each.
pub fn step(count: &mut Count, times: u32) -> Result<()> {
    need_qemu()?;
    let folder = workspace::root().join("target/evisor/boots");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let machines = machines()?;
    let (mut hung, progress) = (0, Progress::start("booting Linux with four vCPUs"));
    for (number, (machine, files)) in (1..=times).zip(machines.iter().cycle()) {
        progress.detail(&format!("{number} of {times}"));
        if let Err(error) = boot(machine, files, &folder.join(format!("{number}.console"))) {
            hung += 1;
            let Machine { board, gic, cpu, .. } = machine;
            let cpu = cpu.as_deref().unwrap_or("its own cores");
            count.one(&format!("boot {number}, {}, GICv{gic}, {cpu}", board.name()), Err(error));
        }
    }
    progress.end(hung == 0);
    if hung == 0 {
        count.one(&format!("{times} times booted, hot-plugged, rebooted, powered off"), Ok(()));
    }
    Ok(())
}

/// Every combination, and what it boots.
fn machines() -> Result<Vec<(Machine, Files)>> {
    let mut machines = Vec::new();
    let combinations = GICS.iter().flat_map(|gic| CORES.map(|cpu| (*gic, Some(cpu.to_owned()))));
    let virt = combinations.map(|(gic, cpu)| Machine { gic, cpu, ..Machine::for_tests() });
    for machine in virt.chain([Machine::raspi4()]) {
        let files = run::prepare(Path::new(LINUX.manifest), &machine)?;
        machines.push((machine, files));
    }
    Ok(machines)
}

fn boot(machine: &Machine, files: &Files, kept: &Path) -> Result<()> {
    let qemu = machine.boot(Seat::Script, &files.kernel, &files.bundle)?;
    let Err(error) = LINUX.watch(qemu) else { return Ok(()) };
    let text = error.to_string();
    write_whole(kept, text.as_bytes())?;
    anyhow::bail!("{} {}", text.lines().next().unwrap_or_default(), workspace::shown(kept))
}
