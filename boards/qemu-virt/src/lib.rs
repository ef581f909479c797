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
use evisor_machine::{BOARDS, Board, Hardware, binding};
use evisor_manifest::GicVersion;

#[linkme::distributed_slice(BOARDS)]
static QEMU_VIRT: Board = Board {
    name: "qemu-virt",
    compatible: &["linux,dummy-virt"],
    bring_up,
    put: serial::put,
    is_drained: serial::is_drained,
    start_core: smc::start_core,
    disk: None,
    gpio: None,
    power_off: smc::system_off,
    reset: smc::system_reset,
};

fn bring_up(tree: &Tree<'_>) -> Result<Hardware, &'static str> {
    // The serial line first: what follows can be told on it.
    let serial = serial::bring_up(tree)?;
    let (gic, maintenance) = interrupt_controller(tree)?;
    Ok(Hardware {
        cores: binding::cores(tree, |_, _| true),
        gic,
        maintenance,
        serial: Some(serial),
        mailbox: None,
        unix_seconds: clock::unix_seconds(tree),
        clock_of: |_| None,
    })
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
        Ok((Some(GicVersion::V2), node.gic_interrupt(0)))
    } else if let Some(node) = of("arm,gic-v3") {
        version_3(node)?;
        Ok((Some(GicVersion::V3), Some(node.gic_interrupt(0).ok_or(LACKS)?)))
    } else {
        Ok((None, None))
    }
}

#[expect(unsafe_code, reason = "says where the board's registers are")]
fn version_2(node: Node<'_>) -> Result<(), &'static str> {
    let addresses = binding::gicv2(node).ok_or(LACKS)?;
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
