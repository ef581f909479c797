//! What is pending, put into list registers and taken back.
//!
//! The registers are those of the core that runs this code, and hold the
//! interrupts of the vCPU that is there: every function takes the number of that
//! vCPU. What a list register holds is moved there: its pending bits in the
//! software state are cleared, and set again when it is taken back. So an
//! interrupt is pending in one place.
//!
//! The short way puts one interrupt into a free register ([`Vgic::place`]). All
//! else takes everything back that the guest has not acknowledged
//! ([`Vgic::recall`]), changes what is to be changed, and fills the registers in
//! the order of priority ([`Vgic::fill`]).

use crate::Vgic;
use crate::spec::{GICH_LR, PRIVATE};
use crate::state::{LISTS, NOWHERE, Slot, bits, words_of};

/// GICH_LR.STATE in place.
const STATE: u32 = GICH_LR::STATE.mask << GICH_LR::STATE.shift;
const PENDING: u32 = GICH_LR::STATE::Pending.value;
const ACTIVE: u32 = GICH_LR::STATE::Active.value;
const EOI: u32 = GICH_LR::EOI.mask << GICH_LR::EOI.shift;
/// GICH_LR.PhysicalID in place.
pub const PHYSICAL_ID: u32 = GICH_LR::PHYSICAL_ID.mask << GICH_LR::PHYSICAL_ID.shift;
/// Linked to hardware.
pub const HW: u32 = GICH_LR::HW.mask << GICH_LR::HW.shift;

impl Vgic {
    /// A list register for `slot`: the one that it was in, if the guest is done
    /// with it, or a free one. None if it is still there, or if what is pending
    /// has to be put in order first.
    pub(crate) fn claim(&mut self, vcpu: usize, slot: Slot) -> Option<usize> {
        let place = self.state.interrupt(slot).place;
        if place == NOWHERE {
            let bank = self.state.bank_mut(vcpu);
            let n = bank.free.trailing_zeros() as usize;
            if bank.free == 0 {
                return None;
            }
            bank.free &= bank.free - 1;
            self.state.interrupt_mut(slot).place = (vcpu * LISTS + n) as u8;
            return Some(n);
        }
        let n = usize::from(place) & (LISTS - 1);
        let elsewhere = slot.is_shared() && usize::from(place) / LISTS != vcpu;
        if elsewhere || self.state.bank(vcpu).overflow || self.interface.list(n) & STATE != 0 {
            return None;
        }
        Some(n)
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    pub(crate) fn put(&mut self, vcpu: usize, n: usize, value: u32) {
        self.state.bank_mut(vcpu).image[n & (LISTS - 1)] = value;
        self.interface.set_list(n, value);
    }

    /// Moves the pending `slot` into a list register; false if there is none.
    pub(crate) fn place(&mut self, vcpu: usize, slot: Slot) -> bool {
        let Some(n) = self.claim(vcpu, slot) else {
            return false;
        };
        let value = if slot.is_sgi() {
            self.take_source(vcpu, slot)
        } else {
            self.take_pending(vcpu, slot, n)
        };
        self.put(vcpu, n, value);
        let open = self.state.word(slot.word()).open() & !self.state.word(slot.word()).pending();
        let bank = self.state.bank_mut(vcpu);
        if !slot.is_shared() && !bank.overflow {
            bank.quick |= open & slot.bit();
        }
        true
    }

    /// The short way for each private interrupt in a list register that nothing
    /// stands in the way of.
    fn allow_quick(&mut self, vcpu: usize) {
        let held = self.state.held(vcpu, self.interface.all);
        let known = held.filter(|(_, _, slot)| !slot.is_shared());
        let known = known.fold(0, |all, (_, _, slot)| all | slot.bit());
        let word = self.state.word(vcpu);
        let quick = known & word.open() & !word.pending();
        let bank = self.state.bank_mut(vcpu);
        bank.quick = if bank.overflow { 0 } else { quick };
    }

    /// Puts `value` into the list register that private interrupt `intid` was in
    /// last, if the guest is done with it and nothing stands in the way; false if
    /// that is not so.
    ///
    /// This is what an interrupt of a running guest costs. The image keeps what
    /// was put there before: of the same INTID, and looked at anew by a refresh.
    #[inline(always)]
    pub(crate) fn again(&mut self, vcpu: usize, intid: usize, value: u32) -> bool {
        let slot = Slot::new(vcpu, intid & (PRIVATE - 1));
        if self.state.bank(vcpu).quick & slot.bit() == 0 {
            return false;
        }
        let interrupt = *self.state.interrupt(slot);
        let n = usize::from(interrupt.place);
        if self.interface.list(n) & STATE != 0 {
            return false;
        }
        self.interface.set_list(n, interrupt.template | value);
        true
    }

    /// One source of a pending SGI. While others wait, its end is told.
    fn take_source(&mut self, vcpu: usize, slot: Slot) -> u32 {
        let sgi = slot.intid();
        let sources = self.state.sources(vcpu, sgi);
        let rest = sources & sources.wrapping_sub(1);
        self.state.set_sources(vcpu, sgi, rest);
        let source = GICH_LR::CPU_ID.val(sources.trailing_zeros()).value;
        let eoi = if rest == 0 { 0 } else { EOI };
        self.state.interrupt(slot).template | source | eoi
    }

    /// Any other interrupt. The end of one with a level line is told, so that the
    /// line is looked at again.
    fn take_pending(&mut self, vcpu: usize, slot: Slot, n: usize) -> u32 {
        let (interrupt, bit) = (*self.state.interrupt(slot), slot.bit());
        let word = self.state.word_mut(slot.word());
        let (latched, linked) = (word.latch & bit != 0, word.physical & bit != 0);
        let eoi = if word.edge & bit == 0 { EOI } else { 0 };
        word.latch &= !bit;
        word.physical &= !bit;
        let bank = self.state.bank_mut(vcpu);
        bank.cancel &= !(1 << n);
        bank.deactivate &= !(1 << n);
        bank.latched = bank.latched & !(1 << n) | u32::from(latched) << n;
        if linked {
            let physical = GICH_LR::PHYSICAL_ID.val(u32::from(interrupt.physical)).value;
            return interrupt.template | HW | physical;
        }
        interrupt.template | eoi
    }

    /// Empties list register `n`.
    fn release(&mut self, vcpu: usize, n: usize, slot: Slot) {
        self.state.interrupt_mut(slot).place = NOWHERE;
        self.state.bank_mut(vcpu).free |= 1 << n;
        self.interface.set_list(n, 0);
    }

    /// Takes back from the list registers what is pending, and forgets what the
    /// guest is done with. What is active stays. Gives the vCPUs that are to
    /// look, since an interrupt of theirs was here.
    pub(crate) fn recall(&mut self, vcpu: usize) -> u32 {
        if self.state.bank(vcpu).stale {
            self.start(vcpu);
        }
        self.state.bank_mut(vcpu).quick = 0;
        let mut kicks = 0;
        for n in bits(self.interface.all & !self.state.bank(vcpu).free) {
            let n = n as usize;
            let value = self.interface.list(n);
            let image = self.image(vcpu, n);
            let slot = Slot::new(vcpu, GICH_LR::VIRTUAL_ID.read(image) as usize);
            match value & STATE {
                0 => self.release(vcpu, n, slot),
                PENDING => {
                    self.release(vcpu, n, slot);
                    self.take_back(vcpu, n, slot, value);
                }
                _ if self.state.bank(vcpu).deactivate >> n & 1 != 0 => {
                    self.deactivate(vcpu, n, slot);
                }
                _ => self.put_image(vcpu, n, value),
            }
            kicks |= self.owed(vcpu, slot);
        }
        let bank = self.state.bank_mut(vcpu);
        bank.cancel = 0;
        bank.deactivate = 0;
        kicks
    }

    /// The vCPU, as a bit, that `slot` is now for instead of `vcpu`.
    fn owed(&self, vcpu: usize, slot: Slot) -> u32 {
        let interrupt = self.state.interrupt(slot);
        let pending = self.state.word(slot.word()).pending() & slot.bit() != 0;
        match self.state.target(slot) {
            Some(target) if pending && interrupt.place == NOWHERE && target != vcpu => 1 << target,
            _ => 0,
        }
    }

    /// What was pending in list register `n` is pending in software again.
    fn take_back(&mut self, vcpu: usize, n: usize, slot: Slot, value: u32) {
        let bank = self.state.bank(vcpu);
        let (latched, cancel) = (bank.latched >> n & 1 != 0, bank.cancel >> n & 1 != 0);
        if value & HW != 0 {
            self.state.interrupt_mut(slot).physical = GICH_LR::PHYSICAL_ID.read(value) as u16;
            self.state.word_mut(slot.word()).physical |= slot.bit();
        } else if slot.is_sgi() {
            let sources = self.state.sources(vcpu, slot.intid());
            let source = 1u8 << GICH_LR::CPU_ID.read(value);
            self.state.set_sources(vcpu, slot.intid(), sources | source);
        } else if latched && !cancel {
            self.state.word_mut(slot.word()).latch |= slot.bit();
        }
    }

    /// Ends the active interrupt in list register `n`. One that is linked to
    /// hardware has to be deactivated there, which only the guest's own end of
    /// interrupt does: it becomes pending once more.
    pub(crate) fn deactivate(&mut self, vcpu: usize, n: usize, slot: Slot) {
        let value = self.interface.list(n);
        self.release(vcpu, n, slot);
        if value & HW != 0 {
            self.take_back(vcpu, n, slot, value);
        }
    }

    /// Fills the list registers, the highest priority first.
    pub(crate) fn fill(&mut self, vcpu: usize) {
        self.place_active(vcpu);
        let mut overflow = false;
        while let Some(slot) = self.best(vcpu) {
            if !self.place(vcpu, slot) {
                overflow = true;
                break;
            }
        }
        self.watch(vcpu, overflow);
        if overflow != self.state.bank(vcpu).overflow {
            self.state.bank_mut(vcpu).overflow = overflow;
            self.interface.set_overflow(overflow);
        }
        self.allow_quick(vcpu);
    }

    /// Takes back and fills again.
    pub(crate) fn flush(&mut self, vcpu: usize) {
        let kicks = self.recall(vcpu);
        self.settle(vcpu, kicks);
    }

    /// Fills, and tells the vCPUs in `kicks` to do the same.
    pub(crate) fn settle(&mut self, vcpu: usize, kicks: u32) {
        self.fill(vcpu);
        for target in bits(kicks & !(1 << vcpu)) {
            self.vcpus.kick(target as usize);
        }
    }

    /// Asks to be told of the end of what is active and pending again; in an
    /// overflow of everything, since each end makes room. What is linked to
    /// hardware cannot be asked of (§5.3.8): for it there is the underflow.
    fn watch(&mut self, vcpu: usize, overflow: bool) {
        for n in bits(self.interface.all & !self.state.bank(vcpu).free) {
            let n = n as usize;
            let image = self.image(vcpu, n);
            let slot = Slot::new(vcpu, GICH_LR::VIRTUAL_ID.read(image) as usize);
            let again = self.state.word(slot.word()).pending() & slot.bit() != 0;
            if (again || overflow) && image & (HW | EOI) == 0 {
                self.put(vcpu, n, image | EOI);
            }
        }
    }

    /// What the guest made active, so that it can end it.
    fn place_active(&mut self, vcpu: usize) {
        for word in words_of(vcpu) {
            for bit in bits(self.state.word(word).active) {
                let slot = Slot::in_word(word, bit);
                if self.state.target(slot) != Some(vcpu) {
                    continue;
                }
                let Some(n) = self.claim(vcpu, slot) else {
                    return;
                };
                let template = self.state.interrupt(slot).template;
                self.put(vcpu, n, template & !STATE | ACTIVE | EOI);
                self.state.word_mut(word).active &= !slot.bit();
                self.state.forward(word);
            }
        }
    }

    /// The pending interrupt to be given next: of the highest priority the
    /// lowest INTID.
    fn best(&self, vcpu: usize) -> Option<Slot> {
        let mut best = None;
        let mut best_priority = u32::MAX;
        for word in words_of(vcpu) {
            let ready = self.state.word(word).pending() & self.state.word(word).open();
            for bit in bits(ready) {
                let slot = Slot::in_word(word, bit);
                let interrupt = self.state.interrupt(slot);
                let here = self.state.target(slot) == Some(vcpu) && interrupt.place == NOWHERE;
                if here && interrupt.priority() < best_priority {
                    best_priority = interrupt.priority();
                    best = Some(slot);
                }
            }
        }
        best
    }

    /// The interface as after a reset, or as it was saved.
    fn start(&mut self, vcpu: usize) {
        let all = self.interface.all;
        let bank = self.state.bank_mut(vcpu);
        bank.free = all;
        bank.stale = false;
        bank.overflow = false;
        self.interface.start(bank.vmcr, bank.apr);
    }

    /// The vCPU was off: its CPU interface is as after a reset, and its list
    /// registers hold what they held (IHI 0048B.b §2.3.2: the Distributor's state
    /// does not depend on a processor's).
    pub(crate) fn restart(&mut self, vcpu: usize) {
        if !self.state.bank(vcpu).stale {
            self.interface.restart(self.state.bank(vcpu).overflow);
        }
    }

    /// Remembers what a guest can change without a trap, for
    /// [`save`](evisor_contract::Object::save).
    pub(crate) fn look(&mut self, vcpu: usize) {
        let (vmcr, apr) = self.interface.guest_state();
        let bank = self.state.bank_mut(vcpu);
        bank.vmcr = vmcr;
        bank.apr = apr;
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn image(&self, vcpu: usize, n: usize) -> u32 {
        self.state.bank(vcpu).image[n & (LISTS - 1)]
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn put_image(&mut self, vcpu: usize, n: usize, value: u32) {
        self.state.bank_mut(vcpu).image[n & (LISTS - 1)] = value;
    }

    /// The bits of INTIDs `32 * n` and up that are in `state` in a list register:
    /// in those of `vcpu` as they are, in others' as they were last known.
    pub(crate) fn in_lists(&mut self, vcpu: usize, n: usize, state: u32) -> u32 {
        let Self { state: known, interface, .. } = self;
        let word = crate::state::word_of(vcpu, n);
        let mut found = 0;
        for bank in 0..known.vcpus {
            for (list, image, slot) in known.held(bank, interface.all) {
                let value = if bank == vcpu { interface.list(list) } else { image };
                if slot.word() == word && value & state != 0 {
                    found |= slot.bit();
                }
            }
        }
        found
    }
}

/// In state pending.
pub const IS_PENDING: u32 = PENDING;
/// In state active.
pub const IS_ACTIVE: u32 = ACTIVE;
