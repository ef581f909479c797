//! AArch64 at EL2: everything that takes `unsafe` or assembly.
//!
//! [`boot`](boot.s) turns the MMU on before any Rust runs; [`exit`](exit.rs) and
//! `vectors.s` are the way of a trap, which ends in `framework/router`. The rest
//! is what the kernel asks of the machine: translation tables, guest memory, the
//! physical GIC, the timer, SMC, spin tables.
//!
//! References are to the Arm ARM, DDI 0487, and to the GIC architecture
//! specifications, IHI 0048B.b (version 2) and IHI 0069 (version 3).

#![no_std]

extern crate alloc;

pub mod aside;
mod backing;
mod boot;
pub mod cores;
mod crash;
pub mod dma;
mod emulate;
mod entry;
mod exit;
pub mod fault;
mod floating;
pub mod gic;
pub mod gicv2;
pub mod gicv3;
pub mod granted;
pub mod heap;
mod inject;
pub mod layout;
pub mod maintenance;
mod map;
pub mod pages;
pub mod passed;
mod ram;
pub mod random;
pub mod registers;
pub mod smc;
pub mod spin_table;
pub mod stage2;
pub mod switch;
pub mod timer;
pub mod trace;
mod translate;
pub mod vcpu;
mod vector;

pub use backing::page;
pub use crash::{Crash, Trap};
pub use entry::{Boot, Range, halt};
pub use exit::{Kernel, set_kernel};
pub use map::{device, driven, window};
pub use ram::Ram;
