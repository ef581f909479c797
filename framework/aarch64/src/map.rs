//! EL2's own translation: W^X, guard pages, and the windows of
//! [`layout`](crate::layout).
//!
//! `boot.s` runs Rust under tables that map the image by section; [`init`]
//! replaces them by tables that can be changed.

#![allow(unsafe_code, reason = "translation tables, and memory named by physical address")]

mod instruction;
mod slice_window;

pub(crate) use instruction::read_guest_word;
pub(crate) use slice_window::SliceWindow;

use crate::{layout, maintenance};
use aarch64_paging::descriptor::{
    El23Attributes, PagingAttributes, PhysicalAddress, VirtualAddress,
};
use aarch64_paging::paging::{Constraints, El2, MemoryRegion, PageTable, Translation};
use aarch64_paging::{MapError, Mapping};
use alloc::alloc::{alloc, dealloc, handle_alloc_error};
use alloc::vec::Vec;
use core::alloc::Layout;
use core::arch::asm;
use core::ptr::NonNull;
use core::sync::atomic::{AtomicU64, Ordering};
use evisor_contract::Window;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;
use spin::Mutex;
use spin::relax::RelaxStrategy;

/// The root table, physical.
static ROOT: AtomicU64 = AtomicU64::new(0);
static IMAGE_AT: AtomicU64 = AtomicU64::new(0);
static MAP: spin::mutex::Mutex<Option<Mapping<Tables, El2>>, Yield> = spin::mutex::Mutex::new(None);
/// What was mapped as a device of eVisor's.
static DRIVEN: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());
static NEXT_DEVICE: AtomicU64 = AtomicU64::new(layout::DEVICES);

pub(crate) const PAGE: u64 = 4096;

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
pub(crate) const DATA: El23Attributes = NORMAL.union(El23Attributes::XN);
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
    instruction::make_pages(&mut map)?;
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

/// Maps `bytes` at `physical`, or takes what is at `at` away: the attributes are none then.
pub(crate) fn change(
    at: u64,
    physical: u64,
    bytes: u64,
    attributes: El23Attributes,
) -> Result<(), MapError> {
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
