//! A VM's memory while what is booted is put into it.

use crate::error::Faults;
use crate::plan::MemoryPlan;
use crate::space::mebibytes;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use evisor_fdt::{Node, Region};

/// The memory, and what lies in it so far. What is placed by its address goes
/// anywhere; what is not goes into the first memory, behind the image.
pub(crate) struct Room<'a, 't> {
    faults: &'a Faults,
    vm: Node<'t>,
    memory: &'a [MemoryPlan],
    taken: Vec<(Region, String)>,
    /// Where nothing goes that is not told to.
    reserved: Vec<Region>,
    /// Where to look for room.
    next: u64,
}

impl<'a, 't> Room<'a, 't> {
    /// Empty memory.
    pub fn new(faults: &'a Faults, vm: Node<'t>, memory: &'a [MemoryPlan]) -> Self {
        let next = memory.first().map_or(0, |memory| memory.ipa);
        Self { faults, vm, memory, taken: Vec::new(), reserved: Vec::new(), next }
    }

    /// Keeps what has no address out of the regions that the guest's tree reserves:
    /// they have a use of their own (Devicetree Specification v0.4 §3.5.1).
    pub fn reserve(&mut self, vm: Node<'_>) {
        let reserved = vm.child("reserved-memory").into_iter().flat_map(|node| node.children());
        for node in reserved.filter(Node::is_enabled) {
            match node.reg_within(vm) {
                Ok(regions) => self.reserved.extend(regions),
                Err(error) => {
                    let remedy = "see #address-cells, #size-cells and ranges of reserved-memory";
                    self.faults.property(node, "reg", format!("{error}"), remedy);
                }
            }
        }
    }

    /// Takes the room at an address that the manifest or the file names. Says so if
    /// it is not the VM's, or not free.
    pub fn take(&mut self, property: &str, what: &str, address: u64, size: u64) {
        let region = Region { address, size };
        if self.memory.first().is_some_and(|first| holds(first, region)) {
            self.next = self.next.max(region.end().unwrap_or(address));
        }
        self.take_for(self.vm, property, what, address, size);
    }

    /// The same, where `node` names it and not the VM's, and what has no address
    /// may come before it.
    pub fn take_for(
        &mut self,
        node: Node<'_>,
        property: &str,
        what: &str,
        address: u64,
        size: u64,
    ) {
        let region = Region { address, size };
        if let Some(problem) = self.objection(region) {
            let message = format!("{what} at {region} {problem}");
            self.faults.property(node, property, message, "move it, or what it meets");
            return;
        }
        self.taken.push((region, what.to_string()));
    }

    /// What speaks against a region.
    fn objection(&self, region: Region) -> Option<String> {
        // A VM without memory was told so.
        if !self.memory.is_empty() && !self.memory.iter().any(|memory| holds(memory, region)) {
            return Some(String::from("is not inside of the VM's memory"));
        }
        let other = self.taken.iter().find(|(taken, _)| taken.overlaps(&region));
        other.map(|(other, what)| format!("overlaps {what} at {other}"))
    }

    /// How much is free from `address` on, up to `most`.
    pub fn free(&self, address: u64, most: u64) -> u64 {
        let ends = self.memory.iter().filter(|memory| holds(memory, Region { address, size: 1 }));
        let ends = ends.map(|memory| memory.ipa.saturating_add(memory.size));
        let starts = self.taken.iter().map(|(taken, _)| taken.address);
        let limits = ends.chain(starts.filter(|start| *start > address));
        limits.map(|limit| limit - address).fold(most, u64::min)
    }

    /// Takes `size` bytes where they are free; says so if they are nowhere.
    pub fn find(&mut self, property: &str, what: &str, alignment: u64, size: u64) -> u64 {
        self.find_behind(property, what, (alignment, 0), size)
    }

    /// The same, for what starts at an offset behind a multiple of the alignment.
    pub fn find_behind(
        &mut self,
        property: &str,
        what: &str,
        (alignment, offset): (u64, u64),
        size: u64,
    ) -> u64 {
        let Some(memory) = self.memory.first() else { return 0 };
        let limit = memory.ipa.saturating_add(memory.size);
        let from = |address: u64| {
            address.checked_next_multiple_of(alignment).and_then(|start| start.checked_add(offset))
        };
        let mut start = from(self.next);
        while let Some(address) = start {
            let region = Region { address, size };
            let taken = self.taken.iter().map(|(taken, _)| taken).chain(&self.reserved);
            match taken.into_iter().find(|taken| taken.overlaps(&region)) {
                Some(taken) => start = taken.end().and_then(from),
                None => break,
            }
        }
        let end = start.and_then(|start| start.checked_add(size));
        if let Some((start, end)) = start.zip(end).filter(|(_, end)| *end <= limit) {
            self.taken.push((Region { address: start, size }, what.to_string()));
            self.next = end;
            return start;
        }
        let short = end.unwrap_or(u64::MAX).saturating_sub(limit);
        let message = format!("{what} ends {} past the end of memory", mebibytes(short));
        self.faults.property(self.vm, property, message, format!("enlarge {}", memory.path));
        // What follows is placed as if this had nothing to it: one fault is told
        // once.
        self.next
    }
}

fn holds(memory: &MemoryPlan, region: Region) -> bool {
    let memory = Region { address: memory.ipa, size: memory.size };
    let ends = region.end().zip(memory.end());
    region.address >= memory.address && ends.is_some_and(|(end, limit)| end <= limit)
}
