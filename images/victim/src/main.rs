//! A guest that dies, and one that sees whether it is disturbed by that.
//!
//! `way=N` in the boot arguments says how it dies, a twentieth of a second after it
//! started; `guest.rs` lists the ways. Without it counts: `number=N` numbers of eight
//! digits to the base of four, `{}^$` for 0 to 3, each on a line. Nothing else on a
//! console is written in these.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest;

#[cfg(not(target_os = "none"))]
fn main() {}
