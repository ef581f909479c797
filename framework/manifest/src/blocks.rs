//! Blocks: which part of which store a device has, and memory that a store keeps
//! them in.

use crate::error::Faults;
use crate::image;
use crate::objects::Found;
use crate::plan::{BlockPlan, VmPlan};
use crate::space::PAGE;
use crate::surroundings::Files;
use crate::words;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use evisor_fdt::Node;

/// What serves all VMs, with its index among the root's objects.
pub(crate) type Served<'t> = [(usize, Node<'t>)];

/// The part of a store that the object's node names, if the object stores blocks: it
/// has no medium where the node names none.
pub(crate) fn read(faults: &Faults, served: &Served<'_>, object: &Found<'_>) -> Option<BlockPlan> {
    let node = object.node;
    if !object.declaration.needs.block {
        return None;
    }
    let property = node.property(words::BLOCK)?;
    let cells: Vec<u32> = property.cells().into_iter().flatten().collect();
    let (phandle, part) = match cells.as_slice() {
        [phandle] => (*phandle, 0),
        [phandle, part] => (*phandle, *part),
        _ => {
            let remedy = "write <&label>, or <&label 2> for a partition";
            faults.property(node, words::BLOCK, "is not a phandle and a part", remedy);
            return None;
        }
    };
    let target = node.tree().by_phandle(phandle);
    let found = target.and_then(|target| served.iter().find(|(_, store)| *store == target));
    let Some((store, _)) = found else {
        let message = match target {
            Some(target) => format!("{} serves no other nodes", target.path()),
            None => format!("phandle {phandle:#x} leads nowhere"),
        };
        faults.property(node, words::BLOCK, message, "point it at a node next to the VMs");
        return None;
    };
    Some(BlockPlan { store: *store, part, read_only: node.has(words::READ_ONLY) })
}

/// Every block has one who writes it, or only such as read it.
pub(crate) fn check_owners(faults: &Faults, root: Node<'_>, vms: &[VmPlan]) {
    let objects = vms.iter().flat_map(|vm| &vm.objects);
    let holders = objects.filter_map(|object| Some((&object.path, object.block?)));
    let mut earlier: Vec<(&String, BlockPlan)> = Vec::new();
    for (path, block) in holders {
        let shared = |(_, other): &&(&String, BlockPlan)| {
            let same = other.part == block.part || other.part == 0 || block.part == 0;
            same && other.store == block.store && !(other.read_only && block.read_only)
        };
        if let Some(((other, _), node)) = earlier.iter().find(shared).zip(root.tree().find(path)) {
            let message = format!("{other} has the same blocks");
            let remedy = "give each a partition of its own, or write evisor,read-only in both";
            faults.property(node, words::BLOCK, message, remedy);
        }
        earlier.push((path, block));
    }
}

/// How much memory of its own an object has, and the file that is there first.
pub(crate) fn storage(
    faults: &Faults,
    files: &dyn Files,
    object: &Found<'_>,
) -> (Option<u64>, Option<String>) {
    let node = object.node;
    if !object.declaration.needs.storage {
        return (None, None);
    }
    let name = words::string(faults, node, words::IMAGE);
    let file = name.and_then(|name| image::bytes_of(faults, files, node, words::IMAGE, name));
    let length = file.map_or(0, |bytes| bytes.len() as u64);
    let size = words::address(faults, node, words::SIZE);
    if size.is_some_and(|size| size < length) {
        let message = format!("is less than the {length:#x} bytes of evisor,image");
        faults.property(node, words::SIZE, message, "enlarge it, or leave it out");
    }
    let size = size.unwrap_or(length).next_multiple_of(PAGE);
    if size == 0 && name.is_none() {
        let remedy = "write evisor,size = <0x4000000>, or name a file in evisor,image";
        faults.property(node, words::SIZE, "says of no memory", remedy);
    }
    (Some(size), name.map(String::from))
}
