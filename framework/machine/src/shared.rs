//! A core that several vCPUs share: its scheduler says which one runs, until when.
//!
//! One of them is always *here*: its state is in the core's registers, whether it runs
//! or not, and interrupts are taken in its name. That of the others is in memory. One is
//! put here when it is to run, or to be started or changed; so nothing is switched while
//! one alone has something to do.

use crate::fill::Progress;
use crate::host::tick;
use crate::run::{Held, Running};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::cell::Cell;
use core::sync::atomic::{AtomicU64, Ordering};
use evisor_aarch64::switch::Switch;
use evisor_aarch64::timer::Rate;
use evisor_aarch64::vcpu::{Left, VcpuBlock};
use evisor_aarch64::{Kernel, halt, timer};
use evisor_contract::{Choice, NotifyPort, Power, SchedulerPort, VcpuControl, Words};
use evisor_heap::room;
use evisor_kernel::{Attention, BoundScheduler, Entry, Next, Seat, SharedCore, Vm};

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
        let lasts: Vec<Cell<usize>> = running.vms.iter().map(|_| Cell::new(usize::MAX)).collect();
        for (held, last) in running.vms.iter().zip(&lasts) {
            for index in held.bound.vm.vcpus_on(self.core()) {
                members.extend(Member::new(held, index, last));
            }
        }
        let Some(mut switch) = Switch::new(self.core()) else { halt() };
        if let Some(first) = members.first_mut() {
            switch.load(&mut first.block, first.held.bound.vm.offset(), false);
            first.last.set(0);
        }
        if let Some(tick) = tick() {
            timer::set(timer::now() + tick);
        }
        let (state, port) = (self.state, self.scheduler.port);
        let (first, armed) = (u64::MAX, u64::MAX);
        let changes = Vec::with_capacity(members.len());
        let (shared, rate, here, pause) = (self, Rate::here(), 0, Pause::default());
        Core {
            running,
            shared,
            state,
            port,
            switch,
            members,
            rate,
            here,
            first,
            armed,
            changes,
            pause,
        }
        .run()
    }
}

/// One of its vCPUs.
struct Member<'a> {
    held: &'a Held,
    index: usize,
    seat: Seat,
    /// Which member of its VM was here last.
    last: &'a Cell<usize>,
    block: VcpuBlock,
    state: State,
    /// When its timer wakes it, if it waits and is not here.
    deadline: u64,
    /// Since when it can run.
    since: u64,
    /// Where its guest finds how many nanoseconds were stolen from it.
    told: Option<&'static AtomicU64>,
    /// The counts that were when it started.
    before: u64,
    /// What it was told of them at its VM's checkpoint.
    told_before: u64,
}

const _: () = assert!(size_of::<Member<'_>>() <= room::MEMBER);

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
    fn new(held: &'a Held, index: usize, last: &'a Cell<usize>) -> Option<Self> {
        let (mut block, seat) = held.take(index).zip(held.bound.vm.seat(index))?;
        let private = held.bound.private.iter().fold(0, |all, intid| all | 1 << (intid & 31));
        block.share(held.stage2, private);
        let (deadline, since, before, told_before) = (u64::MAX, 0, 0, 0);
        let told = held.bound.stolen.and_then(|stolen| stolen.of(index));
        let state = State::Parked;
        Some(Self {
            held,
            index,
            seat,
            last,
            block,
            state,
            deadline,
            since,
            told,
            before,
            told_before,
        })
    }

    /// Whether it is to be woken, as far as it is not its being here that tells.
    fn wakes(&self, now: u64) -> bool {
        match self.state {
            State::Ready => false,
            State::Waits => self.deadline <= now || self.seat.is_wanted(),
            State::Parked => self.held.bound.vm.is_asked(self.index),
        }
    }
}

/// The core at work.
struct Core<'a> {
    running: &'a Running,
    shared: &'a Shared,
    state: &'static SharedCore,
    port: &'static dyn SchedulerPort,
    switch: Switch,
    members: Vec<Member<'a>>,
    rate: Rate,
    /// Which one is here.
    here: usize,
    /// When the first of those that wait wakes, at the earliest.
    first: u64,
    /// What the core's own deadline was set to.
    armed: u64,
    /// The VMs whose change this core has in hand.
    changes: Vec<&'a Held>,
    pause: Pause,
}

/// Between two slices of a change, for those who can run.
#[derive(Default)]
struct Pause {
    /// Until when it is.
    until: u64,
    /// How long it is.
    long: u64,
    /// It was begun anew for one that was not here.
    again: bool,
}

/// How much memory a slice of a change zeroes or copies: who wakes meanwhile waits for its
/// end.
const SLICE: u64 = 4 << 10;
/// How long the others run after a slice, if they can, in times that it took.
const OTHERS: u64 = 3;

impl Core<'_> {
    fn run(mut self) -> ! {
        let mut now = timer::now();
        loop {
            if self.state.is_roused() || self.first <= now {
                self.look(now);
            }
            let mut choice = self.port.choose(now);
            if !self.changes.is_empty() {
                choice.until = self.change(choice, now);
            }
            now = match choice.member {
                Some(member) => {
                    self.put_here(member, now);
                    self.switch.trap_wfe(choice.contended);
                    self.arm(choice.until, now);
                    self.go_on(member, now)
                }
                None => {
                    self.arm(choice.until, now);
                    self.idle()
                }
            };
        }
    }

    /// Tells the scheduler who can run now.
    #[inline(never)]
    fn look(&mut self, now: u64) {
        if self.state.look() {
            self.answer(now);
        }
        self.first = u64::MAX;
        for (n, member) in self.members.iter_mut().enumerate() {
            if member.wakes(now) {
                member.state = State::Ready;
                member.since = now;
                self.port.wake(n, now);
            } else if member.state == State::Waits {
                self.first = self.first.min(member.deadline);
            }
        }
    }

    /// Has those look that somebody waits for, in turn, as another vCPU of their VM may
    /// read until they did and leave them no time for it.
    #[cold]
    #[inline(never)]
    fn answer(&mut self, now: u64) {
        const LOOK: u32 = Attention::REFRESH | Attention::ANSWER;
        self.state.answer();
        for n in 0..self.members.len() {
            let Some(member) = self.members.get(n) else { return };
            let word = member.block.attention();
            let asked = word.load(Ordering::SeqCst) & Attention::ANSWER != 0;
            if !asked || member.state == State::Parked {
                continue;
            }
            self.put_here(n, now);
            word.fetch_and(!LOOK, Ordering::SeqCst);
            if let Some(member) = self.members.get_mut(n) {
                self.running.attend(member.block.vcpu(), Attention::REFRESH);
            }
        }
    }

    /// Does a slice of a VM's change, unless others are to run first. Gives when to come
    /// back, at the latest.
    #[cold]
    #[inline(never)]
    fn change(&mut self, choice: Choice, now: u64) -> u64 {
        if let Some(member) = choice.member
            && self.pause.goes_on(member != self.here, now)
        {
            return choice.until.min(self.pause.until);
        }
        if let Some(held) = self.changes.last()
            && held.go_on(self.running, SLICE, self.shared.core()) == Progress::Done
        {
            self.changes.pop();
        }
        self.pause = Pause::after(now, timer::now());
        match choice.member {
            Some(_) => choice.until.min(self.pause.until),
            // Nobody to run: `idle` comes back at once.
            None => choice.until,
        }
    }

    /// Puts `member` here.
    #[inline(always)]
    fn put_here(&mut self, member: usize, now: u64) {
        if member == self.here {
            return;
        }
        if let Some(out) = self.members.get_mut(self.here) {
            self.switch.save(&mut out.block);
            if out.state == State::Waits {
                out.deadline = out.block.deadline(out.held.bound.vm.offset());
                self.first = self.first.min(out.deadline);
            }
        }
        let Some(next) = self.members.get_mut(member) else { return };
        let flush = next.last.replace(member) != member;
        self.switch.load(&mut next.block, next.held.bound.vm.offset(), flush);
        next.deadline = u64::MAX;
        if let Some(told) = next.told {
            told.store(self.rate.nanoseconds(next.stolen(now)), Ordering::Relaxed);
        }
        self.here = member;
    }

    /// Has the core come back at `until` or when the first of those that wait wakes; or
    /// before: it is told when what was set comes, and sets the next then.
    #[inline(always)]
    fn arm(&mut self, until: u64, now: u64) {
        let deadline = until.min(self.first);
        let comes = self.armed > now && self.armed != u64::MAX;
        if deadline != u64::MAX && !(comes && self.armed <= deadline) {
            self.set(deadline);
        }
    }

    #[inline(never)]
    fn set(&mut self, deadline: u64) {
        let Some(member) = self.members.get_mut(self.here) else { return };
        self.armed = deadline;
        let (timers, tag) = (self.shared.timers, self.shared.scheduler.timer);
        let _: Words = timers.notify(tag, deadline, &mut member.block.vcpu().context);
    }

    /// Has `n`, which is here, go on. Gives the count after that.
    #[inline(always)]
    fn go_on(&mut self, n: usize, now: u64) -> u64 {
        let Some(member) = self.members.get_mut(n) else { return now };
        if !member.seat.goes_on() {
            self.ask(n, now);
            return timer::now();
        }
        let entered = self.state.enter(n);
        let left = if entered { member.block.run() } else { Left::TOLD };
        if entered {
            self.state.leave();
        }
        let vcpu = member.block.vcpu();
        member.seat.saw(vcpu.pc(), vcpu.refused());
        member.seat.came_out();
        let end = timer::now();
        member.seat.account(end.wrapping_sub(now), now.wrapping_sub(member.since));
        member.since = end;
        match left {
            // Who wants something of it from here on, and finds that it is out, rouses the
            // core.
            Left::WAITS if !member.seat.is_wanted() && !self.switch.is_interrupted() => {
                member.state = State::Waits;
                self.port.sleep(n, end);
            }
            Left::YIELDS => self.port.give_way(n, end),
            _ => {}
        }
        end
    }

    /// Does what its VM says with `n`, which is here and does not just go on.
    #[cold]
    #[inline(never)]
    fn ask(&mut self, n: usize, now: u64) {
        let Some(member) = self.members.get_mut(n) else { return };
        let (vm, index) = (member.held.bound.vm, member.index);
        loop {
            match vm.next(index) {
                Next::Run => return member.seat.came_out(),
                Next::Start(entry) => member.start(&self.switch, entry),
                Next::Resume => member.block.wake(vm.offset()),
                Next::Save => {
                    member.told_before = member.stolen(now);
                    member.held.save_vcpu(index, &mut member.block);
                }
                Next::Restore => {
                    member.before = member.seat.stolen().wrapping_sub(member.told_before);
                    member.held.restore_vcpu(index, &mut member.block);
                }
                Next::Wait if vm.has_left(index) => {}
                Next::Wait => {
                    member.rest();
                    member.state = State::Parked;
                    return self.port.sleep(n, now);
                }
                Next::Change(change) => {
                    member.rest();
                    let held = member.held;
                    held.change(self.running, change, &mut member.block.vcpu().context);
                    if !change.is_short() {
                        self.changes.push(held);
                    }
                    return;
                }
            }
        }
    }

    /// None of them can run: waits for an interrupt, or looks for one if there is a change
    /// to go on with. (A deadline that is set to now for that would come before all other
    /// interrupts, each time.) Gives the count after that.
    #[cold]
    #[inline(never)]
    fn idle(&mut self) -> u64 {
        let Some(member) = self.members.get_mut(self.here) else { return timer::now() };
        let off = member.held.bound.vm.power(member.index) == Power::Off;
        let attention = match self.changes.is_empty() {
            true => member.block.idle_shared(off),
            false => member.block.look_shared(),
        };
        let leaves = attention != 0
            && self.running.attend(member.block.vcpu(), attention)
            && member.seat.is_changing();
        let interrupted = member.state == State::Waits && self.switch.is_interrupted();
        let now = timer::now();
        if leaves || interrupted {
            member.state = State::Ready;
            member.since = now;
            self.port.wake(self.here, now);
        }
        now
    }
}

impl Pause {
    /// The one that a slice of this time is followed by.
    fn after(begin: u64, end: u64) -> Self {
        let long = OTHERS * end.wrapping_sub(begin);
        Self { until: end.saturating_add(long), long, again: false }
    }

    /// Whether it is not over, for who is to run. Who just `comes` has not had any of it:
    /// for the first that does, it begins again, and only once, as a change goes on beside
    /// any others.
    fn goes_on(&mut self, comes: bool, now: u64) -> bool {
        if now >= self.until && comes && !self.again {
            self.until = now.saturating_add(self.long);
            self.again = true;
        }
        now < self.until
    }
}

impl Member<'_> {
    /// If it is on, and here, and goes on later, it stands still until then.
    fn rest(&mut self) {
        if self.held.bound.vm.power(self.index) == Power::On {
            self.block.rest();
        }
    }

    /// For how many counts it could have run and did not, since it started.
    #[inline(always)]
    fn stolen(&self, now: u64) -> u64 {
        let waits = if self.state == State::Ready { now.wrapping_sub(self.since) } else { 0 };
        self.seat.stolen().wrapping_add(waits).wrapping_sub(self.before)
    }

    fn start(&mut self, switch: &Switch, entry: Entry) {
        self.before = self.seat.stolen();
        self.told.iter().for_each(|told| told.store(0, Ordering::Relaxed));
        self.held.stage2.load();
        switch.reset(&mut self.block, self.held.bound.vm.offset());
        self.held.private_interrupts();
        if self.index == 0 {
            self.held.devices.vcpu_starts();
        }
        self.block.start(entry.pc, entry.x0, Attention::START);
    }
}
