//! QEMU's `virt` machine, started with `virtualization=on`.
//!
//! Everything is found in the tree that QEMU passes: the GICv2 with its
//! virtualization extensions, the PL011, the PL031 for the date. PSCI is called by
//! SMC, as it is at EL2.

#![no_std]

extern crate alloc;

use alloc::vec::Vec;

mod clock;
mod serial;

use evisor_aarch64::{gicv2, smc, vcpu};
use evisor_fdt::{Node, Tree};
use evisor_machine::{BOARDS, Board, Hardware};
use evisor_manifest::GicVersion;

#[linkme::distributed_slice(BOARDS)]
static QEMU_VIRT: Board = Board {
    name: "qemu-virt",
    compatible: &["linux,dummy-virt"],
    bring_up,
    put: serial::put,
    start_core: smc::start_core,
    power_off: smc::system_off,
};

fn bring_up(tree: &Tree<'_>) -> Result<Hardware, &'static str> {
    // The serial line first: what follows can be told on it.
    let serial = serial::bring_up(tree)?;
    let (gic, maintenance) = interrupt_controller(tree)?;
    Ok(Hardware {
        cores: cores(tree),
        gic,
        maintenance,
        serial: Some(serial),
        unix_seconds: clock::unix_seconds(tree),
    })
}

/// The affinities of the cores: of this one, and of the others in the tree.
fn cores(tree: &Tree<'_>) -> Vec<u64> {
    let here = evisor_aarch64::registers::affinity();
    let nodes = tree.find("/cpus").into_iter().flat_map(|cpus| cpus.children());
    let cores = nodes.filter(|node| node.string("device_type") == Some("cpu"));
    let others = cores.filter_map(registers).filter(|&affinity| affinity != here);
    core::iter::once(here).chain(others).collect()
}

/// The GIC, and its maintenance interrupt.
fn interrupt_controller(
    tree: &Tree<'_>,
) -> Result<(Option<GicVersion>, Option<u32>), &'static str> {
    let Some(node) = tree.compatible("arm,cortex-a15-gic").next() else {
        return Ok((tree.compatible("arm,gic-v3").next().map(|_| GicVersion::V3), None));
    };
    let lacks =
        "the board's GICv2 has no virtualization extensions; start QEMU with virtualization=on";
    let regions = node.reg().map_err(|_| lacks)?;
    let at = |index: usize| regions.get(index).map(|region| region.address).ok_or(lacks);
    let addresses = gicv2::Addresses { gicd: at(0)?, gicc: at(1)?, gich: at(2)?, gicv: at(3)? };
    map_gic(addresses)?;
    vcpu::trap_wfi();
    Ok((Some(GicVersion::V2), interrupt(node)))
}

#[expect(unsafe_code, reason = "says where the board's registers are")]
fn map_gic(addresses: gicv2::Addresses) -> Result<(), &'static str> {
    // SAFETY: 1. the board's tree has a GICv2 there.
    unsafe { gicv2::map(addresses) }.map_err(|_| "the GIC cannot be mapped twice")
}

/// The INTID of a node's first interrupt (the GIC binding: type, number, flags).
fn interrupt(node: Node<'_>) -> Option<u32> {
    let mut cells = node.property("interrupts")?.cells()?;
    let (kind, number) = (cells.number(1)?, cells.number(1)?);
    u32::try_from(number).ok()?.checked_add(if kind == 0 { 32 } else { 16 })
}

/// Where a node's first registers are.
fn registers(node: Node<'_>) -> Option<u64> {
    node.reg().ok()?.first().map(|region| region.address)
}
