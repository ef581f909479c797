//! Drivers of the UARTs that boards have their console on, over registers that the
//! board has mapped.
//!
//! A line is used twice: by the consoles, through
//! [`HostSerial`](evisor_contract::HostSerial), and for eVisor's own messages, a
//! fault's among them, through the `put` of each module, which only looks for room and
//! writes. So a board makes its registers twice.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

pub mod mini_uart;
pub mod pl011;

/// The rate of every line, in bits a second: what the firmware of boards, and Linux's
/// `stdout-path`, use.
pub const BAUD: u32 = 115_200;
