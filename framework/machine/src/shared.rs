//! A core that several vCPUs share: its scheduler says which one runs, until when.
//!
//! One of them is always *here*: its state is in the core's registers, whether it runs
//! or not, and interrupts are taken in its name. That of the others is in memory. One is
//! put here when it is to run, or to be started or changed; so nothing is switched while
//! one alone has something to do.

use crate::host::tick;
use crate::run::{Held, Running};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use evisor_aarch64::switch::Switch;
use evisor_aarch64::vcpu::VcpuBlock;
use evisor_aarch64::{Kernel, timer};
use evisor_contract::{NotifyPort, Power, VcpuControl, Words};
use evisor_kernel::{Attention, BoundScheduler, Entry, Next, SharedCore, Vm};

/// A core that is shared, as it was built.
pub(crate) struct Shared {
    scheduler: BoundScheduler,
    state: &'static SharedCore,
    timers: &'static dyn NotifyPort,
}

impl Shared {
    /// The core of `scheduler`, if it has several members among the vCPUs of `vms`. From
    /// now on those may be woken.
    pub fn new(
        scheduler: BoundScheduler,
        timers: &'static dyn NotifyPort,
        vms: &[Held],
    ) -> Option<Self> {
        let core = scheduler.core;
        let vms = vms.iter().map(|held| held.bound.vm);
        let members = vms.flat_map(|vm| vm.vcpus_on(core).map(move |index| (vm, index)));
        let members: Vec<(&Vm, usize)> = members.collect();
        if members.len() < 2 {
            return None;
        }
        let state: &_ = Box::leak(Box::new(SharedCore::new(core, members.len())));
        for (member, (vm, index)) in members.into_iter().enumerate() {
            vm.share(index, state, member);
        }
        Some(Self { scheduler, state, timers })
    }

    /// Which core it is.
    pub fn core(&self) -> usize {
        self.scheduler.core
    }

    /// Runs its members on this core, which it is, set up for guests.
    pub fn run(&self, running: &Running) -> ! {
        let mut members: Vec<Member<'_>> = Vec::new();
        for held in &running.vms {
            let group = members.len();
            for index in held.bound.vm.vcpus_on(self.core()) {
                members
                    .extend(held.take(index).map(|block| Member::new(held, index, group, block)));
            }
        }
        let switch = Switch::new(self.core());
        if let Some(first) = members.first_mut() {
            switch.load(None, &mut first.block, first.held.bound.vm.offset(), false);
        }
        if let Some(tick) = tick() {
            timer::set(timer::now() + tick);
        }
        let last = members.iter().map(|member| member.group).collect();
        let armed = u64::MAX;
        Core { running, shared: self, switch, members, here: 0, last, armed }.run()
    }
}

/// One of its vCPUs.
struct Member<'a> {
    held: &'a Held,
    index: usize,
    /// The first member of its VM.
    group: usize,
    block: VcpuBlock,
    state: State,
    /// When its timer wakes it, if it waits and is not here.
    deadline: u64,
    /// Since when it can run.
    since: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// It can run, or has something to ask.
    Ready,
    /// In WFI.
    Waits,
    /// It is off, or another core is to make a change.
    Parked,
}

impl<'a> Member<'a> {
    fn new(held: &'a Held, index: usize, group: usize, mut block: VcpuBlock) -> Self {
        let private = held.bound.private.iter().fold(0, |all, intid| all | 1 << (intid & 31));
        block.share(held.stage2, private);
        let (deadline, since) = (u64::MAX, 0);
        Self { held, index, group, block, state: State::Parked, deadline, since }
    }

    /// Whether it is to be woken, as far as it is not its being here that tells.
    fn wakes(&self, now: u64) -> bool {
        let wanted = || self.block.attention().load(Ordering::SeqCst) & !Attention::CHOOSE != 0;
        match self.state {
            State::Ready => false,
            State::Waits => self.deadline <= now || wanted(),
            State::Parked => self.held.bound.vm.is_asked(self.index),
        }
    }
}

/// The core at work.
struct Core<'a> {
    running: &'a Running,
    shared: &'a Shared,
    switch: Switch,
    members: Vec<Member<'a>>,
    /// Which one is here.
    here: usize,
    /// By the first member of each VM: which of them was here last.
    last: Vec<usize>,
    /// What the core's own deadline was set to.
    armed: u64,
}

impl Core<'_> {
    fn run(mut self) -> ! {
        loop {
            let now = timer::now();
            self.shared.state.look();
            let deadline = self.wake(now);
            let choice = self.shared.scheduler.port.choose(now);
            let deadline = deadline.min(choice.until);
            match choice.member {
                Some(member) => {
                    let deadline = deadline.min(self.put_here(member));
                    self.arm(deadline, now);
                    self.go_on(member, now);
                }
                None => {
                    self.arm(deadline, now);
                    self.idle();
                }
            }
        }
    }

    /// Tells the scheduler who can run now. Gives when the first of the others wakes.
    fn wake(&mut self, now: u64) -> u64 {
        let mut first = u64::MAX;
        for (n, member) in self.members.iter_mut().enumerate() {
            if member.wakes(now) {
                member.state = State::Ready;
                member.since = now;
                self.shared.scheduler.port.wake(n, now);
            } else if member.state == State::Waits {
                first = first.min(member.deadline);
            }
        }
        first
    }

    /// Puts `member` here. Gives when the timer of who was wakes it.
    fn put_here(&mut self, member: usize) -> u64 {
        let Ok([out, next]) = self.members.get_disjoint_mut([self.here, member]) else {
            // It is here.
            return u64::MAX;
        };
        let flush = self.last.get(next.group).is_some_and(|last| *last != member);
        let offset = next.held.bound.vm.offset();
        self.switch.load(Some(&mut out.block), &mut next.block, offset, flush);
        if let Some(last) = self.last.get_mut(next.group) {
            *last = member;
        }
        self.here = member;
        next.deadline = u64::MAX;
        out.deadline = out.block.deadline(out.held.bound.vm.offset());
        if out.state == State::Waits { out.deadline } else { u64::MAX }
    }

    /// Has the core look again at `deadline`. One that passed is set again: it was told.
    fn arm(&mut self, deadline: u64, now: u64) {
        if deadline == self.armed && (deadline > now || deadline == u64::MAX) {
            return;
        }
        let Some(member) = self.members.get_mut(self.here) else { return };
        self.armed = deadline;
        let (timers, tag) = (self.shared.timers, self.shared.scheduler.timer);
        let _: Words = timers.notify(tag, deadline, &mut member.block.vcpu().context);
    }

    /// Does what its VM says with `n`, which is here.
    fn go_on(&mut self, n: usize, now: u64) {
        let Some(member) = self.members.get_mut(n) else { return };
        let (vm, index) = (member.held.bound.vm, member.index);
        loop {
            match vm.next(index) {
                Next::Run => {
                    let waits = self.shared.state.enter(n) && member.run(self.shared.state, now);
                    vm.came_out(index);
                    if waits && !member.block.is_interrupted() {
                        member.state = State::Waits;
                        self.shared.scheduler.port.sleep(n, member.since);
                    }
                    return;
                }
                Next::Start(entry) => member.start(&self.switch, entry),
                Next::Wait if vm.has_left(index) => {}
                Next::Wait => {
                    member.state = State::Parked;
                    return self.shared.scheduler.port.sleep(n, now);
                }
                Next::Change(event) => {
                    member.held.bound.settle(&mut member.block.vcpu().context);
                    return member.held.change(self.running, event);
                }
            }
        }
    }

    /// None of them can run: waits for an interrupt.
    fn idle(&mut self) {
        let Some(member) = self.members.get_mut(self.here) else { return };
        let off = member.held.bound.vm.power(member.index) == Power::Off;
        let attention = member.block.idle_shared(off) & !Attention::CHOOSE;
        let leaves = attention != 0 && self.running.attend(member.block.vcpu(), attention);
        let interrupted = member.state == State::Waits && member.block.is_interrupted();
        if leaves || interrupted {
            let now = timer::now();
            member.state = State::Ready;
            member.since = now;
            self.shared.scheduler.port.wake(self.here, now);
        }
    }
}

impl Member<'_> {
    /// Into its guest, and out again. True if it waits.
    fn run(&mut self, core: &SharedCore, now: u64) -> bool {
        let waits = self.block.run();
        core.leave();
        let end = timer::now();
        let (ran, stolen) = (end.wrapping_sub(now), now.saturating_sub(self.since));
        self.held.bound.vm.account(self.index, ran, stolen);
        self.since = end;
        waits
    }

    fn start(&mut self, switch: &Switch, entry: Entry) {
        self.held.stage2.load();
        switch.reset(&mut self.block, self.held.bound.vm.offset());
        self.held.private_interrupts();
        if self.index == 0 {
            self.held.devices.vcpu_starts();
        }
        self.block.start(entry.pc, entry.x0, Attention::START);
    }
}
