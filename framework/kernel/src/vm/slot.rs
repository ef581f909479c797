//! A vCPU as its VM knows it.

use super::Entry;
use crate::host::Host;
use crate::shared::SharedCore;
use core::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use spin::Once;

/// A vCPU. It is pinned to a core.
pub(crate) struct Slot {
    pub(super) affinity: u64,
    pub(super) core: usize,
    pub(crate) power: AtomicU8,
    pub(super) in_guest: AtomicBool,
    /// Where it starts and with what in x0, while it is [`PENDING`].
    pub(crate) entry: AtomicU64,
    pub(crate) argument: AtomicU64,
    pub(super) attention: Once<&'static AtomicU32>,
    /// If it shares its core.
    pub(super) shared: Once<&'static SharedCore>,
    /// What its core is to do with its state: one of [`NOTHING`] and those behind it.
    pub(crate) duty: AtomicU8,
    pub(crate) kept: Kept,
    /// How long it ran, and how long it could have and did not, in counts.
    pub(super) ran: AtomicU64,
    pub(super) stolen: AtomicU64,
    pub(super) seen: Seen,
}

/// What a vCPU's core put down of it when it last left its guest. A register each, and
/// none says anything of the other.
#[derive(Default)]
pub(super) struct Seen {
    /// Whether there is anything.
    pub(super) once: AtomicBool,
    pub(super) pc: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// How a vCPU was at its VM's checkpoint.
#[derive(Default)]
pub(crate) struct Kept {
    pub power: AtomicU8,
    pub entry: AtomicU64,
    pub argument: AtomicU64,
}

/// [`Slot::duty`]: none; to save the vCPU's state; to restore it.
pub(crate) const NOTHING: u8 = 0;
pub(crate) const SAVE: u8 = 1;
pub(crate) const RESTORE: u8 = 2;

/// [`Slot::power`]: off; being told where to start; told; on; on, and paused.
pub(crate) const STOPPED: u8 = 0;
pub(super) const CLAIMED: u8 = 1;
pub(crate) const PENDING: u8 = 2;
pub(super) const RUNNING: u8 = 3;
pub(crate) const RESTING: u8 = 4;

/// Nobody else adds to it.
#[inline(always)]
pub(super) fn add(all: &AtomicU64, more: u64) {
    all.store(all.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

impl Seen {
    #[inline(always)]
    pub(super) fn put_down(&self, pc: u64, refused: u64) {
        self.pc.store(pc, Ordering::Relaxed);
        self.refused.store(refused, Ordering::Relaxed);
        self.once.store(true, Ordering::Release);
    }
}

impl Slot {
    /// It is off, and connected to nothing.
    pub(super) fn new(affinity: u64, core: usize) -> Self {
        Self {
            affinity,
            core,
            power: AtomicU8::new(STOPPED),
            in_guest: AtomicBool::new(false),
            entry: AtomicU64::new(0),
            argument: AtomicU64::new(0),
            attention: Once::new(),
            shared: Once::new(),
            duty: AtomicU8::new(NOTHING),
            kept: Kept::default(),
            ran: AtomicU64::new(0),
            stolen: AtomicU64::new(0),
            seen: Seen::default(),
        }
    }

    /// It is not in its guest: if it shares its core, that looks at it.
    #[cold]
    #[inline(never)]
    pub(super) fn rouse(&self, host: &dyn Host) {
        if let Some(shared) = self.shared.get() {
            shared.rouse(host);
        }
    }

    pub(super) fn tell(&self, entry: Entry) {
        self.entry.store(entry.pc, Ordering::SeqCst);
        self.argument.store(entry.x0, Ordering::SeqCst);
        self.power.store(PENDING, Ordering::SeqCst);
    }
}
