//! A core that several vCPUs share: how whoever wakes one of them gets the core to
//! choose again.
//!
//! Nobody waits for anybody. Who wakes says first what for
//! ([`Context::attention`](evisor_contract::Context)), then that the core is to
//! choose, then looks which vCPU is in its guest there; the core writes which one it
//! takes into its guest, then looks whether it is to choose, then what is wanted of
//! it. All of it is sequentially consistent, so one of the two sees the other.

use crate::host::Host;
use crate::vm::Attention;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use spin::Once;

/// What any core may know of one that is shared.
#[derive(Debug)]
pub struct SharedCore {
    core: usize,
    /// The core is to choose again.
    again: AtomicBool,
    /// Somebody waits for what a member finds that may not be inside.
    asked: AtomicBool,
    /// The member that is in its guest, counted from 1; or 0.
    inside: AtomicUsize,
    /// The words that get the members' attention.
    words: Vec<Once<&'static AtomicU32>>,
}

impl SharedCore {
    /// Core number `core`, with so many members.
    pub fn new(core: usize, members: usize) -> Self {
        Self {
            core,
            again: AtomicBool::new(false),
            asked: AtomicBool::new(false),
            inside: AtomicUsize::new(0),
            words: (0..members).map(|_| Once::new()).collect(),
        }
    }

    /// The word that gets the attention of `member`.
    pub(crate) fn connect(&self, member: usize, attention: &'static AtomicU32) {
        if let Some(word) = self.words.get(member) {
            word.call_once(|| attention);
        }
    }

    /// Something may have changed for one of the members: the core chooses again, as
    /// soon as it can.
    #[cold]
    #[inline(never)]
    pub(crate) fn rouse(&self, host: &dyn Host) {
        self.again.store(true, Ordering::SeqCst);
        let inside = self.inside.load(Ordering::SeqCst).checked_sub(1);
        let word = inside.and_then(|member| self.words.get(member)).and_then(Once::get);
        if let Some(word) = word {
            word.fetch_or(Attention::LEAVE, Ordering::SeqCst);
        }
        // The core itself looks before it goes on.
        if !host.is_here(self.core) {
            host.kick(self.core);
        }
    }

    /// A member was asked for what it finds; [`rouse`](Self::rouse) follows.
    pub(crate) fn ask(&self) {
        self.asked.store(true, Ordering::SeqCst);
    }

    /// Whether the core is to look at its members.
    #[inline(always)]
    pub fn is_roused(&self) -> bool {
        self.again.load(Ordering::SeqCst)
    }

    /// The core is about to look at its members: what changes from here on makes it
    /// look again. True if one of them may have been asked for what it finds: then it is
    /// to look whether it goes on or not.
    pub fn look(&self) -> bool {
        self.again.store(false, Ordering::SeqCst);
        self.asked.load(Ordering::SeqCst)
    }

    /// Those that were asked are about to look.
    pub fn answer(&self) {
        self.asked.store(false, Ordering::SeqCst);
    }

    /// Whether `member` may go into its guest; false if the core is to look again. It
    /// counts as inside until [`leave`](Self::leave).
    #[inline(always)]
    pub fn enter(&self, member: usize) -> bool {
        self.inside.store(member + 1, Ordering::SeqCst);
        let stays = !self.again.load(Ordering::SeqCst);
        if !stays {
            self.leave();
        }
        stays
    }

    /// None of the members is in its guest.
    #[inline(always)]
    pub fn leave(&self) {
        self.inside.store(0, Ordering::SeqCst);
    }
}
