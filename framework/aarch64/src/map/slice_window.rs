//! A window whose pages come and go: what is mapped for a moment costs a few instructions,
//! where a walk through the tables would cost thousands.

use super::{DATA, MAP, PAGE, ROOT, TABLE, Tables, place, table_entry};
use aarch64_paging::MapError;
use aarch64_paging::descriptor::{El23Attributes, VirtualAddress};
use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

/// With more pages than this, all that EL2 remembers is forgotten at once.
const FEW: u64 = 4;

/// A window of 2 MiB, in pages.
pub(crate) struct SliceWindow {
    at: u64,
    /// Its table, physical. It is never freed.
    table: u64,
}

impl SliceWindow {
    /// Makes the table of the window at `at`, of which nothing was mapped before.
    pub fn new(at: u64) -> Result<Self, MapError> {
        let mut map = MAP.lock();
        let missing = MapError::InvalidVirtualAddress(VirtualAddress(at as usize));
        // Not valid, and not what is there: the crate would make no table for that.
        place(map.as_mut().ok_or(missing)?, at, 0, PAGE, El23Attributes::XN)?;
        let level2 = table_entry(ROOT.load(Ordering::Relaxed), at >> 30) & TABLE;
        let table = table_entry(level2, at >> 21 & 0x1ff) & TABLE;
        Ok(Self { at, table })
    }

    /// The entries of those that have `bytes` from `inside` the window on.
    fn entries(&mut self, inside: u64, bytes: u64) -> impl Iterator<Item = &AtomicU64> {
        let pages = inside / PAGE..(inside + bytes).div_ceil(PAGE);
        // SAFETY: 1. a table that was allocated by the crate's means, for us alone.
        pages.map(|page| unsafe { Tables::descriptor(self.table, page) })
    }

    /// Shows `bytes` of the memory at `physical` from `inside` the window on; both are as far
    /// in their page. None of it is mapped.
    pub fn map(&mut self, inside: u64, physical: u64, bytes: u64) {
        let attributes = DATA.union(El23Attributes::TABLE_OR_PAGE).bits() as u64;
        let pages = physical & !(PAGE - 1)..;
        for (entry, page) in self.entries(inside, bytes).zip(pages.step_by(PAGE as usize)) {
            entry.store(page | attributes, Ordering::Relaxed);
        }
        // SAFETY: 1. barriers: the walker must see the entries (B2.3.12).
        unsafe { asm!("dsb ishst", "isb", options(nostack)) };
    }

    /// Takes them away.
    pub fn unmap(&mut self, inside: u64, bytes: u64) {
        let first = self.at + inside / PAGE * PAGE;
        let mut pages = 0;
        for entry in self.entries(inside, bytes) {
            entry.store(0, Ordering::Relaxed);
            pages += 1;
        }
        // SAFETY: 1. a barrier: what is forgotten is not found again.
        unsafe { asm!("dsb ishst", options(nostack)) };
        match pages {
            0..=FEW => (0..pages).for_each(|page| forget(first + page * PAGE)),
            _ => forget_all(),
        }
        // SAFETY: 1. barriers.
        unsafe { asm!("dsb ish", "isb", options(nostack)) };
    }
}

/// Has all cores forget the page at `at`. It is complete after a `dsb ish`.
fn forget(at: u64) {
    // SAFETY: 1. what is valid is found again.
    unsafe { asm!("tlbi vae2is, {}", in(reg) at >> 12, options(nostack)) };
}

/// The same of all that EL2 has mapped.
fn forget_all() {
    // SAFETY: 1. what is valid is found again.
    unsafe { asm!("tlbi alle2is", options(nostack)) };
}
