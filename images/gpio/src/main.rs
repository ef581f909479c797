//! A guest that drives the PL061 of the board that it was given.
//!
//! Its manifests (`tools/evisor/tests/guests/gpio-*.dts`) show it the whole page, or
//! the registers only; each check prints `PASS name` or `FAIL name`. It restarts once,
//! to see the device reset. The verdict is 1 if any check failed.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest;

#[cfg(not(target_os = "none"))]
fn main() {}
