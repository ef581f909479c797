//! A guest that does what guests should not: accesses of every kind to where devices
//! are and where nothing is, system registers by random encodings, calls by random
//! numbers, storms of interrupts, tables rewritten while they are in use. All cores at
//! once, a bounded number of steps each; whatever comes of it, the hypervisor stays up.
//!
//! The boot arguments `seed=` and `steps=` say how; without them it is always the same.
//! At the end it prints a hash of what came of every step of the first core, in which
//! nothing counts that depends on time: on one core the same seed gives the same hash.
//!
//! Left out is what ends the VM or the core by right, and what would take the guest's
//! own feet away: its tables' registers, its vectors, its stack, the data register of
//! its console.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod access;
#[cfg(target_os = "none")]
mod call;
#[cfg(target_os = "none")]
mod code;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod register;
#[cfg(target_os = "none")]
mod storm;
#[cfg(target_os = "none")]
mod table;
#[cfg(target_os = "none")]
mod trace;

#[cfg(not(target_os = "none"))]
fn main() {}
