//! Checkpoints: a VM's memory and its objects' state, kept in memory that was set aside for
//! them, and its vCPUs'.
//!
//! Both ways it stands still before and after (`framework/kernel/src/life.rs`), and
//! what takes long is done slice by slice, as scrubbing is.

use crate::fill::Progress;
use crate::load::PlacedVm;
use crate::report::{Refused, refuse_for};
use crate::run::Held;
use alloc::vec;
use alloc::vec::Vec;
use evisor_aarch64::aside::Aside;
use evisor_aarch64::vcpu::VcpuBlock;
use evisor_aarch64::{Ram, heap, maintenance, timer};
use evisor_contract::{ObjectPort, Restore, RestoreError, Save, VmEvent, Words, tag};
use evisor_heap::room;
use evisor_kernel::{Attention, Place};
use evisor_manifest::CheckpointPlan;
use log::{error, info};
use spin::Mutex;

/// What was set aside for a VM.
pub(crate) struct Reserve {
    plan: CheckpointPlan,
    /// By vCPU.
    asides: Vec<Mutex<Aside>>,
    kept: Mutex<Kept>,
}

struct Kept {
    /// As large as each region of the VM's memory that can be written.
    memory: Vec<Ram>,
    /// The objects' state, each from a doubleword on.
    state: Ram,
    /// How many bytes that is of each object, as far as it is kept.
    lengths: Vec<usize>,
    /// All of it is there.
    whole: bool,
    way: Option<Way>,
}

/// What is under way, and how far it is.
#[derive(Clone, Copy)]
enum Way {
    Keep(Stage),
    Back(Stage),
}

#[derive(Clone, Copy)]
enum Stage {
    Vcpus,
    /// The next object, which is reset.
    Reset(usize),
    /// The next object, and where its state is.
    Objects(usize, u64),
    /// The next of the VM's regions that can be written, and the next byte of it.
    Memory(usize, u64),
}

/// An object's state is built up on EL2's heap for a moment. With less than this left
/// nothing is kept: many times what the largest takes.
const HEAP: u64 = room::CHECKPOINT as u64;

const _: () = assert!(size_of::<Mutex<Aside>>() <= room::ASIDE);

impl Reserve {
    /// Of a VM with so many vCPUs and objects. `take` gives memory of a size.
    pub fn new(
        plan: CheckpointPlan,
        regions: impl Iterator<Item = u64>,
        (vcpus, objects): (usize, usize),
        mut take: impl FnMut(u64) -> Result<Ram, Refused>,
    ) -> Result<Self, Refused> {
        let memory = regions.map(&mut take).collect::<Result<_, _>>()?;
        let state = take(evisor_manifest::STATE)?;
        let lengths = Vec::with_capacity(objects);
        let kept = Kept { memory, state, lengths, whole: false, way: None };
        let asides = (0..vcpus).map(|_| Mutex::new(Aside::EMPTY)).collect();
        Ok(Self { plan, asides, kept: Mutex::new(kept) })
    }
}

impl Held {
    /// Begins to keep it as it is. It stands still.
    pub fn keep(&self) {
        let Some(reserve) = &self.reserve else { return self.bound.vm.stands() };
        if heap::free() < HEAP {
            error!("{}: no checkpoint: EL2's heap is short", self.plan.name);
            return self.bound.vm.stands();
        }
        let mut kept = reserve.kept.lock();
        kept.whole = false;
        kept.lengths.clear();
        kept.way = Some(Way::Keep(Stage::Vcpus));
        self.bound.vm.keep_vcpus();
    }

    /// Begins to make it what was kept. It stands still, or is off.
    pub fn roll_back(&self) {
        let (vm, off) = (self.bound.vm, self.ended.lock().is_some());
        let kept = self.reserve.as_ref().map(|reserve| reserve.kept.lock());
        let Some(mut kept) = kept.filter(|kept| kept.whole && heap::free() >= HEAP) else {
            error!("{}: cannot be rolled back: there is no checkpoint", self.plan.name);
            if off {
                vm.becomes(Place::Off);
            }
            return vm.stands();
        };
        if off {
            if let Err(Refused) = self.placed.lock().comes_back() {
                vm.becomes(Place::Off);
                return vm.stands();
            }
            *self.ended.lock() = None;
            self.bound.stop_time();
        }
        kept.way = Some(Way::Back(Stage::Reset(0)));
    }

    /// Does a slice of what is under way, of at most `bytes` of memory, and says whether
    /// more is left; `None` if nothing is under way.
    pub fn go_on_with_checkpoint(&self, bytes: u64) -> Option<Progress> {
        let reserve = self.reserve.as_ref()?;
        let mut kept = reserve.kept.lock();
        let way = kept.way?;
        let next = match way {
            Way::Keep(stage) => self.keep_more(&mut kept, stage, bytes).map(|to| to.map(Way::Keep)),
            Way::Back(stage) => {
                self.bring_more_back(&mut kept, stage, bytes).map(|to| to.map(Way::Back))
            }
        };
        let done = matches!(next, Ok(None));
        kept.way = next.ok().flatten();
        if kept.way.is_some() {
            return Some(Progress::More);
        }
        kept.whole |= done;
        drop(kept);
        self.stands_again(way, done);
        Some(Progress::Done)
    }

    fn stands_again(&self, way: Way, done: bool) {
        let (name, vm) = (&self.plan.name, self.bound.vm);
        match (way, done) {
            (Way::Keep(_), true) => {
                let at = timer::nanoseconds(vm.kept_count());
                info!("{name}: its checkpoint is of {at} ns of its time");
            }
            (Way::Keep(_), false) => error!("{name}: no checkpoint: its state is too large"),
            (Way::Back(_), true) => info!("{name}: is what it was at its checkpoint"),
            (Way::Back(_), false) => {
                error!("{name}: cannot be rolled back: its state is not sound");
                // Nothing of it can be trusted.
                let _ = vm.order(VmEvent::Off);
            }
        }
        vm.stands();
    }

    fn keep_more(
        &self,
        kept: &mut Kept,
        stage: Stage,
        bytes: u64,
    ) -> Result<Option<Stage>, Refused> {
        Ok(match stage {
            Stage::Vcpus if self.bound.vm.all_served() => Some(Stage::Objects(0, 0)),
            Stage::Vcpus => Some(stage),
            Stage::Objects(n, at) => match self.bound.objects.get(n) {
                Some(object) => Some(Stage::Objects(n + 1, kept.keep_object(*object, at)?)),
                None => Some(Stage::Memory(0, 0)),
            },
            Stage::Memory(region, at) => {
                kept.copy(&mut self.placed.lock(), (region, at), bytes, false)?
            }
            // Nothing is brought back.
            Stage::Reset(..) => Some(stage),
        })
    }

    fn bring_more_back(
        &self,
        kept: &mut Kept,
        stage: Stage,
        bytes: u64,
    ) -> Result<Option<Stage>, Refused> {
        Ok(match stage {
            // Before the memory: a store may still answer to the life that is over, and that
            // must not write to memory of the other.
            Stage::Reset(n) => match self.bound.objects.get(n) {
                Some(object) => {
                    // One that has no state is left as it is: so is what its reset would do
                    // in its VM's name.
                    if kept.length(n) > 0 {
                        object.with(&mut |object| object.reset());
                    }
                    Some(Stage::Reset(n + 1))
                }
                None => Some(Stage::Memory(0, 0)),
            },
            Stage::Memory(region, at) => {
                let next = kept.copy(&mut self.placed.lock(), (region, at), bytes, true)?;
                Some(next.unwrap_or(Stage::Objects(0, 0)))
            }
            Stage::Objects(n, at) => match self.bound.objects.get(n) {
                Some(object) => {
                    Some(Stage::Objects(n + 1, kept.bring_object_back(*object, n, at)?))
                }
                None => {
                    // Code was written, as data (DDI 0487, B2.7.4.2).
                    maintenance::invalidate_instructions();
                    let goes_on = self.reserve.as_ref().is_some_and(|r| r.plan.time_goes_on);
                    self.bound.roll_time_back(goes_on);
                    self.bound.vm.bring_vcpus_back();
                    Some(Stage::Vcpus)
                }
            },
            Stage::Vcpus if self.bound.vm.all_served() => None,
            Stage::Vcpus => Some(stage),
        })
    }

    /// Puts the state of its vCPU `index`, which is on this core, aside.
    #[cold]
    pub fn save_vcpu(&self, index: usize, block: &mut VcpuBlock) {
        let aside = self.reserve.as_ref().and_then(|reserve| reserve.asides.get(index));
        if let Some(aside) = aside {
            if let Some(controller) = self.bound.controller {
                let _: Words =
                    controller.notify(tag::REFRESH, tag::LEAVES, &mut block.vcpu().context);
            }
            block.put_aside(&mut aside.lock(), Attention::REFRESH);
        }
        self.bound.vm.served(index);
    }

    /// Gives its vCPU `index`, which is to be on this core, the state that was put aside.
    #[cold]
    pub fn restore_vcpu(&self, index: usize, block: &mut VcpuBlock) {
        let aside = self.reserve.as_ref().and_then(|reserve| reserve.asides.get(index));
        if let Some(aside) = aside {
            self.stage2.load();
            self.private_interrupts();
            block.take_back(&aside.lock(), Attention::REFRESH);
        }
        self.bound.vm.served(index);
    }
}

impl Kept {
    /// Gives where the next one's state is.
    fn keep_object(&mut self, object: &dyn ObjectPort, at: u64) -> Result<u64, Refused> {
        let mut save = Save::default();
        object.with(&mut |object| object.save(&mut save));
        let bytes = save.into_bytes();
        self.state.write(at, &bytes).map_err(|error| refuse_for(&error))?;
        self.lengths.push(bytes.len());
        Ok(at + bytes.len().next_multiple_of(8) as u64)
    }

    /// How many bytes that is of object `n`.
    fn length(&self, n: usize) -> usize {
        self.lengths.get(n).copied().unwrap_or(0)
    }

    /// Gives object `n`, which was reset, its state. Gives where the next one's is.
    fn bring_object_back(
        &self,
        object: &dyn ObjectPort,
        n: usize,
        at: u64,
    ) -> Result<u64, Refused> {
        let length = self.length(n);
        if length == 0 {
            return Ok(at);
        }
        let mut bytes = vec![0; length];
        self.state.read(at, &mut bytes).map_err(|error| refuse_for(&error))?;
        let mut restored: Result<(), RestoreError> = Ok(());
        object.with(&mut |object| restored = object.restore(&mut Restore::new(&bytes)));
        restored.map_err(|error| refuse_for(&error))?;
        Ok(at + length.next_multiple_of(8) as u64)
    }

    /// Copies at most `bytes` between the VM's memory and what is kept of it. Gives what is
    /// next.
    fn copy(
        &mut self,
        placed: &mut PlacedVm,
        (region, at): (usize, u64),
        bytes: u64,
        back: bool,
    ) -> Result<Option<Stage>, Refused> {
        let regions = placed.plan.memory.iter().zip(&mut placed.memory);
        let mut own = regions.filter(|(region, _)| region.writable).map(|(_, ram)| ram);
        let Some((own, kept)) = own.nth(region).zip(self.memory.get_mut(region)) else {
            return Ok(None);
        };
        let now = (own.size() - at).min(bytes);
        let copied = match back {
            false => kept.copy(at, (own, at), now),
            true => own.copy(at, (kept, at), now),
        };
        Ok(Some(match copied.map_err(|error| refuse_for(&error))? {
            false => Stage::Memory(region, at),
            true if at + now < own.size() => Stage::Memory(region, at + now),
            true => Stage::Memory(region + 1, 0),
        }))
    }
}
