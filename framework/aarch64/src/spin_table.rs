//! Cores that the firmware parked, each watching a word of memory for the address to
//! go on at: the enable-method "spin-table" (Devicetree Specification v0.4 §3.8.1;
//! Linux, arm64/booting.rst).

#![allow(unsafe_code, reason = "writes to memory that the tree names")]

use crate::map;
use aarch64_cpu::asm::sev;

/// Sends the core that watches the word at physical address `at` to `entry`. False
/// if there cannot be such a word.
///
/// The core waits in WFE with its MMU off, and reads what is in memory. The words of
/// other cores, and maybe code, are in the same line: they are written back as they
/// were.
///
/// # Safety
/// 1. It is the `cpu-release-addr` of a parked core, and nothing of eVisor or of a
///    guest lies in its page.
pub unsafe fn release(at: u64, entry: u64) -> bool {
    // SAFETY: 1. as the caller says: parked cores write to nothing.
    let written = unsafe { map::write_through(at, entry) }.is_ok();
    // The word is in memory: `write_through` ends its maintenance with a DSB.
    sev();
    written
}
