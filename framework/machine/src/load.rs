//! Placing VMs in memory, and filling their memory.

use crate::report::{Refused, refuse, refuse_for};
use crate::run::Placed;
use alloc::vec::Vec;
use evisor_aarch64::layout::SLICE;
use evisor_aarch64::stage2::Stage2;
use evisor_aarch64::vcpu::VcpuBlock;
use evisor_aarch64::{Ram, maintenance};
use evisor_fdt::Tree;
use evisor_kernel::{BoundVm, Bundle, Entry};
use evisor_manifest::{Deployment, VmPlan, guest_tree};
use evisor_router::Space;

/// A VM's memory and what it starts with.
pub(crate) struct PlacedVm {
    pub plan: &'static VmPlan,
    /// Its memory, in the order of the plan.
    pub memory: Vec<Ram>,
    pub stage2: Stage2,
    /// Its device tree.
    tree: Vec<u8>,
}

/// GICV's CPU interface as guests see it (IHI 0048B.b §5.5): two pages.
const GICV_SIZE: u64 = 0x2000;

/// Gives every VM its memory and builds its stage 2.
pub(crate) fn place(
    deployment: &'static Deployment,
    manifest: &Tree<'_>,
    root: &'static Space,
    bound: Vec<BoundVm>,
    mut free: Vec<Ram>,
) -> Result<Vec<Placed>, Refused> {
    let mut placed = Vec::new();
    for (plan, bound) in deployment.vms.iter().zip(bound) {
        let tree = guest_tree(manifest, plan, None).map_err(|error| refuse_for(&error))?;
        placed.push(place_vm(plan, root, bound, tree, &mut free)?);
    }
    Ok(placed)
}

fn place_vm(
    plan: &'static VmPlan,
    root: &'static Space,
    bound: BoundVm,
    tree: Vec<u8>,
    free: &mut Vec<Ram>,
) -> Result<Placed, Refused> {
    let tables =
        |error| refuse(format_args!("{}: its memory cannot be mapped: {error}", plan.path));
    let mut stage2 = Stage2::new(bound.vm.id as u8 + 1);
    let mut memory = Vec::new();
    for region in &plan.memory {
        let ram = take(free, region.size).ok_or_else(|| {
            refuse(format_args!(
                "{}: no {} MiB of memory in one piece is left; make it smaller",
                region.path,
                region.size >> 20
            ))
        })?;
        stage2.memory(region.ipa, ram.physical(), region.size, region.writable).map_err(tables)?;
        memory.push(ram);
    }
    for direct in &bound.direct {
        if direct.size != GICV_SIZE {
            let path = &plan.path;
            return Err(refuse(format_args!("{path}: the CPU interface has {GICV_SIZE:#x} bytes")));
        }
        stage2.cpu_interface(direct.ipa).map_err(tables)?;
    }
    let vcpus = (0..)
        .zip(&plan.cpus)
        .filter_map(|(n, cpu)| VcpuBlock::new(bound.vm.id, n, cpu.affinity, bound.space, root))
        .collect::<Vec<_>>();
    for (index, vcpu) in vcpus.iter().enumerate() {
        bound.vm.connect(index, vcpu.attention());
    }
    Ok((bound, PlacedVm { plan, memory, stage2, tree }, vcpus))
}

/// Takes `size` bytes out of the first range that has them, at a 2 MiB boundary
/// so that stage 2 can use blocks.
fn take(free: &mut Vec<Ram>, size: u64) -> Option<Ram> {
    let fits = |ram: &Ram| ram.aligned(SLICE).is_some_and(|left| left >= size);
    let at = free.iter().position(fits)?;
    let (taken, rest) = free.swap_remove(at).split(SLICE, size)?;
    free.extend(rest);
    Some(taken)
}

impl PlacedVm {
    /// Puts everything into the VM's memory as it is at its start, and its objects
    /// to their state after power-on. Its vCPUs are parked. Gives where the first
    /// one starts.
    pub fn fill(&mut self, bundle: &Bundle<'_>, bound: &BoundVm) -> Result<Entry, Refused> {
        for ram in &mut self.memory {
            ram.scrub().map_err(|error| refuse_for(&error))?;
        }
        let plan = self.plan;
        let image = &plan.image;
        self.put(image.load_ipa, bundle.file(&image.file).unwrap_or_default())?;
        if let Some(initrd) = &plan.initrd {
            self.put(initrd.ipa, bundle.file(&initrd.file).unwrap_or_default())?;
        }
        let tree = core::mem::take(&mut self.tree);
        let put = self.put(self.plan.device_tree_ipa, &tree);
        self.tree = tree;
        put?;
        maintenance::invalidate_instructions();
        for object in &bound.objects {
            object.with(&mut |object| object.reset());
        }
        Ok(Entry { pc: image.entry_ipa, x0: self.plan.device_tree_ipa })
    }

    /// Copies `bytes` to guest-physical `ipa`; the reader has checked that there
    /// is memory.
    fn put(&mut self, ipa: u64, bytes: &[u8]) -> Result<(), Refused> {
        let inside = |(region, _): &(&evisor_manifest::MemoryPlan, &mut Ram)| {
            ipa.checked_sub(region.ipa).is_some_and(|offset| offset < region.size)
        };
        let found = self.plan.memory.iter().zip(&mut self.memory).find(inside);
        let (region, ram) = found
            .ok_or_else(|| refuse(format_args!("{}: no memory at {ipa:#x}", self.plan.path)))?;
        ram.write(ipa - region.ipa, bytes).map_err(|error| refuse_for(&error))
    }
}
