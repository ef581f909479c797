//! Stage 1: an identity map of the first 4 GiB in four 1 GiB blocks.
//!
//! The table is a constant of the image, so the guest writes nothing that a
//! table walk reads, and needs no cache maintenance to turn stage 1 on: whoever
//! loaded the image has cleaned it to the point of coherency (Linux,
//! `Documentation/arch/arm64/booting.rst`).

use aarch64_cpu::registers::{MAIR_EL1, SCTLR_EL1, TCR_EL1};

/// A VMSAv8-64 level 1 table of four entries (ARM DDI 0487, "Translation table
/// level 1 block descriptor format"); one of fewer than eight must be aligned
/// to 64 bytes.
#[repr(C, align(64))]
pub(crate) struct Table([u64; 4]);

const VALID: u64 = 1;
const ACCESSED: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const PRIVILEGED_NEVER_EXECUTES: u64 = 1 << 53;
const USER_NEVER_EXECUTES: u64 = 1 << 54;

const fn block(gigabyte: u64, attribute: u64, more: u64) -> u64 {
    (gigabyte << 30) | (attribute << 2) | VALID | ACCESSED | USER_NEVER_EXECUTES | more
}

/// Devices, RAM, devices again, and a gigabyte of executable Normal memory that
/// no VM has: a fetch from there must reach stage 2 to abort.
pub(crate) static IDENTITY: Table = Table([
    block(0, 1, PRIVILEGED_NEVER_EXECUTES),
    block(1, 0, INNER_SHAREABLE),
    block(2, 1, PRIVILEGED_NEVER_EXECUTES),
    block(3, 2, INNER_SHAREABLE),
]);

/// Attribute 0 is Normal write-back, 1 Device-nGnRnE (all zeros), 2 Normal
/// non-cacheable.
pub(crate) const MAIR: u64 = MAIR_EL1::Attr0_Normal_Outer::WriteBack_NonTransient_ReadWriteAlloc
    .value
    | MAIR_EL1::Attr0_Normal_Inner::WriteBack_NonTransient_ReadWriteAlloc.value
    | MAIR_EL1::Attr2_Normal_Outer::NonCacheable.value
    | MAIR_EL1::Attr2_Normal_Inner::NonCacheable.value;

/// 32-bit addresses through TTBR0 (so the walk starts at level 1), none through
/// TTBR1, 36-bit output.
pub(crate) const TCR: u64 = TCR_EL1::T0SZ.val(32).value
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
