//! Interrupts of a GIC, and the cores, as every Arm board's tree has them.

use crate::node::Node;
use crate::tree::Tree;

/// How many cells name an interrupt (the bindings "arm,gic" and "arm,gic-v3": type,
/// number, flags).
const SPECIFIER: usize = 3;

impl Node<'_> {
    /// The INTID of its interrupt number `index`; `None` if it has none, or one that
    /// is neither an SPI (type 0) nor a PPI (type 1).
    pub fn gic_interrupt(&self, index: usize) -> Option<u32> {
        let mut cells = self.property("interrupts")?.cells()?.skip(SPECIFIER * index);
        let (kind, number) = (cells.next()?, cells.next()?);
        match kind {
            0 => number.checked_add(32),
            1 if number < 16 => Some(number + 16),
            _ => None,
        }
    }
}

impl Tree<'_> {
    /// The nodes of the cores: what is in `/cpus`, has the `device_type` "cpu", and is
    /// not said to have failed (Devicetree Specification v0.4 §3.8.1).
    pub fn cores(&self) -> impl Iterator<Item = Node<'_>> {
        let nodes = self.find("/cpus").into_iter().flat_map(|cpus| cpus.children());
        nodes.filter(|node| {
            let failed = node.string("status").is_some_and(|status| status.starts_with("fail"));
            node.string("device_type") == Some("cpu") && !failed
        })
    }
}
