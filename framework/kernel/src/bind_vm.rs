//! Binding a VM: its objects, in their order, and what its guest has names for.

use crate::backed::Behind;
use crate::bind::{build, connect, defect};
use crate::bound::{BoundVm, Direct, Offered, Stolen};
use crate::channels::{BELLS, Bell, ChannelMemory, ChannelWindow, End, HeldEnd};
use crate::grants::{Binder, Common, Owner, SharedLine, leak};
use crate::memory::MemorySlot;
use crate::passed::{self, Passed};
use crate::vm::{Vm, VmObject};
use alloc::boxed::Box;
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::sync::atomic::AtomicBool;
use evisor_contract::abi::function;
use evisor_contract::{
    BuildError, CallPort, Capability, Effect, LineState, NotifyPort, ObjectPort, Parts, Rights, tag,
};
use evisor_manifest::{ManifestError, ObjectPlan, VmPlan};
use evisor_router::{HandlePort, SpaceBuilder};
use spin::Mutex;

pub(crate) fn bind_vm(
    common: &mut Common,
    id: u16,
    plan: &VmPlan,
) -> Result<BoundVm, Box<ManifestError>> {
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
        if common.stores.iter().any(|store| store.reaches(id.into())) {
            self.memory.get_or_insert_with(|| Box::leak(Box::default()));
        }
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
