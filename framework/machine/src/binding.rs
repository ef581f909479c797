//! What boards' trees have in common, for boards to read.

use alloc::vec::Vec;
use evisor_aarch64::{gicv2, registers};
use evisor_fdt::{Node, Tree};

/// Where a node with the binding "arm,gic" has its GICv2: GICD, GICC, GICH, GICV.
/// `None` if it has not all four: a GIC without virtualization extensions.
pub fn gicv2(node: Node<'_>) -> Option<gicv2::Addresses> {
    let regions = node.reg_of_cpu().ok()?;
    let at = |index: usize| regions.get(index).map(|region| region.address);
    Some(gicv2::Addresses { gicd: at(0)?, gicc: at(1)?, gich: at(2)?, gicv: at(3)? })
}

/// Where a node's first registers are, as the CPU sees it.
pub fn registers(node: Node<'_>) -> Option<u64> {
    node.reg_of_cpu().ok()?.first().map(|region| region.address)
}

/// The affinities of the cores: of this one first, and of the others that `usable`
/// lets in. It gets the node of each, and its affinity.
pub fn cores(tree: &Tree<'_>, mut usable: impl FnMut(Node<'_>, u64) -> bool) -> Vec<u64> {
    let here = registers::affinity();
    let affinity = |node: Node<'_>| node.reg().ok()?.first().map(|region| region.address);
    let others = tree.cores().filter_map(|node| {
        let affinity = affinity(node)?;
        (affinity != here && usable(node, affinity)).then_some(affinity)
    });
    core::iter::once(here).chain(others).collect()
}
