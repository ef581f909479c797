//! EL2's own translation: W^X, guard pages, and the windows of
//! [`layout`](crate::layout).
//!
//! `boot.s` runs Rust under tables that map the image by section; [`init`]
//! replaces them by tables that can be changed. Guest memory is mapped only a
//! slice at a time, while it is filled; but what a component was granted as the
//! memory behind its window stays mapped.

#![allow(unsafe_code, reason = "translation tables, and memory named by physical address")]

use crate::{gic, layout, maintenance};
use aarch64_paging::descriptor::{
    Descriptor, El23Attributes, PagingAttributes, PhysicalAddress, VirtualAddress,
};
use aarch64_paging::paging::{Constraints, El2, MemoryRegion, PageTable, Translation};
use aarch64_paging::{MapError, Mapping};
use alloc::alloc::{alloc, dealloc, handle_alloc_error};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use evisor_contract::Window;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;
use spin::relax::RelaxStrategy;
use spin::{Mutex, MutexGuard};

/// The root table, physical.
static ROOT: AtomicU64 = AtomicU64::new(0);
static IMAGE_AT: AtomicU64 = AtomicU64::new(0);
static MAP: spin::mutex::Mutex<Option<Mapping<Tables, El2>>, Yield> = spin::mutex::Mutex::new(None);
/// Each window from [`layout::SLICE_AT`] on is one core's at a time.
static SLICES: [Mutex<()>; gic::CORES] = [const { Mutex::new(()) }; _];
/// What was mapped as a device of eVisor's.
static DRIVEN: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());
static NEXT_DEVICE: AtomicU64 = AtomicU64::new(layout::DEVICES);
static NEXT_BACKING: AtomicU64 = AtomicU64::new(layout::BACKING);

const PAGE: u64 = 4096;

/// Who waits for the tables says so to the core: with one thread for all cores QEMU takes
/// a tenth of a second to find out by itself, whenever the tables are being changed as a
/// TLBI that is for all cores ends a core's turn.
struct Yield;

impl RelaxStrategy for Yield {
    fn relax() {
        // SAFETY: 1. a hint.
        unsafe { asm!("yield", options(nomem, nostack, preserves_flags)) };
    }
}

/// Tables come from the heap, which is part of the image: one addition between
/// their two addresses.
#[derive(Debug)]
pub(crate) struct Tables;

/// The physical address of something in the image.
pub(crate) fn physical(at: u64) -> u64 {
    at - layout::IMAGE + IMAGE_AT.load(Ordering::Relaxed)
}

impl Tables {
    /// Descriptor `index` of the table at this physical address.
    ///
    /// # Safety
    /// 1. A table that was allocated here is there, and is never freed.
    pub(crate) unsafe fn descriptor(table: u64, index: u64) -> &'static AtomicU64 {
        // SAFETY: 1. as the caller says; descriptors are atomic to everybody.
        unsafe { &*Self::at::<AtomicU64>(table).wrapping_add(index as usize % 512) }
    }

    fn at<T>(table: u64) -> *mut T {
        (table - IMAGE_AT.load(Ordering::Relaxed) + layout::IMAGE) as *mut T
    }
}

impl<A: PagingAttributes> Translation<A> for Tables {
    fn allocate_table(&mut self) -> (NonNull<PageTable<A>>, PhysicalAddress) {
        let layout = Layout::new::<PageTable<A>>();
        // SAFETY: 1. a table is not empty.
        let table = unsafe { alloc(layout) };
        let Some(table) = NonNull::new(table.cast()) else { handle_alloc_error(layout) };
        // SAFETY: 1. it was just allocated.
        unsafe { maintenance::zero(table.as_ptr() as u64, PAGE) };
        (table, PhysicalAddress(physical(table.as_ptr() as u64) as usize))
    }

    unsafe fn deallocate_table(&mut self, table: NonNull<PageTable<A>>) {
        // SAFETY: 1. the caller says that it came from `allocate_table`.
        unsafe { dealloc(table.as_ptr().cast(), Layout::new::<PageTable<A>>()) };
    }

    fn physical_to_virtual(&self, pa: PhysicalAddress) -> NonNull<PageTable<A>> {
        NonNull::new(Self::at(pa.0 as u64)).unwrap_or(NonNull::dangling())
    }
}

const NORMAL: El23Attributes = El23Attributes::VALID
    .union(El23Attributes::USER_RES1)
    .union(El23Attributes::ATTRIBUTE_INDEX_0)
    .union(El23Attributes::INNER_SHAREABLE)
    .union(El23Attributes::ACCESSED);
const TEXT: El23Attributes = NORMAL.union(El23Attributes::READ_ONLY);
/// The address of a table in an entry.
const TABLE: u64 = 0x0000_ffff_ffff_f000;
const RODATA: El23Attributes = TEXT.union(El23Attributes::XN);
const DATA: El23Attributes = NORMAL.union(El23Attributes::XN);
const DEVICE: El23Attributes = El23Attributes::VALID
    .union(El23Attributes::USER_RES1)
    .union(El23Attributes::ATTRIBUTE_INDEX_1)
    .union(El23Attributes::ACCESSED)
    .union(El23Attributes::XN);

unsafe extern "C" {
    static boot_level3: [[u64; 512]; 2];
    static __boot_stack_guard: u8;
    static __fault_stack_guard: u8;
}

/// Builds EL2's tables and puts them in place of the boot's. `image` is where the
/// image is in physical memory. Once, after the heap is there.
///
/// # Errors
/// Never for an image that was linked by our linker script.
pub fn init(image: u64) -> Result<(), MapError> {
    IMAGE_AT.store(image, Ordering::Relaxed);
    let mut map = Mapping::new(Tables, 1, El2);
    let guards = [&raw const __boot_stack_guard as u64, &raw const __fault_stack_guard as u64];
    // One page of each 2 MiB of the image, for the tables that lead to it; then all of
    // them, with what the boot made of each.
    for (block, boot) in (0_u64..2).zip([0, 1].map(boot_table)) {
        let at = block * layout::SLICE;
        place(&mut map, layout::IMAGE + at, image + at, PAGE, TEXT)?;
        let level2 = table_entry(map.root_address().0 as u64, layout::IMAGE >> 30) & TABLE;
        let level3 = table_entry(level2, (layout::IMAGE + at) >> 21 & 0x1ff) & TABLE;
        // SAFETY: 1. both are tables of 512 entries, and two; nothing is walked through
        // the new one yet. 2. the boot's has been complete since before the first Rust.
        unsafe { Tables::at::<[u64; 512]>(level3).copy_from_nonoverlapping(boot, 1) };
    }
    for guard in guards {
        place(&mut map, guard, 0, PAGE, El23Attributes::empty())?;
    }
    make_instruction_pages(&mut map)?;
    // SAFETY: 1. the same addresses lead to the same memory as before, but for
    // the guard pages. 2. never dropped.
    unsafe { map.activate() };
    ROOT.store(map.root_address().0 as u64, Ordering::Relaxed);
    use_here();
    *MAP.lock() = Some(map);
    Ok(())
}

/// The boot's table of level 3 for the image's first 2 MiB, or for the second.
fn boot_table(block: usize) -> *const [u64; 512] {
    (&raw const boot_level3).cast::<[u64; 512]>().wrapping_add(block)
}

/// The entry number `index` of the table at `physical`.
pub(crate) fn table_entry(physical: u64, index: u64) -> u64 {
    let at = physical + 8 * index - IMAGE_AT.load(Ordering::Relaxed) + layout::IMAGE;
    // SAFETY: 1. tables are in the image, aligned, and never freed.
    unsafe { (*(at as *const AtomicU64)).load(Ordering::Relaxed) }
}

/// The page that each core reads a guest's instruction through: its entry in
/// EL2's tables, which leads nowhere while it is not used.
static INSTRUCTION_PAGES: [Mutex<Option<&'static AtomicUsize>>; 8] =
    [const { Mutex::new(None) }; 8];

/// Makes the table for them, so that nothing is allocated when one is used.
fn make_instruction_pages(map: &mut Mapping<Tables, El2>) -> Result<(), MapError> {
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

/// Puts EL2's tables in place of the boot's on this core.
pub(crate) fn use_here() {
    let root = ROOT.load(Ordering::Relaxed);
    // SAFETY: 1. what is in use leads to the same memory under both tables. 2. what
    // this core remembers of the boot's is forgotten (D8.14).
    unsafe {
        asm!(
            "msr ttbr0_el2, {}", "isb", "tlbi alle2", "dsb nsh", "isb",
            in(reg) root, options(nostack)
        );
    }
}

fn place(
    map: &mut Mapping<Tables, El2>,
    at: u64,
    physical: u64,
    bytes: u64,
    attributes: El23Attributes,
) -> Result<(), MapError> {
    let region = MemoryRegion::new(at as usize, (at + bytes) as usize);
    // The image is kept in pages, so that guards can be taken out while it is
    // live (no block to break before making).
    let pages = if at >> 30 == layout::IMAGE >> 30 {
        Constraints::NO_BLOCK_MAPPINGS
    } else {
        Constraints::empty()
    };
    map.map_range(&region, PhysicalAddress(physical as usize), attributes, pages)
}

fn change(at: u64, physical: u64, bytes: u64, attributes: El23Attributes) -> Result<(), MapError> {
    match MAP.lock().as_mut() {
        Some(map) => place(map, at, physical, bytes, attributes)?,
        None => {
            return Err(MapError::InvalidVirtualAddress(VirtualAddress(at as usize)));
        }
    }
    // A new entry must be seen by the walker before it is used (B2.3.12).
    // SAFETY: 1. barriers.
    unsafe { asm!("dsb ish", "isb", options(nostack)) };
    Ok(())
}

/// Takes the page at `at`, which is the image's, out of the map.
pub(crate) fn guard(at: u64) {
    // It was mapped as a page: nothing can fail.
    let _ = change(at, 0, PAGE, El23Attributes::empty());
}

/// Maps a device's registers at a fixed place of [`layout`](crate::layout).
///
/// # Errors
/// Something is there already, or the tables say no.
pub fn device_at(at: u64, physical: u64, bytes: u64) -> Result<(), MapError> {
    DRIVEN.lock().push((physical, bytes));
    change(at, physical, bytes, DEVICE)
}

/// Maps a device's registers at the next free place and says where. The pages
/// that hold `physical` to `physical + bytes` are mapped whole.
///
/// # Errors
/// The tables say no.
pub fn device(physical: u64, bytes: u64) -> Result<u64, MapError> {
    DRIVEN.lock().push((physical, bytes));
    passed_device(physical, bytes)
}

/// The registers that eVisor drives itself: physical addresses and sizes.
pub fn driven() -> Vec<(u64, u64)> {
    DRIVEN.lock().clone()
}

/// Maps the registers of a device that a VM was given, as [`device`] does those of
/// eVisor's own.
pub(crate) fn passed_device(physical: u64, bytes: u64) -> Result<u64, MapError> {
    let offset = physical % PAGE;
    let whole = (offset + bytes).next_multiple_of(PAGE);
    let at = NEXT_DEVICE.fetch_add(whole, Ordering::Relaxed);
    change(at, physical - offset, whole, DEVICE)?;
    Ok(at + offset)
}

/// Writes `word` to memory at `physical` for a core that reads with its MMU off:
/// the line goes to the point of coherency, and out of the caches.
///
/// # Errors
/// `physical` is not a multiple of eight, or EL2's tables say no.
///
/// # Safety
/// 1. It is memory, and nobody but that core uses its line.
pub(crate) unsafe fn write_through(physical: u64, word: u64) -> Result<(), MapError> {
    if !physical.is_multiple_of(8) {
        return Err(MapError::AddressRange(VirtualAddress(physical as usize)));
    }
    let at = layout::RELEASE + physical % PAGE;
    change(layout::RELEASE, physical - physical % PAGE, PAGE, DATA)?;
    // SAFETY: 1. mapped, aligned, and memory as the caller says.
    unsafe { core::ptr::write_volatile(at as *mut u64, word) };
    maintenance::clean_and_invalidate(at, 8);
    change(layout::RELEASE, 0, PAGE, El23Attributes::empty())
}

/// A window of `words` words onto registers that are mapped at `at`. `None` for
/// address 0.
///
/// # Safety
/// 1. Registers of that size are mapped there, and stay so.
/// 2. Nobody else has a window onto them, or not one that is used at a time.
pub unsafe fn window(at: u64, words: usize) -> Option<Window> {
    let slice = NonNull::slice_from_raw_parts(NonNull::new(at as *mut ReadPureWrite<u32>)?, words);
    // SAFETY: 1. and 2. as the caller says.
    Some(unsafe { UniqueMmioPointer::new(slice) })
}

/// Maps `bytes` of memory at `physical` read-only near `near`, and lends them for
/// good. Large blocks are used where both addresses allow.
///
/// # Errors
/// The tables say no.
///
/// # Safety
/// 1. It is memory, and nobody writes to it from now on.
pub unsafe fn read_only(near: u64, physical: u64, bytes: u64) -> Result<&'static [u8], MapError> {
    let offset = physical % (2 << 20);
    let page = offset % PAGE;
    change(near + offset - page, physical - page, page + bytes, RODATA)?;
    let at = (near + offset) as *const u8;
    // SAFETY: 1. just mapped; unchanging as the caller says.
    Ok(unsafe { core::slice::from_raw_parts(at, bytes as usize) })
}

/// A window that nobody has, as there are as many as cores: nobody waits for a VM that is
/// being filled on another core. The first one serves whoever is alone.
fn free_window() -> (u64, MutexGuard<'static, ()>) {
    let places = (layout::SLICE_AT..).step_by(layout::SLICE as usize);
    loop {
        let free = places.clone().zip(&SLICES).find_map(|(at, lock)| Some((at, lock.try_lock()?)));
        if let Some(window) = free {
            return window;
        }
    }
}

/// Runs `fill` on each slice of `ram` from `offset` on for `bytes`: `fill` gets the
/// EL2 address, the distance from `offset`, and the size. The slice is cleaned to
/// the point of coherency afterwards.
fn each_slice(
    ram: &Ram,
    offset: u64,
    bytes: u64,
    mut fill: impl FnMut(*mut u8, u64, usize),
) -> Result<(), MapError> {
    let start = ram.part(offset, bytes)?;
    let (window, _taken) = free_window();
    let mut done = 0;
    while done < bytes {
        let from = start + done;
        let inside = from % layout::SLICE;
        let size = (layout::SLICE - inside).min(bytes - done);
        // In one block, where all of the slice is this memory.
        let slice = from - inside;
        let (first, mapped) = if ram.holds(slice, layout::SLICE) {
            (slice, layout::SLICE)
        } else {
            (from - from % PAGE, from % PAGE + size)
        };
        let at = window + inside;
        let begin = at - (from - first);
        change(begin, first, mapped, DATA)?;
        fill(at as *mut u8, done, size as usize);
        maintenance::clean_and_invalidate(at, size);
        change(begin, 0, mapped, El23Attributes::empty())?;
        done += size;
    }
    Ok(())
}

/// Maps memory that a component was granted, for good, and says where.
pub(crate) fn keep(ram: &Ram) -> Result<u64, MapError> {
    let whole = ram.size.next_multiple_of(layout::SLICE);
    let at = NEXT_BACKING.fetch_add(whole, Ordering::Relaxed);
    change(at, ram.physical, ram.size, DATA)?;
    Ok(at)
}

/// Memory for guests: a range of it that has one owner, who may fill it while no
/// guest runs in it.
#[derive(Debug)]
pub struct Ram {
    physical: u64,
    size: u64,
}

impl Ram {
    /// # Safety
    /// 1. It is memory that nothing of eVisor lies in.
    /// 2. No other `Ram` overlaps it.
    pub(crate) unsafe fn new((physical, size): (u64, u64)) -> Self {
        Self { physical, size }
    }

    /// Where it starts.
    pub fn physical(&self) -> u64 {
        self.physical
    }

    /// How long it is, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// How much is left from its first multiple of `alignment` on.
    pub fn aligned(&self, alignment: u64) -> Option<u64> {
        let start = self.physical.checked_next_multiple_of(alignment)?;
        (self.physical + self.size).checked_sub(start)
    }

    /// Takes `size` bytes from its first multiple of `alignment` on, and gives
    /// what is left before and behind; `None` if it is too short.
    pub fn split(self, alignment: u64, size: u64) -> Option<(Self, Vec<Self>)> {
        let left = self.aligned(alignment)?.checked_sub(size)?;
        let start = self.physical + self.size - left - size;
        let part = |physical, size| Self { physical, size };
        let rest = [part(self.physical, start - self.physical), part(start + size, left)];
        Some((part(start, size), rest.into_iter().filter(|ram| ram.size > 0).collect()))
    }

    /// Copies `bytes` to `offset`. A guest that runs in it would see the bytes
    /// arrive in no order.
    ///
    /// # Errors
    /// They do not fit, or EL2's tables say no.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<(), MapError> {
        let size = bytes.len() as u64;
        each_slice(self, offset, size, |at, done, size| {
            if let Some(part) = bytes.get(done as usize..done as usize + size) {
                // SAFETY: 1. `at` is mapped for `size` bytes, which are ours.
                unsafe { core::ptr::copy_nonoverlapping(part.as_ptr(), at, part.len()) };
            }
        })
    }

    /// Lends all of it, for good.
    ///
    /// # Errors
    /// EL2's tables say no.
    pub fn lend(self) -> Result<&'static mut [u8], MapError> {
        let at = keep(&self)? as *mut u8;
        // SAFETY: 1. mapped for good, and ours alone. 2. any bytes are bytes.
        Ok(unsafe { core::slice::from_raw_parts_mut(at, self.size as usize) })
    }

    /// Zeroes `bytes` from `offset` on.
    ///
    /// # Errors
    /// It does not have them, or EL2's tables say no.
    pub fn zero(&mut self, offset: u64, bytes: u64) -> Result<(), MapError> {
        each_slice(self, offset, bytes, |at, _, size| {
            // SAFETY: 1. `at` is mapped for `size` bytes, which are ours.
            unsafe { maintenance::zero(at as u64, size as u64) };
        })
    }

    /// Copies `bytes` from `other`, at `from` there, to `offset`. False: another core copies,
    /// and nothing was done.
    ///
    /// What a guest wrote with its cache off, or by attributes that do not look into one,
    /// is in memory behind the point of coherency: lines of EL2's that would hide it are
    /// gone before it is read (DDI 0487, B2.8, Mismatched memory attributes).
    ///
    /// # Errors
    /// One of the two does not have them, or EL2's tables say no.
    pub fn copy(
        &mut self,
        offset: u64,
        (other, from): (&Self, u64),
        bytes: u64,
    ) -> Result<bool, MapError> {
        // Two windows at once: cores that each have one would wait for each other.
        static COPIES: Mutex<()> = Mutex::new(());
        let Some(_alone) = COPIES.try_lock() else { return Ok(false) };
        let mut copied = Ok(());
        each_slice(other, from, bytes, |source, done, size| {
            maintenance::clean_and_invalidate(source as u64, size as u64);
            let put = each_slice(self, offset + done, size as u64, |at, inside, size| {
                let source = source.wrapping_add(inside as usize);
                // SAFETY: 1. both are mapped for so much, and of two `Ram`s, which do not
                // overlap; the guest that has one of them stands still.
                unsafe { maintenance::copy(source, at, size) };
            });
            if put.is_err() {
                copied = put;
            }
        })?;
        copied.map(|()| true)
    }

    /// Copies what is at `offset`.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub fn read(&self, offset: u64, to: &mut [u8]) -> Result<(), MapError> {
        let size = to.len() as u64;
        each_slice(self, offset, size, |at, done, size| {
            if let Some(part) = to.get_mut(done as usize..done as usize + size) {
                // SAFETY: 1. `at` is mapped for `size` bytes, which are ours.
                unsafe { core::ptr::copy_nonoverlapping(at, part.as_mut_ptr(), part.len()) };
            }
        })
    }

    /// Whether physical memory from `at` on for `bytes` is part of it.
    fn holds(&self, at: u64, bytes: u64) -> bool {
        at >= self.physical && at + bytes <= self.physical + self.size
    }

    /// Where `bytes` from `offset` on are.
    fn part(&self, offset: u64, bytes: u64) -> Result<u64, MapError> {
        match offset.checked_add(bytes) {
            Some(end) if end <= self.size => Ok(self.physical + offset),
            _ => Err(MapError::AddressRange(VirtualAddress(offset as usize))),
        }
    }
}
