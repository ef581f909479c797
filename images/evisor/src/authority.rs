//! What each VM of a deployment can reach, and through which object: read from the
//! spaces that were built, as the router will.

use evisor_contract::{Capability, Context, Register, RegisterPort, Rights, Status};
use evisor_kernel::{Bound, BoundVm, HeldStore};
use evisor_manifest::{
    Deployment, GivenBlocks, GivenPlan, HostDevicePlan, ObjectPlan, RIGHT_NAMES, Target, VmPlan,
};
use evisor_router::{Route, Table};
use serde_json::{Value, json};

/// A VM each, in the order of the manifest.
pub fn report(deployment: &Deployment, bound: &Bound) -> Value {
    let vms = deployment.vms.iter().zip(&bound.vms);
    vms.map(|(plan, built)| Holder { deployment, bound, plan, built }.report()).collect()
}

struct Holder<'a> {
    deployment: &'a Deployment,
    bound: &'a Bound,
    plan: &'a VmPlan,
    built: &'a BoundVm,
}

impl Holder<'_> {
    fn report(&self) -> Value {
        json!({
            "vm": self.plan.name,
            "cores": self.plan.cpus.iter().map(|cpu| cpu.core).collect::<Vec<_>>(),
            "memory": self.memory(),
            "addresses": self.addresses(),
            "registers": self.registers(),
            "calls": self.table(&self.built.space.calls),
            "interrupts": self.interrupts(),
            "objects": self.plan.objects.iter().map(|object| self.object(object)).collect::<Value>(),
            "handles": self.handles(),
            "stores": self.stores(),
            "overseers": self.overseers(),
        })
    }

    /// What is mapped as memory: its guest executes it too.
    fn memory(&self) -> Value {
        let own = self.plan.memory.iter().map(|region| {
            let rights = if region.writable { "read write execute" } else { "read execute" };
            range(region.ipa, region.size, rights, &region.path)
        });
        own.collect()
    }

    /// What leads to a device, with a trap or without.
    fn addresses(&self) -> Value {
        let table = &self.built.space.mmio;
        let mut all = self.table(table);
        let backed = self.built.backed.iter();
        // Its component shows and hides the memory: what is here is reached in either case.
        let backed: Vec<_> = backed.map(|behind| (behind.ipa, behind.size)).collect();
        for entry in all.as_array_mut().into_iter().flatten() {
            let first = entry.get("first").and_then(Value::as_u64).unwrap_or_default();
            if backed.iter().any(|(ipa, size)| (*ipa..ipa + size).contains(&first)) {
                put(entry, "memory", true);
            }
        }
        let interfaces = self.built.direct.iter().map(|direct| {
            let controller = self.plan.objects.iter().find(|object| covers(object, direct.ipa));
            let path = controller.map_or("", |object| &object.path);
            direct_range(direct.ipa, direct.size, READ_WRITE, path)
        });
        let passed = self.built.passed.windows.iter().map(|window| {
            let mut entry = direct_range(window.ipa, window.size, window.rights, &window.path);
            put(&mut entry, "physical", window.physical);
            entry
        });
        if let Some(entries) = all.as_array_mut() {
            entries.extend(interfaces.chain(passed));
            entries.sort_by_key(|entry| entry.get("first").and_then(Value::as_u64));
        }
        all
    }

    /// Those that answer: between a component's registers, in the ranges that lead to it,
    /// are names that it refuses, and many are for reading or for writing alone.
    fn registers(&self) -> Value {
        let routes = self.built.space.registers.granted();
        routes.flat_map(|route| self.answering(route)).collect()
    }

    /// Runs of the route's registers that are alike.
    fn answering(&self, route: &Route<dyn RegisterPort>) -> Vec<Value> {
        let mut runs: Vec<(Register, Register, Rights)> = Vec::new();
        let mut before = None;
        for register in registers(route.names()) {
            let rights = self.answers(route.capability(), register);
            match runs.last_mut() {
                Some((_, last, alike)) if before == Some(*last) && *alike == rights => {
                    *last = register;
                }
                _ if rights.is_empty() => {}
                _ => runs.push((register, register, rights)),
            }
            before = Some(register);
        }
        let entry = |(first, last, rights): (Register, Register, Rights)| {
            let names = (u64::from(first.key()), u64::from(last.key()));
            let mut entry = self.entry(names, route.capability());
            put(&mut entry, "rights", self::names(rights));
            put(&mut entry, "name", name(first, last));
            entry
        };
        runs.into_iter().map(entry).collect()
    }

    /// What its object does not refuse. What is asked changes it: nothing runs here.
    fn answers(&self, capability: &Capability<dyn RegisterPort>, register: Register) -> Rights {
        let (port, mut cx) = (capability.port(), Context::of_vm(self.built.vm.id, 0));
        let read = port.read_register(register, &mut cx);
        let write = port.write_register(register, 0, &mut cx);
        let asked = [(read, Rights::READ64), (write, Rights::WRITE64)];
        let done = asked.into_iter().filter(|(words, _)| words.status() == Status::Done);
        done.map(|(_, right)| right & capability.rights()).collect()
    }

    fn table<P: ?Sized>(&self, table: &Table<P>) -> Value {
        table.granted().map(|route| self.entry(route.names(), route.capability())).collect()
    }

    fn entry<P: ?Sized>(&self, (first, last): (u64, u64), capability: &Capability<P>) -> Value {
        json!({
            "first": first,
            "last": last,
            "rights": names(capability.rights()),
            "object": self.path(capability),
        })
    }

    /// Physical interrupts that reach it: those of its cores, and those of devices that it was
    /// given.
    fn interrupts(&self) -> Value {
        let private = self.built.private.iter().map(|intid| {
            let capability = self.built.space.interrupts.capability(*intid as usize);
            json!({ "intid": intid, "object": capability.and_then(|to| self.path(to)) })
        });
        let shared = self.built.passed.interrupts.iter().map(|interrupt| {
            let capability = self.bound.root.interrupts.capability(interrupt.intid as usize);
            json!({
                "intid": interrupt.intid,
                "object": capability.and_then(|to| self.path(to)),
                "device": interrupt.path,
            })
        });
        private.chain(shared).collect()
    }

    /// The path of its object behind `capability`; `None` for one of eVisor's own.
    fn path<P: ?Sized>(&self, capability: &Capability<P>) -> Option<&str> {
        let mut objects = self.built.named(self.plan);
        let found = objects.find(|(object, _)| core::ptr::addr_eq(*object, capability.port()));
        found.map(|(_, path)| path)
    }

    /// What it reaches outside of its VM.
    fn object(&self, plan: &ObjectPlan) -> Value {
        let root = |index: usize| self.deployment.root_objects.get(index).map(|o| o.path.as_str());
        let mut object = json!({
            "path": plan.path,
            "component": plan.declaration.name,
            "lines": plan.lines.iter().map(|line| line.intid).collect::<Vec<_>>(),
            "control": plan.rights.contains(Rights::CONTROL),
        });
        if let Some(console) = plan.console.and_then(root) {
            put(&mut object, "console", console);
        }
        if let Some(block) = &plan.block {
            let block = json!({
                "store": root(block.store), "part": block.part, "read-only": block.read_only,
            });
            put(&mut object, "block", block);
        }
        if let Some(HostDevicePlan { path, .. }) = &plan.host {
            put(&mut object, "device", path.as_str());
        }
        // It copies from and to guest memory on its guest's behalf: its own VM's only.
        if plan.declaration.needs.guest_memory {
            put(&mut object, "dma", "the VM's memory");
        }
        object
    }

    /// What its manifest gives it by handles. What others hand to it is of theirs.
    fn handles(&self) -> Value {
        let plan = self.plan.capabilities.iter();
        plan.flat_map(|plan| &plan.given).map(|given| self.handle(given)).collect()
    }

    fn handle(&self, given: &GivenPlan) -> Value {
        let mut handle = json!({
            "path": given.path,
            "object": self.target(given.target),
            "label": given.label,
            "rights": words(given.rights),
        });
        if let Some(GivenBlocks { part, first, count }) = given.blocks {
            put(&mut handle, "blocks", json!({ "part": part, "first": first, "count": count }));
        }
        handle
    }

    fn target(&self, target: Target) -> Option<&str> {
        let Deployment { vms, root_objects, .. } = self.deployment;
        match target {
            Target::Vm(vm) => vms.get(vm).map(|vm| vm.path.as_str()),
            Target::Root(object) => root_objects.get(object).map(|object| object.path.as_str()),
            Target::Object { vm, object } => {
                vms.get(vm)?.objects.get(object).map(|object| object.path.as_str())
            }
        }
    }

    /// Stores that copy from and to its memory when it has them do so, by a handle that it
    /// was given or may be handed.
    fn stores(&self) -> Value {
        let roots = &self.deployment.root_objects;
        let own = usize::from(self.built.vm.id);
        let stores = HeldStore::all(self.deployment).into_iter().filter(|one| one.reaches(own));
        let entry = |one: HeldStore| {
            let path = roots.get(one.store).map(|store| store.path.as_str());
            json!({ "store": path, "part": one.part, "dma": "the VM's memory" })
        };
        stores.map(entry).collect()
    }

    /// Who may look at it, or change it.
    fn overseers(&self) -> Value {
        let mine = self.deployment.vms.iter().position(|vm| vm.path == self.plan.path);
        let roots = self.deployment.root_objects.iter();
        let over = roots.filter(|object| mine.is_some_and(|vm| object.overseen.contains(&vm)));
        let over = over.map(|object| {
            json!({ "path": object.path, "control": object.rights.contains(Rights::CONTROL) })
        });
        over.collect()
    }
}

const READ_WRITE: Rights = Rights::READ.union(Rights::WRITE);

fn covers(object: &ObjectPlan, ipa: u64) -> bool {
    object.windows.iter().any(|window| window.ipa == ipa)
}

fn range(first: u64, size: u64, rights: &str, object: &str) -> Value {
    json!({ "first": first, "last": first + (size - 1), "rights": rights, "object": object })
}

/// Without a trap, so that each right comes with every width; by whole pages.
fn direct_range(ipa: u64, size: u64, rights: Rights, object: &str) -> Value {
    const PAGE: u64 = 4096;
    let (first, end) = (ipa / PAGE * PAGE, (ipa + size).next_multiple_of(PAGE));
    let all = |some: Rights| if rights.intersects(some) { some } else { Rights::empty() };
    let mut entry = range(first, end - first, "", object);
    put(&mut entry, "rights", names(all(Rights::READ) | all(Rights::WRITE)));
    put(&mut entry, "direct", true);
    entry
}

fn put(object: &mut Value, key: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(key.to_string(), value.into());
    }
}

/// All of the names of a route that name a register.
fn registers((first, last): (u64, u64)) -> impl Iterator<Item = Register> {
    let names = (first..=last).map(|name| (name as u32, Register::from_syndrome(name as u32)));
    names.filter(|(name, register)| *name == register.key()).map(|(_, register)| register)
}

/// As in `S3_0_C0_C4_0`, or two such.
fn name(first: Register, last: Register) -> String {
    let name = |register: Register| {
        let (op0, op1, crn, crm, op2) = register.fields();
        format!("S{op0}_{op1}_C{crn}_C{crm}_{op2}")
    };
    match first == last {
        true => name(first),
        false => format!("{}-{}", name(first), name(last)),
    }
}

/// As in `read8 read32 write32`.
fn names(rights: Rights) -> String {
    let names = rights.iter_names().map(|(name, _)| name.to_lowercase());
    names.collect::<Vec<_>>().join(" ")
}

/// As in `read write grant`, the words of a manifest.
fn words(rights: Rights) -> String {
    let has = RIGHT_NAMES.into_iter().filter(|(_, right)| rights.contains(*right));
    has.map(|(name, _)| name).collect::<Vec<_>>().join(" ")
}
