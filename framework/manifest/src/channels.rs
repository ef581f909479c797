//! Channels: memory that two ends share, and which of them a node has.

use crate::error::Faults;
use crate::objects::Found;
use crate::plan::{ChannelPlan, ObjectPlan, VmPlan};
use crate::space::PAGE;
use crate::words;
use alloc::format;
use alloc::vec::Vec;
use evisor_contract::WindowNeed;
use evisor_fdt::Node;

/// What the ends of a channel share at most: so much is scrubbed in one go where the
/// second end starts before the first has let go of it.
const MOST: u64 = 2 << 20;

/// How much memory the ends of a channel share, if the object is one.
pub(crate) fn size(faults: &Faults, object: &Found<'_>) -> Option<u64> {
    let node = object.node;
    if !object.declaration.needs.shared {
        return None;
    }
    let remedy = "write evisor,size = <0x10000>: whole pages of 4 KiB, at most 2 MiB";
    if !node.has(words::SIZE) {
        faults.property(node, words::SIZE, "is missing", remedy);
    }
    let size = words::address(faults, node, words::SIZE)?;
    let sound = (PAGE..=MOST).contains(&size) && size.is_multiple_of(PAGE);
    if !sound {
        faults.property(node, words::SIZE, format!("is {size:#x} bytes"), remedy);
    }
    Some(size).filter(|_| sound)
}

/// Which end of which channel each object has that `evisor,channel` is for. Every channel
/// has two ends, each of them once.
pub(crate) fn connect(faults: &Faults, root: Node<'_>, shared: &[ObjectPlan], vms: &mut [VmPlan]) {
    let mut ends = Vec::new();
    let mut unread = false;
    let objects = vms.iter_mut().flat_map(|vm| &mut vm.objects);
    for object in objects.filter(|object| object.declaration.needs.channel) {
        let Some(node) = root.tree().find(&object.path) else { continue };
        object.channel = end(faults, node, shared);
        let Some(plan) = object.channel else {
            unread = true;
            continue;
        };
        check_windows(faults, node, object, plan.size);
        let same = |(other, _): &&(ChannelPlan, Node<'_>)| *other == plan;
        if let Some((_, other)) = ends.iter().find(same) {
            let message = format!("{} has this end", other.path());
            faults.property(node, words::CHANNEL, message, "name the other end, 0 or 1");
        }
        ends.push((plan, node));
    }
    // What could not be read may have been any of them.
    let channels = shared.iter().enumerate().filter(|(_, o)| o.declaration.needs.shared);
    for (index, channel) in channels.filter(|_| !unread) {
        for end in 0..2 {
            let is_it = |plan: &ChannelPlan| plan.channel == index && plan.end == end;
            let missing = !ends.iter().any(|(plan, _)| is_it(plan));
            if let Some(node) = root.tree().find(&channel.path).filter(|_| missing) {
                let message = format!("nobody has its end {end}");
                let remedy = format!("write evisor,channel = <&label {end}> in a VM's node");
                faults.node(node, message, remedy);
            }
        }
    }
}

fn end(faults: &Faults, node: Node<'_>, shared: &[ObjectPlan]) -> Option<ChannelPlan> {
    let remedy = "write <&label 0> or <&label 1>, of an \"evisor,channel\" next to the VMs";
    let Some(property) = node.property(words::CHANNEL) else {
        faults.property(node, words::CHANNEL, "is missing", remedy);
        return None;
    };
    let cells: Vec<u32> = property.cells().into_iter().flatten().collect();
    let (&[phandle, end @ (0 | 1)], 8) = (cells.as_slice(), property.value.len()) else {
        faults.property(node, words::CHANNEL, "is not a phandle and an end", remedy);
        return None;
    };
    let target = node.tree().by_phandle(phandle).map(|target| target.path());
    let is_it = |object: &ObjectPlan| {
        object.declaration.needs.shared && Some(&object.path) == target.as_ref()
    };
    let Some(channel) = shared.iter().position(is_it) else {
        let message = match target {
            Some(target) => format!("{target} is not a channel"),
            None => format!("phandle {phandle:#x} leads nowhere"),
        };
        faults.property(node, words::CHANNEL, message, remedy);
        return None;
    };
    let size = shared.get(channel)?.storage?;
    Some(ChannelPlan { channel, end, size })
}

/// The window onto what is shared is all of it.
fn check_windows(faults: &Faults, node: Node<'_>, object: &ObjectPlan, size: u64) {
    let needs: &[WindowNeed] = object.declaration.needs.windows;
    let pairs = object.windows.iter().zip(needs);
    for (window, _) in pairs.filter(|(_, need)| need.size == 0) {
        if window.size != size || !window.ipa.is_multiple_of(PAGE) {
            let (at, has) = (window.ipa, window.size);
            let message = format!("{at:#x} + {has:#x} is not {size:#x} bytes in whole pages");
            let remedy = format!("write {size:#x}, as the channel's evisor,size, at a page");
            faults.property(node, "reg", message, remedy);
        }
    }
}
