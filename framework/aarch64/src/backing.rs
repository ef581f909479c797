//! Memory behind a component's window: EL2 has it mapped for good, a guest while
//! the component shows it.
//!
//! The window is whole entries of level 2, which lead to nothing but this memory:
//! it is shown and hidden by the valid bit of each, one store for 2 MiB, and no
//! descriptor is ever replaced by another valid one. That is the break of
//! break-before-make (DDI 0487, D8.16.1), and to show the memory again makes the
//! very entry that was broken.

#![allow(unsafe_code, reason = "accesses to memory by address, and TLB maintenance")]

use crate::map;
use crate::ram::Ram;
use crate::stage2::Stage2;
use crate::{layout, maintenance};
use aarch64_paging::MapError;
use alloc::boxed::Box;
use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use evisor_contract::{Backing, Width};

struct Shown {
    /// Where EL2 has it, and how long it is.
    at: u64,
    size: u64,
    /// The level 2 descriptors of the window. Nobody else writes to them.
    entries: Box<[&'static AtomicU64]>,
    shown: AtomicBool,
    /// Something was written since it was shown last.
    written: AtomicBool,
}

/// What a descriptor with this bit clear leads to is nothing (D8.3).
const VALID: u64 = 1;

impl Ram {
    /// Makes it the memory behind the window of `stage2` at `ipa`, hidden, with
    /// `content` at its start and 0xff behind that.
    ///
    /// # Errors
    /// Address or size is not a multiple of 2 MiB, or something is mapped there.
    pub fn stand_behind(
        self,
        stage2: &mut Stage2,
        ipa: u64,
        content: &[u8],
    ) -> Result<&'static dyn Backing, MapError> {
        let (physical, size) = (self.physical(), self.size());
        let entries = stage2.hidden(ipa, physical, size)?;
        let at = self.keep()?;
        // SAFETY: 1. `at` is mapped for `size` bytes, which are ours: no guest is
        // shown them yet, and no other reference is made.
        let bytes = unsafe { core::slice::from_raw_parts_mut(at as *mut u8, size as usize) };
        bytes.fill(0xff);
        if let Some(head) = bytes.get_mut(..content.len()) {
            head.copy_from_slice(content);
        }
        maintenance::clean_and_invalidate(at, size);
        let (shown, written) = (AtomicBool::new(false), AtomicBool::new(true));
        Ok(Box::leak(Box::new(Shown { at, size, entries, shown, written })))
    }
}

/// A page of eVisor's own, all zeros, that a guest may be shown for reading: its
/// doublewords and its physical address. It is kept for good.
pub fn page() -> (&'static [AtomicU64], u64) {
    #[repr(align(4096))]
    struct Page([AtomicU64; 512]);
    let page: &'static Page = Box::leak(Box::new(Page([const { AtomicU64::new(0) }; _])));
    let at = page.0.as_ptr() as u64;
    // What was there before is nobody's to read, with caches off neither.
    maintenance::clean_and_invalidate(at, size_of::<Page>() as u64);
    (&page.0, map::physical(at))
}

impl Shown {
    /// The doubleword that holds the byte at `offset`.
    fn word(&self, offset: u64) -> Option<&'static AtomicU64> {
        let inside = offset < self.size;
        // SAFETY: 1. mapped, aligned, and in memory that is kept for good. 2. EL2
        // makes only atomic accesses to it, and a guest can only read it.
        inside.then(|| unsafe { AtomicU64::from_ptr((self.at + (offset & !7)) as *mut u64) })
    }

    /// Runs `put` on the doublewords from `offset` on that are in the window, and
    /// cleans them to the point of coherency: a guest may read them with its cache
    /// off, or by attributes that do not look into one (B2.7.2, B2.8).
    fn each_word(&self, offset: u64, words: &[u64], put: impl Fn(&AtomicU64, u64)) {
        for (offset, word) in (offset..self.size).step_by(8).zip(words) {
            if let Some(there) = self.word(offset) {
                put(there, *word);
            }
        }
        let bytes = self.size.saturating_sub(offset).min(words.len() as u64 * 8);
        if bytes > 0 {
            maintenance::clean(self.at + (offset & !7), bytes);
            self.written.store(true, Ordering::Relaxed);
        }
    }

    fn set_valid(&self, valid: u64) {
        for entry in &self.entries {
            let rest = entry.load(Ordering::Relaxed) & !VALID;
            entry.store(rest | valid, Ordering::Relaxed);
        }
    }
}

impl Backing for Shown {
    fn read(&self, offset: u64, width: Width) -> u64 {
        let word = self.word(offset).map_or(0, |word| word.load(Ordering::Relaxed));
        word >> (offset % 8 * 8) & width.mask()
    }

    fn write(&self, offset: u64, width: Width, value: u64) {
        let shift = offset % 8 * 8;
        let (ours, value) = (width.mask() << shift, (value & width.mask()) << shift);
        self.each_word(offset & !7, &[value], |there, value| {
            there.store(there.load(Ordering::Relaxed) & !ours | value, Ordering::Relaxed);
        });
    }

    fn write_words(&self, offset: u64, words: &[u64]) {
        self.each_word(offset, words, |there, word| there.store(word, Ordering::Relaxed));
    }

    fn clear_bits(&self, offset: u64, words: &[u64]) {
        self.each_word(offset, words, |there, word| {
            there.store(there.load(Ordering::Relaxed) & word, Ordering::Relaxed);
        });
    }

    /// On the core that runs the VM, or before its stage 2 is loaded: what TLBs
    /// hold is forgotten by the VMID in VTTBR_EL2.
    fn show(&self, on: bool) {
        if self.shown.swap(on, Ordering::Relaxed) == on {
            return;
        }
        if on {
            if self.written.swap(false, Ordering::Relaxed) {
                // What was written is complete, and fetched anew (B2.7.4.2).
                // SAFETY: 1. a barrier.
                unsafe { asm!("dsb sy", options(nostack)) };
                maintenance::invalidate_instructions();
            }
            self.set_valid(VALID);
            // Seen by every walker from now on; a translation that is not valid
            // is in no TLB (D8.16.1).
            // SAFETY: 1. barriers.
            unsafe { asm!("dsb ishst", "isb", options(nostack)) };
        } else {
            self.set_valid(0);
            // First the walkers see it, then every core forgets what it holds of
            // this VMID, of both stages and of both combined; when that is
            // complete, so are the accesses that used it (D8.16, D8.17).
            // SAFETY: 1. takes translations away from the guest only.
            unsafe {
                asm!("dsb ishst", "tlbi vmalls12e1is", "dsb ish", "isb", options(nostack));
            }
        }
    }
}

const _: () = assert!(layout::BACKING.is_multiple_of(layout::SLICE));
