//! What an object is called with besides the access itself.

use crate::capability::{Capability, Rights};
use crate::port::NotifyPort;
use crate::state::{Restore, RestoreError, Save};
use crate::wire::LineState;
use core::sync::atomic::AtomicU32;

/// How many effects one invocation may ask for.
pub const EFFECTS: usize = SLOTS - 1;

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

impl Effect {
    /// What the line is to be told after this was delivered, if its holder has said
    /// something else of it meanwhile.
    ///
    /// Effects are delivered after the holder's lock was released: two cores that each
    /// have one of the same line may deliver them in either order. Whoever is later
    /// sees here what was said last, because the locks of the two objects are between
    /// (what was said, before the first's delivery; this look, after the second's).
    #[inline(always)]
    pub fn overtaken(&self) -> Option<u64> {
        if self.right != Rights::INTERRUPT || self.value > LineState::High.encode() {
            return None;
        }
        Some(self.to.level()).filter(|level| *level != self.value)
    }
}

/// Bytes that go with an effect: as many as the FIFO of a UART holds.
///
/// Aligned and of one size, so that they are copied by words and without a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C, align(8))]
pub struct Bytes {
    data: [u8; Self::MOST],
    count: u32,
}

impl Bytes {
    /// How many there can be.
    pub const MOST: usize = 32;
    /// None.
    pub const NONE: Self = Self { data: [0; Self::MOST], count: 0 };

    /// The first [`MOST`](Self::MOST) of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut new = Self::NONE;
        for byte in bytes {
            new.push(*byte);
        }
        new
    }

    /// Adds one, if there is room.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        let count = self.count;
        if let Some(slot) = self.data.get_mut(count as usize) {
            *slot = byte;
            self.count = count + 1;
        }
    }

    /// How many there are.
    #[inline(always)]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Takes all away.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// The bytes.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        self.data.get(..self.count as usize).unwrap_or(&self.data)
    }

    /// Writes their number, and them.
    pub fn save(&self, to: &mut Save) {
        to.word(self.count);
        to.raw(self.as_slice());
    }

    /// What was saved.
    ///
    /// # Errors
    /// [`RestoreError::Truncated`]; [`RestoreError::Impossible`] if they are too many.
    pub fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        let (count, mut data) = (from.word()?, [0; Self::MOST]);
        let bytes = data.get_mut(..count as usize).ok_or(RestoreError::Impossible)?;
        from.raw(bytes)?;
        Ok(Self { data, count })
    }
}

/// An effect that waits, and its bytes.
#[derive(Clone, Copy)]
struct Slot {
    effect: Option<Effect>,
    bytes: Bytes,
}

impl Slot {
    const EMPTY: Self = Self { effect: None, bytes: Bytes::NONE };
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
    /// The slot of the effect that is being delivered. One slot more than there
    /// are effects, so that what it pushes does not overwrite its bytes.
    current: u32,
    queue: [Slot; SLOTS],
    vm: u16,
    vcpu: u16,
    core: u16,
    overflowed: bool,
}

/// The queue is a ring, indexed by masking.
const SLOTS: usize = 16;
const MASK: u32 = SLOTS as u32 - 1;
const _: () = assert!(SLOTS.is_power_of_two());

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
            current: 0,
            queue: [Slot::EMPTY; SLOTS],
            vm,
            vcpu,
            core: vcpu,
            overflowed: false,
        }
    }

    /// The same vCPU on core number `core`, which is otherwise its own number.
    #[must_use]
    pub const fn on_core(mut self, core: u16) -> Self {
        self.core = core;
        self
    }

    /// The core that the invocation happens on. Counted from 0.
    #[inline(always)]
    pub fn core(&self) -> usize {
        usize::from(self.core)
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
    /// defect: what is over is dropped. The test kit fails it.
    #[inline(always)]
    pub fn push(&mut self, effect: Effect) {
        if let Some(slot) = self.slot() {
            slot.effect = Some(effect);
            slot.bytes.clear();
        }
    }

    /// Queues an effect with bytes, which the other object finds in
    /// [`bytes`](Self::bytes).
    #[inline(always)]
    pub fn push_bytes(&mut self, effect: Effect, bytes: &Bytes) {
        if let Some(slot) = self.slot() {
            slot.effect = Some(effect);
            // Apart, since a copy of more than four words becomes a call.
            slot.bytes.data = bytes.data;
            slot.bytes.count = bytes.count;
        }
    }

    #[inline(always)]
    fn slot(&mut self) -> Option<&mut Slot> {
        let at = (self.head.wrapping_add(self.queued) & MASK) as usize;
        if self.queued as usize == EFFECTS {
            self.overflowed = true;
            return None;
        }
        self.queued += 1;
        self.queue.get_mut(at)
    }

    /// Takes the effect that has waited longest, for delivery.
    #[inline(always)]
    pub fn pop(&mut self) -> Option<Effect> {
        if self.queued == 0 {
            return None;
        }
        self.current = self.head & MASK;
        self.head = self.head.wrapping_add(1);
        self.queued -= 1;
        self.queue.get(self.current as usize).and_then(|slot| slot.effect)
    }

    /// The bytes that came with the notification that is being delivered.
    #[inline(always)]
    pub fn bytes(&self) -> &[u8] {
        self.queue.get((self.current & MASK) as usize).map_or(&[], |slot| slot.bytes.as_slice())
    }

    /// Makes `bytes` those of the next notification: for who notifies an object
    /// without a queue in between, as a test does.
    pub fn set_bytes(&mut self, bytes: &[u8]) {
        if let Some(slot) = self.queue.get_mut((self.current & MASK) as usize) {
            slot.bytes = Bytes::new(bytes);
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
                cx.push_bytes(effect(round * 100 + n), &Bytes::new(&[n as u8; 3]));
            }
            for n in 0..EFFECTS as u64 - 3 {
                assert_eq!(cx.pop().map(|e| e.value), Some(round * 100 + n));
                // What is pushed meanwhile leaves them alone.
                cx.push(effect(0));
                assert_eq!(cx.bytes(), [n as u8; 3]);
            }
            while cx.pop().is_some() {
                assert!(cx.bytes().is_empty());
            }
        }
        assert!(!cx.take_overflow());
    }

    #[test]
    fn bytes_are_bounded() {
        let bytes = Bytes::new(&[7; 40]);
        assert_eq!(bytes.as_slice(), [7; Bytes::MOST]);
        assert_eq!(Bytes::new(b"ab").as_slice(), b"ab");
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
