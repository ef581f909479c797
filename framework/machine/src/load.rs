//! Placing VMs in memory, and filling their memory.

use crate::devices::Devices;
use crate::report::{Refused, refuse, refuse_for};
use crate::run::Placed;
use alloc::vec::Vec;
use evisor_aarch64::layout::SLICE;
use evisor_aarch64::stage2::Stage2;
use evisor_aarch64::vcpu::VcpuBlock;
use evisor_aarch64::{Ram, granted, page};
use evisor_fdt::Tree;
use evisor_kernel::{BoundVm, Bundle, Storage};
use evisor_manifest::{Deployment, VmPlan, guest_tree};
use evisor_router::Space;

/// A VM's memory and what it starts with.
pub(crate) struct PlacedVm {
    pub plan: &'static VmPlan,
    /// Its memory, in the order of the plan.
    pub memory: Vec<Ram>,
    pub stage2: Stage2,
    /// Its device tree.
    pub tree: &'static [u8],
    /// Whether it ran: its memory holds what it wrote.
    pub used: bool,
}

/// GICV's CPU interface as guests see it (IHI 0048B.b §5.5): two pages.
const GICV_SIZE: u64 = 0x2000;

/// Gives what serves all VMs its memory, and every VM its own, and builds the VMs'
/// stage 2; and says how many bytes are left.
pub(crate) fn place(
    deployment: &'static Deployment,
    manifest: &Tree<'_>,
    root: &'static Space,
    bound: Vec<BoundVm>,
    storage: &[Storage],
    bundle: &Bundle<'_>,
    mut free: Vec<Ram>,
) -> Result<(Vec<Placed>, u64), Refused> {
    for own in storage {
        let content = own.image.as_deref().and_then(|name| bundle.file(name)).unwrap_or_default();
        let memory = take(&mut free, &own.path, own.size)?.give(content);
        own.slot.fill(memory.map_err(|error| refuse_for(&error))?);
    }
    let mut placed = Vec::new();
    for (plan, bound) in deployment.vms.iter().zip(bound) {
        let tree = match plan.device_tree {
            Some(_) => guest_tree(manifest, plan, None).map_err(|error| refuse_for(&error))?,
            None => Vec::new(),
        };
        placed.push(place_vm(plan, root, bound, tree, bundle, &mut free)?);
    }
    Ok((placed, free.iter().map(Ram::size).sum()))
}

fn place_vm(
    plan: &'static VmPlan,
    root: &'static Space,
    mut bound: BoundVm,
    tree: Vec<u8>,
    bundle: &Bundle<'_>,
    free: &mut Vec<Ram>,
) -> Result<Placed, Refused> {
    let tables =
        |error| refuse(format_args!("{}: its memory cannot be mapped: {error}", plan.path));
    let mut stage2 = Stage2::new(bound.vm.id as u8 + 1);
    let mut memory = Vec::new();
    for region in &plan.memory {
        let ram = take(free, &region.path, region.size)?;
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
    let devices = Devices::place(core::mem::take(&mut bound.passed), &mut stage2)?;
    if let Some(slot) = bound.memory {
        let regions = plan.memory.iter().zip(&memory);
        let regions = regions.map(|(region, ram)| (region.ipa, ram, region.writable));
        slot.fill(granted::of_vm(regions).map_err(tables)?);
    }
    if let Some(stolen) = &mut bound.stolen {
        let (words, physical) = page();
        stage2.memory(stolen.ipa, physical, 0x1000, false).map_err(tables)?;
        stolen.words = words;
    }
    for behind in &bound.backed {
        let content = behind.image.as_deref().and_then(|name| bundle.file(name));
        let ram = take(free, &behind.path, behind.size)?;
        let ram = ram.stand_behind(&mut stage2, behind.ipa, content.unwrap_or_default());
        behind.slot.fill(ram.map_err(tables)?);
    }
    let mut vcpus = (0..)
        .zip(&plan.cpus)
        .filter_map(|(n, cpu)| {
            let core = bound.vm.core_of(usize::from(n)) as u16;
            VcpuBlock::new(bound.vm.id, n, core, cpu.affinity, bound.space, root)
        })
        .collect::<Vec<_>>();
    if plan.lives.refusal_is_fatal {
        vcpus.iter_mut().for_each(VcpuBlock::crash_when_refused);
    }
    for (index, vcpu) in vcpus.iter().enumerate() {
        bound.vm.connect(index, vcpu.attention());
    }
    Ok((bound, PlacedVm { plan, memory, stage2, tree: tree.leak(), used: false }, devices, vcpus))
}

/// Takes `size` bytes for the node at `path` out of the first range that has
/// them, at a 2 MiB boundary so that stage 2 can use blocks.
fn take(free: &mut Vec<Ram>, path: &str, size: u64) -> Result<Ram, Refused> {
    let fits = |ram: &Ram| ram.aligned(SLICE).is_some_and(|left| left >= size);
    let at = free.iter().position(fits);
    let split = at.and_then(|at| free.swap_remove(at).split(SLICE, size));
    let (taken, rest) = split.ok_or_else(|| {
        let mebibytes = size >> 20;
        refuse(format_args!(
            "{path}: no {mebibytes} MiB of memory in one piece is left; make it smaller"
        ))
    })?;
    free.extend(rest);
    Ok(taken)
}
