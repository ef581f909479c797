//! Deadlines: the object behind the [`Deadline`](evisor_contract::Deadline)
//! grants.

use crate::host::Host;
use alloc::vec::Vec;
use evisor_contract::{
    Capability, Context, Effect, Notify, NotifyPort, Object, Reply, Rights, tag,
};

/// One component's deadline.
struct Slot {
    /// Whom to tell; known once the component is built.
    to: Option<&'static Capability<dyn NotifyPort>>,
    /// What its VM's count lags behind the host's.
    offset: u64,
    /// When, by the host's count; `u64::MAX` is never.
    deadline: u64,
}

/// All deadlines, in front of the EL2 timer.
///
/// Each core's timer is set for the earliest deadline that was asked for on it.
/// The timer is not set back when a deadline is withdrawn: it fires once for
/// nothing, which is cheaper than to look for the next one each time.
pub struct Timers {
    host: &'static dyn Host,
    slots: Vec<Slot>,
    /// What the timer is set for.
    armed: u64,
}

impl Timers {
    /// No deadlines yet.
    pub const fn new(host: &'static dyn Host) -> Self {
        Self { host, slots: Vec::new(), armed: u64::MAX }
    }

    /// A slot for a component of a VM whose count lags `offset` behind the
    /// host's. Gives the tag to set it by.
    pub fn add(&mut self, offset: u64) -> u32 {
        self.slots.push(Slot { to: None, offset, deadline: u64::MAX });
        self.slots.len() as u32 - 1
    }

    /// The component that has slot `tag` is reached through `to`.
    pub fn connect(&mut self, tag: u32, to: &'static Capability<dyn NotifyPort>) {
        if let Some(slot) = self.slots.get_mut(tag as usize) {
            slot.to = Some(to);
        }
    }

    fn arm(&mut self, deadline: u64) {
        self.armed = deadline;
        self.host.set_timer(deadline);
    }

    #[inline]
    fn set(&mut self, tag: u32, count: u64) -> Reply {
        let Some(slot) = self.slots.get_mut(tag as usize) else { return Reply::ABSENT };
        // A count that the host's never reaches is never, not long ago.
        slot.deadline = count.saturating_add(slot.offset);
        let deadline = slot.deadline;
        if deadline < self.armed {
            self.arm(deadline);
        }
        Reply::DONE
    }

    /// The EL2 timer fired: tells who waited, as far as the queue has room, and
    /// sets the timer for the next.
    fn expire(&mut self, cx: &mut Context) -> Reply {
        let now = self.host.now();
        let mut next = u64::MAX;
        for slot in &mut self.slots {
            let room = cx.queued() < evisor_contract::EFFECTS;
            match slot.to {
                Some(to) if slot.deadline <= now && room => {
                    slot.deadline = u64::MAX;
                    let value = now.wrapping_sub(slot.offset);
                    cx.push(Effect { to, right: Rights::CALL, tag: tag::DEADLINE, value });
                }
                _ => next = next.min(slot.deadline),
            }
        }
        self.arm(next);
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
            tag => self.set(tag, value),
        }
    }
}
