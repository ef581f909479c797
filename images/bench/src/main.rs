//! A guest that counts the instructions that the hypervisor takes for each
//! event.
//!
//! Under QEMU's `-icount shift=0,sleep=off` one instruction is one nanosecond of
//! the virtual counter, at whatever level it runs; so what the counter advances
//! over N events, less what the guest itself executes, is what EL2 executed.
//! Best with a counter of 1 GHz (`-cpu max`); the slower ones of Cortex cores
//! are scaled, and rounded by the number of events.
//!
//! With `shared=1` in its boot arguments its two vCPUs share a core, and what is counted
//! is how one follows the other there.
//!
//! With `end=0` and `end=1` it has an end of a channel, in two VMs: what a doorbell costs,
//! and 1 KiB through the stream.
//!
//! With `port=1` it has a virtio console too: what 1 KiB through that costs. With `port=2`
//! it has it and counts nothing: it gives the device all that it may at once.
//!
//! With `handles=1` it has capabilities: what calls by their handles cost.
//!
//! It prints one line an event, `bench: NAME VALUE`, and ends with verdict 0.
//! An event that the VM does not offer is left out.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod access;
#[cfg(target_os = "none")]
mod channel;
#[cfg(target_os = "none")]
mod guest;
#[cfg(target_os = "none")]
mod handles;
#[cfg(target_os = "none")]
mod hostile;
#[cfg(target_os = "none")]
mod interrupt;
#[cfg(target_os = "none")]
mod port;
#[cfg(target_os = "none")]
mod switch;

#[cfg(not(target_os = "none"))]
fn main() {}
