//! The registers of `"evisor,gic"`, of which each version of the GIC has a part.
//!
//! A node for whatever the board gives lists all that any version has. What the
//! board's has is picked, and cut to its size; the guest is told of nothing else.

use crate::error::Faults;
use crate::objects::Found;
use alloc::format;
use alloc::vec::Vec;
use evisor_contract::WindowNeed;
use evisor_fdt::{Node, Region};

/// What stands for the interrupt controller that the board gives.
pub(crate) const ANY: &str = "evisor,gic";
/// The regions that its node lists.
const REGIONS: [&str; 3] =
    ["the Distributor", "a GICv2's CPU interface", "a GICv3's redistributors"];
const REMEDY: &str = "list three: the Distributor with 0x10000 bytes, a GICv2's CPU interface \
    with 0x2000, a GICv3's redistributors with 0x20000 for each cpu";

/// The places among them of what the component has.
fn places(object: &Found<'_>) -> [usize; 2] {
    if object.declaration.compatible.contains(&"evisor,gic-v3") { [0, 2] } else { [0, 1] }
}

/// What of `regions` are the component's windows, if its node lists those of any
/// GIC; `None` if one is missing.
pub(crate) fn pick(
    faults: &Faults,
    object: &Found<'_>,
    regions: Vec<Region>,
    vcpus: usize,
) -> Option<Vec<Region>> {
    if !object.node.is_compatible(ANY) {
        return Some(regions);
    }
    let has = regions.len();
    if has > REGIONS.len() {
        faults.property(object.node, "reg", format!("lists {has} windows"), REMEDY);
        return None;
    }
    let needs = object.declaration.needs.windows;
    let picked = places(object).into_iter().zip(needs);
    picked.map(|(place, need)| cut(faults, object, &regions, place, need, vcpus)).collect()
}

fn cut(
    faults: &Faults,
    object: &Found<'_>,
    regions: &[Region],
    place: usize,
    need: &WindowNeed,
    vcpus: usize,
) -> Option<Region> {
    let what = REGIONS.get(place).copied().unwrap_or_default();
    let Some(region) = regions.get(place) else {
        faults.property(object.node, "reg", format!("lacks {what}"), REMEDY);
        return None;
    };
    let size = need.size_for(vcpus.max(1));
    if region.size < size && region.size != 0 {
        let message = format!("{region}, {what}, is {:#x} bytes", region.size);
        faults.property(object.node, "reg", message, format!("write {size:#x} or more"));
        return None;
    }
    Some(Region { size, ..*region })
}

/// The value of `reg` as the guest reads it, where it is a part of the node's.
pub(crate) fn reg_of_guest(object: &Found<'_>, windows: &[Region]) -> Option<Vec<u8>> {
    let Found { node, .. } = *object;
    let written = node.property("reg").filter(|_| node.is_compatible(ANY))?.value;
    let stride = written.len().checked_div(node.reg().ok()?.len())?;
    let entries: Vec<&[u8]> = written.chunks_exact(stride).collect();
    let mut reg = Vec::new();
    for (place, window) in places(object).into_iter().zip(windows) {
        let size_at = stride.checked_sub(4 * size_cells(node))?;
        reg.extend_from_slice(entries.get(place)?.get(..size_at)?);
        reg.extend_from_slice(window.size.to_be_bytes().get(8 - 4 * size_cells(node)..)?);
    }
    Some(reg)
}

/// One or two, as the regions could be read.
fn size_cells(node: Node<'_>) -> usize {
    let cells = node.parent().and_then(|parent| parent.cell("#size-cells"));
    cells.unwrap_or(1).min(2) as usize
}
