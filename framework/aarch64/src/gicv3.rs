//! The physical GICv3 (IHI 0069), with affinity routing and the CPU interface in
//! system registers. References are to titles there and to registers, which keep
//! their names from issue to issue.
//!
//! Its interrupts are all Non-secure Group 1. What the firmware may keep for
//! itself (Group 0, the Secure half) is not touched: where there are two Security
//! states those registers are RAZ/WI from here, and where there is one the same
//! writes put everything into Group 1. LPIs and the extended ranges of SPIs and
//! PPIs are off: nothing of eVisor's can name them.
//!
//! With HCR_EL2.IMO and FMO a guest's ICC_* are the virtual ICV_*, and its writes
//! of the SGI registers trap; EL2's own ICC_* stay the physical ones (AArch64 System
//! register accesses, and ICC_SGI1R_EL1).

#![allow(unsafe_code, reason = "system registers, and memory-mapped ones at fixed EL2 addresses")]

mod registers;
mod switched;
mod virtual_interface;

pub(crate) use switched::Switched;
pub(crate) use virtual_interface::{
    guest_sre, has_virtual_interrupt, quiet_guest, reset_guest, set_guest_sre, signal_guest,
    system_interface,
};

use crate::gic::{self, Acknowledged, CpuInterface, Version};
use crate::{layout, map};
use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::MPIDR_EL1;
use alloc::vec::Vec;
use registers::{
    GICD_CTLR, GICD_TYPER, GICR_CTLR, GICR_TYPER, GICR_WAKER, Gicd, Gicr, read, write,
};
use spin::Once;
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::registers::ReadWrite;
use virtual_interface::init_virtual_interface;

/// Where a board has its GIC: physical addresses.
#[derive(Debug)]
pub struct Addresses<'a> {
    /// The distributor.
    pub gicd: u64,
    /// The regions of redistributors: address and size.
    pub gicr: &'a [(u64, u64)],
    /// How far two redistributors are apart, where it is not what they say
    /// themselves (the binding's `redistributor-stride`).
    pub stride: Option<u64>,
}

struct Redistributors {
    /// EL2 addresses and sizes.
    regions: Vec<(u64, u64)>,
    stride: Option<u64>,
}

static REDISTRIBUTORS: Once<Redistributors> = Once::new();

/// Two frames of 64 KiB; two more where it has virtual LPIs.
const FRAMES: u64 = size_of::<Gicr>() as u64;
/// Regions are mapped so that large blocks can be used.
const BLOCK: u64 = 2 << 20;

/// Maps the GIC.
///
/// # Errors
/// EL2's tables say no: something is mapped there already.
///
/// # Safety
/// 1. A GICv3 is there, and the CPU interfaces that belong to it.
pub unsafe fn map(addresses: &Addresses<'_>) -> Result<(), aarch64_paging::MapError> {
    map::device_at(layout::GICD, addresses.gicd, 0x1_0000)?;
    let mut next = layout::GICR;
    let mut regions = Vec::new();
    for &(physical, size) in addresses.gicr {
        let at = next + physical % BLOCK;
        map::device_at(at, physical, size)?;
        regions.push((at, size));
        next = (at + size).next_multiple_of(BLOCK);
    }
    REDISTRIBUTORS.call_once(|| Redistributors { regions, stride: addresses.stride });
    gic::choose(Version::V3);
    Ok(())
}

fn gicd() -> &'static Gicd {
    // SAFETY: 1. mapped there as device memory before any function of this module
    // is called; every register may be accessed from any core.
    unsafe { &*(layout::GICD as *const Gicd) }
}

/// Who this core is to the GIC, as GICD_IROUTER takes it: MPIDR_EL1's affinity
/// fields.
fn affinity() -> u64 {
    MPIDR_EL1.get() & 0xff_00ff_ffff
}

/// This core's redistributor: the one that says so in GICR_TYPER.
fn redistributor() -> Option<&'static Gicr> {
    let here = affinity();
    let here = here >> 8 & 0xff00_0000 | here & 0x00ff_ffff;
    let Redistributors { regions, stride } = REDISTRIBUTORS.get()?;
    regions.iter().find_map(|&(at, size)| {
        let mut offset = 0;
        while offset + FRAMES <= size {
            // SAFETY: 1. within what was mapped there as device memory; a
            // redistributor is there, as the one before was not the last.
            let gicr = unsafe { &*((at + offset) as *const Gicr) };
            if gicr.typer.read(GICR_TYPER::AFFINITY) == here {
                return Some(gicr);
            }
            if gicr.typer.is_set(GICR_TYPER::LAST) {
                break;
            }
            let own = FRAMES << gicr.typer.read(GICR_TYPER::VLPIS);
            offset += stride.unwrap_or(own);
        }
        None
    })
}

/// Priority of every physical interrupt: they are taken in the order of arrival
/// and sorted for the guest by its own controller.
const PRIORITY: u32 = 0xa0a0_a0a0;

/// Changes of GICD_CTLR and GICD_ICENABLER have taken effect (GICD_CTLR.RWP).
fn settle(gicd: &Gicd) {
    while gicd.ctlr.is_set(GICD_CTLR::RWP) {
        core::hint::spin_loop();
    }
}

/// The same of GICR_ICENABLER0 (GICR_CTLR.RWP).
fn settle_core(gicr: &Gicr) {
    while gicr.ctlr.is_set(GICR_CTLR::RWP) {
        core::hint::spin_loop();
    }
}

/// See [`gic::init_distributor`]. This core can use ICH_* from here on.
pub(crate) fn init_distributor() -> Result<(), &'static str> {
    enable_system_registers()?;
    let gicd = gicd();
    // ARE is set while the groups are off, and never cleared: the other orders are
    // UNPREDICTABLE (GICD_CTLR).
    let are = gicd.ctlr.get() & GICD_CTLR::ARE::SET.value;
    gicd.ctlr.set(are);
    settle(gicd);
    gicd.ctlr.set(GICD_CTLR::ARE::SET.value);
    settle(gicd);
    let words = gicd.typer.read(GICD_TYPER::ITLINES) as usize + 1;
    for word in 1..words {
        set(&gicd.icenabler, word, u32::MAX);
        set(&gicd.igroupr, word, u32::MAX);
    }
    if gicd.typer.is_set(GICD_TYPER::ESPI) {
        let words = gicd.typer.read(GICD_TYPER::ESPI_RANGE) as usize + 1;
        gicd.icenabler_extended.iter().take(words).for_each(|word| word.set(u32::MAX));
    }
    // Before the state of an interrupt is changed it must be off for good.
    settle(gicd);
    for word in 1..words {
        set(&gicd.icpendr, word, u32::MAX);
        set(&gicd.icactiver, word, u32::MAX);
    }
    for word in 8..words * 8 {
        set(&gicd.ipriorityr, word, PRIORITY);
    }
    // To this core and no other: IRM is 0.
    let here = affinity();
    gicd.irouter.iter().take(words * 32).skip(32).for_each(|route| route.set(here));
    gicd.ctlr.write(GICD_CTLR::ARE::SET + GICD_CTLR::ENABLE_GROUP1::SET);
    settle(gicd);
    Ok(())
}

/// This core's redistributor and CPU interface. Gives what [`kick`] takes.
pub(crate) fn init_core() -> Result<u64, &'static str> {
    let gicr = redistributor().ok_or("the board's tree has no redistributor for a core")?;
    enable_system_registers()?;
    wake(gicr);
    init_redistributor(gicr)?;
    // What was written to the redistributor is there before the CPU interface
    // signals anything: they are not ordered otherwise.
    barrier::dsb(barrier::SY);
    init_cpu_interface();
    init_virtual_interface();
    barrier::isb(barrier::SY);
    Ok(target())
}

/// ICC_SRE_EL2: SRE; DFB and DIB, no bypass; Enable, so that a guest
/// finds ICC_SRE_EL1, whose SRE is set. Whether the firmware let us is read back.
fn enable_system_registers() -> Result<(), &'static str> {
    write!("icc_sre_el2", 0b1111);
    barrier::isb(barrier::SY);
    if read!("icc_sre_el2") & 1 == 0 {
        return Err("the firmware keeps the GIC's system registers off (ICC_SRE_EL3)");
    }
    Ok(())
}

/// The redistributor sends nothing to a CPU interface that sleeps
/// (GICR_WAKER). Where the firmware keeps the register it reads as zero: awake.
fn wake(gicr: &Gicr) {
    gicr.waker.modify(GICR_WAKER::PROCESSOR_SLEEP::CLEAR);
    while gicr.waker.is_set(GICR_WAKER::CHILDREN_ASLEEP) {
        core::hint::spin_loop();
    }
}

fn init_redistributor(gicr: &Gicr) -> Result<(), &'static str> {
    if gicr.ctlr.is_set(GICR_CTLR::ENABLE_LPIS) {
        // It would go on writing to its tables, wherever the firmware put them.
        gicr.ctlr.modify(GICR_CTLR::ENABLE_LPIS::CLEAR);
        settle_core(gicr);
        if gicr.ctlr.is_set(GICR_CTLR::ENABLE_LPIS) {
            return Err("the firmware left LPIs on, and they cannot be turned off");
        }
    }
    let extended = gicr.typer.read(GICR_TYPER::PPI_NUM) as usize;
    gicr.icenabler.iter().take(1 + extended).for_each(|word| word.set(u32::MAX));
    settle_core(gicr);
    gicr.igroupr0.set(u32::MAX);
    gicr.icpendr0.set(u32::MAX);
    gicr.icactiver0.set(u32::MAX);
    gicr.ipriorityr.iter().for_each(|word| word.set(PRIORITY));
    gicr.isenabler0.set(0x0000_ffff);
    Ok(())
}

fn init_cpu_interface() {
    write!("icc_pmr_el1", 0xff);
    // The smallest value, whatever is written below it: no interrupt is held back
    // by another one's priority for longer than needed.
    write!("icc_bpr1_el1", 0);
    // EOImode; PMHE and CBPR off, where they are ours.
    write!("icc_ctlr_el1", 1 << 1);
    // An active priority that the firmware left would mask all that follow. How
    // many there are follows from the priority bits (ICC_AP1R<n>_EL1).
    let priority_bits = (read!("icc_ctlr_el1") >> 8 & 7) + 1;
    write!("icc_ap1r0_el1", 0);
    if priority_bits > 5 {
        write!("icc_ap1r1_el1", 0);
    }
    if priority_bits > 6 {
        write!("icc_ap1r2_el1", 0);
        write!("icc_ap1r3_el1", 0);
    }
    barrier::isb(barrier::SY);
    write!("icc_igrpen1_el1", 1);
}

/// What ICC_SGI1R_EL1 takes to send INTID 0 to this core alone:
/// Aff3, RS and Aff2, Aff1, and a bit for Aff0.
fn target() -> u64 {
    let here = affinity();
    let (aff0, aff1) = (here & 0xff, here >> 8 & 0xff);
    let (aff2, aff3) = (here >> 16 & 0xff, here >> 32 & 0xff);
    aff3 << 48 | (aff0 >> 4) << 44 | aff2 << 32 | aff1 << 16 | 1 << (aff0 & 15)
}

fn set<const N: usize>(registers: &[ReadWrite<u32>; N], at: usize, value: u32) {
    if let Some(register) = registers.get(at) {
        register.set(value);
    }
}

/// See [`gic::enable`]. A shared one is routed as [`init_distributor`] left it.
pub(crate) fn enable(intid: usize, edge: bool) {
    let bit = 1 << (intid % 32);
    if intid < 32 {
        if let Some(gicr) = redistributor() {
            gicr.isenabler0.set(bit);
        }
        return;
    }
    signalled(intid, edge);
    set(&gicd().isenabler, intid / 32, bit);
}

/// Of a shared one.
fn signalled(intid: usize, edge: bool) {
    if let Some(config) = gicd().icfgr.get(intid / 16) {
        let bit = 2 << (intid % 16 * 2);
        config.set(if edge { config.get() | bit } else { config.get() & !bit });
    }
}

/// See [`gic::lead`]; the core is the one that [`init_core`] said this target of.
pub(crate) fn lead(intid: usize, edge: bool, target: u64) {
    signalled(intid, edge);
    if let Some(route) = gicd().irouter.get(intid).filter(|_| intid >= 32) {
        route.set(affinity_of(target));
    }
}

/// What GICD_IROUTER takes, of a [`target`].
const fn affinity_of(target: u64) -> u64 {
    let aff0 = (target >> 44 & 0xf) << 4 | (target & 0xffff).trailing_zeros() as u64;
    let (aff1, aff2, aff3) = (target >> 16 & 0xff, target >> 32 & 0xff, target >> 48 & 0xff);
    aff3 << 32 | aff2 << 16 | aff1 << 8 | aff0
}

const _: () = {
    // Aff3 to Aff0 are 4, 3, 2 and 0x51.
    assert!(affinity_of(4 << 48 | 5 << 44 | 3 << 32 | 2 << 16 | 1 << 1) == 0x4_0003_0251);
};

/// See [`gic::is_active`].
pub(crate) fn is_active(intid: usize) -> bool {
    let word = gicd().isactiver.get(intid / 32);
    word.is_some_and(|word| word.get() >> (intid % 32) & 1 != 0)
}

/// See [`gic::allow`].
pub(crate) fn allow(intid: usize) {
    set(&gicd().isenabler, intid / 32, 1 << (intid % 32));
}

/// See [`gic::pend`].
pub(crate) fn pend(intid: usize) {
    set(&gicd().ispendr, intid / 32, 1 << (intid % 32));
}

/// The shared interrupt `intid` goes to this core.
pub(crate) fn target_here(intid: usize) {
    if let Some(route) = gicd().irouter.get(intid).filter(|_| intid >= 32) {
        route.set(affinity());
    }
}

/// See [`gic::clear`].
pub(crate) fn clear(intid: usize) {
    if intid >= 32 {
        set(&gicd().icactiver, intid / 32, 1 << (intid % 32));
        set(&gicd().icpendr, intid / 32, 1 << (intid % 32));
    }
    if let Some(gicr) = redistributor().filter(|_| intid < 32) {
        gicr.icactiver0.set(1 << intid);
        gicr.icpendr0.set(1 << intid);
        // It is clear before the CPU interface is used again.
        barrier::dsb(barrier::SY);
    }
}

/// Sends software-generated interrupt 0 to the core that [`init_core`] said this
/// target of.
pub(crate) fn kick(target: u64) {
    signal(target, 0);
}

/// The same by software-generated interrupt `sgi` (IHI 0069 §12.2.37, INTID).
#[inline(always)]
pub(crate) fn signal(target: u64, sgi: u32) {
    // A system register's write waits for no store: what the other core is to see
    // is written before it is told (Observability of the effects of accesses to the
    // GIC registers).
    barrier::dsb(barrier::ISHST);
    write!("icc_sgi1r_el1", target | u64::from(sgi & 0xf) << 24);
    barrier::isb(barrier::SY);
}

/// A GICv3 on the path of an interrupt.
pub(crate) struct Gicv3;

impl CpuInterface for Gicv3 {
    #[inline(always)]
    fn acknowledge() -> Acknowledged {
        let iar = read!("icc_iar1_el1");
        // That the interrupt is active is certain, to the redistributor too, after
        // a DSB (Physical CPU interface); and what is read from memory is not read
        // earlier.
        barrier::dsb(barrier::SY);
        Acknowledged(iar)
    }

    #[inline(always)]
    fn intid(Acknowledged(iar): Acknowledged) -> usize {
        iar as usize
    }

    #[inline(always)]
    fn drop_priority(Acknowledged(iar): Acknowledged) {
        write!("icc_eoir1_el1", iar);
    }

    /// The write takes effect at the latest with `eret`.
    #[inline(always)]
    fn deactivate(Acknowledged(iar): Acknowledged) {
        write!("icc_dir_el1", iar);
    }

    fn disable(intid: usize) {
        let bit = 1 << (intid % 32);
        if intid >= 32 {
            set(&gicd().icenabler, intid / 32, bit);
            settle(gicd());
        } else if let Some(gicr) = redistributor() {
            set(&gicr.icenabler, 0, bit);
            settle_core(gicr);
        }
    }
}
