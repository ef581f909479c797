//! Binding: from a checked deployment to objects and spaces.

use crate::backed::Behind;
use crate::channels::{BELLS, Bell, ChannelMemory, ChannelWindow, End, HeldEnd};
use crate::grants::{Binder, Common, Owner, SharedLine, Takeable, leak};
use crate::handles::{self, DeviceBehind};
use crate::host::Host;
use crate::memory::{MemorySlot, Storage};
use crate::overseer;
use crate::passed::{self, Passed};
use crate::tenure;
use crate::timers::Timers;
use crate::vm::{Vm, VmObject};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use evisor_contract::abi::function;
use evisor_contract::{
    BlockDone, BuildError, CallPort, Capability, ChannelEnd, Clock, Context, Effect, LineState,
    NotifyPort, ObjectPort, Offer, Parts, Rights, SchedulerPort, Words, tag,
};
use evisor_manifest::{Deployment, ManifestError, ObjectPlan, SchedulerPlan, Target, VmPlan};
use evisor_router::{HandlePort, Handles, HeldLine, Space, SpaceBuilder, deliver, unfilled};
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
    /// Those of its objects that store blocks.
    pub(crate) storing: Vec<&'static dyn NotifyPort>,
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
        for object in &self.storing {
            // Nobody has what it had asked for then.
            let _: Words = object.notify(tag::BLOCK_DONE, BlockDone::Failed.encode(), cx);
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

/// Builds every object of `deployment`, and the spaces.
///
/// # Errors
/// A component refused its node, or two grants overlap.
pub fn bind(deployment: &Deployment, host: &'static dyn Host) -> Result<Bound, Box<ManifestError>> {
    let timers = Parts::new(Timers::new(host)).notify().done();
    let timers_port = timers.notify.ok_or_else(|| defect("/", "the timers cannot be notified"))?;
    let mut common = Common {
        host,
        timers: timers.object,
        timers_port,
        root: Vec::new(),
        ports: Vec::new(),
        storage: Vec::new(),
        channels: Vec::new(),
        scheduled: deployment.schedulers.iter().map(|plan| plan.core).collect(),
        disk_taken: false,
        pins: Vec::new(),
        overseers: Vec::new(),
        handles: deployment.vms.iter().any(|vm| vm.capabilities.is_some()).then(unfilled),
        shared: shared_cores(deployment),
        takeable: takeable(deployment),
        leases: Vec::new(),
        tenures: Vec::new(),
    };
    let mut root = SpaceBuilder::default();
    let mut interrupts = Vec::new();
    for (index, plan) in deployment.root_objects.iter().enumerate() {
        if let Some(size) = plan.storage.filter(|_| plan.declaration.needs.shared) {
            let (path, ends) = (plan.path.clone(), [None, None]);
            common.channels.push(ChannelMemory { path, size, slot: None, channel: index, ends });
        }
        let (parts, mut own) = root_object(&mut common, plan, &mut root)?;
        interrupts.append(&mut own);
        common.root.push(parts);
        common.ports.push(0);
    }
    let vms: Vec<BoundVm> = (0..)
        .zip(&deployment.vms)
        .map(|(id, plan)| bind_vm(&mut common, id, plan))
        .collect::<Result<_, _>>()?;
    for bound in &vms {
        bound.passed.route(&mut root)?;
    }
    for (intid, port) in tenure::join(&common.leases, &common.tenures) {
        passed::route(&mut root, intid, port, 0, "/")?;
    }
    for channel in &common.channels {
        if let [Some(one), Some(other)] = channel.ends {
            one.join(other);
        }
    }
    let schedulers = deployment.schedulers.iter();
    let schedulers = schedulers
        .map(|plan| scheduler(&mut common, deployment, plan))
        .collect::<Result<_, _>>()?;
    let root = root.finish();
    let space = |vm: u16| Some(vms.get(usize::from(vm))?.space);
    tenure::connect(&common.leases, root, space);
    handles::tell(&mut common, deployment, &vms)?;
    overseer::tell(common.overseers, deployment, &vms, root);
    let Common { storage, handles, channels, .. } = common;
    Ok(Bound { root, interrupts, vms, storage, channels, schedulers, handles, timers: timers_port })
}

/// The nodes for devices of the board that handles lead to.
fn takeable(deployment: &Deployment) -> Vec<Takeable> {
    let plans = deployment.vms.iter().filter_map(|vm| vm.capabilities.as_ref());
    let mut all = Vec::new();
    for given in plans.flat_map(|plan| &plan.given) {
        let Target::Object { vm, object } = given.target else { continue };
        let plan = deployment.vms.get(vm).and_then(|vm| vm.objects.get(object));
        let Some((plan, host)) = plan.and_then(|plan| Some((plan, plan.host.as_ref()?))) else {
            continue;
        };
        let (path, device) = (plan.path.clone(), host.path.clone());
        all.push(Takeable { path, device, withheld: given.withheld });
    }
    all
}

/// The cores that several vCPUs share.
fn shared_cores(deployment: &Deployment) -> Vec<usize> {
    let cores = || deployment.vms.iter().flat_map(|vm| &vm.cpus).map(|cpu| cpu.core);
    cores().filter(|core| cores().filter(|other| other == core).nth(1).is_some()).collect()
}

fn scheduler(
    common: &mut Common,
    deployment: &Deployment,
    plan: &SchedulerPlan,
) -> Result<BoundScheduler, Box<ManifestError>> {
    let cpus = deployment.vms.iter().flat_map(|vm| &vm.cpus);
    let mut binder = Binder::new(common, None, &plan.object);
    binder.members = cpus.filter(|cpu| cpu.core == plan.core).map(|cpu| cpu.share).collect();
    let parts = build(&mut binder)?;
    let port = parts.scheduler.ok_or_else(|| defect(&plan.object.path, "schedules nothing"))?;
    let timer = common.timer(None);
    Ok(BoundScheduler { core: plan.core, port, timer })
}

fn defect(path: &str, what: &str) -> Box<ManifestError> {
    Box::new(ManifestError {
        node: path.to_string(),
        property: None,
        message: what.to_string(),
        remedy: "this is a defect of the component, report it".to_string(),
    })
}

fn root_object(
    common: &mut Common,
    plan: &ObjectPlan,
    root: &mut SpaceBuilder,
) -> Result<(Parts, Vec<u32>), Box<ManifestError>> {
    let mut binder = Binder::new(common, None, plan);
    let parts = build(&mut binder)?;
    let intids = core::mem::take(&mut binder.interrupts);
    connect(&mut binder, &parts)?;
    for &intid in &intids {
        let port = parts.notify.ok_or_else(|| defect(&plan.path, "cannot be interrupted"))?;
        let capability = Capability::new(port, Rights::INTERRUPT, 0);
        root.interrupts
            .grant(intid as usize, capability, tag::HOST_INTERRUPT, 0)
            .map_err(|_| defect(&plan.path, &format!("interrupt {intid} has two owners")))?;
    }
    Ok((parts, intids))
}

fn build(binder: &mut Binder<'_>) -> Result<Parts, Box<ManifestError>> {
    let plan = binder.plan;
    plan.with_node(|node| (plan.declaration.build)(node, binder))
        .map_err(|error| ManifestError::from_component(&plan.path, error))
}

/// What was granted while it was built can now lead back to it. Gives the way
/// back if it waits for deadlines.
fn connect(
    binder: &mut Binder<'_>,
    parts: &Parts,
) -> Result<Option<&'static Capability<dyn NotifyPort>>, Box<ManifestError>> {
    let path = &binder.plan.path;
    if binder.deadlines.is_empty() && binder.ports.is_empty() {
        return Ok(None);
    }
    let port = parts.notify.ok_or_else(|| defect(path, "asks to be notified and cannot be"))?;
    let back = leak(Capability::new(port, Rights::CALL, 0));
    for &slot in &binder.deadlines {
        binder.common.timers.with(&mut |object| {
            if let Some(timers) = object.downcast_mut::<Timers>() {
                timers.connect(slot, back);
            }
        });
    }
    for &(object, port, tag) in &binder.ports {
        let backend = binder.common.root.get(object).and_then(|parts| parts.backend);
        let backend = backend.ok_or_else(|| defect(path, "what it holds does not answer"))?;
        backend.held_by(port, binder.owner.as_ref().map(|owner| owner.plan.name.as_str()));
        backend.connect(port, Effect { to: back, right: Rights::CALL, tag, value: 0 });
    }
    Ok((!binder.deadlines.is_empty()).then_some(back))
}

fn bind_vm(common: &mut Common, id: u16, plan: &VmPlan) -> Result<BoundVm, Box<ManifestError>> {
    let cpus = plan.cpus.iter().map(|cpu| (cpu.affinity, cpu.core));
    let offset = common.host.now();
    let vm = Vm::new(id, plan.name.clone(), cpus, offset, common.host);
    let vm: &'static Vm = Box::leak(Box::new(vm));
    let control = Parts::new(VmObject(vm)).notify().done();
    let control = control.notify.ok_or_else(|| defect(&plan.path, "cannot be notified"))?;
    let mut under = Under {
        space: SpaceBuilder::default(),
        built: Vec::new(),
        direct: Vec::new(),
        backed: Vec::new(),
        shared: Vec::new(),
        ends: Vec::new(),
        private: Vec::new(),
        controller: None,
        waiting: Vec::new(),
        memory: None,
        gates: Vec::new(),
        passed: Passed::default(),
        offered: Vec::new(),
        storing: Vec::new(),
    };
    for object in &plan.objects {
        under.object(common, vm, control, plan, object)?;
    }
    under.kernels_own(common, plan)?;
    let handles = under.handles(common, id, plan)?;
    let stolen = common.stolen_from(plan).map(|ipa| Stolen { ipa, words: &[] });
    let objects = under.objects();
    Ok(BoundVm {
        vm,
        objects,
        space: under.space.finish(),
        direct: under.direct,
        backed: under.backed,
        shared: under.shared,
        ends: under.ends,
        memory: under.memory,
        passed: under.passed,
        controller: under.controller,
        private: under.private,
        waiting: under.waiting,
        handles,
        offered: under.offered,
        storing: under.storing,
        rolled_back: AtomicBool::new(false),
        taken: Mutex::default(),
        timers: common.timers,
        stolen,
    })
}

/// A VM being built.
struct Under {
    space: SpaceBuilder,
    built: Vec<Parts>,
    direct: Vec<Direct>,
    backed: Vec<Behind>,
    shared: Vec<ChannelWindow>,
    ends: Vec<HeldEnd>,
    private: Vec<u32>,
    controller: Option<&'static dyn NotifyPort>,
    waiting: Vec<&'static Capability<dyn NotifyPort>>,
    memory: Option<&'static MemorySlot>,
    gates: Vec<SharedLine>,
    passed: Passed,
    offered: Vec<Offered>,
    storing: Vec<&'static dyn NotifyPort>,
}

/// What an object is to handles.
pub(crate) struct Offered {
    pub object: &'static dyn ObjectPort,
    pub offer: Option<Offer>,
    pub lines: Vec<HeldLine>,
}

impl Under {
    fn object(
        &mut self,
        common: &mut Common,
        vm: &'static Vm,
        control: &'static dyn NotifyPort,
        vm_plan: &VmPlan,
        plan: &ObjectPlan,
    ) -> Result<(), Box<ManifestError>> {
        let (built, memory, gates) = (&self.built, &mut self.memory, &mut self.gates);
        let owner = Owner { vm, control, built, plan: vm_plan, memory, gates };
        let mut binder = Binder::new(common, Some(owner), plan);
        let parts = build(&mut binder)?;
        let waiting = connect(&mut binder, &parts)?;
        let hardware = hardware_lines(&binder)?;
        let direct = core::mem::take(&mut binder.direct);
        let passed = passed::of(&mut binder, parts.object)
            .map_err(|error| ManifestError::from_component(&plan.path, error))?;
        let mut shown = core::mem::take(&mut binder.passed.direct);
        if plan.declaration.needs.stolen_time {
            shown.push(0);
        }
        let bell = bell(&binder, vm_plan, &parts);
        let end = binder.end;
        for (index, window) in core::mem::take(&mut binder.shared) {
            shown.push(index);
            self.shared.push(window);
        }
        let channel = binder.plan.channel.map(|plan| plan.channel);
        let is_it = |memory: &ChannelMemory| Some(memory.channel) == channel;
        let channel = binder.common.channels.iter().position(is_it);
        self.backed.append(&mut binder.backed);
        if binder.common.handles.is_some() {
            let (offer, lines) = (parts.invoke, core::mem::take(&mut binder.lines));
            self.offered.push(Offered { object: parts.object, offer, lines });
        }
        for (intid, port, tag) in hardware {
            self.private_line(plan, intid, port, tag)?;
        }
        self.passed.append(passed);
        if let Some((end, channel)) = end.zip(channel) {
            self.ends.push(HeldEnd { channel, end });
            self.rung_by(end, bell);
        }
        self.windows(plan, &parts, &direct, &shown)?;
        self.names(plan, &parts)?;
        if plan.declaration.needs.interrupt_controller {
            self.controller = parts.notify;
        }
        self.waiting.extend(waiting);
        self.storing.extend(parts.notify.filter(|_| plan.block.is_some()));
        self.built.push(parts);
        Ok(())
    }

    /// Has the end be rung by an interrupt of the core, where there is one left and `bell`
    /// says of it; else by the effect.
    fn rung_by(&mut self, end: &End, (effect, core): (Effect, Option<usize>)) {
        let Some(core) = core else { return end.rung_by(Bell::Effect(effect)) };
        for sgi in BELLS {
            let capability = Capability::new(effect.to.port(), effect.to.rights(), 0);
            let value = LineState::PULSE_HERE;
            let granted = self.space.interrupts.grant(sgi as usize, capability, effect.tag, value);
            if granted.is_ok() {
                self.private.push(sgi);
                return end.rung_by(Bell::Core { core, sgi });
            }
        }
        end.rung_by(Bell::Effect(effect));
    }

    /// All of them, the gates of its lines too; but devices that can be taken.
    fn objects(&self) -> Vec<&'static dyn ObjectPort> {
        let gates = self.gates.iter().map(|shared| &shared.gate);
        let all = self.built.iter().chain(gates).map(|parts| parts.object);
        all.filter(|object| !self.can_be_taken(*object)).collect()
    }

    /// Whether it stands for a device that is reset only while its VM has it.
    fn can_be_taken(&self, object: &'static dyn ObjectPort) -> bool {
        self.passed.tenures.iter().any(|one| core::ptr::addr_eq(one.object, object))
    }

    fn private_line(
        &mut self,
        plan: &ObjectPlan,
        intid: u32,
        port: &'static dyn NotifyPort,
        tag: u32,
    ) -> Result<(), Box<ManifestError>> {
        let capability = Capability::new(port, plan.rights & Rights::INTERRUPT, 0);
        let value = LineState::Physical(intid as u16).encode();
        self.space
            .interrupts
            .grant(intid as usize, capability, tag, value)
            .map_err(|_| defect(&plan.path, &format!("interrupt {intid} has two owners")))?;
        self.private.push(intid);
        Ok(())
    }

    /// The register windows: the object sees them end to end. Those in `direct` are
    /// the CPU interface's, those in `shown` the guest's, or nobody's.
    fn windows(
        &mut self,
        plan: &ObjectPlan,
        parts: &Parts,
        direct: &[usize],
        shown: &[usize],
    ) -> Result<(), Box<ManifestError>> {
        let mut offset = 0;
        for (index, window) in plan.windows.iter().enumerate() {
            if direct.contains(&index) {
                self.direct.push(Direct { ipa: window.ipa, size: window.size });
            } else if !shown.contains(&index) {
                let port = parts.mmio.ok_or_else(|| defect(&plan.path, "has no registers"))?;
                let capability = Capability::new(port, window.access, offset);
                let last = window.ipa + (window.size - 1);
                self.space
                    .mmio
                    .grant(window.ipa, last, capability)
                    .map_err(|e| overlap(plan, e))?;
            }
            offset += window.size;
        }
        Ok(())
    }

    /// The names that the component itself says it answers to.
    fn names(&mut self, plan: &ObjectPlan, parts: &Parts) -> Result<(), Box<ManifestError>> {
        if let Some(port) = parts.calls {
            for range in &parts.call_ranges {
                let capability = Capability::new(port, plan.rights & Rights::CALL, 0);
                let (first, last) = (u64::from(*range.start()), u64::from(*range.end()));
                self.space.calls.grant(first, last, capability).map_err(|e| overlap(plan, e))?;
            }
        }
        if let Some(port) = parts.registers {
            for range in &parts.register_ranges {
                let capability =
                    Capability::new(port, plan.rights & (Rights::READ | Rights::WRITE), 0);
                let (first, last) = (range.start().key(), range.end().key());
                self.space
                    .registers
                    .grant(u64::from(first), u64::from(last), capability)
                    .map_err(|e| overlap(plan, e))?;
            }
        }
        Ok(())
    }

    /// The functions by which it names what it holds by handles.
    fn handles(
        &mut self,
        common: &Common,
        id: u16,
        plan: &VmPlan,
    ) -> Result<Option<&'static HandlePort>, Box<ManifestError>> {
        let Some((handles, own)) = common.handles.zip(plan.capabilities.as_ref()) else {
            return Ok(None);
        };
        let port: &'static HandlePort = Box::leak(Box::new(HandlePort::new(handles, id)));
        let capability = Capability::new(port as &dyn CallPort, Rights::CALL, 0);
        let (first, last) = (u64::from(function::FIRST), u64::from(function::LAST));
        self.space.calls.grant(first, last, capability).map_err(|error| clash(&own.path, error))?;
        Ok(Some(port))
    }

    /// The private interrupts that are EL2's: its timer, and the maintenance of
    /// list registers.
    fn kernels_own(&mut self, common: &Common, plan: &VmPlan) -> Result<(), Box<ManifestError>> {
        let timer = Capability::new(common.timers_port, Rights::INTERRUPT, 0);
        let maintenance =
            self.controller.zip(common.host.maintenance_interrupt()).map(|(port, intid)| {
                (intid, Capability::new(port, Rights::INTERRUPT, 0), tag::MAINTENANCE)
            });
        let timer = (common.host.timer_interrupt(), timer, tag::HOST_INTERRUPT);
        for (intid, capability, tag) in maintenance.into_iter().chain([timer]) {
            self.space
                .interrupts
                .grant(intid as usize, capability, tag, 0)
                .map_err(|_| defect(&plan.path, &format!("interrupt {intid} is eVisor's own")))?;
            self.private.push(intid);
        }
        Ok(())
    }
}

/// What reaches the object, or its line, if the other end of its channel rings; and of a
/// line the core whose interrupt can do the same: that of the VM's first vCPU, if it has it
/// to itself.
fn bell(binder: &Binder<'_>, vm: &VmPlan, parts: &Parts) -> (Effect, Option<usize>) {
    let leads = |port, rights| leak(Capability::new(port, rights, 0));
    let Some((port, line)) = binder.bell else {
        let nobody = leads(evisor_router::nobody(), Rights::empty());
        let to = parts.notify.filter(|_| binder.end.is_some());
        let to = to.map_or(nobody, |port| leads(port, Rights::CALL));
        return (Effect { to, right: Rights::CALL, tag: tag::RUNG, value: 0 }, None);
    };
    let (right, value) = (Rights::INTERRUPT, LineState::Pulse.encode());
    let own = vm.cpus.first().map(|cpu| cpu.core);
    let own = own.filter(|core| !binder.common.scheduled.contains(core));
    (Effect { to: leads(port, binder.plan.rights & right), right, tag: line, value }, own)
}

type HardwareLine = (u32, &'static dyn NotifyPort, u32);

fn hardware_lines(binder: &Binder<'_>) -> Result<Vec<HardwareLine>, Box<ManifestError>> {
    let path = &binder.plan.path;
    let lead = |&(line, intid): &(usize, u32)| {
        let (port, tag) = binder.controller(line)?;
        Ok((intid, port, tag))
    };
    let lines: Result<Vec<_>, BuildError> = binder.hardware.iter().map(lead).collect();
    lines.map_err(|error| ManifestError::from_component(path, error))
}

fn overlap(plan: &ObjectPlan, overlap: evisor_router::Overlap) -> Box<ManifestError> {
    clash(&plan.path, overlap)
}

fn clash(path: &str, overlap: evisor_router::Overlap) -> Box<ManifestError> {
    Box::new(ManifestError {
        node: path.to_string(),
        property: None,
        message: overlap.to_string(),
        remedy: "remove one of the nodes that answer to the same name".to_string(),
    })
}
