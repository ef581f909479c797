//! Linux with four vCPUs, booted again and again: on each interrupt controller and
//! each model of the core in turn, and on the Raspberry Pi 4, with a core taken off and put back, and a reboot.
//! What hangs is said, and its console kept.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::case::Case;
use crate::image::write_whole;
use crate::machine::{Machine, Seat, need_qemu};
use crate::plan::Plan;
use crate::run;
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

/// Boots so many times, twice each, on every combination in turn.
pub fn step(plan: &mut Plan, times: u32) -> Result<()> {
    plan.need(need_qemu);
    for (number, machine) in (1..=times).zip(machines().into_iter().cycle()) {
        let Machine { board, gic, cpu, .. } = &machine;
        let cpu = cpu.as_deref().unwrap_or("its own cores");
        let name = format!("boot {number}, {}, GICv{gic}, {cpu}", board.name());
        plan.case(name, move || boot(&machine, number));
    }
    Ok(())
}

fn machines() -> Vec<Machine> {
    let combinations = GICS.iter().flat_map(|gic| CORES.map(|cpu| (*gic, Some(cpu.to_owned()))));
    let virt = combinations.map(|(gic, cpu)| Machine { gic, cpu, ..Machine::for_tests() });
    virt.chain([Machine::raspi4()]).collect()
}

fn boot(machine: &Machine, number: u32) -> Result<()> {
    let files = run::prepare(Path::new(LINUX.manifest), machine)?;
    let qemu = machine.boot(Seat::Script, &files.kernel, &files.bundle)?;
    let Err(error) = LINUX.watch(qemu) else { return Ok(()) };
    let folder = workspace::root().join("target/evisor/boots");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (text, kept) = (error.to_string(), folder.join(format!("{number}.console")));
    write_whole(&kept, text.as_bytes())?;
    anyhow::bail!("{} {}", text.lines().next().unwrap_or_default(), workspace::shown(&kept))
}
