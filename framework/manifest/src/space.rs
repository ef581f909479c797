//! A VM's guest-physical address space: what is where, and what is there twice.

use crate::error::Faults;
use crate::host_device::pages;
use crate::{IPA_LIMIT, plan::MemoryPlan, words};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use evisor_fdt::{Node, Region};

/// What memory is measured in.
pub(crate) const PAGE: u64 = 4 << 10;

/// A region and the node that claims it.
struct Claim<'t> {
    region: Region,
    node: Node<'t>,
}

/// The regions that were claimed so far, by address.
#[derive(Default)]
pub(crate) struct Space<'t> {
    claims: Vec<Claim<'t>>,
}

impl<'t> Space<'t> {
    /// Reads the `reg` of `node` in the address space of `vm`, claims what is
    /// sound of it, and gives all of it; `None` if it cannot be read.
    pub fn claim(&mut self, faults: &Faults, vm: Node<'t>, node: Node<'t>) -> Option<Vec<Region>> {
        let regions = match node.reg_within(vm) {
            Ok(regions) => regions,
            Err(error) => {
                let remedy = "see #address-cells, #size-cells and ranges of the nodes around it";
                faults.property(node, "reg", format!("{error}"), remedy);
                return None;
            }
        };
        for region in &regions {
            if is_sound(faults, node, *region) {
                self.insert(Claim { region: *region, node });
            }
        }
        Some(regions)
    }

    /// What `node` has is the pages that hold its regions: nothing else can be there.
    #[cold]
    pub fn widen(&mut self, node: Node<'t>) {
        let (own, rest) =
            core::mem::take(&mut self.claims).into_iter().partition(|c| c.node == node);
        self.claims = rest;
        let own: Vec<Claim<'_>> = own;
        for claim in own {
            self.insert(Claim { region: pages(claim.region), node });
        }
    }

    fn insert(&mut self, claim: Claim<'t>) {
        // Of two that start together, the one written first stays first.
        let before = |other: &Claim<'_>| other.region.address <= claim.region.address;
        let place = self.claims.partition_point(before);
        self.claims.insert(place, claim);
    }

    /// Refuses every region that overlaps another one.
    pub fn check_overlaps(&self, faults: &Faults) {
        let mut furthest: Option<&Claim<'_>> = None;
        for claim in &self.claims {
            if let Some(other) = furthest.filter(|other| other.region.overlaps(&claim.region)) {
                let message =
                    format!("{} overlaps {} of {}", claim.region, other.region, other.node.path());
                faults.property(claim.node, "reg", message, "move one of the two");
            }
            if furthest.is_none_or(|other| other.region.end() < claim.region.end()) {
                furthest = Some(claim);
            }
        }
    }
}

fn is_sound(faults: &Faults, node: Node<'_>, region: Region) -> bool {
    if region.size == 0 {
        let message = format!("the region at {:#x} has no size", region.address);
        faults.property(node, "reg", message, "write its size, or remove it");
        return false;
    }
    if region.end().is_none_or(|end| end > IPA_LIMIT) {
        let message = format!("{region} lies beyond 39 bits of guest-physical address");
        faults.property(node, "reg", message, format!("end it below {IPA_LIMIT:#x}"));
        return false;
    }
    true
}

/// Whether a node is a VM's memory.
pub(crate) fn is_memory(node: Node<'_>) -> bool {
    node.property("device_type").is_some_and(|p| p.value == b"memory\0")
        || node.short_name() == "memory"
}

/// Reads the VM's memory nodes.
pub(crate) fn memory<'t>(
    faults: &Faults,
    vm: Node<'t>,
    nodes: &[Node<'t>],
    space: &mut Space<'t>,
) -> Vec<MemoryPlan> {
    let mut memory: Vec<MemoryPlan> = Vec::new();
    let mut unread = false;
    for node in nodes {
        words::check(faults, *node, &[words::READ_ONLY, words::FILE, words::LOAD_ADDRESS]);
        words::check_inside(faults, *node, &[]);
        let Some(regions) = space.claim(faults, vm, *node) else {
            unread = true;
            continue;
        };
        memory.extend(regions.iter().map(|region| region_of(faults, *node, *region)));
    }
    match memory.first() {
        None if unread => {}
        None => {
            let remedy = "add memory@40000000 { device_type = \"memory\"; reg = <…>; }";
            faults.node(vm, "has no memory", remedy);
        }
        Some(first) if !first.writable => {
            let remedy = "put the memory that is booted from first";
            faults.node(vm, "its first memory cannot be written", remedy);
        }
        Some(_) => {}
    }
    memory
}

fn region_of(faults: &Faults, node: Node<'_>, region: Region) -> MemoryPlan {
    if !(region.address | region.size).is_multiple_of(PAGE) {
        let message = format!("{region} is not a whole number of pages");
        faults.property(node, "reg", message, "begin and end it at multiples of 0x1000");
    }
    MemoryPlan {
        ipa: region.address,
        size: region.size,
        writable: !node.has(words::READ_ONLY),
        path: node.path(),
    }
}

/// A size as people say it; rounded up.
pub(crate) fn mebibytes(size: u64) -> String {
    match size.div_ceil(1 << 20) {
        1 if size < 1 << 20 => format!("{} KiB", size.div_ceil(1 << 10)),
        mebibytes => format!("{mebibytes} MiB"),
    }
}
