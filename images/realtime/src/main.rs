//! A guest with work to do each millisecond, that measures how late it comes to it.
//!
//! Its virtual timer comes at absolute times, a period apart; between them it waits in
//! WFI. In each period it runs a control loop for a hundred samples, and notes how late
//! it was: the count at the beginning of its interrupt's handler less the timer's deadline.
//! A period that the work before it left no time for is missed.
//!
//! It reports each second, and when a key is pressed; Ctrl-D ends it with verdict 0. Boot
//! arguments:
//!
//! - `periods=N`: it ends after N of them, with verdict 1 if it missed any. Before that it
//!   prints `realtime: late NANOSECONDS TIMES` for each that there was.
//! - `spin=N`: before it ends it tries to have the core for N periods without a pause, and
//!   prints how much of it it got.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(any(test, target_os = "none"))]
mod control;
#[cfg(target_os = "none")]
mod guest;
#[cfg(any(test, target_os = "none"))]
mod lateness;
#[cfg(target_os = "none")]
mod spin;

#[cfg(not(target_os = "none"))]
fn main() {}
