//! Running VMs on the cores, and carrying out what they ask for.

use crate::checkpoint::Reserve;
use crate::crash::CrashRecord;
use crate::devices::Devices;
use crate::fill::{ALONE, Progress};
use crate::host::tick;
use crate::lives::{Lives, UNSTARTED};
use crate::load::PlacedVm;
use crate::report::{self, refuse_for};
use crate::shared::Shared;
use crate::start::stop;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use evisor_aarch64::stage2::Root;
use evisor_aarch64::vcpu::{Vcpu, VcpuBlock, init_core, reset_el1};
use evisor_aarch64::{Crash, Kernel, Trap, gic, halt, set_kernel, timer};
use evisor_contract::{Context, NotifyPort, Power, VcpuControl, Words, tag};
use evisor_heap::room;
use evisor_kernel::{Attention, BoundScheduler, BoundVm, Bundle, Next, Vm};
use evisor_manifest::VmPlan;
use evisor_router::{Handles, Space};
use log::error;
use spin::{Mutex, Once};

/// All that runs, for every core to find.
pub(crate) struct Running {
    root: &'static Space,
    pub bundle: &'static Bundle<'static>,
    pub vms: Vec<Held>,
    /// The cores that have several vCPUs.
    shared: Vec<Shared>,
    /// How many VMs are not off for good.
    left: AtomicUsize,
    /// The machine is about to go off.
    ends: AtomicBool,
    /// Some VMs were left out.
    lost: bool,
    /// The INTID of the consoles' serial line.
    serial: Option<u32>,
    /// The shared interrupts of what serves all, and the core that they go to: the first
    /// one that has a vCPU, in or out of its guest.
    interrupts: Vec<u32>,
    serves: usize,
    /// How much memory of the board is nobody's, in bytes.
    pub free: u64,
    /// What the VMs hold by handles, if one does.
    pub handles: Option<&'static Handles>,
}

/// How long the consoles may take for what they keep: twice 4 KiB at 115200 baud.
const DRAIN_MILLISECONDS: u64 = 750;

/// A VM that runs.
pub(crate) struct Held {
    pub bound: BoundVm,
    pub devices: Devices,
    pub plan: &'static VmPlan,
    pub stage2: Root,
    /// Its memory: for whoever makes a change while its vCPUs are parked.
    pub placed: Mutex<PlacedVm>,
    /// Its vCPUs, until the core of each takes its own.
    vcpus: Vec<Mutex<Option<VcpuBlock>>>,
    /// How it ended, while it is off.
    pub ended: Mutex<Option<u8>>,
    pub lives: Lives,
    /// Its last crash: for the monitor.
    pub last_crash: Mutex<Option<CrashRecord>>,
    /// Where its checkpoint is kept, if it has one.
    pub reserve: Option<Reserve>,
}

static RUNNING: Once<Running> = Once::new();

impl Running {
    fn of(&self, vcpu: &Vcpu) -> Option<&Held> {
        self.vms.get(vcpu.context.vm())
    }

    /// The VM and the number of the vCPU that runs on `core`.
    fn on_core(&self, core: usize) -> Option<(&Held, usize)> {
        self.vms.iter().find_map(|held| Some((held, held.bound.vm.vcpus_on(core).next()?)))
    }

    /// Has the consoles send what waits in them, if no VM but one is left: by what they
    /// do when the line has room. What is typed meanwhile is for nobody.
    #[cold]
    pub fn drain(&self) {
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

    /// All VMs are off, and only VMs could start one.
    fn is_deserted(&self) -> bool {
        let over = |held: &Held| held.ended.lock().is_some() && held.bound.vm.is_deserted();
        self.handles.is_some() && self.vms.iter().all(over)
    }

    /// `held` is off. When all are for good, that ends all, with the first verdict that
    /// says that something went wrong.
    pub fn ended(&self, held: &Held, verdict: u8) {
        *held.ended.lock() = Some(verdict);
        let gone = held.bound.vm.is_gone();
        held.bound.vm.changed(None);
        let last = gone && self.left.fetch_sub(1, Ordering::SeqCst) == 1;
        if (last || self.is_deserted()) && !self.ends.swap(true, Ordering::SeqCst) {
            self.drain();
            let verdicts = self.vms.iter().filter_map(|held| *held.ended.lock());
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
        // Handles have a way of their own, which did not fail.
        while let Some(port) = self.handles.and_then(Handles::take_failed) {
            self.take_all_rights(port);
        }
        if self.handles.is_none_or(|handles| handles.quarantine(port)) {
            self.take_all_rights(port);
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

    fn crash(&self, vcpu: &mut Vcpu, crash: Crash, trap: Trap) {
        let Some(held) = self.of(vcpu) else { return };
        held.record(vcpu, crash, trap);
        held.bound.vm.crashed();
        vcpu.context.attention.fetch_or(Attention::LEAVE, Ordering::Relaxed);
    }
}

impl Running {
    fn take_all_rights(&self, port: *const ()) {
        for space in self.vms.iter().map(|held| held.bound.space).chain([self.root]) {
            space.quarantine(port);
        }
    }
}

/// A VM that was put together: what it is, where it is, what runs it.
pub(crate) type Placed = (BoundVm, PlacedVm, Devices, Vec<VcpuBlock>, Option<Reserve>);

const _: () = assert!(size_of::<Placed>() <= room::PLACED && size_of::<Held>() <= room::HELD);

/// What does not belong to one VM.
pub(crate) struct Around {
    pub root: &'static Space,
    pub bundle: &'static Bundle<'static>,
    /// Some VMs were left out.
    pub lost: bool,
    /// The INTID of the consoles' serial line.
    pub serial: Option<u32>,
    /// How much memory of the board is nobody's, in bytes.
    pub free: u64,
    pub handles: Option<&'static Handles>,
    pub schedulers: Vec<BoundScheduler>,
    /// What sets the cores' deadlines.
    pub timers: &'static dyn NotifyPort,
    /// The shared interrupts of what serves all.
    pub interrupts: Vec<u32>,
    /// The first core that has a vCPU.
    pub serves: usize,
}

/// Fills the VMs' memory, one after the other, and takes this core, the first, into
/// its VM. The other cores are brought there by `start_others`, which says whether they
/// came.
pub(crate) fn run(around: Around, vms: Vec<Placed>, start_others: impl FnOnce() -> bool) -> ! {
    let Around { root, bundle, lost, serial, free, handles, .. } = around;
    let Around { schedulers, timers, interrupts, serves, .. } = around;
    let held = |(bound, placed, devices, vcpus, reserve): Placed| Held {
        bound,
        devices,
        plan: placed.plan,
        lives: Lives::new(&placed.plan.lives),
        stage2: placed.stage2.root(),
        placed: Mutex::new(placed),
        vcpus: vcpus.into_iter().map(|vcpu| Mutex::new(Some(vcpu))).collect(),
        ended: Mutex::new(None),
        last_crash: Mutex::new(None),
        reserve,
    };
    let vms: Vec<Held> = vms.into_iter().map(held).collect();
    let left = AtomicUsize::new(vms.len());
    let schedulers = schedulers.into_iter();
    let shared = schedulers.filter_map(|one| Shared::new(one, timers, &vms)).collect();
    let ends = AtomicBool::new(false);
    let running = Running {
        root,
        bundle,
        vms,
        shared,
        left,
        ends,
        lost,
        serial,
        interrupts,
        serves,
        free,
        handles,
    };
    let running = RUNNING.call_once(|| running);
    for held in &running.vms {
        held.bound.vm.remember(held);
    }
    set_kernel(running);
    if !start_others() {
        stop(1);
    }
    for held in &running.vms {
        held.start(running);
        held.finish(running, 0);
    }
    run_core(0)
}

/// What core `core` does from when it is up: it runs its vCPU, or its vCPUs.
pub(crate) fn run_core(core: usize) -> ! {
    if let Err(problem) = gic::init_core(core) {
        refuse_for(&problem);
        stop(1);
    }
    init_core();
    let running = RUNNING.get();
    // They were set up to go to the first core, which halts if it has no vCPU.
    if let Some(running) = running.filter(|running| core != 0 && running.serves == core) {
        running.interrupts.iter().for_each(|&intid| gic::enable_here(intid as usize, false));
    }
    if let Some(running) = running
        && let Some(shared) = running.shared.iter().find(|shared| shared.core() == core)
    {
        shared.run(running);
    }
    let found = running.and_then(|running| Some((running, running.on_core(core)?)));
    let Some((running, (held, index))) = found else { halt() };
    let Some(mut block) = held.take(index) else { halt() };
    held.private_interrupts();
    if let Some(tick) = tick() {
        timer::set(timer::now() + tick);
    }
    let vm = held.bound.vm;
    loop {
        match vm.next(index) {
            Next::Run => {
                let since = timer::now();
                block.run();
                vm.ran(index, timer::now().wrapping_sub(since));
                saw(vm, index, &mut block);
            }
            Next::Resume => block.wake(vm.offset()),
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
            Next::Save => held.save_vcpu(index, &mut block),
            Next::Restore => held.restore_vcpu(index, &mut block),
            Next::Wait if vm.power(index) == Power::On => block.idle_resting(),
            Next::Wait => block.idle(),
            Next::Change(change) => {
                held.change(running, change, &mut block.vcpu().context);
                // What others wait for may come to this core: the consoles' line does.
                while !change.is_short() && held.go_on(running, ALONE, core) == Progress::More {
                    look(held, index, &mut block);
                }
            }
        }
    }
}

/// Deals with an interrupt that came to the core of vCPU `index`, which makes a change of
/// its VM, and with what it is to do for that itself.
fn look(held: &Held, index: usize, block: &mut VcpuBlock) {
    let vm = held.bound.vm;
    match vm.next(index) {
        Next::Save => held.save_vcpu(index, block),
        Next::Restore => held.restore_vcpu(index, block),
        _ if vm.power(index) == Power::On => block.look_resting(),
        _ => block.look(),
    }
}

/// Puts down where vCPU `index` is, which came out of its guest.
fn saw(vm: &Vm, index: usize, block: &mut VcpuBlock) {
    let vcpu = block.vcpu();
    vm.saw(index, vcpu.pc(), vcpu.refused());
}

impl Held {
    /// Its vCPU `index`, for its core.
    pub fn take(&self, index: usize) -> Option<VcpuBlock> {
        self.vcpus.get(index).and_then(|vcpu| vcpu.lock().take())
    }

    /// Does all of the change that was begun: this core has nothing else to do.
    fn finish(&self, running: &Running, core: usize) {
        while self.go_on(running, ALONE, core) == Progress::More {}
    }

    /// This core's own interrupts: nothing is left of them, and they may come.
    pub fn private_interrupts(&self) {
        for &intid in &self.bound.private {
            gic::clear(intid as usize);
            gic::enable(intid as usize, false);
        }
    }
}
