//! Placing VMs in memory, and filling their memory.

use crate::channels::SharedRam;
use crate::checkpoint::Reserve;
use crate::devices::Devices;
use crate::report::{Refused, refuse, refuse_for};
use crate::run::Placed;
use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_aarch64::layout::SLICE;
use evisor_aarch64::stage2::Stage2;
use evisor_aarch64::vcpu::VcpuBlock;
use evisor_aarch64::{Ram, granted, page};
use evisor_contract::ChannelEnd;
use evisor_fdt::Tree;
use evisor_kernel::{BoundVm, Bundle, ChannelMemory, Storage};
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
    /// What it shares with other VMs, and which end of it is its own.
    pub shared: Vec<(&'static SharedRam, u32)>,
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
    (storage, channels): (&[Storage], &[ChannelMemory]),
    bundle: &Bundle<'_>,
    mut free: Vec<Ram>,
) -> Result<(Vec<Placed>, u64), Refused> {
    for own in storage {
        let content = own.image.as_deref().and_then(|name| bundle.file(name)).unwrap_or_default();
        let memory = take(&mut free, &own.path, own.size)?.give(content);
        own.slot.fill(memory.map_err(|error| refuse_for(&error))?);
    }
    let shared = share(channels, &mut free)?;
    let mut placed = Vec::new();
    for (plan, bound) in deployment.vms.iter().zip(bound) {
        let tree = match plan.device_tree {
            Some(_) => guest_tree(manifest, plan, None).map_err(|error| refuse_for(&error))?,
            None => Vec::new(),
        };
        placed.push(place_vm(plan, root, bound, tree, bundle, (&shared, &mut free))?);
    }
    Ok((placed, free.iter().map(Ram::size).sum()))
}

/// What the ends of a channel share, and where it is.
struct Shared {
    ram: &'static SharedRam,
    physical: u64,
}

/// Gives channels their memory.
fn share(channels: &[ChannelMemory], free: &mut Vec<Ram>) -> Result<Vec<Shared>, Refused> {
    let mut all = Vec::new();
    for channel in channels {
        let ram = take(free, &channel.path, channel.size)?;
        let physical = ram.physical();
        if let Some(slot) = channel.slot {
            let parts = core::iter::once((0, &ram, true));
            slot.fill(granted::of_vm(parts).map_err(|error| refuse_for(&error))?);
        }
        all.push(Shared { ram: Box::leak(Box::new(SharedRam::new(ram))), physical });
    }
    Ok(all)
}

fn place_vm(
    plan: &'static VmPlan,
    root: &'static Space,
    mut bound: BoundVm,
    tree: Vec<u8>,
    bundle: &Bundle<'_>,
    (channels, free): (&[Shared], &mut Vec<Ram>),
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
    for window in &bound.shared {
        if let Some(Shared { physical, .. }) = channels.get(window.channel) {
            stage2.memory(window.ipa, *physical, window.size, window.writable).map_err(
                |error| refuse(format_args!("{}: cannot be mapped: {error}", window.path)),
            )?;
        }
    }
    let held = bound.ends.iter();
    let held = held.filter_map(|held| Some((channels.get(held.channel)?.ram, held.end.number())));
    let shared = held.collect();
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
    let tree = tree.leak();
    let reserve = reserve(plan, &bound, free)?;
    Ok((
        bound,
        PlacedVm { plan, memory, stage2, tree, shared, used: false },
        devices,
        vcpus,
        reserve,
    ))
}

/// Sets memory aside for a checkpoint of the VM, if its manifest has so.
fn reserve(
    plan: &VmPlan,
    bound: &BoundVm,
    free: &mut Vec<Ram>,
) -> Result<Option<Reserve>, Refused> {
    let Some(checkpoint) = plan.checkpoint else { return Ok(None) };
    bound.vm.may_keep();
    let regions = plan.memory.iter().filter(|region| region.writable).map(|region| region.size);
    let counts = (plan.cpus.len(), bound.objects.len());
    Reserve::new(checkpoint, regions, counts, |size| take(free, &plan.path, size)).map(Some)
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
