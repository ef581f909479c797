//! A vCPU that shares its core, as that core has it.

use super::slot::{RUNNING, Slot, add};
use super::{Attention, Vm};
use core::sync::atomic::{AtomicU32, Ordering};

/// Such a vCPU, with its VM.
#[derive(Clone, Copy)]
pub struct Seat {
    pub(super) vm: &'static Vm,
    pub(super) slot: &'static Slot,
    pub(super) attention: &'static AtomicU32,
}

impl Seat {
    /// Whether it may go into its guest without more ado; as [`Vm::next`], which is to be
    /// asked if not. It counts as in its guest until it [`came_out`](Self::came_out).
    #[inline(always)]
    pub fn goes_on(&self) -> bool {
        self.slot.in_guest.store(true, Ordering::SeqCst);
        let goes = self.vm.life.goes_on() && self.slot.power.load(Ordering::SeqCst) == RUNNING;
        if !goes {
            self.came_out();
        }
        goes
    }

    /// It came out of its guest: until [`goes_on`](Self::goes_on) or [`Vm::next`] say
    /// otherwise it is parked.
    #[inline(always)]
    pub fn came_out(&self) {
        self.slot.in_guest.store(false, Ordering::SeqCst);
    }

    /// Whether there is anything for it, which waits: an interrupt that came elsewhere, or a
    /// change to be made.
    #[inline(always)]
    pub fn is_wanted(&self) -> bool {
        self.attention.load(Ordering::SeqCst) & !Attention::LEAVE != 0 || self.is_changing()
    }

    /// Whether its VM wants a change, or is not on.
    #[inline(always)]
    pub fn is_changing(&self) -> bool {
        !self.vm.life.goes_on()
    }

    /// As [`Vm::saw`].
    #[inline(always)]
    pub fn saw(&self, pc: u64, refused: u64) {
        self.slot.seen.put_down(pc, refused);
    }

    /// How long it could have run and did not, as far as it was accounted for.
    #[inline(always)]
    pub fn stolen(&self) -> u64 {
        self.slot.stolen.load(Ordering::Relaxed)
    }

    /// It ran for `ran` counts, after it could have for `stolen` counts more. Nobody else
    /// says so.
    #[inline(always)]
    pub fn account(&self, ran: u64, stolen: u64) {
        add(&self.slot.ran, ran);
        add(&self.slot.stolen, stolen);
    }
}
