//! Running VMs on the cores, and carrying out what they ask for.

use crate::devices::Devices;
use crate::host::tick;
use crate::load::PlacedVm;
use crate::report::{self, refuse_for};
use crate::start::{reset_board, stop};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};
use evisor_aarch64::stage2::Root;
use evisor_aarch64::vcpu::{Vcpu, VcpuBlock, init_core, reset_el1};
use evisor_aarch64::{Crash, Kernel, gic, halt, set_kernel, timer};
use evisor_contract::{Context, Power, VcpuControl, VmEvent, Words, tag};
use evisor_kernel::{Attention, BoundVm, Bundle, Next, Vm};
use evisor_manifest::{Outcome, VmPlan};
use evisor_router::Space;
use log::{error, info};
use spin::{Mutex, Once};

/// All that runs, for every core to find.
struct Running {
    root: &'static Space,
    bundle: &'static Bundle<'static>,
    vms: Vec<Held>,
    /// How many VMs are not off for good.
    left: AtomicUsize,
    /// Some VMs were left out.
    lost: bool,
    /// The INTID of the consoles' serial line.
    serial: Option<u32>,
}

/// How long the consoles may take for what they keep: twice 4 KiB at 115200 baud.
const DRAIN_MILLISECONDS: u64 = 750;

/// A VM that runs.
struct Held {
    bound: BoundVm,
    devices: Devices,
    plan: &'static VmPlan,
    stage2: Root,
    /// Its memory: for whoever makes a change while its vCPUs are parked.
    placed: Mutex<PlacedVm>,
    /// Its vCPUs, until the core of each takes its own.
    vcpus: Vec<Mutex<Option<VcpuBlock>>>,
    /// How it ended, once it is off for good.
    ended: Once<u8>,
}

static RUNNING: Once<Running> = Once::new();

impl Running {
    fn of(&self, vcpu: &Vcpu) -> Option<&Held> {
        self.vms.get(vcpu.context.vm())
    }

    /// The VM and the number of the vCPU that runs on `core`.
    fn on_core(&self, core: usize) -> Option<(&Held, usize)> {
        self.vms.iter().find_map(|held| Some((held, held.bound.vm.vcpu_on(core)?)))
    }

    /// Has the consoles send what waits in them, if no VM but one is left: by what they
    /// do when the line has room. What is typed meanwhile is for nobody.
    #[cold]
    fn drain(&self) {
        let line = report::board().zip(self.serial);
        let Some((board, intid)) = line.filter(|_| self.left.load(Ordering::SeqCst) <= 1) else {
            return;
        };
        let mut context = Context::of_vm(0, 0);
        let limit = timer::now() + timer::frequency() / 1000 * DRAIN_MILLISECONDS;
        loop {
            let left: Words = self.root.interrupts.notify_shared(intid as usize, &mut context);
            while context.pop().is_some() {}
            // Had more waited, it would be on its way now.
            if left.value() == 0 && (board.is_drained)() || timer::now() > limit {
                return;
            }
        }
    }

    /// `held` is off for good. The last one ends all, with the first verdict that
    /// says that something went wrong.
    fn ended(&self, held: &Held, verdict: u8) {
        held.ended.call_once(|| verdict);
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.drain();
            let verdicts = self.vms.iter().filter_map(|held| held.ended.get().copied());
            let lost = if self.lost { UNSTARTED } else { 0 };
            stop(verdicts.into_iter().find(|verdict| *verdict != 0).unwrap_or(lost));
        }
    }
}

impl Kernel for Running {
    fn quarantine(&self, port: *const ()) {
        // It may be the consoles.
        report::keep_no_more();
        error!("a component failed: what it serves is gone");
        for space in self.vms.iter().map(|held| held.bound.space).chain([self.root]) {
            space.quarantine(port);
        }
    }

    fn attend(&self, vcpu: &mut Vcpu, attention: u32) -> bool {
        let Some(bound) = self.of(vcpu).map(|held| &held.bound) else { return true };
        let leaves = attention & Attention::LEAVE != 0;
        let turned_off = leaves && bound.vm.power(vcpu.context.vcpu()) == Power::Off;
        if let Some(controller) = bound.controller
            && (turned_off || attention & (Attention::REFRESH | Attention::START) != 0)
        {
            let why = match attention & Attention::START {
                _ if turned_off => tag::LEAVES,
                0 => 0,
                _ => tag::STARTS,
            };
            let _: Words = controller.notify(tag::REFRESH, why, &mut vcpu.context);
        }
        leaves
    }

    fn crash(&self, vcpu: &mut Vcpu, crash: Crash) {
        let Some(held) = self.of(vcpu) else { return };
        let (name, number) = (&held.plan.name, vcpu.context.vcpu());
        let (x, elr, spsr) = vcpu.registers();
        error!("{name}: vCPU {number} crashed: {crash}, at {elr:#x}, PSTATE {spsr:#x}");
        for (number, value) in x.iter().take(31).enumerate() {
            error!("{name}:   x{number} = {value:#x}");
        }
        held.bound.vm.crashed();
        vcpu.context.attention.fetch_or(Attention::LEAVE, core::sync::atomic::Ordering::Relaxed);
    }
}

/// A VM that was put together: what it is, where it is, what runs it.
pub(crate) type Placed = (BoundVm, PlacedVm, Devices, Vec<VcpuBlock>);

/// Fills the VMs' memory, one after the other, and takes this core, the first, into
/// its VM. `lost`: some VMs were left out. The other cores are brought there by `start_others`, which says whether they came.
pub(crate) fn run(
    root: &'static Space,
    bundle: &'static Bundle<'static>,
    vms: Vec<Placed>,
    lost: bool,
    serial: Option<u32>,
    start_others: impl FnOnce() -> bool,
) -> ! {
    let held = |(bound, placed, devices, vcpus): Placed| Held {
        bound,
        devices,
        plan: placed.plan,
        stage2: placed.stage2.root(),
        placed: Mutex::new(placed),
        vcpus: vcpus.into_iter().map(|vcpu| Mutex::new(Some(vcpu))).collect(),
        ended: Once::new(),
    };
    let vms: Vec<Held> = vms.into_iter().map(held).collect();
    let left = AtomicUsize::new(vms.len());
    let running = RUNNING.call_once(|| Running { root, bundle, vms, left, lost, serial });
    set_kernel(running);
    if !start_others() {
        stop(1);
    }
    for held in &running.vms {
        held.start(running);
    }
    run_core(0)
}

/// What core `core` does from when it is up: it runs its vCPU.
pub(crate) fn run_core(core: usize) -> ! {
    if let Err(problem) = gic::init_core(core) {
        refuse_for(&problem);
        stop(1);
    }
    init_core();
    let running = RUNNING.get();
    let found = running.and_then(|running| Some((running, running.on_core(core)?)));
    let Some((running, (held, index))) = found else { halt() };
    let Some(mut block) = held.vcpus.get(index).and_then(|vcpu| vcpu.lock().take()) else { halt() };
    held.private_interrupts();
    if let Some(tick) = tick() {
        timer::set(timer::now() + tick);
    }
    let vm = held.bound.vm;
    loop {
        match vm.next(index) {
            Next::Run => {
                block.run();
                saw(vm, index, &mut block);
            }
            Next::Start(entry) => {
                held.stage2.load();
                reset_el1(vm.offset());
                held.private_interrupts();
                if index == 0 {
                    held.devices.vcpu_starts();
                }
                block.start(entry.pc, entry.x0, Attention::START);
                saw(vm, index, &mut block);
            }
            Next::Wait => block.idle(),
            Next::Change(event) => {
                held.bound.settle(&mut block.vcpu().context);
                held.change(running, event);
            }
        }
    }
}

/// Puts down where vCPU `index` is, which came out of its guest.
fn saw(vm: &Vm, index: usize, block: &mut VcpuBlock) {
    let vcpu = block.vcpu();
    let (_, pc, _) = vcpu.registers();
    vm.saw(index, pc, vcpu.refused());
}

/// The verdict of a VM that crashed and stays down, whatever it said before.
const CRASHED: u8 = 102;
/// The verdict of one that was left out, or whose memory could not be filled.
const UNSTARTED: u8 = 1;

impl Held {
    /// This core's own interrupts: nothing is left of them, and they may come.
    fn private_interrupts(&self) {
        for &intid in &self.bound.private {
            gic::clear(intid as usize);
            gic::enable(intid as usize, false);
        }
    }

    /// Fills its memory and starts its first vCPU. All are parked.
    fn start(&self, running: &Running) {
        match self.placed.lock().fill(running.bundle, &self.bound) {
            Ok(entry) => {
                let began = timer::nanoseconds(self.bound.vm.offset());
                let name = &self.plan.name;
                info!("{name}: starts; its time is the machine's less {began} ns");
                self.devices.starts();
                self.bound.vm.changed(Some(entry));
            }
            // Why was said there.
            Err(_) => running.ended(self, UNSTARTED),
        }
    }

    /// Makes the change that it asked for. All its vCPUs are parked.
    fn change(&self, running: &Running, event: VmEvent) {
        let (name, vm) = (&self.plan.name, self.bound.vm);
        self.devices.quiet();
        let crashed = vm.take_crash();
        let outcome = match event {
            _ if crashed => self.plan.on_crash,
            VmEvent::Reset => self.plan.on_reset,
            VmEvent::Off | VmEvent::Verdict(_) => Outcome::Stop,
        };
        let why = if crashed { " after its crash" } else { "" };
        match outcome {
            Outcome::Restart => {
                info!("{name}: restarts{why}");
                return self.start(running);
            }
            Outcome::ResetBoard => {
                running.drain();
                info!("{name}: resets the board{why}");
                reset_board();
                error!("the board cannot be reset");
            }
            Outcome::Stop => {}
        }
        let verdict = if crashed { CRASHED } else { vm.verdict() };
        running.drain();
        info!("{name}: off, verdict {verdict}");
        vm.changed(None);
        running.ended(self, verdict);
    }
}
