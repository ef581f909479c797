//! A vCPU comes to its core, and leaves it.

use crate::Vgic;
use crate::interface::{GuestState, Interface};
use crate::state::{bits, words_of};

/// The vCPU leaves its core, or starts anew there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It goes off, or its VM is about to be saved.
    Leave,
    /// Its CPU interface is as after a reset.
    Start,
}

impl<I: Interface> Vgic<I> {
    /// The interface as after a reset, or as it was saved.
    pub(super) fn start(&mut self, here: usize) {
        let all = self.interface.all();
        let bank = self.state.bank_mut(here);
        bank.free = all;
        bank.stale = false;
        bank.awake = true;
        bank.overflow = false;
        self.interface.start(&bank.guest);
    }

    /// The vCPU is about to go on, and something may have changed for it.
    pub(crate) fn refresh(&mut self, here: usize) {
        let bank = self.state.bank(here);
        if bank.dirty || bank.stale || bank.overflow || !bank.awake || !self.take_arrived(here) {
            self.state.bank_mut(here).awake = true;
            self.flush(here);
        }
    }

    /// Places what came in from other cores; false if not all of it could be.
    fn take_arrived(&mut self, here: usize) -> bool {
        let arrived = core::mem::take(&mut self.state.bank_mut(here).arrived);
        for n in bits(arrived.into()) {
            let word = crate::state::word_of(here, n as usize);
            let ready = self.state.word(word).pending() & self.state.word(word).open();
            if !self.place_all(here, word, self.state.going_to(here, word, ready)) {
                return false;
            }
        }
        true
    }

    /// Takes everything back that software can hold: all but what is active and
    /// linked to hardware, unless the vCPU starts anew. Private physical interrupts
    /// are inactive then; whoever starts a vCPU sees to it.
    pub(crate) fn change(&mut self, here: usize, change: Change) {
        let kicks = self.recall(here);
        for n in bits(self.interface.all() & !self.state.bank(here).free) {
            let (n, slot) = (n as usize, self.slot_in(here, n as usize));
            let linked = self.interface.list(n) & I::HW != 0;
            match change {
                Change::Leave if linked => continue,
                _ if linked => self.deactivate(here, n, slot),
                _ => {
                    self.release(here, n, slot);
                    self.state.word_mut(slot.word()).active |= slot.bit();
                }
            }
            self.state.forward(slot.word());
        }
        self.state.bank_mut(here).guest = match change {
            Change::Leave => self.interface.guest_state(),
            Change::Start => GuestState::default(),
        };
        let bank = self.state.bank_mut(here);
        bank.awake = change == Change::Start;
        bank.overflow = false;
        self.interface.set_overflow(false);
        if change == Change::Start {
            self.state.word_mut(here).physical = 0;
            self.start(here);
            return self.settle(here, kicks);
        }
        self.tell(kicks | self.left_to_others(here));
    }

    /// The vCPUs, as bits, that can take what is shared and waits for `here`.
    fn left_to_others(&self, here: usize) -> u32 {
        let targeted = |at: usize| {
            let word = self.state.word(at);
            self.state.targeted(at, (word.pending() | word.active) & !word.held)
        };
        words_of(here).skip(1).fold(0, |all, at| all | targeted(at)) & !(1 << here)
    }
}
