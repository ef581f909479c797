//! Running VMs on a core, and carrying out what they ask for.

use crate::load::PlacedVm;
use alloc::vec::Vec;
use evisor_aarch64::vcpu::{Vcpu, reset_el1};
use evisor_aarch64::{Crash, Kernel, gic, set_kernel};
use evisor_contract::{VmEvent, Words, tag};
use evisor_kernel::{Attention, Bundle, Next, Vm};
use evisor_manifest::Outcome;
use evisor_router::Space;
use log::{error, info};
use spin::Once;

/// What the exits find the VMs by.
struct Running {
    root: &'static Space,
    vms: Vec<Held>,
}

/// What the exits need of a VM.
struct Held {
    vm: &'static Vm,
    space: &'static Space,
    controller: Option<&'static dyn evisor_contract::NotifyPort>,
}

static RUNNING: Once<Running> = Once::new();

impl Running {
    fn of(&self, vcpu: &Vcpu) -> Option<&Held> {
        self.vms.get(vcpu.context.vm())
    }
}

impl Kernel for Running {
    fn quarantine(&self, port: *const ()) {
        error!("a component failed: what it serves is gone");
        for space in self.vms.iter().map(|held| held.space).chain([self.root]) {
            space.quarantine(port);
        }
    }

    fn attend(&self, vcpu: &mut Vcpu, attention: u32) -> bool {
        if attention & Attention::REFRESH != 0
            && let Some(controller) = self.of(vcpu).and_then(|held| held.controller)
        {
            let _: Words = controller.notify(tag::REFRESH, 0, &mut vcpu.context);
        }
        attention & Attention::LEAVE != 0
    }

    fn crash(&self, vcpu: &mut Vcpu, crash: Crash) {
        let Some(held) = self.of(vcpu) else { return };
        let (x, elr, spsr) = vcpu.registers();
        error!("{}: crashed: {crash}, at {elr:#x}, PSTATE {spsr:#x}", held.vm.name);
        for (number, value) in x.iter().take(31).enumerate() {
            error!("{}:   x{number} = {value:#x}", held.vm.name);
        }
        held.vm.crashed();
        vcpu.context.attention.fetch_or(Attention::LEAVE, core::sync::atomic::Ordering::Relaxed);
    }
}

/// Starts all VMs, and runs until every one is off. Gives the worst verdict.
pub(crate) fn run(root: &'static Space, bundle: &Bundle<'_>, vms: &mut [PlacedVm]) -> u8 {
    let held = |vm: &PlacedVm| Held {
        vm: vm.bound.vm,
        space: vm.bound.space,
        controller: vm.bound.controller,
    };
    let running = RUNNING.call_once(|| Running { root, vms: vms.iter().map(held).collect() });
    set_kernel(running);
    let mut verdict = 0;
    for vm in vms {
        verdict = verdict.max(live(vm, bundle));
    }
    verdict
}

/// A VM's life, until it is off.
fn live(placed: &mut PlacedVm, bundle: &Bundle<'_>) -> u8 {
    let name = &placed.plan.name;
    let mut crashed;
    loop {
        if placed.fill(bundle).is_err() {
            return 1;
        }
        info!("{name}: starts");
        let event = run_until_change(placed);
        crashed = placed.bound.vm.take_crash();
        match event {
            _ if crashed && placed.plan.on_crash == Outcome::Restart => {
                info!("{name}: restarts after its crash");
            }
            VmEvent::Reset if placed.plan.on_reset == Outcome::Restart => info!("{name}: restarts"),
            _ => break,
        }
    }
    let verdict = if crashed { CRASHED } else { placed.bound.vm.verdict() };
    info!("{name}: off, verdict {verdict}");
    verdict
}

/// The verdict of a VM that crashed and stays down, whatever it said before.
const CRASHED: u8 = 102;

/// Runs the first vCPU on this core until its VM is to change.
fn run_until_change(placed: &mut PlacedVm) -> VmEvent {
    let vm = placed.bound.vm;
    placed.stage2.load();
    reset_el1(vm.offset());
    for &intid in &placed.bound.private {
        gic::clear(intid as usize);
        gic::enable(intid as usize, false);
    }
    loop {
        if vm.enter(0)
            && let Some(vcpu) = placed.vcpus.first_mut()
        {
            vcpu.run();
        }
        match vm.parked(0) {
            Next::Run => {}
            Next::Change(event) => return settle(placed, event),
            // Its last vCPU turned itself off (CPU_OFF): nothing can wake it.
            Next::Wait => return settle(placed, VmEvent::Off),
        }
    }
}

/// What the VM's devices hold back goes out before it changes.
fn settle(placed: &mut PlacedVm, event: VmEvent) -> VmEvent {
    if let Some(vcpu) = placed.vcpus.first_mut() {
        placed.bound.settle(&mut vcpu.vcpu().context);
    }
    event
}
