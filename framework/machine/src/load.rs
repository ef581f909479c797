//! Placing VMs in memory, and filling their memory.

use crate::devices::Devices;
use crate::report::{Refused, refuse, refuse_for};
use crate::run::Placed;
use alloc::vec::Vec;
use evisor_aarch64::layout::SLICE;
use evisor_aarch64::stage2::Stage2;
use evisor_aarch64::vcpu::VcpuBlock;
use evisor_aarch64::{Ram, granted, maintenance};
use evisor_fdt::Tree;
use evisor_image::{Refusal, Stopped, unpack};
use evisor_kernel::{BoundVm, Bundle, Entry, Storage};
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
    /// Whether it ran: its memory holds what it wrote.
    used: bool,
}

/// GICV's CPU interface as guests see it (IHI 0048B.b §5.5): two pages.
const GICV_SIZE: u64 = 0x2000;

/// Gives what serves all VMs its memory, and every VM its own, and builds the VMs'
/// stage 2.
pub(crate) fn place(
    deployment: &'static Deployment,
    manifest: &Tree<'_>,
    root: &'static Space,
    bound: Vec<BoundVm>,
    storage: &[Storage],
    bundle: &Bundle<'_>,
    mut free: Vec<Ram>,
) -> Result<Vec<Placed>, Refused> {
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
    Ok(placed)
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
    for behind in &bound.backed {
        let content = behind.image.as_deref().and_then(|name| bundle.file(name));
        let ram = take(free, &behind.path, behind.size)?;
        let ram = ram.stand_behind(&mut stage2, behind.ipa, content.unwrap_or_default());
        behind.slot.fill(ram.map_err(tables)?);
    }
    let vcpus = (0..)
        .zip(&plan.cpus)
        .filter_map(|(n, cpu)| {
            let core = bound.vm.core_of(usize::from(n)) as u16;
            VcpuBlock::new(bound.vm.id, n, core, cpu.affinity, bound.space, root)
        })
        .collect::<Vec<_>>();
    for (index, vcpu) in vcpus.iter().enumerate() {
        bound.vm.connect(index, vcpu.attention());
    }
    Ok((bound, PlacedVm { plan, memory, stage2, tree, used: false }, devices, vcpus))
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

impl PlacedVm {
    /// Puts everything into the VM's memory as it is at its start, and its objects
    /// to their state after power-on. Its vCPUs are parked. Gives where the first
    /// one starts.
    pub fn fill(&mut self, bundle: &Bundle<'_>, bound: &BoundVm) -> Result<Entry, Refused> {
        let plan = self.plan;
        // What it left behind is not for whoever starts now. At its first start it
        // left nothing, and nobody has had the memory since the board came up; but
        // what it cannot write is zero, or what is put there.
        let used = core::mem::replace(&mut self.used, true);
        for (region, ram) in plan.memory.iter().zip(&mut self.memory) {
            if used || !region.writable {
                ram.zero(0, region.size).map_err(|error| refuse_for(&error))?;
            }
        }
        self.put_image(bundle.file(&plan.image.file).unwrap_or_default())?;
        for file in plan.initrd.iter().chain(&plan.files) {
            self.put(file.ipa, bundle.file(&file.file).unwrap_or_default())?;
        }
        if let Some(place) = plan.device_tree {
            let tree = core::mem::take(&mut self.tree);
            let put = self.put(place.ipa, &tree);
            self.tree = tree;
            put?;
        }
        // At the first start too: flash shows its memory, which was placed since it was
        // built, and a device of the board is as the firmware left it.
        for object in &bound.objects {
            object.with(&mut |object| object.reset());
        }
        maintenance::invalidate_instructions();
        let x0 = plan.device_tree.map_or(0, |place| place.ipa);
        Ok(Entry { pc: plan.image.entry_ipa, x0 })
    }

    fn put_image(&mut self, file: &[u8]) -> Result<(), Refused> {
        let VmPlan { image, path, .. } = self.plan;
        let put = match image.packed {
            true => unpack(file, |offset, piece| self.put_piece(offset, piece)),
            false => self.put_piece(0, file).map_err(Stopped::ByTaker),
        };
        put.map_err(|stopped| match stopped {
            Stopped::ByTaker(refused) => refused,
            Stopped::Refused(Refusal { problem, remedy }) => {
                refuse(format_args!("{path}: evisor,image: \"{}\" {problem}; {remedy}", image.file))
            }
        })?;
        for part in &image.parts {
            let (ram, offset) = self.at(part.ipa)?;
            ram.zero(offset + part.bytes, part.zeros).map_err(|error| refuse_for(&error))?;
        }
        Ok(())
    }

    /// Copies what is loaded of a piece of the image, from `offset` in it.
    fn put_piece(&mut self, offset: u64, piece: &[u8]) -> Result<(), Refused> {
        for part in &self.plan.image.parts {
            // What the two have in common, in the part and in the piece.
            let (skipped, from) =
                (offset.saturating_sub(part.offset), part.offset.saturating_sub(offset));
            let left = part.bytes.saturating_sub(skipped);
            let bytes = piece.get(from as usize..).unwrap_or_default();
            let bytes = bytes.get(..left as usize).unwrap_or(bytes);
            if !bytes.is_empty() {
                self.put(part.ipa + skipped, bytes)?;
            }
        }
        Ok(())
    }

    /// Copies `bytes` to guest-physical `ipa`.
    fn put(&mut self, ipa: u64, bytes: &[u8]) -> Result<(), Refused> {
        let (ram, offset) = self.at(ipa)?;
        ram.write(offset, bytes).map_err(|error| refuse_for(&error))
    }

    /// The memory at guest-physical `ipa`; the reader has checked that there is
    /// some.
    fn at(&mut self, ipa: u64) -> Result<(&mut Ram, u64), Refused> {
        let regions = self.plan.memory.iter().zip(&mut self.memory);
        let mut found = regions.filter_map(|(region, ram)| {
            let offset = ipa.checked_sub(region.ipa)?;
            (offset < region.size).then_some((ram, offset))
        });
        found
            .next()
            .ok_or_else(|| refuse(format_args!("{}: no memory at {ipa:#x}", self.plan.path)))
    }
}
