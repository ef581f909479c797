//! A guest that drives pins of a BCM2711, and does not know which of them are the board's.
//!
//! `tools/evisor/tests/guests/pins.dts` has it twice, with pins of the same registers. The
//! verdict is 1 if a pin was not what it was made.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest;

#[cfg(not(target_os = "none"))]
fn main() {}
