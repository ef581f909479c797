//! Deadlines: the object behind the [`Deadline`](evisor_contract::Deadline)
//! grants.

use crate::host::Host;
use crate::vm::Attention;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use evisor_contract::{
    Capability, Context, Effect, Notify, NotifyPort, Object, Reply, Rights, tag,
};

/// One component's deadline, or a core's.
struct Slot {
    /// Whom to tell; known once the component is built. Nobody of a core's: it is to
    /// choose again.
    to: Option<&'static Capability<dyn NotifyPort>>,
    /// What its VM's count lags behind the host's.
    offset: u64,
    /// When, by the host's count; `u64::MAX` is never.
    deadline: u64,
    /// The core that it was asked for on.
    core: usize,
}

/// Whose a slot is, which nobody asks who sets it.
#[derive(Clone, Copy)]
struct Belongs {
    /// The VM, by its number.
    vm: Option<u16>,
    /// The VM changes or stands still: none of its deadlines passes.
    held: bool,
    /// What its deadline was when that began.
    kept: u64,
}

/// All deadlines, in front of the EL2 timer.
///
/// Each core's timer is set for the earliest deadline that was asked for on it.
/// The timer is not set back when a deadline is withdrawn: it fires once for
/// nothing, which is cheaper than to look for the next one each time.
pub struct Timers {
    host: &'static dyn Host,
    slots: Vec<Slot>,
    /// As many as there are slots.
    belongs: Vec<Belongs>,
    /// What each core's timer is set for.
    armed: [u64; MAX_CORES],
}

/// More cores than any board has that eVisor runs on.
pub const MAX_CORES: usize = 8;

impl Timers {
    /// No deadlines yet.
    pub const fn new(host: &'static dyn Host) -> Self {
        Self { host, slots: Vec::new(), belongs: Vec::new(), armed: [u64::MAX; MAX_CORES] }
    }

    /// A slot for a component of VM number `vm`, if it is in one, whose count lags
    /// `offset` behind the host's; or, never [`connect`](Self::connect)ed, for a core
    /// that several vCPUs share. Gives the tag to set it by.
    pub fn add(&mut self, vm: Option<u16>, offset: u64) -> u32 {
        self.belongs.push(Belongs { vm, held: false, kept: u64::MAX });
        self.slots.push(Slot { to: None, offset, deadline: u64::MAX, core: 0 });
        self.slots.len() as u32 - 1
    }

    /// The component that has slot `tag` is reached through `to`.
    pub fn connect(&mut self, tag: u32, to: &'static Capability<dyn NotifyPort>) {
        if let Some(slot) = self.slots.get_mut(tag as usize) {
            slot.to = Some(to);
        }
    }

    fn of(&mut self, vm: u16) -> impl Iterator<Item = (&mut Slot, &mut Belongs)> {
        let all = self.slots.iter_mut().zip(&mut self.belongs);
        all.filter(move |(_, belongs)| belongs.vm == Some(vm))
    }

    /// No deadline of VM `vm` passes until [`release`](Self::release), whenever it is
    /// set.
    pub fn hold(&mut self, vm: u16) {
        for (slot, belongs) in self.of(vm).filter(|(_, belongs)| !belongs.held) {
            belongs.held = true;
            belongs.kept = core::mem::replace(&mut slot.deadline, u64::MAX);
        }
    }

    /// The deadlines of VM `vm` pass again, on `core`, which is this one. Its count stood
    /// still meanwhile, for `stood` counts: what was set before is that much later. What
    /// was set meanwhile was set by a count that went on, and passes when it says.
    pub fn release(&mut self, vm: u16, stood: u64, core: usize) {
        let mut first = u64::MAX;
        for (slot, belongs) in self.of(vm).filter(|(_, belongs)| belongs.held) {
            belongs.held = false;
            slot.offset = slot.offset.wrapping_add(stood);
            if slot.deadline == u64::MAX {
                slot.deadline = belongs.kept.saturating_add(stood);
            }
            slot.core = core;
            first = first.min(slot.deadline);
        }
        if first < self.armed.get(core & (MAX_CORES - 1)).copied().unwrap_or(0) {
            self.arm(core, first);
        }
    }

    /// The count of VM `vm`, whose deadlines are held, lags so much `more` behind the
    /// host's: none of them is as it was set.
    pub fn moved(&mut self, vm: u16, more: u64) {
        for (slot, belongs) in self.of(vm).filter(|(_, belongs)| belongs.held) {
            slot.offset = slot.offset.wrapping_add(more);
            (slot.deadline, belongs.kept) = (u64::MAX, u64::MAX);
        }
    }

    /// Sets the timer of `core`, which is this one.
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn arm(&mut self, core: usize, deadline: u64) {
        self.armed[core & (MAX_CORES - 1)] = deadline;
        self.host.set_timer(deadline);
    }

    #[inline]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn set(&mut self, tag: u32, count: u64, core: usize) -> Reply {
        let Some(slot) = self.slots.get_mut(tag as usize) else { return Reply::ABSENT };
        slot.core = core;
        // A count that the host's never reaches is never, not long ago.
        slot.deadline = count.saturating_add(slot.offset);
        let deadline = slot.deadline;
        if deadline < self.armed[core & (MAX_CORES - 1)] {
            self.arm(core, deadline);
        }
        Reply::DONE
    }

    /// This core's timer fired: tells who asked on it and waited, as far as the
    /// queue has room, and sets the timer for the next.
    fn expire(&mut self, cx: &mut Context) -> Reply {
        let (now, core) = (self.host.now(), cx.core());
        let mut next = u64::MAX;
        let all = self.slots.iter_mut().zip(&self.belongs);
        let here = all.filter(|(slot, belongs)| slot.core == core && !belongs.held);
        for (slot, _) in here {
            let room = cx.queued() < evisor_contract::EFFECTS;
            match slot.to {
                Some(to) if slot.deadline <= now && room => {
                    slot.deadline = u64::MAX;
                    let value = now.wrapping_sub(slot.offset);
                    cx.push(Effect { to, right: Rights::CALL, tag: tag::DEADLINE, value });
                }
                None if slot.deadline <= now => {
                    slot.deadline = u64::MAX;
                    cx.attention.fetch_or(Attention::LEAVE, Ordering::SeqCst);
                }
                _ => next = next.min(slot.deadline),
            }
        }
        let tick = self.host.tick().map_or(u64::MAX, |tick| now.saturating_add(tick));
        self.arm(core, next.min(tick));
        Reply::DONE
    }
}

impl Object for Timers {
    fn reset(&mut self) {}
}

impl Notify for Timers {
    fn notify(&mut self, tag: u32, value: u64, cx: &mut Context) -> Reply {
        match tag {
            tag::HOST_INTERRUPT => self.expire(cx),
            tag => self.set(tag, value, cx.core()),
        }
    }
}
