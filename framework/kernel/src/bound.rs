//! A deployment, built; and what is done with each of its VMs while that changes.

use crate::backed::Behind;
use crate::channels::{ChannelMemory, ChannelWindow, HeldEnd};
use crate::handles::DeviceBehind;
use crate::memory::{MemorySlot, Storage};
use crate::passed::Passed;
use crate::timers::Timers;
use crate::vm::Vm;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use evisor_contract::abi::Kind;
use evisor_contract::{
    Capability, ChannelEnd, Clock, Context, Effect, LineState, NotifyPort, ObjectPort, Offer,
    Rights, SchedulerPort, Words, tag,
};
use evisor_manifest::VmPlan;
use evisor_router::{HandlePort, Handles, HeldLine, Space, deliver};
use spin::Mutex;

/// A deployment, built.
pub struct Bound {
    /// What the board's shared interrupts lead to.
    pub root: &'static Space,
    /// The shared interrupts that are used, to be enabled.
    pub interrupts: Vec<u32>,
    /// The VMs, in the order of the manifest.
    pub vms: Vec<BoundVm>,
    /// Memory that root objects have of their own.
    pub storage: Vec<Storage>,
    /// Memory that two VMs' objects share.
    pub channels: Vec<ChannelMemory>,
    /// The cores that have a scheduler.
    pub schedulers: Vec<BoundScheduler>,
    /// What the VMs hold by handles, if one does.
    pub handles: Option<&'static Handles>,
    /// The deadlines, as the cores with a scheduler set theirs.
    pub timers: &'static dyn NotifyPort,
}

/// A core's scheduler, built.
pub struct BoundScheduler {
    /// The core.
    pub core: usize,
    /// Who says which member runs.
    pub port: &'static dyn SchedulerPort,
    /// What the core's own deadline is set by, in [`Bound::timers`].
    pub timer: u32,
}

/// A VM, built.
pub struct BoundVm {
    /// Its life.
    pub vm: &'static Vm,
    /// What it holds.
    pub space: &'static Space,
    /// Its objects, for reset; but devices that can be taken ([`Passed::reset`]).
    pub objects: Vec<&'static dyn ObjectPort>,
    /// Its windows onto real registers.
    pub direct: Vec<Direct>,
    /// Its windows that memory stands behind.
    pub backed: Vec<Behind>,
    /// Its windows onto what it shares with others.
    pub shared: Vec<ChannelWindow>,
    /// Its ends of channels.
    pub ends: Vec<HeldEnd>,
    /// Where its objects find its memory, if one was granted that.
    pub memory: Option<&'static MemorySlot>,
    /// Its devices of the board.
    pub passed: Passed,
    /// Its interrupt controller, for [`tag::REFRESH`].
    pub controller: Option<&'static dyn NotifyPort>,
    /// The private interrupts that are its own, to be enabled on its cores.
    pub private: Vec<u32>,
    /// Those of its objects that wait for deadlines.
    pub waiting: Vec<&'static Capability<dyn NotifyPort>>,
    /// The way of its calls to what it holds by handles, if it does.
    pub handles: Option<&'static HandlePort>,
    /// What its objects are to handles, if there are any.
    pub(crate) offered: Vec<Offered>,
    /// It was rolled back, and those have not been told.
    pub(crate) rolled_back: AtomicBool,
    /// Those of its devices that can be taken from it.
    pub(crate) taken: Mutex<Vec<&'static DeviceBehind>>,
    /// All deadlines.
    pub timers: &'static dyn ObjectPort,
    /// What its vCPUs are told of the time that others had, if they are.
    pub stolen: Option<Stolen>,
}

impl BoundVm {
    /// Its objects, those that can be taken too, each with its node's path.
    pub fn named<'a>(
        &'a self,
        plan: &'a VmPlan,
    ) -> impl Iterator<Item = (&'static dyn ObjectPort, &'a str)> {
        let tenures = &self.passed.tenures;
        let stays = |path: &&str| !tenures.iter().any(|tenure| tenure.path == *path);
        let paths = plan.objects.iter().map(|object| object.path.as_str()).filter(stays);
        let taken = tenures.iter().map(|tenure| (tenure.object, tenure.path.as_str()));
        self.objects.iter().copied().zip(paths).chain(taken)
    }
}

/// The page that tells what was stolen from a VM's vCPUs.
#[derive(Clone, Copy, Debug)]
pub struct Stolen {
    /// Where the guest sees it.
    pub ipa: u64,
    /// Its doublewords: none until the VM has its memory.
    pub words: &'static [AtomicU64],
}

impl Stolen {
    /// The nanoseconds that vCPU `index` is told.
    pub fn of(&self, index: usize) -> Option<&'static AtomicU64> {
        // DEN 0057A: the second doubleword of 64 bytes.
        self.words.get(index * 8 + 1)
    }
}

/// Its vCPUs are parked in all of this; `cx` is that of one of them, on its core.
impl BoundVm {
    /// Lets go what the VM's objects hold back until a deadline, output above
    /// all, has who shares a channel with it know, and then keeps their deadlines from
    /// passing: before it changes.
    pub fn settle(&self, cx: &mut Context) {
        self.tell(cx);
        for held in &self.ends {
            held.end.ring(cx);
            let _ = deliver(cx);
        }
        self.with_timers(&mut |timers| timers.hold(self.vm.id));
    }

    /// Their deadlines pass again: it is about to start anew.
    pub fn starts(&self, core: usize) {
        self.rolled_back.store(false, Ordering::Relaxed);
        self.with_timers(&mut |timers| timers.release(self.vm.id, 0, core));
    }

    /// Its time stands still from now on. After [`settle`](Self::settle).
    pub fn stop_time(&self) {
        self.vm.stop_time();
    }

    /// Its time goes on, and its objects, some of which go by the board's calendar, look
    /// what they wait for. Gives how long it stood still, in counts.
    pub fn start_time(&self, cx: &mut Context) -> u64 {
        let (stood, core) = (self.vm.start_time(), cx.core());
        self.with_timers(&mut |timers| timers.release(self.vm.id, stood, core));
        if self.rolled_back.swap(false, Ordering::Relaxed) {
            self.after_roll_back(cx);
        }
        self.tell(cx);
        stood
    }

    /// What it had of others when it was kept, it has not now.
    fn after_roll_back(&self, cx: &mut Context) {
        for device in self.taken.lock().iter() {
            device.stays_taken(cx);
            let _ = deliver(cx);
        }
        for held in &self.ends {
            held.end.begins_again(cx);
        }
        self.rings_once(cx);
    }

    /// Pulses each line of its doorbells: what was rung since it was kept it has not heard,
    /// and who rang may wait for it.
    fn rings_once(&self, cx: &mut Context) {
        let rings = |offered: &&Offered| offered.offer.is_some_and(|it| it.kind == Kind::Doorbell);
        for &(to, tag) in self.offered.iter().filter(rings).flat_map(|offered| &offered.lines) {
            let value = LineState::Pulse.encode();
            cx.push(Effect { to, right: Rights::INTERRUPT, tag, value });
            let _ = deliver(cx);
        }
    }

    /// It is what it was at its checkpoint, and stands still: so its time goes on from there
    /// when it does, or from where it is now if its manifest has so.
    pub fn roll_time_back(&self, goes_on: bool) {
        let more = if goes_on { 0 } else { self.vm.roll_time_back() };
        self.with_timers(&mut |timers| timers.moved(self.vm.id, more));
        self.rolled_back.store(true, Ordering::Relaxed);
    }

    fn tell(&self, cx: &mut Context) {
        for object in &self.waiting {
            let _: Words = object.port().notify(tag::DEADLINE, self.vm.now(), cx);
            let _ = deliver(cx);
        }
    }

    fn with_timers(&self, f: &mut dyn FnMut(&mut Timers)) {
        self.timers.with(&mut |object| {
            if let Some(timers) = object.downcast_mut::<Timers>() {
                f(timers);
            }
        });
    }
}

/// A guest-physical window that leads to the virtual CPU interface (GICV).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Direct {
    /// Where the guest sees it.
    pub ipa: u64,
    /// How long it is.
    pub size: u64,
}

/// What an object is to handles.
pub(crate) struct Offered {
    pub object: &'static dyn ObjectPort,
    pub offer: Option<Offer>,
    pub lines: Vec<HeldLine>,
}
