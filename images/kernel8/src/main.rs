//! A `kernel8.img` for the bare Raspberry Pi 4: a raw binary at 0x80000 that uses nothing
//! of eVisor's. On the machine itself, where it is entered at EL2 and goes to EL1, and in
//! a VM, where it is entered there, it prints the same lines.
//!
//! MMU and caches stay off, on all cores: all of memory is Device-nGnRnE then, nothing has
//! to be cleaned for the VideoCore or for another core, and nothing may use exclusives.
//! Each word that cores share has one writer.
//!
//! What it waits for it waits for a time. `program.rs` has the order of it all.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod cores;
#[cfg(target_os = "none")]
mod fault;
#[cfg(target_os = "none")]
mod gic;
#[cfg(target_os = "none")]
mod gpio;
#[cfg(target_os = "none")]
mod mailbox;
#[cfg(target_os = "none")]
mod pm;
#[cfg(target_os = "none")]
mod program;
#[cfg(target_os = "none")]
mod registers;
#[cfg(target_os = "none")]
mod rng;
#[cfg(target_os = "none")]
mod sd;
#[cfg(target_os = "none")]
mod sd_trial;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod timer;
#[cfg(target_os = "none")]
mod uart;

/// On a workstation there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}
