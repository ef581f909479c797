//! The PL031: what day it is.

#![allow(unsafe_code, reason = "makes a driver from the address of the registers")]

use arm_pl031::Rtc;
use evisor_fdt::Tree;

/// Seconds since 1970, or 0 without a clock.
pub fn unix_seconds(tree: &Tree<'_>) -> u64 {
    read(tree).unwrap_or(0)
}

fn read(tree: &Tree<'_>) -> Option<u64> {
    let node = tree.compatible("arm,pl031").next()?;
    let at = evisor_aarch64::device(evisor_machine::binding::registers(node)?, 0x1000).ok()?;
    // SAFETY: 1. a PL031 is mapped there for good, and nobody else drives it.
    let rtc = unsafe { Rtc::new(at as *mut _) };
    Some(u64::from(rtc.get_unix_timestamp()))
}
