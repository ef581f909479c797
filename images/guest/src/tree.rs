//! What a guest looks up in its device tree.
//!
//! Trusted: it is from eVisor, or from QEMU.
#![allow(unsafe_code, reason = "the tree's address comes in a register")]

use fdt_rs::base::{DevTree, DevTreeNode, DevTreeProp};
use fdt_rs::prelude::{FallibleIterator, PropReader};

use crate::boot::device_tree;

/// The tree, if there is one where x0 said.
fn tree() -> Option<DevTree<'static>> {
    let address = device_tree() as *const u8;
    if address.is_null() || address.align_offset(8) != 0 {
        return None;
    }
    // SAFETY: the boot protocol says that a device tree is there, for good.
    unsafe { DevTree::from_raw_pointer(address) }.ok()
}

/// The property of the first node that is one of `these`.
fn find<'a>(
    tree: &'a DevTree<'static>,
    these: impl Fn(&DevTreeNode<'_, '_>) -> bool,
    property: &str,
) -> Option<DevTreeProp<'a, 'static>> {
    let mut nodes = tree.nodes();
    while let Some(node) = nodes.next().ok()? {
        if these(&node) {
            return node.props().find(|p| Ok(p.name()? == property)).ok()?;
        }
    }
    None
}

fn is_compatible(node: &DevTreeNode<'_, '_>, with: &str) -> bool {
    let property = node.props().find(|p| Ok(p.name()? == "compatible")).ok().flatten();
    property.is_some_and(|p| p.iter_str().any(|name| Ok(name == with)).unwrap_or(false))
}

/// How many `cpu` nodes there are.
pub fn count_of_cores() -> usize {
    let Some(tree) = tree() else { return 1 };
    let cores = tree.nodes().filter(|node| Ok(node.name()?.starts_with("cpu@")));
    cores.count().unwrap_or(1)
}

/// The version of the interrupt controller that the tree names.
#[must_use]
pub fn gic_version() -> Option<u32> {
    const NAMES: [(&str, u32); 4] = [
        ("arm,gic-v3", 3),
        ("arm,gic-400", 2),
        ("arm,cortex-a15-gic", 2),
        ("arm,cortex-a7-gic", 2),
    ];
    let tree = tree()?;
    let named = |name| find(&tree, |node| is_compatible(node, name), "compatible").is_some();
    NAMES.into_iter().find(|(name, _)| named(name)).map(|(_, version)| version)
}

/// The INTID that the tree gives the generic timer's `which` interrupt: 1 the
/// physical timer's, 2 the virtual one's (Linux, `arm,arch_timer.yaml`).
#[must_use]
pub fn timer_interrupt(which: TimerInterrupt) -> Option<u32> {
    let tree = tree()?;
    let is_timer = |node: &DevTreeNode<'_, '_>| is_compatible(node, "arm,armv8-timer");
    let position = match find(&tree, is_timer, "interrupt-names") {
        Some(names) => {
            let wanted = if which == TimerInterrupt::Physical { "phys" } else { "virt" };
            names.iter_str().position(|name| Ok(name == wanted)).ok()??
        }
        None if which == TimerInterrupt::Physical => 1,
        None => 2,
    };
    let interrupts = find(&tree, is_timer, "interrupts")?;
    let private = interrupts.u32(3 * position).ok()? == 1;
    let number = interrupts.u32(3 * position + 1).ok()?;
    private.then_some(16 + number)
}

/// One of the generic timer's interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerInterrupt {
    /// Of CNTP at EL1.
    Physical,
    /// Of CNTV.
    Virtual,
}

/// The number behind `name=` in the boot arguments, hexadecimal after 0x.
#[must_use]
pub fn boot_argument(name: &str) -> Option<u64> {
    let tree = tree()?;
    let chosen = |node: &DevTreeNode<'_, '_>| node.name().is_ok_and(|name| name == "chosen");
    let arguments = find(&tree, chosen, "bootargs")?.str().ok()?;
    let mut pairs = arguments.split_ascii_whitespace().filter_map(|word| word.split_once('='));
    let (_, text) = pairs.find(|(key, _)| *key == name)?;
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}
