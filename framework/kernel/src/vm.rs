//! A VM's life.
//!
//! Nothing about a VM changes while one of its vCPUs is in its guest. Whoever
//! wants a change says so ([`Vm::request`], [`Vm::order`]) and has every vCPU's
//! attention; each comes out at its next exit and is *parked*; the core that parks the
//! last one carries the change out. A core does nothing with a vCPU but what
//! [`Vm::next`] tells it.

mod control;
mod seat;
mod slot;

pub(crate) use control::VmObject;
pub use seat::Seat;
pub(crate) use slot::{NOTHING, RESTING, RESTORE, SAVE, Slot};

use crate::host::Host;
use crate::life::{Change, Life, Place};
use crate::shared::SharedCore;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use evisor_contract::{LastCrash, VmCheckpoint, VmEvent, VmState};
use slot::{PENDING, RUNNING, STOPPED, add};
use spin::Once;

/// Bits of [`Context::attention`](evisor_contract::Context::attention).
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
        let slots = cpus.map(|(affinity, core)| Slot::new(affinity, core)).collect();
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
