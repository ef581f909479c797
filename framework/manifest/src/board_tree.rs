//! The devices of a board, found in its own tree.

use crate::host_device::{HostDevice, HostDevices, HostInterrupt};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use evisor_fdt::{Node, RegError, Region, Tree};

/// A board's tree, and what eVisor has of the board for itself.
pub struct BoardTree<'a> {
    /// The tree that the firmware passed.
    pub tree: &'a Tree<'a>,
    /// The registers that eVisor drives: physical addresses and sizes.
    pub driven: fn() -> Vec<(u64, u64)>,
    /// The shared interrupts that come to eVisor.
    pub interrupts: &'a [u32],
    /// The rate of the clock of the device with this path, in hertz, where the board
    /// knows more than its tree says.
    pub clock_of: fn(path: &str) -> Option<u32>,
}

/// What a GIC is compatible with: the interrupts that come to it are the board's.
const GICS: [&str; 4] = ["arm,gic-400", "arm,cortex-a15-gic", "arm,cortex-a7-gic", "arm,gic-v3"];
/// What says that a device, or what it stands for, reads and writes memory.
const DMA: [&str; 2] = ["dma-coherent", "iommus"];

impl BoardTree<'_> {
    /// Why a device cannot be a VM's.
    fn objection(&self, node: Node<'_>, registers: &[Region]) -> Option<String> {
        let driven = |node: &Node<'_>| {
            let registers = node.reg_of_cpu().unwrap_or_default();
            registers.into_iter().any(|region| self.drives(region))
        };
        if registers.iter().any(|region| self.is_memory(*region)) {
            return Some(String::from("is memory"));
        }
        let holder = node.lineage().find(driven)?;
        Some(match holder == node {
            true => String::from("is eVisor's: it drives the device"),
            false => format!("lies in {}, which eVisor drives", holder.path()),
        })
    }

    fn is_memory(&self, region: Region) -> bool {
        let memory = |node: &Node<'_>| node.string("device_type") == Some("memory");
        let nodes = self.tree.root().children().filter(memory);
        nodes.flat_map(|node| node.reg().unwrap_or_default()).any(|held| held.overlaps(&region))
    }

    /// The rate of the node's first clock.
    fn clock(&self, node: Node<'_>) -> Option<u32> {
        let fixed = node.reference("clocks").filter(|clock| clock.is_compatible("fixed-clock"));
        let fixed = fixed.and_then(|clock| clock.cell("clock-frequency"));
        fixed.or_else(|| (self.clock_of)(&node.path()))
    }
}

impl HostDevices for BoardTree<'_> {
    fn find(&self, name: &str) -> Option<HostDevice> {
        let node = self.tree.find(name)?;
        let registers = node.reg_of_cpu();
        Some(HostDevice {
            path: node.path(),
            objection: self.objection(node, registers.as_deref().unwrap_or_default()),
            registers: registers.map_err(|error: RegError| format!("{error}")),
            interrupts: interrupts(node),
            clock: self.clock(node),
            dma: DMA.into_iter().find(|name| node.has(name)),
        })
    }

    fn drives(&self, region: Region) -> bool {
        let mut driven = (self.driven)().into_iter();
        driven.any(|(address, size)| region.overlaps(&Region { address, size }))
    }

    fn other_in(&self, region: Region, path: &str) -> Option<String> {
        let node = self.tree.find(path)?;
        let others = self.tree.nodes().filter(|other| !other.contains(node));
        let mut others = others.filter(|other| !node.contains(*other));
        let there = |other: &Node<'_>| {
            let registers = other.reg_of_cpu().unwrap_or_default();
            registers.iter().any(|held| held.overlaps(&region))
        };
        others.find(there).map(|other| other.path())
    }

    fn owner_of(&self, intid: u32) -> Option<String> {
        if !self.interrupts.contains(&intid) {
            return None;
        }
        let has_it = |node: &Node<'_>| {
            let mut all = interrupts(*node).unwrap_or_default().into_iter();
            all.any(|interrupt| interrupt.intid == intid)
        };
        let is_driven = |node: &Node<'_>| {
            node.reg_of_cpu().unwrap_or_default().into_iter().any(|region| self.drives(region))
        };
        let node = self.tree.nodes().filter(has_it).find(is_driven);
        Some(node.map_or_else(|| String::from("eVisor"), |node| node.path()))
    }
}

/// The interrupts of a node, if they come to the GIC (its binding: type, number,
/// flags).
fn interrupts(node: Node<'_>) -> Result<Vec<HostInterrupt>, String> {
    let elsewhere = || String::from("has interrupts that do not come to the GIC");
    let extended = node.property("interrupts-extended");
    let Some(property) = extended.or_else(|| node.property("interrupts")) else {
        return Ok(Vec::new());
    };
    let mut cells = property.cells().ok_or_else(elsewhere)?;
    let mut all = Vec::new();
    while cells.count_left() > 0 {
        let parent = match extended {
            Some(_) => cells.next().and_then(|phandle| node.tree().by_phandle(phandle)),
            None => node.interrupt_parent(),
        };
        let is_gic = |parent: &Node<'_>| GICS.iter().any(|name| parent.is_compatible(name));
        parent.filter(is_gic).ok_or_else(elsewhere)?;
        let mut take = || cells.next().ok_or_else(elsewhere);
        let (kind, number, flags) = (take()?, take()?, take()?);
        all.push(interrupt(kind, number, flags).ok_or_else(elsewhere)?);
    }
    Ok(all)
}

fn interrupt(kind: u32, number: u32, flags: u32) -> Option<HostInterrupt> {
    let intid = match kind {
        0 => number.checked_add(32),
        1 => number.checked_add(16),
        _ => None,
    };
    let intid = intid.filter(|intid| *intid < 1020)?;
    Some(HostInterrupt { intid, level: flags & 0b1100 != 0 })
}
