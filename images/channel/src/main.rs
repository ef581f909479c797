//! A guest that exchanges bytes with another VM through a channel: as many as `bytes=` in
//! its boot arguments says, both ways at once.
//!
//! What it sends is made from `seed=`; what came is summed up as POSIX's `cksum` does. It
//! prints both sums. With `tells=1` the two tell each other what they received, as messages,
//! and the verdict is 1 if that is not what was sent. With `crash=` it reads,
//! once so many bytes came in its first life, what is not there. With `shows=` it says so each
//! time that so many more came. With `talks=` it types to a
//! shell instead, so many times, of which each but the first is after an end was rolled back
//! or started anew.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod cksum;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod talk;

#[cfg(not(target_os = "none"))]
fn main() {}
