//! What one who looks at VMs from outside sees, and may change.
//!
//! Everything here is fixed when the deployment is built, or an atomic: it is read
//! without a lock, from any core.

use crate::bound::BoundVm;
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_contract::{
    Capability, Context, CoreFacts, ExitCounts, Inspect, LastCrash, MemoryFacts, Names, Notify,
    NotifyPort, Object, ObjectPort, Power, Reply, RouteFacts, Share, VcpuControl, VcpuFacts,
    VmEvent, VmFacts, VmState,
};
use evisor_manifest::Deployment;
use evisor_router::{Space, Table};
use spin::Once;

/// The VMs of one who oversees some: known once all are built.
#[derive(Default)]
pub(crate) struct Overseer {
    seen: Once<Seen>,
}

struct Seen {
    vms: Vec<Overseen>,
    /// By core: its scheduler.
    schedulers: Vec<Option<&'static str>>,
}

/// A VM, as it was built.
struct Overseen {
    vm: &'static Vm,
    space: &'static Space,
    root: &'static Space,
    memory: Vec<MemoryFacts>,
    /// Its objects, and the paths of their nodes.
    objects: Vec<(&'static dyn ObjectPort, &'static str)>,
    /// Its physical interrupts: those that are its core's own, then the shared ones.
    interrupts: Vec<usize>,
    /// By vCPU.
    shares: Vec<Share>,
}

/// An overseer to be told of its VMs.
pub(crate) struct Waiting {
    pub overseer: &'static Overseer,
    /// Their indices in the deployment.
    pub vms: Vec<usize>,
    /// It has power over them.
    pub controls: bool,
}

/// A node's path, for as long as the hypervisor runs.
fn path(of: &str) -> &'static str {
    Box::leak(Box::from(of))
}

/// All VMs are built: tells each in `overseers` of its own.
pub(crate) fn tell(
    overseers: Vec<Waiting>,
    deployment: &Deployment,
    vms: &[BoundVm],
    root: &'static Space,
) {
    for Waiting { overseer, vms: mine, controls } in overseers {
        let mine = mine.iter().filter_map(|&index| {
            let (plan, bound) = deployment.vms.get(index).zip(vms.get(index))?;
            if controls {
                bound.vm.keep();
            }
            let memory = plan.memory.iter();
            let memory = memory.map(|region| MemoryFacts {
                ipa: region.ipa,
                size: region.size,
                writable: region.writable,
            });
            let objects = bound.named(plan).map(|(object, of)| (object, path(of)));
            let shared = bound.passed.interrupts.iter().map(|interrupt| interrupt.intid);
            let private = bound.private.iter().copied();
            let mut interrupts: Vec<_> =
                private.chain(shared).map(|intid| intid as usize).collect();
            interrupts.sort_unstable();
            Some(Overseen {
                vm: bound.vm,
                space: bound.space,
                root,
                memory: memory.collect(),
                objects: objects.collect(),
                interrupts,
                shares: plan.cpus.iter().map(|cpu| cpu.share).collect(),
            })
        });
        let mine = mine.collect();
        overseer.seen.call_once(|| Seen { vms: mine, schedulers: schedulers(deployment) });
    }
}

/// By core.
fn schedulers(deployment: &Deployment) -> Vec<Option<&'static str>> {
    let mut all = Vec::new();
    for plan in &deployment.schedulers {
        all.resize(all.len().max(plan.core + 1), None);
        if let Some(slot) = all.get_mut(plan.core) {
            *slot = Some(plan.object.declaration.name);
        }
    }
    all
}

impl Overseer {
    fn of(&self, vm: usize) -> Option<&Overseen> {
        self.seen.get()?.vms.get(vm)
    }
}

impl Inspect for Overseer {
    fn vm(&self, vm: usize) -> Option<VmFacts> {
        let vm = self.of(vm)?.vm;
        Some(VmFacts {
            name: &vm.name,
            state: vm.state(),
            vcpus: vm.vcpus(),
            verdict: vm.verdict(),
            checkpoint: vm.checkpoint(),
        })
    }

    fn vcpu(&self, vm: usize, index: usize) -> Option<VcpuFacts> {
        let Overseen { vm, shares, .. } = self.of(vm)?;
        let (pc, refused) = vm.seen(index);
        let (ran, stolen) = vm.times(index);
        let off = matches!(vm.state(), VmState::Off | VmState::Crashed);
        Some(VcpuFacts {
            affinity: vm.affinity(index)?,
            power: if off { Power::Off } else { vm.power(index) },
            core: vm.core_of(index),
            pc,
            refused,
            ran,
            stolen,
            share: shares.get(index).copied().unwrap_or_default(),
        })
    }

    fn memory(&self, vm: usize, index: usize) -> Option<MemoryFacts> {
        self.of(vm)?.memory.get(index).copied()
    }

    fn route(&self, vm: usize, names: Names, index: usize) -> Option<RouteFacts> {
        let seen = self.of(vm)?;
        match names {
            Names::Addresses => seen.table(&seen.space.mmio, index),
            Names::Registers => seen.table(&seen.space.registers, index),
            Names::Calls => seen.table(&seen.space.calls, index),
            Names::Interrupts => {
                let intid = *seen.interrupts.get(index)?;
                Some(seen.facts((intid as u64, intid as u64), seen.interrupt(intid)?))
            }
        }
    }

    fn exits(&self, vm: usize) -> Option<ExitCounts> {
        let seen = self.of(vm)?;
        let interrupts = seen.interrupts.iter();
        let interrupts = interrupts.filter_map(|&intid| seen.interrupt(intid));
        Some(ExitCounts {
            accesses: seen.space.mmio.uses(),
            registers: seen.space.registers.uses(),
            calls: seen.space.calls.uses(),
            interrupts: interrupts.map(Capability::hits).fold(0, u64::wrapping_add),
        })
    }

    fn core(&self, core: usize) -> Option<CoreFacts> {
        let Seen { vms, schedulers } = self.seen.get()?;
        let vcpus = vms.iter().flat_map(|seen| (0..seen.vm.vcpus()).map(|n| seen.vm.core_of(n)));
        vcpus.max().filter(|last| core <= *last)?;
        Some(CoreFacts { scheduler: schedulers.get(core).copied().flatten() })
    }

    fn last_crash(&self, vm: usize) -> Option<&dyn LastCrash> {
        Some(self.of(vm)?.vm.last_crash()? as &dyn LastCrash)
    }

    fn look(&self, vm: usize) {
        if let Some(seen) = self.of(vm) {
            seen.vm.look();
        }
    }
}

impl Overseen {
    /// What one of its physical interrupts leads to.
    fn interrupt(&self, intid: usize) -> Option<&Capability<dyn NotifyPort>> {
        let own = self.space.interrupts.capability(intid);
        own.or_else(|| self.root.interrupts.capability(intid))
    }

    fn table<P: ?Sized>(&self, table: &Table<P>, index: usize) -> Option<RouteFacts> {
        let route = table.granted().nth(index)?;
        Some(self.facts(route.names(), route.capability()))
    }

    fn facts<P: ?Sized>(
        &self,
        (first, last): (u64, u64),
        capability: &Capability<P>,
    ) -> RouteFacts {
        let port = capability.port();
        let mut objects = self.objects.iter();
        let object = objects.find(|(object, _)| core::ptr::addr_eq(*object, port));
        RouteFacts {
            first,
            last,
            rights: capability.rights(),
            uses: capability.hits(),
            object: object.map(|(_, path)| *path),
        }
    }
}

/// The power over them, as an object: the tag is the VM's number.
pub(crate) struct OverseerObject(pub &'static Overseer);

impl Object for OverseerObject {
    fn reset(&mut self) {}
}

impl Notify for OverseerObject {
    fn notify(&mut self, tag: u32, value: u64, _cx: &mut Context) -> Reply {
        // How its work ended is its own to say.
        let asked = self.0.of(tag as usize).zip(VmEvent::decode(value));
        let known = asked.is_some_and(|(seen, event)| seen.vm.order(event));
        if known { Reply::DONE } else { Reply::ABSENT }
    }
}

impl Overseer {
    /// One that is told of its VMs later.
    pub fn new() -> &'static Self {
        Box::leak(Box::default())
    }
}
