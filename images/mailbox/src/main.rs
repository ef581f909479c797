//! A guest that asks a Raspberry Pi's firmware for properties, by way of a mailbox at
//! the address that a Pi 4 has it at.
//!
//! It prints what each tag is answered, and in which code the whole. The verdict is 1
//! if an answer breaks the rules of the page "Mailbox property interface": a tag that
//! was not answered has changed, or one that was is longer than it says.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod guest;

#[cfg(not(target_os = "none"))]
fn main() {}
