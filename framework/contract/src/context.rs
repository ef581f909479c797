//! What an object is called with besides the access itself.

use crate::capability::{Capability, Rights};
use crate::port::NotifyPort;

/// How many effects one invocation may ask for.
pub const EFFECTS: usize = 16;

/// Something to happen outside the object: a notification of another one, sent
/// through a capability that the object was granted.
#[derive(Clone, Copy)]
pub struct Effect {
    /// The capability to send it through.
    pub to: &'static Capability<dyn NotifyPort>,
    /// The right that sending it takes.
    pub right: Rights,
    /// What is notified: a line, a port, one of [`tag`](crate::tag)'s.
    pub tag: u32,
    /// What it is told.
    pub value: u64,
}

/// The circumstances of an invocation, and the queue for its effects.
///
/// One lives in every vCPU's block. Its first word is all that the exit path
/// looks at before it returns to the guest: zero means that nothing is left to
/// do.
#[repr(C)]
pub struct Context {
    queued: u32,
    overflowed: bool,
    vcpu: u16,
    queue: [Option<Effect>; EFFECTS],
}

impl Context {
    /// An empty context for vCPU number `vcpu` of its VM.
    pub const fn new(vcpu: u16) -> Self {
        Self { queued: 0, overflowed: false, vcpu, queue: [None; EFFECTS] }
    }

    /// Which of its VM's vCPUs made the access, or is current on the core that
    /// took the interrupt. Counted from 0.
    #[inline(always)]
    pub fn vcpu(&self) -> usize {
        usize::from(self.vcpu)
    }

    /// Queues an effect. It is delivered, in order, after the object's lock is
    /// released and before the guest goes on.
    ///
    /// An object that asks for more than [`EFFECTS`] in one invocation has a
    /// defect: what is over is dropped and the kernel quarantines the object.
    #[inline(always)]
    pub fn push(&mut self, effect: Effect) {
        match self.queue.get_mut(self.queued as usize) {
            Some(slot) => {
                *slot = Some(effect);
                self.queued += 1;
            }
            None => self.overflowed = true,
        }
    }

    /// How many effects wait.
    #[inline(always)]
    pub fn queued(&self) -> usize {
        self.queued as usize
    }

    /// Whether an effect was dropped since this was last asked.
    pub fn take_overflow(&mut self) -> bool {
        core::mem::take(&mut self.overflowed)
    }

    /// Takes all that waits, for delivery. Effects pushed while they are being
    /// delivered start a new queue.
    pub fn take(&mut self) -> impl Iterator<Item = Effect> + use<> {
        let count = self.queued as usize;
        self.queued = 0;
        self.queue.into_iter().take(count).flatten()
    }

    /// Takes the first effect if it is the only one: what nearly always waits.
    #[inline(always)]
    pub fn take_only(&mut self) -> Option<Effect> {
        if self.queued != 1 {
            return None;
        }
        self.queued = 0;
        self.queue.first().copied().flatten()
    }
}
