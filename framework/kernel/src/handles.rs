//! What handles lead to, put together once all VMs are built; and a VM as what one leads
//! to.

use crate::bound::{BoundVm, Offered};
use crate::grants::{Common, leak};
use crate::stores::{self, Way};
use crate::tenure::Tenure;
use crate::timers::Timers;
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use evisor_contract::abi::{Error, Kind, device, vm};
use evisor_contract::{
    BuildError, Capability, Clock, Context, Deadline, Effect, InvokePort, NotifyPort, ObjectPort,
    Offer, Power, Problem, Reply, Rights, Through, VcpuControl, VmCheckpoint, VmEvent, VmState,
    Words,
};
use evisor_manifest::{Deployment, GivenPlan, ManifestError, ObjectPlan, Target, VmPlan};
use evisor_router::{Allowance, Behind, Given, Handles, Holding, Sweeping, nobody};
use spin::Mutex;

/// All VMs are built: their handles lead to what the manifest says.
///
/// # Errors
/// Something that a handle should lead to is nothing for handles, or they are too many.
pub(crate) fn tell(
    common: &mut Common,
    deployment: &Deployment,
    vms: &[BoundVm],
) -> Result<(), Box<ManifestError>> {
    let Some(handles) = common.handles else { return Ok(()) };
    let mut behind = Vec::new();
    let mut allowances = Vec::new();
    let mut held = core::mem::take(&mut common.stores);
    for plan in &deployment.vms {
        let mut found = |one: &GivenPlan| match stores::given(common, &mut held, vms, one) {
            Some(way) => of_store(one, way),
            None => found(common, deployment, plan, vms, one).ok_or_else(|| deaf(one)),
        };
        allowances.push(allowance(plan, &mut found, &mut behind)?);
    }
    common.stores = held;
    let ports = vms.iter().filter_map(|bound| bound.handles).collect();
    let sweeping = sweeping(common, handles);
    if handles.fill(behind, ports, &allowances, sweeping) {
        return Ok(());
    }
    Err(wrong("/", None, "the VMs may have too many derivations together", "allow them fewer"))
}

fn wrong(node: &str, property: Option<&str>, message: &str, remedy: &str) -> Box<ManifestError> {
    let property = property.map(ToString::to_string);
    let (node, message, remedy) = (node.to_string(), message.to_string(), remedy.to_string());
    Box::new(ManifestError { node, property, message, remedy })
}

fn sweeping(common: &Common, handles: &'static Handles) -> Sweeping {
    let tag = common.timer(None);
    let back = leak(Capability::new(handles as &dyn NotifyPort, Rights::CALL, 0));
    common.timers.with(&mut |object| {
        if let Some(timers) = object.downcast_mut::<Timers>() {
            timers.connect(tag, back);
        }
    });
    let to = leak(Capability::new(common.timers_port, Rights::CALL, 0));
    let clock: &'static dyn Clock = common.host_clock();
    Sweeping { deadline: Deadline::new(to, tag), clock }
}

fn allowance(
    plan: &VmPlan,
    found: &mut dyn FnMut(&GivenPlan) -> Result<Found, Box<ManifestError>>,
    behind: &mut Vec<Behind>,
) -> Result<Allowance, Box<ManifestError>> {
    let Some(capabilities) = &plan.capabilities else { return Ok(Allowance::default()) };
    let mut given = Vec::new();
    for one in &capabilities.given {
        let Found { behind: one, first, count, rights, label } = found(one)?;
        let object = behind.len() as u16;
        behind.push(one);
        given.push(Given { object, through: Through { rights, first, count }, label });
    }
    Ok(Allowance { derivations: capabilities.derivations, given })
}

fn deaf(given: &GivenPlan) -> Box<ManifestError> {
    let message = "leads to what offers nothing to handles";
    wrong(&given.path, Some("evisor,object"), message, "see the README of its component")
}

fn of_store(given: &GivenPlan, way: Result<Way, BuildError>) -> Result<Found, Box<ManifestError>> {
    let Way { offer, first, count, object } = way.map_err(|error| {
        let Problem { problem, remedy, .. } = error.into_problem();
        wrong(&given.path, Some("evisor,object"), &problem, &remedy)
    })?;
    let behind = Behind::new(offer, None).standing_for(object);
    Ok(Found { behind, first, count, rights: given.rights, label: given.label })
}

/// What is at the end of a handle, and the window onto it.
struct Found {
    behind: Behind,
    first: u64,
    count: u64,
    rights: Rights,
    label: u64,
}

fn found(
    common: &mut Common,
    deployment: &Deployment,
    plan: &VmPlan,
    vms: &[BoundVm],
    given: &GivenPlan,
) -> Option<Found> {
    let (rights, label) = (given.rights, given.label);
    let whole = |offer: Offer, peer| {
        let (behind, count) = (Behind::new(offer, peer), offer.units);
        Some(Found { behind, first: 0, count, rights, label })
    };
    match given.target {
        Target::Vm(index) => {
            let vm = vms.get(index)?.vm;
            if given.rights.contains(Rights::CONTROL) && vm.name != plan.name {
                vm.keep_for_vms();
            }
            let port = Box::leak(Box::new(VmBehind(vm)));
            whole(Offer { kind: Kind::Vm, units: 1, port }, Some(vm.id))
        }
        Target::Root(index) => {
            let offer = common.root.get(index)?.invoke?;
            // A port of its own, if it hands out ports: nothing comes back through it.
            let Some(port) = answering(common, index, &plan.name) else {
                return whole(offer, None);
            };
            let (behind, first) = (Behind::new(offer, None), port.into());
            Some(Found { behind, first, count: 1, rights, label })
        }
        Target::Object { vm, object } => {
            let (plan, vm) = deployment.vms.get(vm).zip(vms.get(vm))?;
            let offered = vm.offered.get(object)?;
            if let Some(offer) = offered.offer {
                return whole(offer, Some(vm.vm.id));
            }
            if let Some(tenure) = tenure_of(plan.objects.get(object)?, vm) {
                let port = Box::leak(Box::new(RemovableBehind(tenure)));
                let offer = Offer { kind: Kind::Device, units: 1, port };
                let behind = Behind::new(offer, None).standing_for(tenure.object);
                return Some(Found { behind, first: 0, count: 1, rights, label });
            }
            let device = DeviceBehind::of(plan.objects.get(object)?, vm, offered)?;
            if given.withheld {
                device.withhold();
            }
            let device: &'static DeviceBehind = Box::leak(Box::new(device));
            vm.taken.lock().push(device);
            let port = Box::leak(Box::new(RemovableBehind(device)));
            let offer = Offer { kind: Kind::Device, units: 1, port };
            let behind = Behind::new(offer, None).standing_for(offered.object);
            Some(Found { behind, first: 0, count: 1, rights, label })
        }
    }
}

fn tenure_of(plan: &ObjectPlan, vm: &BoundVm) -> Option<&'static Tenure> {
    vm.passed.tenures.iter().find(|tenure| tenure.path == plan.path).copied()
}

fn answering(common: &mut Common, index: usize, vm: &str) -> Option<u32> {
    let backend = common.root.get(index)?.backend?;
    let next = common.ports.get_mut(index)?;
    let port = *next;
    *next += 1;
    let to = leak(Capability::new(nobody(), Rights::empty(), 0));
    backend.held_by(port, Some(vm));
    backend.connect(port, Effect { to, right: Rights::CALL, tag: 0, value: 0 });
    Some(port)
}

/// A VM, for those who hold it by a handle. All that it does is atomic, or copied under a
/// lock of the VM's that nothing else is locked under: so it needs none of its own.
struct VmBehind(&'static Vm);

impl InvokePort for VmBehind {
    fn invoke(
        &self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        _cx: &mut Context,
    ) -> Words {
        let right = match operation {
            vm::STATE | vm::CRASH | vm::VCPU => Rights::READ,
            _ => Rights::CONTROL,
        };
        let done = through.takes(right).and_then(|()| match operation {
            vm::STATE => self.state(words),
            vm::CRASH => self.crash(words),
            vm::VCPU => self.vcpu(words),
            vm::STOP => self.ask(VmEvent::Off),
            vm::RESET => self.ask(VmEvent::Reset),
            vm::START => self.ask(VmEvent::Start),
            vm::PAUSE => self.ask(VmEvent::Pause),
            vm::RESUME => self.ask(VmEvent::Resume),
            vm::END => self.ask(VmEvent::End),
            vm::CHECKPOINT => self.ask(VmEvent::Checkpoint),
            vm::ROLL_BACK => self.ask(VmEvent::RollBack),
            _ => Err(Error::NotSupported),
        });
        Reply::value(done.err().map_or(0, Error::code)).into()
    }
}

impl VmBehind {
    fn state(&self, words: &mut [u64; 5]) -> Result<(), Error> {
        let state = match self.0.state() {
            VmState::Off => vm::state::OFF,
            VmState::On => vm::state::ON,
            VmState::Changing => vm::state::CHANGING,
            VmState::Paused => vm::state::PAUSED,
            VmState::Crashed => vm::state::CRASHED,
        };
        let vcpus = self.0.vcpus() as u64 | u64::from(self.0.verdict()) << 32;
        let crashes = self.crash_words(0).map_or(0, |[_, _, crashes]| crashes);
        *words = [state, vcpus, crashes, 0, 0];
        Ok(())
    }

    fn crash_words(&self, index: u64) -> Option<[u64; 3]> {
        self.0.last_crash()?.words(usize::try_from(index).ok()?)
    }

    fn crash(&self, words: &mut [u64; 5]) -> Result<(), Error> {
        let [index, ..] = *words;
        let [one, other, crashes] = self.crash_words(index).ok_or(Error::Outside)?;
        *words = [one, other, crashes, 0, 0];
        Ok(())
    }

    fn vcpu(&self, words: &mut [u64; 5]) -> Result<(), Error> {
        let index = usize::try_from(words[0]).map_err(|_| Error::Outside)?;
        let affinity = self.0.affinity(index).ok_or(Error::Outside)?;
        let power = match self.0.power(index) {
            _ if matches!(self.0.state(), VmState::Off | VmState::Crashed) => 0,
            Power::Off => 0,
            Power::On => 1,
            Power::Pending => 2,
        };
        let (pc, _) = self.0.seen(index);
        let core = (self.0.core_of(index) as u64) << 32;
        *words = [power | core, affinity, pc.unwrap_or(0), 0, 0];
        Ok(())
    }

    fn ask(&self, event: VmEvent) -> Result<(), Error> {
        let keeps = matches!(event, VmEvent::Checkpoint | VmEvent::RollBack);
        if keeps && self.0.checkpoint() == VmCheckpoint::Never {
            return Err(Error::NotSupported);
        }
        let fits = match (self.0.state(), event) {
            // What it comes to is not known: it is as it is then.
            (VmState::Changing, _) | (_, VmEvent::End | VmEvent::RollBack) => true,
            (VmState::Off | VmState::Crashed, event) => event == VmEvent::Start,
            (VmState::Paused, event) => !matches!(event, VmEvent::Start | VmEvent::Pause),
            (VmState::On, event) => !matches!(event, VmEvent::Start | VmEvent::Resume),
        };
        if fits && self.0.order(event) { Ok(()) } else { Err(Error::WrongState) }
    }
}

/// A device that was made for one VM, for those who may take it from that. Those whose memory
/// the guest is shown are not: to unmap something takes more.
pub(crate) struct DeviceBehind {
    holding: Holding,
    object: &'static dyn ObjectPort,
    /// Whether its VM has it. Held while that changes: the object's lock comes after it.
    given: Mutex<bool>,
}

impl DeviceBehind {
    fn of(plan: &ObjectPlan, vm: &BoundVm, offered: &Offered) -> Option<Self> {
        let object = offered.object;
        let needs = &plan.declaration.needs;
        let mapped = needs.host_device || needs.backing || needs.interrupt_controller;
        let port = core::ptr::from_ref(object).cast();
        let holding = Holding::of(vm.space, port, &offered.lines).filter(|_| !mapped)?;
        Some(Self { holding, object, given: Mutex::new(true) })
    }

    /// Its VM does not have it at first.
    fn withhold(&self) {
        *self.given.lock() = false;
        self.holding.take();
    }

    /// Its VM may be what it was before this was taken from it, and stays without it.
    pub(crate) fn stays_taken(&self, cx: &mut Context) {
        if !*self.given.lock() {
            self.object.with(&mut |object| object.reset());
            self.holding.lower(cx);
        }
    }
}

impl Removable for DeviceBehind {
    fn has(&self) -> bool {
        *self.given.lock()
    }

    fn take(&self, cx: &mut Context) -> Result<(), Error> {
        let mut given = self.given.lock();
        if !core::mem::replace(&mut *given, false) {
            return Err(Error::WrongState);
        }
        self.holding.take();
        self.object.with(&mut |object| object.reset());
        self.holding.lower(cx);
        Ok(())
    }

    fn give(&self, _cx: &mut Context) -> Result<(), Error> {
        let mut given = self.given.lock();
        if core::mem::replace(&mut *given, true) {
            return Err(Error::WrongState);
        }
        // An access that began before it was taken may have come after the reset then.
        self.object.with(&mut |object| object.reset());
        self.holding.give();
        Ok(())
    }
}

/// A device that can be taken from its VM, and given to it again.
pub(crate) trait Removable: Sync {
    /// Whether its VM has it.
    fn has(&self) -> bool;
    fn take(&self, cx: &mut Context) -> Result<(), Error>;
    fn give(&self, cx: &mut Context) -> Result<(), Error>;
}

/// Such a device, for those who hold it by a handle.
struct RemovableBehind(&'static dyn Removable);

impl InvokePort for RemovableBehind {
    fn invoke(
        &self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        cx: &mut Context,
    ) -> Words {
        let right = if operation == device::STATE { Rights::READ } else { Rights::CONTROL };
        let done = through.takes(right).and_then(|()| match operation {
            device::STATE => {
                *words = [u64::from(self.0.has()), 0, 0, 0, 0];
                Ok(())
            }
            device::TAKE => self.0.take(cx),
            device::GIVE => self.0.give(cx),
            _ => Err(Error::NotSupported),
        });
        Reply::value(done.err().map_or(0, Error::code)).into()
    }
}
