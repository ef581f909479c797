//! Stage 1: an identity map of the first 4 GiB in four 1 GiB blocks, and a window
//! above it for whoever wants to map something else.
//!
//! The identity map is a constant of the image, so the guest writes nothing that a
//! table walk reads, and needs no cache maintenance to turn stage 1 on: whoever
//! loaded the image has cleaned it to the point of coherency (Linux,
//! `Documentation/arch/arm64/booting.rst`).
#![allow(unsafe_code, reason = "barriers and TLB maintenance")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{MAIR_EL1, SCTLR_EL1, TCR_EL1};

/// A VMSAv8-64 level 1 table of eight entries (ARM DDI 0487, "Translation table
/// level 1 block descriptor format"), which must be aligned to its size.
#[repr(C, align(64))]
pub(crate) struct Root([AtomicU64; 8]);

/// A table of 4 KiB.
#[repr(C, align(4096))]
struct Table([AtomicU64; 512]);

const VALID: u64 = 1;
const TABLE_OR_PAGE: u64 = 0b11;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const READ_ONLY: u64 = 1 << 7;
const PRIVILEGED_NEVER_EXECUTES: u64 = 1 << 53;
const USER_NEVER_EXECUTES: u64 = 1 << 54;

const fn block(gigabyte: u64, attribute: u64, more: u64) -> AtomicU64 {
    let executable_by = USER_NEVER_EXECUTES | more;
    AtomicU64::new((gigabyte << 30) | (attribute << 2) | VALID | ACCESSED | executable_by)
}

/// Devices, RAM, devices again, and a gigabyte of executable Normal memory that
/// no VM has: a fetch from there must reach stage 2 to abort.
pub(crate) static IDENTITY: Root = Root([
    block(0, 1, PRIVILEGED_NEVER_EXECUTES),
    block(1, 0, INNER_SHAREABLE),
    block(2, 1, PRIVILEGED_NEVER_EXECUTES),
    block(3, 2, INNER_SHAREABLE),
    AtomicU64::new(0),
    AtomicU64::new(0),
    AtomicU64::new(0),
    AtomicU64::new(0),
]);

/// In this order: Normal write-back, Device-nGnRnE (all zeros), Normal
/// non-cacheable, Normal write-through, Device-nGnRE.
pub(crate) const MAIR: u64 = MAIR_EL1::Attr0_Normal_Outer::WriteBack_NonTransient_ReadWriteAlloc
    .value
    | MAIR_EL1::Attr0_Normal_Inner::WriteBack_NonTransient_ReadWriteAlloc.value
    | MAIR_EL1::Attr2_Normal_Outer::NonCacheable.value
    | MAIR_EL1::Attr2_Normal_Inner::NonCacheable.value
    | MAIR_EL1::Attr3_Normal_Outer::WriteThrough_NonTransient_ReadWriteAlloc.value
    | MAIR_EL1::Attr3_Normal_Inner::WriteThrough_NonTransient_ReadWriteAlloc.value
    | 0x04 << 32;

/// 33-bit addresses through TTBR0 (so the walk starts at level 1), none through
/// TTBR1, 36-bit output.
pub(crate) const TCR: u64 = TCR_EL1::T0SZ.val(31).value
    | TCR_EL1::IRGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::ORGN0::WriteBack_ReadAlloc_WriteAlloc_Cacheable.value
    | TCR_EL1::SH0::Inner.value
    | TCR_EL1::TG0::KiB_4.value
    | TCR_EL1::EPD1::DisableTTBR1Walks.value
    | TCR_EL1::IPS::Bits_36.value;

/// The bits that are RES1 on an Armv8.0 core: 29, 28, 23, 22, 20, 11.
const SCTLR_RES1: u64 = 0x30d0_0800;

/// Stage 1 off, caches off.
pub(crate) const SCTLR_OFF: u64 = SCTLR_RES1;

/// Stage 1 and the caches on; no alignment checks of Normal memory.
pub(crate) const SCTLR_ON: u64 = SCTLR_RES1
    | SCTLR_EL1::M::Enable.value
    | SCTLR_EL1::C::Cacheable.value
    | SCTLR_EL1::I::Cacheable.value;

/// The first address of the window, in which nothing is mapped at first.
pub const WINDOW: usize = 4 << 30;
/// How many pages the window has.
pub const WINDOW_PAGES: usize = 512;
/// The size of a page.
pub const PAGE: usize = 4096;

/// What kind of memory a page is, by its place in MAIR_EL1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// Normal, write-back.
    WriteBack = 0,
    /// Device-nGnRnE.
    Device = 1,
    /// Normal, non-cacheable.
    NonCacheable = 2,
    /// Normal, write-through.
    WriteThrough = 3,
    /// Device-nGnRE.
    DeviceEarlyAck = 4,
}

/// A page descriptor (DDI 0487, "Translation table level 3 page descriptor format").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(u64);

impl Page {
    /// Nothing is there.
    pub const INVALID: Self = Self(0);

    /// Readable and writable by EL1, executable by none.
    #[must_use]
    pub const fn new(address: usize, attribute: Attribute) -> Self {
        let nobody_executes = USER_NEVER_EXECUTES | PRIVILEGED_NEVER_EXECUTES;
        let how = (attribute as u64) << 2 | INNER_SHAREABLE | ACCESSED;
        Self(address as u64 & !0xfff | TABLE_OR_PAGE | how | nobody_executes)
    }

    /// EL1 may not write.
    #[must_use]
    pub const fn read_only(self) -> Self {
        Self(self.0 | READ_ONLY)
    }

    /// EL1 may execute.
    #[must_use]
    pub const fn executable(self) -> Self {
        Self(self.0 & !PRIVILEGED_NEVER_EXECUTES)
    }

    /// The access flag is clear.
    #[must_use]
    pub const fn not_accessed(self) -> Self {
        Self(self.0 & !ACCESSED)
    }
}

static LEVEL_2: Table = Table([const { AtomicU64::new(0) }; 512]);
static LEVEL_3: Table = Table([const { AtomicU64::new(0) }; 512]);

fn publish() {
    // SAFETY: barriers only.
    unsafe { asm!("dsb ishst", "isb") };
}

/// The address of a page of the window.
#[must_use]
pub const fn window(page: usize) -> usize {
    WINDOW + page % WINDOW_PAGES * PAGE
}

/// Hangs the window's tables in.
fn open() {
    let [_, _, _, _, root, ..] = &IDENTITY.0;
    let [level_2, ..] = &LEVEL_2.0;
    if root.load(Ordering::Relaxed) == 0 {
        level_2.store((&raw const LEVEL_3) as u64 | TABLE_OR_PAGE, Ordering::Relaxed);
        publish();
        root.store((&raw const LEVEL_2) as u64 | TABLE_OR_PAGE, Ordering::Relaxed);
        publish();
    }
}

/// Sets what a page of the window is, with the old one gone from every TLB before
/// (DDI 0487, "Using break-before-make when updating translation table entries").
pub fn map(page: usize, descriptor: Page) {
    open();
    if let Some(entry) = LEVEL_3.0.get(page % WINDOW_PAGES) {
        if entry.swap(0, Ordering::Relaxed) != 0 {
            publish();
            invalidate(page);
        }
        entry.store(descriptor.0, Ordering::Relaxed);
    }
    publish();
}

/// Drops what any core's TLB holds of a page of the window.
fn invalidate(page: usize) {
    // SAFETY: the tables say what is mapped.
    unsafe {
        asm!("tlbi vaae1is, {}", "dsb ish", "isb", in(reg) window(page) as u64 >> 12);
    }
}
