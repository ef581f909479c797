//! The host command: builds a deployment, boots it in QEMU, checks and measures
//! it. On a bare machine it installs what is missing, saying what.

mod absent_cases;
mod archive;
mod authority;
mod authority_cases;
mod bench;
mod blows;
mod boots;
mod budget;
mod build;
mod card;
mod card_bench;
mod card_boots;
mod card_cases;
mod card_file;
mod card_partition;
mod card_reader;
mod case;
mod cases;
mod channel_cases;
mod check;
mod checkpoint_cases;
mod console;
mod console_cases;
mod consoles;
mod copy;
mod counted;
mod debian_guest;
mod demo_cases;
mod deployment;
mod diagnostic;
mod faults;
mod firmware;
mod fuzz;
mod gdb;
mod graph;
mod handle_cases;
mod histogram;
mod image;
mod include;
mod initramfs;
mod kernel8;
mod killed_linux;
mod kills;
mod latency;
mod linux;
mod lives;
mod machine;
mod manifest;
mod many;
mod minimal;
mod modules;
mod monitor_cases;
mod most;
mod mutants;
mod native;
mod new_device;
mod outside;
mod packages;
mod passed;
mod pi_cases;
mod pins_cases;
mod plan;
mod pool;
mod process;
mod register_row;
mod root_file_system;
mod run;
mod script;
mod sdcard;
mod shared_cores;
mod shared_lines;
mod source;
mod sources;
mod steps;
mod struck;
mod struck_ways;
mod taken_cases;
mod test;
mod toolchain;
mod torture;
mod verdict;
mod virtual_pi;
mod workspace;

#[cfg(test)]
mod rules;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::diagnostic::Diagnostics;

/// eVisor's host command
#[derive(Parser)]
#[command(name = "evisor", bin_name = "evisor", version, propagate_version = true)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Boot a deployment in QEMU, the demonstration if none is named; its console is the terminal
    Run(run::Run),
    /// Write the image and the bundle of a deployment
    Build(build::Build),
    /// Write an image of an SD card that a Raspberry Pi 4 boots a deployment from
    Sdcard(sdcard::SdCard),
    /// Show every error of a manifest with file and line
    Check(check::Check),
    /// Count the instructions that eVisor takes for an event
    Bench(bench::Bench),
    /// Run fuzz targets
    Fuzz(fuzz::Fuzz),
    /// Write the crate of a device to start from, in a folder anywhere
    NewDevice(new_device::NewDevice),
    /// Run everything that CI runs
    Test(test::Test),
}

fn carry_out(task: Task) -> Result<u8> {
    match task {
        Task::Run(run) => run.carry_out(),
        Task::Build(build) => build.carry_out(),
        Task::Sdcard(card) => card.carry_out(),
        Task::Check(check) => check.carry_out(),
        Task::Bench(bench) => bench.carry_out(),
        Task::Fuzz(fuzz) => fuzz.carry_out(),
        Task::NewDevice(device) => device.carry_out(),
        Task::Test(test) => test.carry_out(),
    }
}

fn main() -> ExitCode {
    match carry_out(Cli::parse().command) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            match error.downcast_ref::<Diagnostics>() {
                Some(diagnostics) => eprintln!("{diagnostics}"),
                None => eprintln!("evisor: error: {error:#}"),
            }
            ExitCode::FAILURE
        }
    }
}
