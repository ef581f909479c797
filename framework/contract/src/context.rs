//! What an object is called with besides the access itself.

use crate::capability::{Capability, Rights};
use crate::port::NotifyPort;
use core::sync::atomic::AtomicU32;

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
/// One lives in every vCPU's block. Its first eight bytes are all that the exit
/// path looks at before it returns to the guest: zero means that nothing is left
/// to do.
#[repr(C)]
pub struct Context {
    queued: u32,
    /// What else the kernel wants before the guest goes on; any core may set it.
    pub attention: AtomicU32,
    head: u32,
    queue: [Option<Effect>; EFFECTS],
    vm: u16,
    vcpu: u16,
    overflowed: bool,
}

/// The queue is a ring, indexed by masking.
const MASK: u32 = EFFECTS as u32 - 1;
const _: () = assert!(EFFECTS.is_power_of_two());

impl Context {
    /// An empty context for vCPU number `vcpu` of the first VM.
    pub const fn new(vcpu: u16) -> Self {
        Self::of_vm(0, vcpu)
    }

    /// An empty context for vCPU number `vcpu` of VM number `vm`.
    pub const fn of_vm(vm: u16, vcpu: u16) -> Self {
        Self {
            queued: 0,
            attention: AtomicU32::new(0),
            head: 0,
            queue: [None; EFFECTS],
            vm,
            vcpu,
            overflowed: false,
        }
    }

    /// The VM that the vCPU belongs to. Counted from 0.
    pub fn vm(&self) -> usize {
        usize::from(self.vm)
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
        let at = (self.head.wrapping_add(self.queued) & MASK) as usize;
        match self.queue.get_mut(at) {
            Some(slot) if self.queued <= MASK => {
                *slot = Some(effect);
                self.queued += 1;
            }
            _ => self.overflowed = true,
        }
    }

    /// Takes the effect that has waited longest.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<Effect> {
        if self.queued == 0 {
            return None;
        }
        let at = (self.head & MASK) as usize;
        self.head = self.head.wrapping_add(1);
        self.queued -= 1;
        self.queue.get(at).copied().flatten()
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Words;

    struct Nobody;
    impl NotifyPort for Nobody {
        extern "C" fn notify(&self, _tag: u32, _value: u64, _cx: &mut Context) -> Words {
            Words::ABSENT
        }
    }
    static NOBODY: Capability<dyn NotifyPort> = Capability::new(&Nobody, Rights::CALL, 0);

    fn effect(value: u64) -> Effect {
        Effect { to: &NOBODY, right: Rights::CALL, tag: 0, value }
    }

    #[test]
    fn effects_come_out_in_order_and_the_ring_wraps() {
        let mut cx = Context::new(0);
        for round in 0..5 {
            for n in 0..EFFECTS as u64 - 3 {
                cx.push(effect(round * 100 + n));
            }
            for n in 0..EFFECTS as u64 - 3 {
                assert_eq!(cx.pop().map(|e| e.value), Some(round * 100 + n));
            }
            assert!(cx.pop().is_none());
        }
        assert!(!cx.take_overflow());
    }

    #[test]
    fn one_too_many_is_dropped_and_told() {
        let mut cx = Context::new(0);
        for n in 0..=EFFECTS as u64 {
            cx.push(effect(n));
        }
        assert_eq!(cx.queued(), EFFECTS);
        assert!(cx.take_overflow());
        assert!(!cx.take_overflow());
    }
}
