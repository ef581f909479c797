//! What one who looks at VMs from outside sees, and may change.
//!
//! Everything here is fixed when the deployment is built, or an atomic: it is read
//! without a lock, from any core.

use crate::bind::BoundVm;
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_contract::{
    Capability, Context, Inspect, MemoryFacts, Names, Notify, Object, ObjectPort, Power, Reply,
    RouteFacts, VcpuControl, VcpuFacts, VmEvent, VmFacts, VmState,
};
use evisor_manifest::Deployment;
use evisor_router::{Space, Table};
use spin::Once;

/// The VMs of one who oversees some: known once all are built.
#[derive(Default)]
pub(crate) struct Overseer {
    vms: Once<Vec<Overseen>>,
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
}

/// An overseer to be told of its VMs, by their indices in the deployment.
pub(crate) type Waiting = (&'static Overseer, Vec<usize>);

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
    for (overseer, mine) in overseers {
        let mine = mine.iter().filter_map(|&index| {
            let (plan, bound) = deployment.vms.get(index).zip(vms.get(index))?;
            let memory = plan.memory.iter();
            let memory = memory.map(|region| MemoryFacts {
                ipa: region.ipa,
                size: region.size,
                writable: region.writable,
            });
            let objects = bound.objects.iter().copied();
            let objects = objects.zip(plan.objects.iter().map(|object| path(&object.path)));
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
            })
        });
        let mine = mine.collect();
        overseer.vms.call_once(|| mine);
    }
}

impl Overseer {
    fn of(&self, vm: usize) -> Option<&Overseen> {
        self.vms.get()?.get(vm)
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
        })
    }

    fn vcpu(&self, vm: usize, index: usize) -> Option<VcpuFacts> {
        let vm = self.of(vm)?.vm;
        let (pc, refused) = vm.seen(index);
        let off = vm.state() == VmState::Off;
        Some(VcpuFacts {
            affinity: vm.affinity(index)?,
            power: if off { Power::Off } else { vm.power(index) },
            core: vm.core_of(index),
            pc,
            refused,
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
                let own = seen.space.interrupts.capability(intid);
                let capability = own.or_else(|| seen.root.interrupts.capability(intid))?;
                Some(seen.facts((intid as u64, intid as u64), capability))
            }
        }
    }

    fn look(&self, vm: usize) {
        if let Some(seen) = self.of(vm) {
            seen.vm.look();
        }
    }
}

impl Overseen {
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
        let seen = self.0.of(tag as usize);
        match seen.zip(VmEvent::decode(value)) {
            // How its work ended is its own to say.
            None | Some((_, VmEvent::Verdict(_))) => Reply::ABSENT,
            Some((seen, event)) => {
                seen.vm.request(event);
                Reply::DONE
            }
        }
    }
}

impl Overseer {
    /// One that is told of its VMs later.
    pub fn new() -> &'static Self {
        Box::leak(Box::default())
    }
}
