//! What is pending, put into list registers and taken back.
//!
//! The registers are those of the core that runs this code, and hold the
//! interrupts of the vCPU that is there, which every function calls `here`. What a
//! list register holds is moved there: its pending bits in the software state are
//! cleared, and set again when it is taken back. So an interrupt is pending in one
//! place.
//!
//! The short way puts one interrupt into a free register ([`Vgic::place`]). All
//! else takes everything back that the guest has not acknowledged
//! ([`Vgic::recall`]), changes what is to be changed, and fills the registers in
//! the order of priority ([`Vgic::fill`]).

mod presence;
mod questions;

pub use presence::Change;

use crate::Vgic;
use crate::interface::Interface;
use crate::queue::Queue;
use crate::spec::PRIVATE;
use crate::state::{NOWHERE, Slot, bits};

/// All bits of a physical interrupt's number in a list register.
const LINK: u16 = 0x3ff;

impl<I: Interface> Vgic<I> {
    /// A list register for `slot`: the one that it was in, if the guest is done
    /// with it, or a free one. None if it is still there, or if what is pending
    /// has to be put in order first.
    fn claim(&mut self, here: usize, slot: Slot) -> Option<usize> {
        let interrupt = self.state.interrupt(slot);
        let bank = self.state.bank(here);
        if interrupt.place == NOWHERE {
            return self.claim_free(here, slot);
        }
        let n = interrupt.list();
        let elsewhere = interrupt.holder() != Some(here);
        if elsewhere || bank.overflow || self.interface.list(n) & I::STATE != 0 {
            return None;
        }
        Some(n)
    }

    /// Apart from what comes again: that finds its register.
    #[inline(never)]
    fn claim_free(&mut self, here: usize, slot: Slot) -> Option<usize> {
        let bank = self.state.bank_mut(here);
        let n = bank.free.trailing_zeros() as usize;
        if bank.free == 0 {
            return None;
        }
        bank.free &= !(1 << n);
        self.state.hold(slot, here, n);
        Some(n)
    }

    fn put(&mut self, here: usize, n: usize, value: u64) {
        self.state.bank_mut(here).set_image(n, value);
        self.interface.set_list(n, value);
    }

    /// Moves the pending `slot` into a list register; false if there is none.
    pub(crate) fn place(&mut self, here: usize, slot: Slot) -> bool {
        let Some(n) = self.claim(here, slot) else {
            return false;
        };
        let value = if I::SOURCES && slot.is_sgi() {
            self.take_source(here, slot)
        } else {
            self.take_pending(here, slot, n)
        };
        self.put(here, n, value);
        if !slot.is_shared() {
            self.allow_quick(here, n, slot, value);
        }
        true
    }

    /// The short way for a private interrupt whose list register will be written
    /// alike when it comes again: an SGI to oneself, a physical interrupt.
    fn allow_quick(&mut self, here: usize, n: usize, slot: Slot, value: u64) {
        let alike = match slot.is_sgi() {
            true => !I::SOURCES || I::source(value) == here,
            false => value & I::HW != 0,
        };
        let word = self.state.word(slot.word());
        let alike = alike && word.open() & !word.pending() & slot.bit() != 0;
        let bank = self.state.bank_mut(here);
        bank.quick &= !slot.bit();
        if alike && !bank.overflow {
            bank.quick |= slot.bit();
            bank.set_list_of(slot.intid(), n);
        }
    }

    /// Puts private interrupt `intid` into the list register that it was in last
    /// once more, if the guest is done with it and nothing stands in the way; false
    /// if that is not so.
    ///
    /// This is what an interrupt of a running guest costs.
    #[inline(always)]
    pub(crate) fn again(&mut self, here: usize, intid: usize) -> bool {
        let bank = self.state.bank(here);
        if bank.quick >> (intid & (PRIVATE - 1)) & 1 == 0 {
            return false;
        }
        let n = bank.list_of(intid);
        self.interface.refill(n, bank.image(n))
    }

    /// The same for an edge of the shared interrupt `intid`, if it is in a list register of
    /// `here`, which is on this core, and goes to nobody else: a doorbell. What
    /// [`place`](Self::place) would do is done, or nothing.
    #[inline(always)]
    pub(crate) fn rings_again(&mut self, here: usize, intid: usize) -> bool {
        let Some(slot) = Slot::shared(intid) else { return false };
        let (word, interrupt) = (self.state.word(slot.word()), *self.state.interrupt(slot));
        // By its line an edge is never pending.
        let waits = word.latch | word.physical;
        let ready = word.open() & word.edge & !waits & slot.bit() != 0;
        let own = interrupt.targets == 1 << (here & 7) && interrupt.is_held_by(here);
        if !(ready && own) {
            return false;
        }
        let (n, bank) = (interrupt.list(), self.state.bank_mut(here));
        let changed = (bank.cancel | bank.deactivate) >> n & 1 != 0;
        if changed || bank.overflow || bank.image(n) != interrupt.template {
            return false;
        }
        bank.latched |= 1 << n;
        self.interface.refill(n, interrupt.template)
    }

    /// One source of a pending SGI. While others wait, its end is told.
    fn take_source(&mut self, here: usize, slot: Slot) -> u64 {
        let sgi = slot.intid();
        let sources = self.state.sources(here, sgi);
        let rest = sources & sources.wrapping_sub(1);
        self.state.set_sources(here, sgi, rest);
        let eoi = if rest == 0 { 0 } else { I::EOI };
        self.state.interrupt(slot).template
            | I::from_source(sources.trailing_zeros() as usize)
            | eoi
    }

    /// Any other interrupt. The end of one with a level line is told, so that the
    /// line is looked at again.
    fn take_pending(&mut self, here: usize, slot: Slot, n: usize) -> u64 {
        let (interrupt, bit) = (*self.state.interrupt(slot), slot.bit());
        let word = self.state.word_mut(slot.word());
        let (latched, linked) = (word.latch & bit != 0, word.physical & bit != 0);
        let eoi = if word.edge & bit == 0 { I::EOI } else { 0 };
        word.latch &= !bit;
        word.physical &= !bit;
        let bank = self.state.bank_mut(here);
        bank.cancel &= !(1 << n);
        bank.deactivate &= !(1 << n);
        bank.latched = bank.latched & !(1 << n) | u32::from(latched) << n;
        interrupt.template | if linked { I::link(interrupt.physical) } else { eoi }
    }

    /// Empties list register `n`.
    fn release(&mut self, here: usize, n: usize, slot: Slot) {
        self.state.free(slot);
        self.state.bank_mut(here).free |= 1 << n;
        self.interface.set_list(n, 0);
    }

    /// Takes back from the list registers what is pending, and forgets what the
    /// guest is done with. What is active stays. Gives the vCPUs that are to
    /// look, since an interrupt of theirs was here.
    pub(crate) fn recall(&mut self, here: usize) -> u32 {
        if self.state.bank(here).stale {
            self.start(here);
        }
        if self.state.bank(here).overflow {
            self.forget_ended(here);
        }
        let bank = self.state.bank_mut(here);
        bank.quick = 0;
        bank.arrived = 0;
        bank.dirty = false;
        if bank.retire != 0 {
            self.let_go(here);
        }
        let mut kicks = 0;
        for n in bits(self.interface.all() & !self.state.bank(here).free) {
            let n = n as usize;
            let slot = self.slot_in(here, n);
            self.recall_one(here, n, slot);
            kicks |= self.owed(here, slot);
        }
        let bank = self.state.bank_mut(here);
        bank.cancel = 0;
        bank.deactivate = 0;
        bank.activate = 0;
        self.known(here);
        kicks
    }

    /// The links that are to go are gone: what the guest acknowledged it ends without the
    /// physical interrupt, and what it did not is no more. What it has ended is left.
    #[cold]
    #[inline(never)]
    fn let_go(&mut self, here: usize) {
        let awake = self.state.bank(here).awake;
        for n in bits(core::mem::take(&mut self.state.bank_mut(here).retire)) {
            let n = n as usize;
            let (slot, value) = (self.slot_in(here, n), self.interface.list(n));
            if value & I::HW == 0 || value & I::STATE == 0 {
                continue;
            }
            // One that was off said so when it was asked.
            self.state.word_mut(slot.word()).retired |= if awake { slot.bit() } else { 0 };
            match value & I::ACTIVE {
                0 => self.release(here, n, slot),
                _ => self.put(here, n, value & !I::link(LINK)),
            }
        }
    }

    /// What the guest ended without its being in a list register is not active any
    /// more. Handlers nest: it was what had the highest priority of such.
    fn forget_ended(&mut self, here: usize) {
        let ended = self.interface.take_ended();
        if ended == 0 {
            return;
        }
        let mut active = Queue::new(&self.state, here, |word| word.active);
        for _ in 0..ended {
            let Some(slot) = active.next(&self.state) else { return };
            self.state.word_mut(slot.word()).active &= !slot.bit();
            self.state.forward(slot.word());
        }
    }

    /// Which interrupt was put into list register `n`.
    fn slot_in(&self, here: usize, n: usize) -> Slot {
        Slot::new(here, I::intid(self.state.bank(here).image(n)))
    }

    fn recall_one(&mut self, here: usize, n: usize, slot: Slot) {
        let value = self.interface.list(n);
        if value & I::ACTIVE != 0 {
            if self.state.bank(here).deactivate >> n & 1 != 0 {
                return self.deactivate(here, n, slot);
            }
            return self.state.bank_mut(here).set_image(n, value);
        }
        self.release(here, n, slot);
        if value & I::PENDING != 0 {
            self.take_back(here, n, slot, value);
        }
        if self.state.bank(here).activate >> n & 1 != 0 {
            self.state.word_mut(slot.word()).active |= slot.bit();
            self.state.forward(slot.word());
        }
    }

    /// The vCPU, as a bit, that `slot` is now for instead of `here`.
    fn owed(&self, here: usize, slot: Slot) -> u32 {
        let interrupt = self.state.interrupt(slot);
        let word = self.state.word(slot.word());
        let waits = (word.pending() | word.active) & slot.bit() != 0;
        match self.state.target(slot) {
            Some(target) if waits && interrupt.place == NOWHERE && target != here => 1 << target,
            _ => 0,
        }
    }

    /// What was pending in list register `n` is pending in software again.
    fn take_back(&mut self, here: usize, n: usize, slot: Slot, value: u64) {
        let bank = self.state.bank(here);
        let (latched, cancel) = (bank.latched >> n & 1 != 0, bank.cancel >> n & 1 != 0);
        if value & I::HW != 0 {
            self.state.interrupt_mut(slot).physical = I::linked(value);
            self.state.word_mut(slot.word()).physical |= slot.bit();
        } else if I::SOURCES && slot.is_sgi() {
            let sources = self.state.sources(here, slot.intid()) | 1 << (I::source(value) & 7);
            self.state.set_sources(here, slot.intid(), sources);
        } else if latched && !cancel {
            self.state.word_mut(slot.word()).latch |= slot.bit();
        }
    }

    /// Ends the active interrupt in list register `n`. One that is linked to
    /// hardware has to be deactivated there, which only the guest's own end of
    /// interrupt does: it becomes pending once more.
    pub(crate) fn deactivate(&mut self, here: usize, n: usize, slot: Slot) {
        let value = self.interface.list(n);
        self.release(here, n, slot);
        if value & I::HW != 0 {
            self.take_back(here, n, slot, value);
        }
    }

    /// Fills the list registers, the highest priority first.
    fn fill(&mut self, here: usize) {
        let mut overflow = !self.place_active(here);
        let mut ready = Queue::new(&self.state, here, |word| word.pending() & word.open());
        while let Some(slot) = ready.next(&self.state) {
            if !self.place(here, slot) {
                overflow = true;
                // With every list register active, nothing could ever preempt.
                if !(self.evict(here) && self.place(here, slot)) {
                    break;
                }
            }
        }
        self.watch(here, overflow);
        if overflow != self.state.bank(here).overflow {
            self.state.bank_mut(here).overflow = overflow;
            self.interface.set_overflow(overflow);
        }
        if overflow {
            self.state.bank_mut(here).quick = 0;
        }
    }

    /// Takes back and fills again.
    pub(crate) fn flush(&mut self, here: usize) {
        let kicks = self.recall(here);
        self.settle(here, kicks);
    }

    /// Fills, and tells the vCPUs in `kicks` to do the same.
    pub(crate) fn settle(&mut self, here: usize, kicks: u32) {
        self.fill(here);
        self.tell(kicks & !(1 << here));
    }

    /// Has the vCPUs in `kicks` take back and fill again.
    pub(crate) fn tell(&mut self, kicks: u32) {
        for vcpu in bits(kicks) {
            self.state.bank_mut(vcpu as usize).dirty = true;
            self.vcpus.ask(vcpu as usize);
        }
    }

    /// Asks to be told of the end of what is active and pending again; in an
    /// overflow of everything, since each end makes room. What is linked to
    /// hardware cannot be asked of (IHI 0048B.b §5.3.8): for it there is the
    /// underflow.
    fn watch(&mut self, here: usize, overflow: bool) {
        for n in bits(self.interface.all() & !self.state.bank(here).free) {
            let n = n as usize;
            let image = self.state.bank(here).image(n);
            let slot = Slot::new(here, I::intid(image));
            let again = self.state.word(slot.word()).pending() & slot.bit() != 0;
            if (again || overflow) && image & (I::HW | I::EOI) == 0 {
                self.put(here, n, image | I::EOI);
            }
        }
    }

    /// What is active and in no list register, so that the guest can end it: the
    /// highest priority first, which is what it ends first. False if not all of it
    /// could be placed.
    fn place_active(&mut self, here: usize) -> bool {
        let mut active = Queue::new(&self.state, here, |word| word.active);
        while let Some(slot) = active.next(&self.state) {
            let Some(n) = self.claim(here, slot) else { return false };
            let template = self.state.interrupt(slot).template;
            self.put(here, n, template & !I::STATE | I::ACTIVE | I::EOI);
            self.state.word_mut(slot.word()).active &= !slot.bit();
            self.state.forward(slot.word());
        }
        true
    }

    /// Takes the active interrupt of the lowest priority out of its list register,
    /// if all are active. One that is linked to hardware has to stay.
    fn evict(&mut self, here: usize) -> bool {
        let mut lowest = None;
        for (n, image, slot) in self.state.held::<I>(here, self.interface.all()) {
            if image & I::ACTIVE == 0 {
                return false;
            }
            let priority = self.state.interrupt(slot).priority;
            if image & I::HW == 0 && lowest.is_none_or(|(other, _, _)| priority >= other) {
                lowest = Some((priority, n, slot));
            }
        }
        let Some((_, n, slot)) = lowest else { return false };
        self.release(here, n, slot);
        self.state.word_mut(slot.word()).active |= slot.bit();
        self.state.forward(slot.word());
        true
    }

    /// Places these of the word at `at`; false if there was no list register for one.
    pub(crate) fn place_all(&mut self, here: usize, at: usize, these: u32) -> bool {
        bits(these).all(|bit| self.place(here, Slot::in_word(at, bit)))
    }
}
