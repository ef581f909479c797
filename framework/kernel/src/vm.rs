//! A VM's life.
//!
//! Nothing about a VM changes while one of its vCPUs is in its guest. Whoever
//! wants a change says so ([`Vm::request`], [`Vm::order`]) and has every vCPU's
//! attention; each comes out at its next exit and is *parked*; the core that parks the
//! last one carries the change out. A core does nothing with a vCPU but what
//! [`Vm::next`] tells it.

use crate::host::Host;
use crate::life::{Change, Life, Place};
use crate::shared::SharedCore;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use evisor_contract::{
    Clock, Context, LastCrash, Notify, Object, Power, Reply, VcpuControl, VmCheckpoint, VmEvent,
    VmState,
};
use spin::Once;

/// Bits of [`Context::attention`].
pub struct Attention;

impl Attention {
    /// Leave the guest at the next chance: a change is wanted, the vCPU is off, or its core,
    /// which it shares, is to choose again. Which of it is seen there.
    pub const LEAVE: u32 = 1 << 0;
    /// An interrupt became pending for this vCPU elsewhere.
    pub const REFRESH: u32 = 1 << 1;
    /// The vCPU starts anew: its first instruction is next.
    pub const START: u32 = 1 << 2;
    /// Beside [`REFRESH`](Self::REFRESH): somebody waits for what is found.
    pub const ANSWER: u32 = 1 << 3;
}

/// A vCPU as its VM knows it. It is pinned to a core.
pub(crate) struct Slot {
    affinity: u64,
    core: usize,
    pub(crate) power: AtomicU8,
    in_guest: AtomicBool,
    /// Where it starts and with what in x0, while it is [`PENDING`].
    pub(crate) entry: AtomicU64,
    pub(crate) argument: AtomicU64,
    attention: Once<&'static AtomicU32>,
    /// If it shares its core.
    shared: Once<&'static SharedCore>,
    /// What its core is to do with its state: one of [`NOTHING`] and those behind it.
    pub(crate) duty: AtomicU8,
    pub(crate) kept: Kept,
    /// How long it ran, and how long it could have and did not, in counts.
    ran: AtomicU64,
    stolen: AtomicU64,
    seen: Seen,
}

/// What a vCPU's core put down of it when it last left its guest. A register each, and
/// none says anything of the other.
#[derive(Default)]
struct Seen {
    /// Whether there is anything.
    once: AtomicBool,
    pc: AtomicU64,
    refused: AtomicU64,
}

/// How a vCPU was at its VM's checkpoint.
#[derive(Default)]
pub(crate) struct Kept {
    pub power: AtomicU8,
    pub entry: AtomicU64,
    pub argument: AtomicU64,
}

/// [`Slot::duty`]: none; to save the vCPU's state; to restore it.
pub(crate) const NOTHING: u8 = 0;
pub(crate) const SAVE: u8 = 1;
pub(crate) const RESTORE: u8 = 2;

/// [`Slot::power`]: off; being told where to start; told; on; on, and paused.
pub(crate) const STOPPED: u8 = 0;
const CLAIMED: u8 = 1;
pub(crate) const PENDING: u8 = 2;
const RUNNING: u8 = 3;
pub(crate) const RESTING: u8 = 4;

/// How a vCPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its first instruction, guest-physical.
    pub pc: u64,
    /// x0: the device tree, or PSCI's context id.
    pub x0: u64,
}

/// What a core does with a vCPU that is not in its guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Into the guest.
    Run,
    /// To the state of a core that was just started; then ask again.
    Start(Entry),
    /// It was paused with its VM, and is about to go on: its timer and its interrupts
    /// too. Then ask again.
    Resume,
    /// Its state is to be put aside, for its VM's checkpoint; then [`Vm::served`], and ask
    /// again.
    Save,
    /// Its state is to be the one that was put aside; then [`Vm::served`], and ask again.
    Restore,
    /// Nothing, until an interrupt comes: it is off, or another core has a change
    /// to make.
    Wait,
    /// Make the change: all its vCPUs are parked. Then say [`Vm::changed`],
    /// [`Vm::paused`] or [`Vm::resumed`].
    Change(Change),
}

/// [`Vm::checkpoint`]: there is no room for one; there is; and it was asked for one.
pub(crate) const NEVER: u8 = 0;
pub(crate) const NONE: u8 = 1;
pub(crate) const ASKED: u8 = 2;

/// A VM.
pub struct Vm {
    /// Its number, from 0.
    pub id: u16,
    /// Its name.
    pub name: String,
    pub(crate) host: &'static dyn Host,
    pub(crate) slots: Vec<Slot>,
    life: Life,
    /// One core has the change in hand, or looks whether it can.
    in_hand: AtomicBool,
    pub(crate) verdict: AtomicU8,
    /// Somebody may start it when it is off.
    kept: AtomicBool,
    kept_for_vms: AtomicBool,
    /// What its count lags behind the host's.
    pub(crate) offset: AtomicU64,
    /// The host's count when it was paused.
    pub(crate) paused_at: AtomicU64,
    /// Its count and its verdict at its checkpoint.
    pub(crate) kept_count: AtomicU64,
    pub(crate) kept_verdict: AtomicU8,
    pub(crate) checkpoint: AtomicU8,
    last_crash: Once<&'static dyn LastCrash>,
}

impl Vm {
    /// A VM whose vCPUs have these affinities and run on these cores. It is off, until [`changed`](Self::changed) says otherwise.
    pub fn new(
        id: u16,
        name: String,
        cpus: impl Iterator<Item = (u64, usize)>,
        offset: u64,
        host: &'static dyn Host,
    ) -> Self {
        let slots = cpus
            .map(|(affinity, core)| Slot {
                affinity,
                core,
                power: AtomicU8::new(STOPPED),
                in_guest: AtomicBool::new(false),
                entry: AtomicU64::new(0),
                argument: AtomicU64::new(0),
                attention: Once::new(),
                shared: Once::new(),
                duty: AtomicU8::new(NOTHING),
                kept: Kept::default(),
                ran: AtomicU64::new(0),
                stolen: AtomicU64::new(0),
                seen: Seen::default(),
            })
            .collect();
        Self {
            id,
            name,
            host,
            slots,
            life: Life::new(),
            in_hand: AtomicBool::new(true),
            verdict: AtomicU8::new(0),
            kept: AtomicBool::new(false),
            kept_for_vms: AtomicBool::new(false),
            offset: AtomicU64::new(offset),
            paused_at: AtomicU64::new(0),
            kept_count: AtomicU64::new(0),
            kept_verdict: AtomicU8::new(0),
            checkpoint: AtomicU8::new(NEVER),
            last_crash: Once::new(),
        }
    }

    /// The word that gets vCPU `index`'s attention.
    pub fn connect(&self, index: usize, attention: &'static AtomicU32) {
        if let Some(slot) = self.slots.get(index) {
            slot.attention.call_once(|| attention);
        }
    }

    /// vCPU `index`, which is connected, is one of several on its core: number `member`
    /// of those.
    pub fn share(&self, index: usize, core: &'static SharedCore, member: usize) {
        let Some(slot) = self.slots.get(index) else { return };
        if let Some(attention) = slot.attention.get() {
            core.connect(member, attention);
        }
        slot.shared.call_once(|| core);
    }

    /// vCPU `index`, which is connected, for its core, which it shares.
    pub fn seat(&'static self, index: usize) -> Option<Seat> {
        let slot = self.slots.get(index)?;
        Some(Seat { vm: self, slot, attention: slot.attention.get()? })
    }

    /// How long vCPU `index` ran and how long it could have and did not, in counts of the
    /// host. Its core says so when it comes out of its guest.
    pub fn times(&self, index: usize) -> (u64, u64) {
        let read =
            |slot: &Slot| (slot.ran.load(Ordering::Relaxed), slot.stolen.load(Ordering::Relaxed));
        self.slots.get(index).map_or((0, 0), read)
    }

    /// What its count lags behind the host's: CNTVOFF_EL2.
    pub fn offset(&self) -> u64 {
        self.offset.load(Ordering::Relaxed)
    }

    /// How it said that its work ended; 0 if it said nothing.
    pub fn verdict(&self) -> u8 {
        self.verdict.load(Ordering::Relaxed)
    }

    /// Somebody may start it when it is off.
    pub(crate) fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }

    /// A VM may, that holds it by a handle.
    pub(crate) fn keep_for_vms(&self) {
        self.kept_for_vms.store(true, Ordering::Relaxed);
    }

    /// Whether somebody may.
    pub fn is_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed) || self.kept_for_vms.load(Ordering::Relaxed)
    }

    /// It is off, and only another VM could start it, if anybody.
    pub fn is_deserted(&self) -> bool {
        let off = matches!(self.state(), VmState::Off | VmState::Crashed);
        off && !self.kept.load(Ordering::Relaxed)
    }

    /// Where its last crash is found, from now on.
    pub fn remember(&self, last_crash: &'static dyn LastCrash) {
        self.last_crash.call_once(|| last_crash);
    }

    pub(crate) fn last_crash(&self) -> Option<&'static dyn LastCrash> {
        self.last_crash.get().copied()
    }

    /// It crashed.
    pub fn crashed(&self) {
        if self.life.ask_itself(Change::Crash) {
            self.leave();
        }
    }

    /// It asks for a change of itself. Off ends what was asked for before; what it
    /// asks for while it changes is nothing, as its life ends there. False: it cannot ask
    /// for that.
    pub fn request(&self, event: VmEvent) -> bool {
        let change = match event {
            VmEvent::Verdict(code) => {
                self.verdict.store(code, Ordering::Relaxed);
                return true;
            }
            VmEvent::Off => Change::Off,
            VmEvent::Reset => Change::Reset,
            _ => return false,
        };
        if self.life.ask_itself(change) {
            self.leave();
        }
        true
    }

    /// Somebody who has power over it asks for a change. It is made when those are that
    /// were asked for before, whatever the VM does meanwhile. False: it cannot be asked
    /// for that: not for a checkpoint, if its manifest sets nothing aside for one, and not to
    /// be rolled back, if it was never asked for one.
    pub fn order(&self, event: VmEvent) -> bool {
        let checkpoint = self.checkpoint();
        match event {
            VmEvent::Verdict(_) => return false,
            VmEvent::Checkpoint if checkpoint == VmCheckpoint::Never => return false,
            VmEvent::RollBack if checkpoint != VmCheckpoint::Asked || self.life.is_over() => {
                return false;
            }
            VmEvent::Checkpoint => self.checkpoint.store(ASKED, Ordering::SeqCst),
            _ => {}
        }
        if self.life.ask(event) {
            self.leave();
            // None may be in its guest: then one of their cores is to ask.
            (0..self.slots.len()).for_each(|index| self.ask_core(index));
        }
        true
    }

    fn leave(&self) {
        for index in 0..self.slots.len() {
            self.get_attention(index, Attention::LEAVE);
        }
    }

    pub(crate) fn get_attention(&self, index: usize, what: u32) {
        let Some(slot) = self.slots.get(index) else { return };
        if let Some(attention) = slot.attention.get() {
            attention.fetch_or(what, Ordering::SeqCst);
            if slot.in_guest.load(Ordering::SeqCst) {
                self.host.kick(slot.core);
            } else {
                slot.rouse(self.host);
            }
        }
    }

    /// The core of vCPU `index`, which is not in its guest, is to ask what is next.
    pub(crate) fn ask_core(&self, index: usize) {
        match self.slots.get(index).and_then(|slot| slot.shared.get()) {
            Some(shared) => shared.rouse(self.host),
            None => self.host.kick(self.core_of(index)),
        }
    }

    /// Its vCPU `index`, which has a core of its own, ran for `counts`. That core says so.
    pub fn ran(&self, index: usize, counts: u64) {
        if let Some(slot) = self.slots.get(index) {
            add(&slot.ran, counts);
        }
    }

    /// Its vCPU `index`, which is not in its guest, is at `pc`, and was refused so much.
    /// Its core says so.
    pub fn saw(&self, index: usize, pc: u64, refused: u64) {
        if let Some(slot) = self.slots.get(index) {
            slot.seen.put_down(pc, refused);
        }
    }

    /// What was last said of vCPU `index` by [`saw`](Self::saw): nothing at first.
    pub(crate) fn seen(&self, index: usize) -> (Option<u64>, u64) {
        let Some(Slot { seen, .. }) = self.slots.get(index) else { return (None, 0) };
        let once = seen.once.load(Ordering::Acquire);
        let pc = once.then(|| seen.pc.load(Ordering::Relaxed));
        (pc, seen.refused.load(Ordering::Relaxed))
    }

    /// Has its vCPUs leave their guests for a moment.
    pub(crate) fn look(&self) {
        for (index, slot) in self.slots.iter().enumerate() {
            if slot.in_guest.load(Ordering::SeqCst) {
                self.get_attention(index, Attention::LEAVE);
            }
        }
    }

    /// How many vCPUs it has.
    pub(crate) fn vcpus(&self) -> usize {
        self.slots.len()
    }

    /// Where it is in its life.
    pub(crate) fn state(&self) -> VmState {
        self.life.state()
    }

    /// Whether it is on, and is to be.
    #[inline(always)]
    pub(crate) fn goes_on(&self) -> bool {
        self.life.goes_on()
    }

    /// The core that vCPU `index` runs on.
    pub fn core_of(&self, index: usize) -> usize {
        self.slots.get(index).map_or(usize::MAX, |slot| slot.core)
    }

    /// Which of its vCPUs run on `core`.
    pub fn vcpus_on(&self, core: usize) -> impl Iterator<Item = usize> {
        let slots = self.slots.iter().enumerate();
        slots.filter(move |(_, slot)| slot.core == core).map(|(index, _)| index)
    }

    /// What the core of vCPU `index` does now. The vCPU is not in its guest; if
    /// the answer is to run it, it counts as in its guest from here on.
    ///
    /// Who asks for a change writes `life` and then reads each `in_guest`; here
    /// it is the other way about. So one of the two sees the other, and while
    /// `in_guest` is set nothing changes.
    pub fn next(&self, index: usize) -> Next {
        let Some(slot) = self.slots.get(index) else { return Next::Wait };
        slot.in_guest.store(true, Ordering::SeqCst);
        if self.life.goes_on() {
            match slot.power.load(Ordering::SeqCst) {
                RUNNING => return Next::Run,
                RESTING => {
                    slot.power.store(RUNNING, Ordering::SeqCst);
                    return Next::Resume;
                }
                PENDING => {
                    let entry = Entry {
                        pc: slot.entry.load(Ordering::SeqCst),
                        x0: slot.argument.load(Ordering::SeqCst),
                    };
                    slot.power.store(RUNNING, Ordering::SeqCst);
                    return Next::Start(entry);
                }
                // The last one turned itself off: nothing can wake the VM.
                _ if self.all_off() => _ = self.request(VmEvent::Off),
                _ => {}
            }
        }
        slot.in_guest.store(false, Ordering::SeqCst);
        // What was asked for meanwhile waited for this vCPU.
        if self.life.goes_on() {
            return Next::Wait;
        }
        match slot.duty.load(Ordering::SeqCst) {
            NOTHING => self.change(),
            SAVE => Next::Save,
            _ => Next::Restore,
        }
    }

    /// Whether [`next`](Self::next) may say something new of vCPU `index`, of which it
    /// said [`Next::Wait`] last.
    pub fn is_asked(&self, index: usize) -> bool {
        let Some(slot) = self.slots.get(index) else { return false };
        let left = |word: &&AtomicU32| word.load(Ordering::SeqCst) & Attention::LEAVE != 0;
        match self.life.goes_on() {
            true => matches!(slot.power.load(Ordering::SeqCst), PENDING | RESTING),
            false => slot.attention.get().is_some_and(left),
        }
    }

    /// Forgets that vCPU `index`, which is parked, was asked to leave. True if it was:
    /// then [`next`](Self::next) is to be asked once more.
    pub fn has_left(&self, index: usize) -> bool {
        let word = self.slots.get(index).and_then(|slot| slot.attention.get());
        word.is_some_and(|word| {
            word.fetch_and(!Attention::LEAVE, Ordering::SeqCst) & Attention::LEAVE != 0
        })
    }

    fn all_off(&self) -> bool {
        self.slots.iter().all(|slot| slot.power.load(Ordering::SeqCst) == STOPPED)
    }

    /// The change that is wanted, for the core that parked the last vCPU.
    ///
    /// That none is in its guest is looked at with the change in hand: else it could be
    /// made by another core meanwhile, and vCPUs be in their guests again. Who parks the
    /// last one while another core only looks comes too late for that one, so that looks
    /// once more.
    fn change(&self) -> Next {
        let busy = || self.slots.iter().any(|slot| slot.in_guest.load(Ordering::SeqCst));
        while !self.in_hand.swap(true, Ordering::SeqCst) {
            let change = if busy() { None } else { self.life.take() };
            if let Some(change) = change {
                self.begin(change);
                return Next::Change(change);
            }
            self.in_hand.store(false, Ordering::SeqCst);
            if busy() || !self.life.waits() {
                break;
            }
        }
        Next::Wait
    }

    /// Who is started from here on starts with the VM; who is on stays so only if it goes
    /// on.
    fn begin(&self, change: Change) {
        if !matches!(change, Change::Pause | Change::Resume | Change::Checkpoint) {
            self.slots.iter().for_each(|slot| slot.power.store(STOPPED, Ordering::SeqCst));
        }
    }

    /// It is off, or about to be, and cannot be started any more.
    pub fn is_gone(&self) -> bool {
        !self.is_kept() || self.life.place() == Place::Gone
    }

    /// The change in hand brings it elsewhere than to where it says: its manifest has so.
    pub fn becomes(&self, place: Place) {
        self.life.becomes(place);
    }

    /// The change was made: the VM is off, or its first vCPU starts at `entry`, and
    /// with it those that were started meanwhile.
    pub fn changed(&self, entry: Option<Entry>) {
        let (Some(entry), Some(first)) = (entry, self.slots.first()) else {
            if self.life.place() == Place::On {
                self.life.becomes(Place::Off);
            }
            return self.settle();
        };
        first.tell(entry);
        self.settle();
    }

    /// The change was made: it stands still. [`Vm::stop_time`] was said.
    pub fn paused(&self) {
        for slot in &self.slots {
            let order = Ordering::SeqCst;
            let _ = slot.power.compare_exchange(RUNNING, RESTING, order, order);
        }
        self.settle();
    }

    /// The change was made: it stands still, as it did before, or off as it was.
    pub fn stands(&self) {
        self.settle();
    }

    /// The change was made: it goes on. [`Vm::start_time`] was said.
    pub fn resumed(&self) {
        self.settle();
    }

    fn settle(&self) {
        self.in_hand.store(false, Ordering::SeqCst);
        if self.life.settle() {
            // What was asked for meanwhile.
            self.leave();
            return (0..self.slots.len()).for_each(|index| self.ask_core(index));
        }
        for (index, slot) in self.slots.iter().enumerate() {
            if matches!(slot.power.load(Ordering::SeqCst), PENDING | RESTING) {
                self.ask_core(index);
            }
        }
    }

    /// Its count stands still from now on, for its vCPUs, which are all parked: what it
    /// reads of it comes back to here when they go on. Gives the host's.
    pub(crate) fn stop_time(&self) {
        self.paused_at.store(self.host.now(), Ordering::Relaxed);
    }

    /// Its count goes on. Gives how long it stood still.
    pub(crate) fn start_time(&self) -> u64 {
        let stood = self.host.now().wrapping_sub(self.paused_at.load(Ordering::Relaxed));
        self.offset.fetch_add(stood, Ordering::Relaxed);
        stood
    }
}

/// A vCPU that shares its core, as that core has it.
#[derive(Clone, Copy)]
pub struct Seat {
    vm: &'static Vm,
    slot: &'static Slot,
    attention: &'static AtomicU32,
}

impl Seat {
    /// Whether it may go into its guest without more ado; as [`Vm::next`], which is to be
    /// asked if not. It counts as in its guest until it [`came_out`](Self::came_out).
    #[inline(always)]
    pub fn goes_on(&self) -> bool {
        self.slot.in_guest.store(true, Ordering::SeqCst);
        let goes = self.vm.life.goes_on() && self.slot.power.load(Ordering::SeqCst) == RUNNING;
        if !goes {
            self.came_out();
        }
        goes
    }

    /// It came out of its guest: until [`goes_on`](Self::goes_on) or [`Vm::next`] say
    /// otherwise it is parked.
    #[inline(always)]
    pub fn came_out(&self) {
        self.slot.in_guest.store(false, Ordering::SeqCst);
    }

    /// Whether there is anything for it, which waits: an interrupt that came elsewhere, or a
    /// change to be made.
    #[inline(always)]
    pub fn is_wanted(&self) -> bool {
        self.attention.load(Ordering::SeqCst) & !Attention::LEAVE != 0 || self.is_changing()
    }

    /// Whether its VM wants a change, or is not on.
    #[inline(always)]
    pub fn is_changing(&self) -> bool {
        !self.vm.life.goes_on()
    }

    /// As [`Vm::saw`].
    #[inline(always)]
    pub fn saw(&self, pc: u64, refused: u64) {
        self.slot.seen.put_down(pc, refused);
    }

    /// How long it could have run and did not, as far as it was accounted for.
    #[inline(always)]
    pub fn stolen(&self) -> u64 {
        self.slot.stolen.load(Ordering::Relaxed)
    }

    /// It ran for `ran` counts, after it could have for `stolen` counts more. Nobody else
    /// says so.
    #[inline(always)]
    pub fn account(&self, ran: u64, stolen: u64) {
        add(&self.slot.ran, ran);
        add(&self.slot.stolen, stolen);
    }
}

/// Nobody else adds to it.
#[inline(always)]
fn add(all: &AtomicU64, more: u64) {
    all.store(all.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

impl Seen {
    #[inline(always)]
    fn put_down(&self, pc: u64, refused: u64) {
        self.pc.store(pc, Ordering::Relaxed);
        self.refused.store(refused, Ordering::Relaxed);
        self.once.store(true, Ordering::Release);
    }
}

impl Slot {
    /// It is not in its guest: if it shares its core, that looks at it.
    #[cold]
    #[inline(never)]
    fn rouse(&self, host: &dyn Host) {
        if let Some(shared) = self.shared.get() {
            shared.rouse(host);
        }
    }

    fn tell(&self, entry: Entry) {
        self.entry.store(entry.pc, Ordering::SeqCst);
        self.argument.store(entry.x0, Ordering::SeqCst);
        self.power.store(PENDING, Ordering::SeqCst);
    }
}

impl VcpuControl for Vm {
    fn affinity(&self, index: usize) -> Option<u64> {
        self.slots.get(index).map(|slot| slot.affinity)
    }

    fn power(&self, index: usize) -> Power {
        match self.slots.get(index).map(|slot| slot.power.load(Ordering::SeqCst)) {
            Some(RUNNING | RESTING) => Power::On,
            Some(CLAIMED | PENDING) => Power::Pending,
            _ => Power::Off,
        }
    }

    fn start(&self, index: usize, entry: u64, context: u64) -> Power {
        let Some(slot) = self.slots.get(index) else { return Power::On };
        let order = Ordering::SeqCst;
        match slot.power.compare_exchange(STOPPED, CLAIMED, order, order) {
            Ok(_) => {
                slot.tell(Entry { pc: entry, x0: context });
                // Its core waits at EL2, or is on its way there.
                self.ask_core(index);
                Power::Off
            }
            Err(RUNNING | RESTING) => Power::On,
            Err(_) => Power::Pending,
        }
    }

    fn stop_caller(&self, cx: &mut Context) {
        if let Some(slot) = self.slots.get(cx.vcpu()) {
            slot.power.store(STOPPED, Ordering::SeqCst);
            cx.attention.fetch_or(Attention::LEAVE, Ordering::SeqCst);
        }
    }

    /// Comes back at once, which every caller of a standby state must expect
    /// (DEN 0022 §5.4.3): its guest will wait in WFI.
    fn wait(&self, _cx: &mut Context) {}

    fn is_here(&self, index: usize, cx: &Context) -> bool {
        cx.vm() == usize::from(self.id) && cx.vcpu() == index
    }

    fn kick(&self, index: usize) {
        self.get_attention(index, Attention::REFRESH);
    }

    fn ask(&self, index: usize) {
        const LOOK: u32 = Attention::REFRESH | Attention::ANSWER;
        let Some(slot) = self.slots.get(index) else { return };
        if let Some((shared, attention)) = slot.shared.get().zip(slot.attention.get()) {
            // Whoever sees that it was asked sees what for.
            attention.fetch_or(LOOK, Ordering::SeqCst);
            shared.ask();
        }
        self.get_attention(index, LOOK);
    }
}

impl Clock for Vm {
    fn now(&self) -> u64 {
        self.host.now().wrapping_sub(self.offset())
    }

    fn frequency(&self) -> u64 {
        self.host.frequency()
    }

    fn unix_seconds(&self) -> u64 {
        self.host.unix_seconds()
    }
}

/// A VM as an object: what [`VmControl`](evisor_contract::VmControl) leads to.
pub(crate) struct VmObject(pub &'static Vm);

impl Object for VmObject {
    fn reset(&mut self) {}
}

impl Notify for VmObject {
    fn notify(&mut self, _tag: u32, value: u64, _cx: &mut Context) -> Reply {
        let known = VmEvent::decode(value).is_some_and(|event| self.0.request(event));
        if known { Reply::DONE } else { Reply::ABSENT }
    }
}
