//! A guest that checks, item by item, that its machine behaves as Arm's manuals
//! say.
//!
//! Each check prints `PASS area.name`, `SKIP area.name: why` if it does not apply, or
//! `FAIL area.name: what: expected … got …`; the end is
//! `test-app: N passed, M failed, K not applicable`, and the verdict 1 if any failed.
//!
//! It also runs on QEMU's virt machine without a hypervisor, where what only
//! eVisor promises is skipped: that is how the checks themselves are checked.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod abort;
#[cfg(target_os = "none")]
mod aliases;
#[cfg(target_os = "none")]
mod attributes;
#[cfg(target_os = "none")]
mod cache;
#[cfg(target_os = "none")]
mod check;
#[cfg(target_os = "none")]
mod cpu;
#[cfg(target_os = "none")]
mod debug;
#[cfg(target_os = "none")]
mod distributor;
#[cfg(target_os = "none")]
mod el0;
#[cfg(target_os = "none")]
mod end_mode;
#[cfg(target_os = "none")]
mod gicv2;
#[cfg(target_os = "none")]
mod gicv3;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod identification;
#[cfg(target_os = "none")]
mod interrupts;
#[cfg(target_os = "none")]
mod ipi;
#[cfg(target_os = "none")]
mod level;
#[cfg(target_os = "none")]
mod lines;
#[cfg(target_os = "none")]
mod no_syndrome;
#[cfg(target_os = "none")]
mod physical_timer;
#[cfg(target_os = "none")]
mod pl011;
#[cfg(target_os = "none")]
mod pl031;
#[cfg(target_os = "none")]
mod power;
#[cfg(target_os = "none")]
mod psci;
#[cfg(target_os = "none")]
mod route;
#[cfg(target_os = "none")]
mod sgi;
#[cfg(target_os = "none")]
mod smccc;
#[cfg(target_os = "none")]
mod stolen_time;
#[cfg(target_os = "none")]
mod system_register;
#[cfg(target_os = "none")]
mod taken;
#[cfg(target_os = "none")]
mod timer;
#[cfg(target_os = "none")]
mod transfer;
#[cfg(target_os = "none")]
mod traps;
#[cfg(target_os = "none")]
mod trng;

#[cfg(not(target_os = "none"))]
fn main() {}
