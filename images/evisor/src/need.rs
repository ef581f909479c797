//! How much of EL2's heap a deployment needs, said before it boots.
//!
//! The reader, the guests' trees and the binder run here as they do at boot, and types have
//! the same sizes on both machines, which have 64 bits. So what they allocate is counted, in the
//! blocks that the heap would give out ([`Tally`]). What only the machine allocates
//! behind that is put together from the plan, at its largest ([`machine`]). What comes
//! before depends on the board alone: see [`room::BASE`].

use evisor_heap::{PAGE, Size, Tally, room};
use evisor_image::Unpacking;
use evisor_kernel::{Bound, BoundVm, Bundle};
use evisor_manifest::{Deployment, ManifestError, VmPlan};
use std::alloc::{Layout, System};
use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracking_allocator::{AllocationGroupId, AllocationRegistry, AllocationTracker, Allocator};

#[global_allocator]
static COUNTED: Allocator<System> = Allocator::system();

static TALLY: Mutex<Tally> = Mutex::new(Tally::new());

/// 2 MiB, which a block of level 2 maps, and 1 GiB, of which a table of level 2 is.
const BLOCK: u64 = 2 << 20;
const LEVEL2: u64 = 1 << 30;

struct Counts;

/// Alignments are not told: no type is aligned to more than its size.
impl AllocationTracker for Counts {
    fn allocated(&self, _: usize, bytes: usize, _: usize, _: AllocationGroupId) {
        size(bytes).into_iter().for_each(|size| tally().take(size));
    }

    fn deallocated(
        &self,
        _: usize,
        bytes: usize,
        _: usize,
        _: AllocationGroupId,
        _: AllocationGroupId,
    ) {
        size(bytes).into_iter().for_each(|size| tally().give_back(size));
    }
}

fn tally() -> MutexGuard<'static, Tally> {
    TALLY.lock().unwrap_or_else(PoisonError::into_inner)
}

fn size(bytes: usize) -> Option<Size> {
    Layout::from_size_align(bytes, 1).ok().and_then(Size::of)
}

/// Counts from now on what is allocated here.
///
/// # Errors
/// Somebody counts already.
pub fn begin() -> Result<(), Box<dyn std::error::Error>> {
    AllocationRegistry::set_global_tracker(Counts)?;
    AllocationRegistry::enable_tracking();
    Ok(())
}

/// Does what no machine does.
pub fn uncounted<R>(f: impl FnOnce() -> R) -> R {
    AllocationRegistry::untracked(f)
}

/// A deployment's need, and what there is, in KiB.
pub struct Need {
    pub needs: usize,
    pub has: usize,
}

impl Need {
    /// Of what was built since [`begin`], which is no longer counted.
    pub fn of(deployment: &Deployment, bound: &Bound, bundle: &Bundle<'_>, has: usize) -> Self {
        let packed = deployment.vms.iter().filter(|vm| vm.image.packed);
        // Several may be unpacked at once, when they start anew.
        let unpacking = packed.filter_map(|vm| Unpacking::new(bundle.file(&vm.image.file)?).ok());
        let unpacking: Vec<_> = unpacking.collect();
        AllocationRegistry::disable_tracking();
        drop(unpacking);
        let mut tally = tally();
        machine(&mut tally, deployment, bound);
        Self { needs: (room::BASE + tally.bytes()) >> 10, has: has >> 10 }
    }

    /// What is wrong if it has too little.
    pub fn check(&self) -> Result<(), Box<ManifestError>> {
        let Self { needs, has } = self;
        if needs <= has {
            return Ok(());
        }
        Err(Box::new(ManifestError {
            node: "/".to_string(),
            property: None,
            message: format!(
                "the deployment can need {needs} KiB of memory for eVisor itself, which has {has} KiB"
            ),
            remedy: "leave out a VM, or give one fewer CPUs or devices".to_string(),
        }))
    }
}

/// Takes what is allocated behind the binding.
fn machine(tally: &mut Tally, deployment: &Deployment, bound: &Bound) {
    let vms = deployment.vms.len();
    grow(tally, room::PLACED, vms);
    take(tally, room::HELD * vms, 1);
    for (plan, bound) in deployment.vms.iter().zip(&bound.vms) {
        vm(tally, plan, bound);
    }
    if deployment.vms.iter().any(|vm| vm.checkpoint.is_some()) {
        take(tally, room::CHECKPOINT, 1);
    }
    let cpus = deployment.vms.iter().flat_map(|vm| &vm.cpus);
    let cores: BTreeSet<usize> = cpus.clone().map(|cpu| cpu.core).collect();
    take(tally, room::CORE, cores.iter().filter(|core| **core != 0).count());
    for scheduler in &deployment.schedulers {
        let members = cpus.clone().filter(|cpu| cpu.core == scheduler.core).count();
        take(tally, room::SAVED, members);
        grow(tally, room::MEMBER, members);
        take(tally, room::SMALL, 1 + members.div_ceil(8) + vms.div_ceil(8));
    }
    take(tally, PAGE, el2s_tables(deployment, bound));
}

fn vm(tally: &mut Tally, plan: &VmPlan, bound: &BoundVm) {
    take(tally, PAGE, stage2s_tables(plan, bound) + usize::from(bound.stolen.is_some()));
    take(tally, room::VCPU, plan.cpus.len());
    if plan.checkpoint.is_some() {
        take(tally, room::ASIDE * plan.cpus.len(), 1);
    }
    let parts = plan.cpus.len() + plan.memory.len() + plan.image.parts.len() + plan.files.len();
    take(tally, room::SMALL, 1 + (parts + bound.ends.len() + bound.backed.len()).div_ceil(8));
    take(tally, 8 * plan.lives.restart_limit.map_or(0, |limit| limit.restarts as usize), 1);
}

/// How many tables stage 2 has at most. Memory starts at multiples of 2 MiB; where
/// registers do is not known here.
fn stage2s_tables(plan: &VmPlan, bound: &BoundVm) -> usize {
    let memory = plan.memory.iter().map(|region| (region.ipa, region.size));
    let shared = bound.shared.iter().map(|window| (window.ipa, window.size));
    let backed = bound.backed.iter().map(|behind| (behind.ipa, behind.size));
    let direct = bound.direct.iter().map(|direct| (direct.ipa, direct.size));
    let passed = bound.passed.windows.iter().map(|window| (window.ipa, window.size));
    let stolen = bound.stolen.iter().map(|stolen| (stolen.ipa, 1));
    let blocks = memory.chain(shared).chain(backed);
    let pages = direct.chain(passed).chain(stolen);
    1 + tables(blocks, pages)
}

/// How many tables of level 2 and 3 map ranges of addresses: `blocks`, which lead to
/// a multiple of 2 MiB, and `pages`, which may not.
fn tables(
    blocks: impl Iterator<Item = (u64, u64)>,
    pages: impl Iterator<Item = (u64, u64)>,
) -> usize {
    let (mut level2, mut level3) = (BTreeSet::new(), BTreeSet::new());
    let ranges = blocks.map(|range| (range, true)).chain(pages.map(|range| (range, false)));
    for ((start, bytes), whole) in ranges.filter(|((_, bytes), _)| *bytes > 0) {
        let end = start.saturating_add(bytes);
        level2.extend(start / LEVEL2..=(end - 1) / LEVEL2);
        let whole = whole && start.is_multiple_of(BLOCK);
        let from = if whole { end / BLOCK } else { start / BLOCK };
        level3.extend(from..end.div_ceil(BLOCK));
    }
    level2.len() + level3.len()
}

/// How many more EL2 has for memory that components were granted, each at a multiple of 2 MiB,
/// and for the registers that are passed on.
fn el2s_tables(deployment: &Deployment, bound: &Bound) -> usize {
    let granted = deployment.vms.iter().zip(&bound.vms).filter(|(_, vm)| vm.memory.is_some());
    let granted = granted.flat_map(|(plan, _)| plan.memory.iter().map(|region| region.size));
    let backed = bound.vms.iter().flat_map(|vm| vm.backed.iter().map(|behind| behind.size));
    let stored = bound.storage.iter().map(|own| own.size);
    let channels = bound.channels.iter().filter(|channel| channel.slot.is_some());
    let all = granted.chain(backed).chain(stored).chain(channels.map(|channel| channel.size));
    let mut next = 0;
    let placed = all.map(|bytes| {
        let start = next;
        next += bytes.next_multiple_of(BLOCK);
        (start, bytes)
    });
    tables(placed, std::iter::empty())
}

fn take(tally: &mut Tally, bytes: usize, blocks: usize) {
    for size in (0..blocks).filter_map(|_| size(bytes).filter(|_| bytes > 0)) {
        tally.take(size);
    }
}

/// A vector of elements of `bytes`, to which `elements` are added one by one: it begins
/// with room for four.
fn grow(tally: &mut Tally, bytes: usize, elements: usize) {
    let mut room = 4;
    let mut last = None;
    loop {
        let next = size(room * bytes);
        next.into_iter().for_each(|size| tally.take(size));
        last.into_iter().for_each(|size| tally.give_back(size));
        if room >= elements {
            return;
        }
        (last, room) = (next, room * 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::iter::{empty, once};

    #[test]
    fn whole_blocks_need_no_table_of_level_3() {
        assert_eq!(tables(once((0x4000_0000, 0x80_0000)), empty()), 1);
        assert_eq!(tables(once((0x4000_0000, 0x80_1000)), empty()), 2);
        assert_eq!(tables(once((0x4000_1000, 0x80_0000)), empty()), 1 + 5);
        assert_eq!(tables(once((0x7fe0_0000, 0x40_0000)), once((0x900_0000, 0x1000))), 3 + 1);
    }

    #[test]
    fn a_vector_that_grows_leaves_its_smaller_blocks() {
        let mut tally = Tally::new();
        grow(&mut tally, 1024, 9);
        assert_eq!(tally.bytes(), 0x1000 + 0x2000 + 0x4000);
    }
}
