//! Scrubbing and filling a VM's memory, in slices: between two of them a core can do
//! something else.

use crate::channels::SharedRam;
use crate::load::PlacedVm;
use crate::report::{Refused, refuse, refuse_for};
use alloc::vec::Vec;
use evisor_aarch64::{Ram, maintenance};
use evisor_image::{Refusal, Unpacking};
use evisor_kernel::{BoundVm, Bundle, Entry};
use evisor_manifest::VmPlan;

/// How many bytes a slice zeroes or copies at most, where a core has nothing else to do:
/// what EL2 maps at once.
pub(crate) const ALONE: u64 = evisor_aarch64::layout::SLICE;
/// So many bytes of a compressed image go into a slice for each that it may copy.
const INPUT: u64 = 128;

/// Whether a job is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There is more to do.
    More,
    /// All was done.
    Done,
}

/// One thing to do to a VM's memory. Addresses are guest-physical.
enum Work {
    Zero { ipa: u64, bytes: u64 },
    Copy { ipa: u64, from: &'static [u8] },
    Unpack(Unpacking<'static>),
    Shared(&'static SharedRam),
}

/// What is left to do to a VM's memory, the last first. Its vCPUs are parked.
pub(crate) struct Job(Vec<Work>);

impl Job {
    /// What its VM wrote is zeroed, for whoever has the memory next: itself, or another; what
    /// it shares, if the other end is gone too.
    /// What it cannot write is what was put there.
    pub fn scrub(placed: &mut PlacedVm) -> Self {
        let used = core::mem::replace(&mut placed.used, false);
        let regions = placed.plan.memory.iter().filter(|region| used && region.writable);
        let own = regions.map(|region| Work::Zero { ipa: region.ipa, bytes: region.size });
        placed.shared.iter().for_each(|(shared, end)| shared.gone(*end));
        let shared = placed.shared.iter().map(|(shared, _)| Work::Shared(shared));
        Self(own.chain(shared).collect())
    }

    /// The same, and then everything is put there as it is at the VM's start. At its first
    /// start nobody has had the memory since the board came up; but what it cannot write
    /// is zero, or what is put there.
    pub fn fill(placed: &mut PlacedVm, bundle: &'static Bundle<'static>) -> Result<Self, Refused> {
        let plan = placed.plan;
        let mut work = Self::scrub(placed).0;
        placed.used = true;
        let kept = plan.memory.iter().filter(|region| !region.writable);
        work.extend(kept.map(|region| Work::Zero { ipa: region.ipa, bytes: region.size }));
        image(plan, bundle, &mut work)?;
        for file in plan.initrd.iter().chain(&plan.files) {
            let from = bundle.file(&file.file).unwrap_or_default();
            work.push(Work::Copy { ipa: file.ipa, from });
        }
        let tree = plan.device_tree.iter();
        work.extend(tree.map(|place| Work::Copy { ipa: place.ipa, from: placed.tree }));
        work.reverse();
        Ok(Self(work))
    }

    /// Does what comes next, for at most `bytes` of memory; or what at most `bytes` / 128
    /// of a compressed image come to, which is 32 KiB at most.
    pub fn step(&mut self, placed: &mut PlacedVm, bytes: u64) -> Result<Progress, Refused> {
        let Some(work) = self.0.pop() else { return Ok(Progress::Done) };
        self.0.extend(match work {
            Work::Zero { ipa, bytes: all } => placed.zero(ipa, all, bytes)?,
            Work::Copy { ipa, from } => placed.copy(ipa, from, bytes)?,
            Work::Unpack(unpacking) => placed.unpack(unpacking, bytes)?,
            // Once somebody is there again, nothing is left of it.
            Work::Shared(shared) => match shared.step(bytes)? {
                Progress::More => Some(Work::Shared(shared)),
                Progress::Done => None,
            },
        });
        Ok(if self.0.is_empty() { Progress::Done } else { Progress::More })
    }
}

fn image(
    plan: &'static VmPlan,
    bundle: &'static Bundle<'static>,
    work: &mut Vec<Work>,
) -> Result<(), Refused> {
    let file = bundle.file(&plan.image.file).unwrap_or_default();
    if plan.image.packed {
        work.push(Work::Unpack(Unpacking::new(file).map_err(|refusal| unsound(plan, refusal))?));
    }
    for part in &plan.image.parts {
        let bytes = file.get(part.offset as usize..).unwrap_or_default();
        let from = bytes.get(..part.bytes as usize).unwrap_or(bytes);
        if !plan.image.packed {
            work.push(Work::Copy { ipa: part.ipa, from });
        }
        if part.zeros > 0 {
            work.push(Work::Zero { ipa: part.ipa + part.bytes, bytes: part.zeros });
        }
    }
    Ok(())
}

fn unsound(plan: &VmPlan, Refusal { problem, remedy }: Refusal) -> Refused {
    let VmPlan { path, image, .. } = plan;
    refuse(format_args!("{path}: evisor,image: \"{}\" {problem}; {remedy}", image.file))
}

impl PlacedVm {
    /// Its memory is as it is at its start: so are its objects from now on. Gives where
    /// the first vCPU starts.
    ///
    /// At the first start too: flash shows its memory, which was placed since it was
    /// built, and a device of the board is as the firmware left it.
    pub fn ready(&self, bound: &BoundVm) -> Result<Entry, Refused> {
        self.comes()?;
        for object in &bound.objects {
            object.with(&mut |object| object.reset());
        }
        maintenance::invalidate_instructions();
        let x0 = self.plan.device_tree.map_or(0, |place| place.ipa);
        Ok(Entry { pc: self.plan.image.entry_ipa, x0 })
    }

    /// It was off, and is about to be what was kept of it.
    pub fn comes_back(&mut self) -> Result<(), Refused> {
        self.used = true;
        self.comes()
    }

    fn comes(&self) -> Result<(), Refused> {
        self.shared.iter().try_for_each(|(shared, end)| shared.comes(*end))
    }

    /// Zeroes at most `bytes` of `all`; gives what is left.
    fn zero(&mut self, ipa: u64, all: u64, bytes: u64) -> Result<Option<Work>, Refused> {
        let now = all.min(bytes);
        let (ram, offset) = self.at(ipa)?;
        ram.zero(offset, now).map_err(|error| refuse_for(&error))?;
        Ok((now < all).then_some(Work::Zero { ipa: ipa + now, bytes: all - now }))
    }

    /// Copies at most `bytes` of `from`; gives what is left.
    fn copy(&mut self, ipa: u64, from: &'static [u8], bytes: u64) -> Result<Option<Work>, Refused> {
        let (now, rest) = from.split_at_checked(bytes as usize).unwrap_or((from, &[]));
        if !now.is_empty() {
            self.put(ipa, now)?;
        }
        let ipa = ipa + now.len() as u64;
        Ok((!rest.is_empty()).then_some(Work::Copy { ipa, from: rest }))
    }

    /// Unpacks a piece; gives the rest, until there was none.
    fn unpack(
        &mut self,
        mut unpacking: Unpacking<'static>,
        bytes: u64,
    ) -> Result<Option<Work>, Refused> {
        let plan = self.plan;
        let piece = unpacking.next_piece((bytes / INPUT) as usize);
        match piece.map_err(|refusal| unsound(plan, refusal))? {
            Some((offset, piece)) => self.put_piece(offset, piece)?,
            None => return Ok(None),
        }
        Ok(Some(Work::Unpack(unpacking)))
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
