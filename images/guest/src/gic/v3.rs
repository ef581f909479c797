//! GICv3's redistributors and the CPU interface in system registers (ARM IHI 0069,
//! chapters 12.10, 12.11 and 12.2).
//!
//! One security state and affinity routing: everything in Group 1.
#![allow(unsafe_code, reason = "references to the device's registers, system registers by name")]
#![allow(missing_docs, reason = "the register macros make items that no comment reaches")]

use core::sync::atomic::{AtomicUsize, Ordering};

use aarch64_cpu::asm::barrier;
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite};
use tock_registers::{register_bitfields, register_structs};

use super::{Distributor, Target, distributor};
use crate::{cores, map, read_register, write_register};

register_bitfields! {u32,
    /// GICD_CTLR with one security state (IHI 0069 §12.9.4).
    pub GICD_CTLR [
        /// A write is still on its way.
        RWP OFFSET(31) NUMBITS(1) [],
        /// One security state.
        DS OFFSET(6) NUMBITS(1) [],
        /// Affinity routing.
        ARE OFFSET(4) NUMBITS(1) [],
        EnableGrp1 OFFSET(1) NUMBITS(1) [],
        EnableGrp0 OFFSET(0) NUMBITS(1) []
    ],
    /// GICR_CTLR (§12.11.2).
    pub GICR_CTLR [
        /// A write is still on its way.
        RWP OFFSET(3) NUMBITS(1) [],
        EnableLPIs OFFSET(0) NUMBITS(1) []
    ],
    /// GICR_WAKER (§12.11.42).
    pub WAKER [
        ChildrenAsleep OFFSET(2) NUMBITS(1) [],
        ProcessorSleep OFFSET(1) NUMBITS(1) []
    ]
}

register_bitfields! {u64,
    /// GICR_TYPER (§12.11.35).
    pub GICR_TYPER [
        /// Aff3 to Aff0, eight bits each.
        Affinity OFFSET(32) NUMBITS(32) [],
        ProcessorNumber OFFSET(8) NUMBITS(16) [],
        /// The last of those that lie behind each other.
        Last OFFSET(4) NUMBITS(1) [],
        PLPIS OFFSET(0) NUMBITS(1) []
    ]
}

register_structs! {
    /// The first frame of a redistributor (IHI 0069 table 12-27).
    #[allow(missing_docs, reason = "they are named as in the manual")]
    pub Redistributor {
        (0x0000 => pub ctlr: ReadWrite<u32, GICR_CTLR::Register>),
        (0x0004 => pub iidr: ReadOnly<u32>),
        (0x0008 => pub typer: ReadOnly<u64, GICR_TYPER::Register>),
        (0x0010 => _reserved0),
        (0x0014 => pub waker: ReadWrite<u32, WAKER::Register>),
        (0x0018 => _reserved1),
        (0xffe8 => pub pidr2: ReadOnly<u32>),
        (0xffec => @END),
    }
}

/// How far the redistributors lie apart: two frames of 64 KiB (§12.10).
pub const STRIDE: usize = 0x2_0000;

/// The frame of SGIs and PPIs behind the first (§12.10).
pub const SGI_FRAME: usize = 0x1_0000;

/// Where each core's redistributor was found; 0 is not looked for yet.
static FOUND: [AtomicUsize; cores::MOST] = [const { AtomicUsize::new(0) }; cores::MOST];

/// The redistributor in this place in the row.
#[must_use]
pub fn redistributor_at(address: usize) -> &'static Redistributor {
    // SAFETY: the callers pass addresses of the redistributors' region, whose
    // registers may be read and written by anyone at any time.
    unsafe { &*(address as *const Redistributor) }
}

/// Where a core's redistributor is, found by its affinity.
///
/// # Panics
///
/// If there is none: without it nothing here works.
#[must_use]
#[allow(clippy::panic, reason = "a panic is how a guest ends early")]
pub fn address_of(core: usize) -> usize {
    let Some(found) = FOUND.get(core) else { panic!("no core {core}") };
    if found.load(Ordering::Relaxed) == 0 {
        let here = (0..cores::MOST).map(|n| map::GICR + n * STRIDE);
        let mut last = false;
        let mut candidates = here.take_while(|address| {
            let over = last;
            last = !over && redistributor_at(*address).typer.is_set(GICR_TYPER::Last);
            !over
        });
        let is_it = |address: &usize| {
            redistributor_at(*address).typer.read(GICR_TYPER::Affinity) == core as u64
        };
        let Some(address) = candidates.find(is_it) else { panic!("no redistributor of {core}") };
        found.store(address, Ordering::Relaxed);
    }
    found.load(Ordering::Relaxed)
}

/// A core's redistributor.
#[must_use]
pub fn redistributor(core: usize) -> &'static Redistributor {
    redistributor_at(address_of(core))
}

/// A core's frame of SGIs and PPIs: its first registers lie as the distributor's.
#[must_use]
pub fn private(core: usize) -> &'static Distributor {
    // SAFETY: as for `redistributor_at`; the frame is as long as the distributor's.
    unsafe { &*((address_of(core) + SGI_FRAME) as *const Distributor) }
}

/// Waits until what was written to the distributor is in effect.
pub(super) fn settle() {
    barrier::dsb(barrier::SY);
    while GICD_CTLR::RWP.read(distributor().ctlr.get()) != 0 {}
}

/// Waits until what was written to this core's redistributor is in effect.
pub(super) fn settle_private() {
    barrier::dsb(barrier::SY);
    while redistributor(cores::number()).ctlr.is_set(GICR_CTLR::RWP) {}
}

pub(super) fn set_distributor(on: bool) {
    let group = if on { GICD_CTLR::EnableGrp1::SET.value } else { 0 };
    distributor().ctlr.set(GICD_CTLR::ARE::SET.value | group);
    settle();
}

pub(super) fn enable_distributor() {
    set_distributor(false);
    for groups in distributor().igroupr.iter().skip(1) {
        groups.set(u32::MAX);
    }
    set_distributor(true);
}

/// Wakes this core's redistributor and turns its interface on.
pub(super) fn enable_core() {
    let own = redistributor(cores::number());
    own.waker.modify(WAKER::ProcessorSleep::CLEAR);
    while own.waker.is_set(WAKER::ChildrenAsleep) {}
    let [groups, ..] = &private(cores::number()).igroupr;
    groups.set(u32::MAX);
    settle_private();
    write_register!("S3_0_C12_C12_5", 1); // ICC_SRE_EL1.SRE
    barrier::isb(barrier::SY);
    set_mask(0xff);
    set_end_mode(false);
    set_interface(true);
}

/// GICD_IROUTER (§12.9.22), from 0x6000, eight bytes an interrupt.
pub(super) fn route(intid: u32, core: usize) {
    crate::mmio::store64(map::GICD + 0x6000 + 8 * intid as usize, core as u64);
    barrier::dsb(barrier::SY);
}

/// ICC_SGI1R_EL1 (§12.2.37): one cluster, a bit a core.
pub(super) fn send(sgi: u32, target: Target) {
    let to = match target {
        Target::Own => 1 << cores::number(),
        Target::Others => 1 << 40,
        Target::Cores(mask) => u64::from(mask),
    };
    barrier::dsb(barrier::SY);
    write_register!("S3_0_C12_C11_5", to | u64::from(sgi & 0xf) << 24);
    barrier::isb(barrier::SY);
}

#[allow(clippy::cast_possible_truncation, reason = "24 bits at most")]
fn low(value: u64) -> u32 {
    value as u32
}

/// ICC_IAR1_EL1 (§12.2.14).
pub(super) fn acknowledge() -> u32 {
    let acknowledged = read_register!("S3_0_C12_C12_0");
    barrier::dsb(barrier::SY);
    low(acknowledged)
}

/// ICC_EOIR1_EL1 (§12.2.10).
pub(super) fn end(acknowledged: u32) {
    write_register!("S3_0_C12_C12_1", u64::from(acknowledged));
    barrier::isb(barrier::SY);
}

/// ICC_DIR_EL1 (§12.2.8).
pub(super) fn deactivate(acknowledged: u32) {
    write_register!("S3_0_C12_C11_1", u64::from(acknowledged));
    barrier::isb(barrier::SY);
}

/// ICC_HPPIR1_EL1 (§12.2.12).
pub(super) fn highest_pending() -> u32 {
    barrier::isb(barrier::SY);
    low(read_register!("S3_0_C12_C12_2"))
}

/// ICC_RPR_EL1 (§12.2.36).
pub(super) fn running_priority() -> u32 {
    barrier::isb(barrier::SY);
    low(read_register!("S3_0_C12_C11_3")) & 0xff
}

/// ICC_PMR_EL1 (§12.2.35).
pub(super) fn set_mask(priority: u32) {
    write_register!("S3_0_C4_C6_0", u64::from(priority));
    barrier::isb(barrier::SY);
    barrier::dsb(barrier::SY);
}

pub(super) fn mask() -> u32 {
    low(read_register!("S3_0_C4_C6_0"))
}

/// ICC_BPR1_EL1 (§12.2.6).
pub(super) fn set_binary_point(point: u32) {
    write_register!("S3_0_C12_C12_3", u64::from(point));
    barrier::isb(barrier::SY);
}

pub(super) fn binary_point() -> u32 {
    low(read_register!("S3_0_C12_C12_3"))
}

/// ICC_CTLR_EL1.EOImode (§12.2.7).
pub(super) fn set_end_mode(separate: bool) {
    let others = read_register!("S3_0_C12_C12_4") & !0b10;
    write_register!("S3_0_C12_C12_4", others | u64::from(separate) << 1);
    barrier::isb(barrier::SY);
}

/// ICC_IGRPEN1_EL1 (§12.2.16).
pub(super) fn set_interface(on: bool) {
    write_register!("S3_0_C12_C12_7", u64::from(on));
    barrier::isb(barrier::SY);
}
