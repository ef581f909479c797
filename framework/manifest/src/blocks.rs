//! Blocks: which part of which store a device has, and memory that a store keeps
//! them in.

use crate::error::Faults;
use crate::image;
use crate::objects::Found;
use crate::plan::{BlockPlan, GivenBlocks, GivenPlan, ObjectPlan, Target, VmPlan};
use crate::space::PAGE;
use crate::surroundings::Files;
use crate::words;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;
use evisor_contract::{BLOCK, Rights};
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

/// What is said of blocks that are held by a handle.
pub(crate) const GIVEN_WORDS: [&str; 3] = [words::PART, words::WINDOW, words::NOT_ROLLED_BACK];

/// The blocks of `store` that the node of a capability says.
pub(crate) fn given(faults: &Faults, node: Node<'_>, store: &ObjectPlan) -> GivenBlocks {
    let part = node.property(words::PART).map_or(Some(0), |property| property.cell());
    if part.is_none() {
        let remedy = "write <2> for a partition, or leave it out for all";
        faults.property(node, words::PART, "is not one number", remedy);
    }
    let (first, count) = window(faults, node, store).unzip();
    GivenBlocks { part: part.unwrap_or(0), first: first.unwrap_or(0), count }
}

fn window(faults: &Faults, node: Node<'_>, store: &ObjectPlan) -> Option<(u64, u64)> {
    let property = node.property(words::WINDOW)?;
    let cells: Vec<u64> = property.cells().into_iter().flatten().map(u64::from).collect();
    let (&[first, count], false) = (cells.as_slice(), cells.last() == Some(&0)) else {
        let message = "is not a first block and how many there are";
        faults.property(node, words::WINDOW, message, "write <2048 1024>, or leave it out for all");
        return None;
    };
    // Of a card it is known when it is there.
    if let Some(blocks) = store.storage.map(|size| size / BLOCK as u64)
        && first + count > blocks
    {
        let message = format!("ends behind the {blocks} blocks of {}", store.path);
        faults.property(node, words::WINDOW, message, "end it before, or enlarge the store");
    }
    Some((first, count))
}

/// Who has which blocks.
struct Holder<'a> {
    /// The node that says it, and the property.
    path: &'a str,
    property: &'static str,
    store: usize,
    part: u32,
    blocks: Range<u64>,
    read_only: bool,
}

impl<'a> Holder<'a> {
    fn device(object: &'a ObjectPlan) -> Option<Self> {
        let BlockPlan { store, part, read_only } = object.block?;
        let (path, blocks) = (object.path.as_str(), 0..u64::MAX);
        Some(Self { path, property: words::BLOCK, store, part, blocks, read_only })
    }

    fn by_handle(given: &'a GivenPlan) -> Option<Self> {
        let (Target::Root(store), Some(blocks)) = (given.target, given.blocks) else { return None };
        let read_only = !given.rights.intersects(Rights::WRITE);
        let (part, blocks) = (blocks.part, blocks.first..blocks.end());
        let path = given.path.as_str();
        Some(Self { path, property: words::OBJECT, store, part, blocks, read_only })
    }

    /// Whether one writes what the other has. A partition lies somewhere in the whole.
    fn clashes(&self, other: &Self) -> bool {
        let windows = self.blocks.start < other.blocks.end && other.blocks.start < self.blocks.end;
        let parts =
            if self.part == other.part { windows } else { self.part == 0 || other.part == 0 };
        parts && self.store == other.store && !(self.read_only && other.read_only)
    }

    fn remedy(&self) -> &'static str {
        match self.property {
            words::BLOCK => "give each a partition of its own, or write evisor,read-only in both",
            _ => "give each a partition or a window of its own, or leave both no right to write",
        }
    }
}

/// Every block has one who writes it, or only such as read it.
pub(crate) fn check_owners(faults: &Faults, root: Node<'_>, vms: &[VmPlan]) {
    let devices = vms.iter().flat_map(|vm| &vm.objects).filter_map(Holder::device);
    let given = vms.iter().filter_map(|vm| vm.capabilities.as_ref());
    let given = given.flat_map(|plan| &plan.given).filter_map(Holder::by_handle);
    let mut earlier: Vec<Holder<'_>> = Vec::new();
    for holder in devices.chain(given) {
        let other = earlier.iter().find(|other| other.clashes(&holder));
        if let Some((other, node)) = other.zip(root.tree().find(holder.path)) {
            let message = format!("{} has the same blocks", other.path);
            faults.property(node, holder.property, message, holder.remedy());
        }
        earlier.push(holder);
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
