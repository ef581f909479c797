//! The pins that VMs can be given.

#![allow(unsafe_code, reason = "makes a window onto the registers")]

use alloc::boxed::Box;
use evisor_aarch64::{device, window};
use evisor_contract::HostGpio;
use evisor_fdt::Tree;
use evisor_gpio::{Bcm2711Gpio, FREE_ON_RASPBERRY_PI_4};
use evisor_machine::binding;

/// Finds them in the tree.
pub fn bring_up(tree: &Tree<'_>) -> Option<&'static dyn HostGpio> {
    let node = tree.compatible("brcm,bcm2711-gpio").next()?;
    let words = Bcm2711Gpio::WORDS;
    let at = device(binding::registers(node)?, 4 * words as u64).ok()?;
    // SAFETY: 1. just mapped, for good. 2. this is its only user.
    let registers = unsafe { window(at, words) }?;
    Some(Box::leak(Box::new(Bcm2711Gpio::new(registers, FREE_ON_RASPBERRY_PI_4))))
}
