//! The Raspberry Pi 4 B, and QEMU's `raspi4b`.
//!
//! Everything is found in the tree that the firmware passes: the GIC-400, the UART that
//! `stdout-path` names, the power manager, the parked cores, the VideoCore's mailbox.
//! There is no firmware to call: nothing here makes an SMC.

#![no_std]

extern crate alloc;

mod card;
mod cores;
mod mailbox;
mod pins;
mod power;
mod serial;

use evisor_aarch64::{gicv2, vcpu};
use evisor_fdt::{Node, Tree};
use evisor_machine::{BOARDS, Board, Hardware, binding};
use evisor_manifest::GicVersion;

#[linkme::distributed_slice(BOARDS)]
static RASPI4: Board = Board {
    name: "raspi4",
    compatible: &["raspberrypi,4-model-b", "brcm,bcm2711"],
    bring_up,
    put: serial::put,
    is_drained: serial::is_drained,
    start_core: cores::start,
    disk: Some(card::bring_up),
    gpio: Some(pins::bring_up),
    power_off: power::off,
    reset: power::reset,
};

fn bring_up(tree: &Tree<'_>) -> Result<Hardware, &'static str> {
    // The UARTs' clocks are the firmware's to say.
    let mailbox = mailbox::bring_up(tree);
    // The serial line next: what follows can be told on it.
    let serial = serial::bring_up(tree)?;
    power::bring_up(tree)?;
    let lacks = "the board's tree has no GIC-400";
    let node = tree.compatible("arm,gic-400").next().ok_or(lacks)?;
    interrupt_controller(node).ok_or(lacks)?;
    Ok(Hardware {
        cores: cores::find(tree)?,
        gic: Some(GicVersion::V2),
        maintenance: node.gic_interrupt(0),
        serial: Some(serial),
        mailbox,
        // It has no clock that runs without power.
        unix_seconds: 0,
        clock_of,
    })
}

/// The clock of a device that a VM can be given, where it is one of the firmware's: its
/// node names one of the clock manager's, whose rates the tree leaves to the VideoCore.
fn clock_of(path: &str) -> Option<u32> {
    let (_, name) = path.rsplit_once('/')?;
    let clock = match name {
        "serial@7e201000" | "serial@7e201400" | "serial@7e201600" | "serial@7e201800"
        | "serial@7e201a00" => mailbox::UART,
        "serial@7e215040" | "spi@7e215080" | "spi@7e2150c0" => mailbox::CORE,
        "mmc@7e300000" => mailbox::EMMC,
        _ => return None,
    };
    mailbox::clock_rate(clock)
}

#[expect(unsafe_code, reason = "says where the board's registers are")]
fn interrupt_controller(node: Node<'_>) -> Option<()> {
    let addresses = binding::gicv2(node)?;
    // SAFETY: 1. the board's tree has a GIC-400 there.
    unsafe { gicv2::map(addresses) }.ok()?;
    // For QEMU's sake. On silicon it costs a trap a wait, and changes nothing.
    vcpu::trap_wfi();
    Some(())
}
