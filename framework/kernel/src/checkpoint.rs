//! A VM's checkpoint: what is kept of its vCPUs and its time. Its memory and its objects
//! are for whoever makes the change.
//!
//! A vCPU's registers are those of its core, and nobody else can read them. So who makes
//! the change gives each vCPU's core something to do ([`Next::Save`](crate::Next),
//! [`Next::Restore`](crate::Next)), and goes on when all have done it. All are parked
//! meanwhile, and nobody else makes a change.

use crate::vm::{ASKED, Attention, NONE, NOTHING, RESTING, RESTORE, SAVE, Slot, Vm};
use core::sync::atomic::Ordering;
use evisor_contract::VmCheckpoint;

impl Vm {
    /// There is room for a checkpoint of it.
    pub fn may_keep(&self) {
        self.checkpoint.store(NONE, Ordering::SeqCst);
    }

    /// Whether it can be asked for a checkpoint, and was.
    pub(crate) fn checkpoint(&self) -> VmCheckpoint {
        match self.checkpoint.load(Ordering::SeqCst) {
            NONE => VmCheckpoint::None,
            ASKED => VmCheckpoint::Asked,
            _ => VmCheckpoint::Never,
        }
    }

    /// It stands still: keeps how its vCPUs are, its count and its verdict, and has the
    /// cores of those that are on put their state aside.
    pub fn keep_vcpus(&self) {
        let count = self.paused_at.load(Ordering::Relaxed).wrapping_sub(self.offset());
        self.kept_count.store(count, Ordering::Relaxed);
        self.kept_verdict.store(self.verdict(), Ordering::Relaxed);
        for (index, slot) in self.slots.iter().enumerate() {
            if slot.keep() == RESTING {
                self.charge(index, SAVE);
            }
        }
    }

    /// Makes its vCPUs what they were, and has the cores of those that were on restore
    /// their state. They stand still then.
    pub fn bring_vcpus_back(&self) {
        self.verdict.store(self.kept_verdict.load(Ordering::Relaxed), Ordering::Relaxed);
        for (index, slot) in self.slots.iter().enumerate() {
            if slot.bring_back() == RESTING {
                self.charge(index, RESTORE);
            }
        }
    }

    /// Its count when it was kept.
    pub fn kept_count(&self) -> u64 {
        self.kept_count.load(Ordering::Relaxed)
    }

    fn charge(&self, index: usize, duty: u8) {
        if let Some(slot) = self.slots.get(index) {
            slot.duty.store(duty, Ordering::SeqCst);
            self.get_attention(index, Attention::LEAVE);
            self.ask_core(index);
        }
    }

    /// The core of vCPU `index` did what [`next`](Self::next) had it do with its state.
    pub fn served(&self, index: usize) {
        if let Some(slot) = self.slots.get(index) {
            slot.duty.store(NOTHING, Ordering::SeqCst);
        }
    }

    /// Whether the cores of all its vCPUs did.
    pub fn all_served(&self) -> bool {
        self.slots.iter().all(|slot| slot.duty.load(Ordering::SeqCst) == NOTHING)
    }

    /// Its count, which stands still, is what it was at the checkpoint. Gives how much
    /// more it lags behind the host's by that.
    pub(crate) fn roll_time_back(&self) -> u64 {
        let (now, before) = (self.host.now(), self.offset());
        let offset = now.wrapping_sub(self.kept_count.load(Ordering::Relaxed));
        self.paused_at.store(now, Ordering::Relaxed);
        self.offset.store(offset, Ordering::Relaxed);
        offset.wrapping_sub(before)
    }
}

impl Slot {
    /// Gives how it is.
    fn keep(&self) -> u8 {
        let order = Ordering::SeqCst;
        let power = self.power.load(order);
        self.kept.power.store(power, order);
        self.kept.entry.store(self.entry.load(order), order);
        self.kept.argument.store(self.argument.load(order), order);
        power
    }

    /// Gives how it is from now on.
    fn bring_back(&self) -> u8 {
        let order = Ordering::SeqCst;
        let power = self.kept.power.load(order);
        self.entry.store(self.kept.entry.load(order), order);
        self.argument.store(self.kept.argument.load(order), order);
        self.power.store(power, order);
        power
    }
}
