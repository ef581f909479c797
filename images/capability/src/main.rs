//! A guest that uses what it holds by handles.
//!
//! `role=N` in the boot arguments says what it does: 1 and 2 are a pair of VMs that hand
//! capabilities to each other (`pair.rs`); 3 watches over a VM that crashes
//! (`supervisor.rs`); 4 has nothing, and sees what it reaches (`nothing.rs`); 5 takes a
//! device from one VM and gives it to another, which both are 6 (`device.rs`); 7 and 8 do the same
//! with one of the board (`lent.rs`); 9 and 10 share blocks of a store (`blocks.rs`); 11 has a
//! VM kept and rolled back all the time (`keeper.rs`).

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod blocks;
#[cfg(target_os = "none")]
mod device;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod keeper;
#[cfg(target_os = "none")]
mod lent;
#[cfg(target_os = "none")]
mod nothing;
#[cfg(target_os = "none")]
mod pair;
#[cfg(target_os = "none")]
mod search;
#[cfg(target_os = "none")]
mod supervisor;

#[cfg(not(target_os = "none"))]
fn main() {}
