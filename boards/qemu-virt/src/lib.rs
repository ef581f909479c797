//! QEMU's `virt` machine, started with `virtualization=on`.
//!
//! Everything is found in the tree that QEMU passes: the GICv2 or GICv3 with its
//! virtualization extensions, the PL011, the PL031 for the date. PSCI is called by
//! SMC, as it is at EL2.

#![no_std]

extern crate alloc;

mod clock;
mod serial;

use alloc::vec::Vec;
use evisor_aarch64::{gicv2, gicv3, smc, vcpu};
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

/// What the tree's GIC lacks without virtualization.
const LACKS: &str =
    "the board's GIC has no virtualization extensions; start QEMU with virtualization=on";

/// The GIC, and its maintenance interrupt.
fn interrupt_controller(
    tree: &Tree<'_>,
) -> Result<(Option<GicVersion>, Option<u32>), &'static str> {
    let of = |compatible| tree.compatible(compatible).next();
    if let Some(node) = of("arm,cortex-a15-gic") {
        version_2(node)?;
        vcpu::trap_wfi();
        Ok((Some(GicVersion::V2), interrupt(node)))
    } else if let Some(node) = of("arm,gic-v3") {
        version_3(node)?;
        Ok((Some(GicVersion::V3), Some(interrupt(node).ok_or(LACKS)?)))
    } else {
        Ok((None, None))
    }
}

/// The binding "arm,gic": GICD, GICC, GICH, GICV.
#[expect(unsafe_code, reason = "says where the board's registers are")]
fn version_2(node: Node<'_>) -> Result<(), &'static str> {
    let regions = node.reg().map_err(|_| LACKS)?;
    let at = |index: usize| regions.get(index).map(|region| region.address).ok_or(LACKS);
    let addresses = gicv2::Addresses { gicd: at(0)?, gicc: at(1)?, gich: at(2)?, gicv: at(3)? };
    // SAFETY: 1. the board's tree has a GICv2 there.
    unsafe { gicv2::map(addresses) }.map_err(|_| TWICE)
}

/// The binding "arm,gic-v3": GICD, and as many regions of redistributors as the
/// node says. Each is mapped whole.
#[expect(unsafe_code, reason = "says where the board's registers are")]
fn version_3(node: Node<'_>) -> Result<(), &'static str> {
    let lacks = "the board's GICv3 has no redistributors";
    let regions = node.reg().map_err(|_| lacks)?;
    let (gicd, rest) = regions.split_first().ok_or(lacks)?;
    let count = node.cell("#redistributor-regions").unwrap_or(1) as usize;
    let gicr: Vec<(u64, u64)> = rest.iter().take(count).map(|r| (r.address, r.size)).collect();
    let stride = node.property("redistributor-stride").and_then(|stride| stride.number());
    let addresses = gicv3::Addresses { gicd: gicd.address, gicr: &gicr, stride };
    // SAFETY: 1. the board's tree has a GICv3 there.
    unsafe { gicv3::map(&addresses) }.map_err(|_| TWICE)
}

const TWICE: &str = "the GIC cannot be mapped twice";

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
