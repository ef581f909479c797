//! The floor: what the least possible hypervisor costs.
//!
//! A bare stub at EL2 that saves and restores x0 to x30, ELR_EL2 and SPSR_EL2
//! for every trap and does nothing that the bench guest does not need. It
//! routes nothing, checks nothing and isolates nothing; its only use is to be
//! measured, by the same guest in the same way, next to eVisor.
//!
//! ```text
//! qemu-system-aarch64 -M virt,virtualization=on,gic-version=2 -cpu max -m 256M \
//!     -icount shift=0,sleep=off -nographic -net none -kernel floor.bin \
//!     -device loader,file=bench.bin,addr=0x40200000,force-raw=on
//! ```
//!
//! Calls return 0 in x0, except PSCI SYSTEM_OFF, which goes to the firmware.
//! Loads from what is not mapped return 0; stores are dropped, except those to
//! UARTDR, which go to the UART, and to GICD_SGIR, which inject an SGI.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod machine;
#[cfg(target_os = "none")]
mod stage2;
#[cfg(target_os = "none")]
mod start;
#[cfg(target_os = "none")]
mod trap;

#[cfg(not(target_os = "none"))]
fn main() {}
