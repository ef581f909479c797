//! A program for the bare `virt` machine with a GICv2, at EL1, with the MMU off: a
//! raw binary linked at 0x40280000 that uses nothing of eVisor's. On the machine
//! itself and in a VM it prints the same lines.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod gic;
#[cfg(target_os = "none")]
mod program;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod uart;

/// On a workstation there is nothing to run.
#[cfg(not(target_os = "none"))]
fn main() {}
