//! Binding: from a checked deployment to objects and spaces.

use crate::bind_vm::bind_vm;
use crate::bound::{Bound, BoundScheduler, BoundVm};
use crate::channels::ChannelMemory;
use crate::grants::{Binder, Common, Takeable, leak};
use crate::handles;
use crate::host::Host;
use crate::overseer;
use crate::passed;
use crate::stores::HeldStore;
use crate::tenure;
use crate::timers::Timers;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use evisor_contract::{Capability, Effect, NotifyPort, Parts, Rights, tag};
use evisor_manifest::{Deployment, ManifestError, ObjectPlan, SchedulerPlan, Target};
use evisor_router::{SpaceBuilder, unfilled};

/// Builds every object of `deployment`, and the spaces.
///
/// # Errors
/// A component refused its node, or two grants overlap.
pub fn bind(deployment: &Deployment, host: &'static dyn Host) -> Result<Bound, Box<ManifestError>> {
    let timers = Parts::new(Timers::new(host)).notify().done();
    let timers_port = timers.notify.ok_or_else(|| defect("/", "the timers cannot be notified"))?;
    let handles = deployment.vms.iter().any(|vm| vm.capabilities.is_some()).then(unfilled);
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
        handles,
        stores: handles.map_or_else(Vec::new, |_| HeldStore::all(deployment)),
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
    let mut vms: Vec<BoundVm> = (0..)
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
    for (vm, object) in common.stores.iter().flat_map(|store| &store.objects) {
        // Behind those that have a node.
        vms.get_mut(*vm).into_iter().for_each(|vm| vm.objects.push(*object));
    }
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

pub(crate) fn defect(path: &str, what: &str) -> Box<ManifestError> {
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

pub(crate) fn build(binder: &mut Binder<'_>) -> Result<Parts, Box<ManifestError>> {
    let plan = binder.plan;
    plan.with_node(|node| (plan.declaration.build)(node, binder))
        .map_err(|error| ManifestError::from_component(&plan.path, error))
}

/// What was granted while it was built can now lead back to it. Gives the way
/// back if it waits for deadlines.
pub(crate) fn connect(
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
