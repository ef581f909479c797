//! A guest that greets on its UART, says at which exception level it runs, and
//! echoes what is typed, byte by byte, by interrupt.
//!
//! Ctrl-D, or a line that says `exit` or `quit`, ends it with verdict 0; `crash`
//! makes it do what no guest survives. It runs with stage 1 off: all its memory is
//! Device-nGnRnE.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest;

#[cfg(not(target_os = "none"))]
fn main() {}
