//! A guest's instruction, read where the core does not say what it was.

use super::{PAGE, RODATA, Tables, place};
use crate::{layout, maintenance};
use aarch64_paging::descriptor::{Descriptor, El23Attributes};
use aarch64_paging::paging::{El2, MemoryRegion};
use aarch64_paging::{MapError, Mapping};
use core::arch::asm;
use core::sync::atomic::{AtomicUsize, Ordering};
use spin::Mutex;

/// The page that each core reads a guest's instruction through: its entry in
/// EL2's tables, which leads nowhere while it is not used.
static INSTRUCTION_PAGES: [Mutex<Option<&'static AtomicUsize>>; 8] =
    [const { Mutex::new(None) }; 8];

/// Makes the table for them, so that nothing is allocated when one is used.
pub(super) fn make_pages(map: &mut Mapping<Tables, El2>) -> Result<(), MapError> {
    let size = INSTRUCTION_PAGES.len() as u64 * PAGE;
    // Not valid, and not what is there: the crate would make no table for that.
    place(map, layout::INSTRUCTION, 0, size, El23Attributes::XN)?;
    for (page, at) in INSTRUCTION_PAGES.iter().zip((layout::INSTRUCTION..).step_by(PAGE as usize)) {
        let region = MemoryRegion::new(at as usize, (at + PAGE) as usize);
        map.walk_range(&region, &mut |_, entry, level| {
            const { assert!(size_of::<Descriptor<El23Attributes>>() == size_of::<AtomicUsize>()) };
            // SAFETY: 1. an entry is an atomic integer and nothing else. 2. nobody
            // else changes it: this page is mapped nowhere but below. Its table is
            // never freed.
            let entry = unsafe { &*core::ptr::from_ref(entry).cast::<AtomicUsize>() };
            *page.lock() = Some(entry);
            if level == 3 { Ok(()) } else { Err(()) }
        })?;
    }
    Ok(())
}

/// Reads a word of a guest's memory; `None` if `core` has no page to do it through.
///
/// The guest may have written it with its cache off, or on: it is cleaned and
/// invalidated first, and invalidated again, lest the guest find it in the cache
/// later (DDI 0487, "Mismatched memory attributes").
///
/// # Safety
/// 1. `physical` is a guest's memory.
pub(crate) unsafe fn read_guest_word(core: usize, physical: u64) -> Option<u32> {
    let page = INSTRUCTION_PAGES.get(core)?.lock();
    let entry = (*page)?;
    let at = layout::INSTRUCTION + core as u64 * PAGE;
    let word = at + (physical & 0xffc);
    let attributes = RODATA.union(El23Attributes::TABLE_OR_PAGE).bits();
    entry.store((physical & !0xfff) as usize | attributes, Ordering::Relaxed);
    // SAFETY: 1. barriers: the walker must see the entry.
    unsafe { asm!("dsb ishst", "isb", options(nostack)) };
    maintenance::clean_and_invalidate(word, 4);
    // SAFETY: 1. mapped, and memory as the caller says; aligned.
    let value = unsafe { core::ptr::read_volatile(word as *const u32) };
    maintenance::clean_and_invalidate(word, 4);
    entry.store(0, Ordering::Relaxed);
    // SAFETY: 1. nothing uses the page any more, until its entry is made anew.
    unsafe {
        asm!("dsb ishst", "tlbi vae2is, {}", "dsb ish", "isb", in(reg) at >> 12, options(nostack));
    }
    Some(value)
}
