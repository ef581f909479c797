//! A guest that dies, and one that sees whether it is disturbed by that.
//!
//! `way=N` in the boot arguments says how it dies, a twentieth of a second after it
//! started, or `life=` microseconds; `guest.rs` lists the ways. Some want four vCPUs.
//! Without it counts: `number=N` numbers of eight digits to the base of four, `{}^$` for 0
//! to 3, each on a line, a millisecond or `pause=` microseconds apart. Nothing else on a
//! console is written in these.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest;

#[cfg(not(target_os = "none"))]
fn main() {}
