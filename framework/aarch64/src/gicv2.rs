//! The physical GICv2 (IHI 0048B.b), at the addresses of [`layout`](crate::layout).
//!
//! The CPU interface splits priority drop from deactivation (EOImode 1), so that
//! an interrupt handed to a guest stays active until the guest deactivates it.

#![allow(unsafe_code, reason = "memory-mapped registers at fixed EL2 addresses")]

use crate::{layout, map};
use aarch64_cpu::asm::barrier;
use aarch64_paging::MapError;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use evisor_contract::VirtualInterface;
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

register_bitfields! { u32,
    TYPER [ ITLINES 0, CPUS 1 ],
    GICC_CTLR [
        ENABLE OFFSET(0) NUMBITS(1) [],
        /// EOImode, in either security view without Security Extensions or from
        /// Non-secure state.
        EOIMODE OFFSET(9) NUMBITS(1) []
    ]
}

register_structs! {
    Gicd {
        (0x000 => ctlr: ReadWrite<u32>),
        (0x004 => typer: ReadOnly<u32>),
        (0x008 => _r0),
        (0x080 => igroupr: [ReadWrite<u32>; 32]),
        (0x100 => isenabler: [ReadWrite<u32>; 32]),
        (0x180 => icenabler: [ReadWrite<u32>; 32]),
        (0x200 => ispendr: [ReadWrite<u32>; 32]),
        (0x280 => icpendr: [ReadWrite<u32>; 32]),
        (0x300 => isactiver: [ReadWrite<u32>; 32]),
        (0x380 => icactiver: [ReadWrite<u32>; 32]),
        (0x400 => ipriorityr: [ReadWrite<u32>; 256]),
        (0x800 => itargetsr: [ReadWrite<u32>; 256]),
        (0xc00 => icfgr: [ReadWrite<u32>; 64]),
        (0xd00 => _r1),
        (0xf00 => sgir: WriteOnly<u32>),
        (0xf04 => @END),
    },
    Gich {
        (0x000 => _r0),
        (0x004 => vtr: ReadOnly<u32>),
        (0x008 => _r1),
        (0x100 => lr: [ReadOnly<u32>; 64]),
        (0x200 => @END),
    },
    Gicc {
        (0x000 => ctlr: ReadWrite<u32, GICC_CTLR::Register>),
        (0x004 => pmr: ReadWrite<u32>),
        (0x008 => bpr: ReadWrite<u32>),
        (0x00c => iar: ReadOnly<u32>),
        (0x010 => eoir: WriteOnly<u32>),
        (0x014 => _r0),
        (0x0d0 => apr: [ReadWrite<u32>; 4]),
        (0x0e0 => _r1),
        (0x1000 => dir: WriteOnly<u32>),
        (0x1004 => @END),
    }
}

/// Where a board has its GIC: physical addresses.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// The distributor.
    pub gicd: u64,
    /// The CPU interface.
    pub gicc: u64,
    /// The virtual interface control registers, those of the accessing core.
    pub gich: u64,
    /// The virtual CPU interface.
    pub gicv: u64,
}

static GICV: AtomicU64 = AtomicU64::new(0);

/// Maps the GIC to the addresses that this module uses.
///
/// # Errors
/// EL2's tables say no: it is mapped already.
///
/// # Safety
/// 1. A GICv2 with virtualization extensions is there.
pub unsafe fn map(addresses: Addresses) -> Result<(), MapError> {
    map::device_at(layout::GICD, addresses.gicd, 0x1000)?;
    map::device_at(layout::GICC, addresses.gicc, 0x2000)?;
    map::device_at(layout::GICH, addresses.gich, 0x1000)?;
    GICV.store(addresses.gicv, Ordering::Relaxed);
    Ok(())
}

/// Where the virtual CPU interface is, in physical memory.
pub(crate) fn gicv() -> u64 {
    GICV.load(Ordering::Relaxed)
}

/// A window onto GICH. `None` before [`map`].
///
/// Each VM's interrupt controller gets one: the registers are those of the core
/// that accesses them, and it accesses them only for a vCPU that is on it.
pub fn virtual_interface() -> Option<VirtualInterface> {
    if gicv() == 0 {
        return None;
    }
    // SAFETY: 1. mapped by `map`. 2. as said above.
    let mut control = unsafe { map::window(layout::GICH, 0x1000 / 4)? };
    // GICH_VTR.ListRegs (IHI 0048B.b 5.3.2): their number less one.
    let vtr = control.get(1)?.read();
    Some(VirtualInterface { control, list_registers: (vtr & 0x3f) as usize + 1 })
}

fn gicd() -> &'static Gicd {
    // SAFETY: 1. mapped there as device memory before any function of this module
    // is called; every register may be accessed from any core.
    unsafe { &*(layout::GICD as *const Gicd) }
}

#[inline(always)]
fn gicc() -> &'static Gicc {
    // SAFETY: 1. as for `gicd`; the registers are those of the accessing core.
    unsafe { &*(layout::GICC as *const Gicc) }
}

/// Priority of every physical interrupt: they are taken in the order of arrival
/// and sorted for the guest by its own controller.
const PRIORITY: u32 = 0xa0a0_a0a0;

/// Everything off, and to this core. Once, by the first core.
pub fn init_distributor() {
    let gicd = gicd();
    gicd.ctlr.set(0);
    let words = (gicd.typer.get() & 0x1f) as usize + 1;
    for word in 1..words {
        set(&gicd.icenabler, word, u32::MAX);
        set(&gicd.icpendr, word, u32::MAX);
        set(&gicd.icactiver, word, u32::MAX);
    }
    // Banked, and read-only, for the first eight words: this core's own bit.
    let here = gicd.itargetsr.first().map_or(1, ReadWrite::get);
    for word in 8..words * 8 {
        set(&gicd.ipriorityr, word, PRIORITY);
        set(&gicd.itargetsr, word, here);
    }
    gicd.ctlr.set(1);
}

/// Each core's CPU interface, as a bit of a target list.
static TARGETS: [AtomicU32; MAX_CORES] = [const { AtomicU32::new(0) }; MAX_CORES];
/// A GICv2 has eight CPU interfaces.
const MAX_CORES: usize = 8;

/// The banked part of the distributor and the CPU interface of this core, which
/// is number `core`.
pub fn init_core(core: usize) {
    let gicd = gicd();
    if let Some(target) = TARGETS.get(core) {
        // Read-only, and this core's own bit in each byte (IHI 0048B.b 4.3.12).
        let here = gicd.itargetsr.first().map_or(1, ReadWrite::get) & 0xff;
        target.store(here, Ordering::Relaxed);
    }
    set(&gicd.icenabler, 0, 0xffff_0000);
    set(&gicd.icpendr, 0, u32::MAX);
    set(&gicd.icactiver, 0, u32::MAX);
    for word in 0..8 {
        set(&gicd.ipriorityr, word, PRIORITY);
    }
    set(&gicd.isenabler, 0, 0x0000_ffff);
    let gicc = gicc();
    // An active priority that the firmware left would mask all that follow.
    for active in &gicc.apr {
        active.set(0);
    }
    gicc.pmr.set(0xff);
    gicc.bpr.set(0);
    gicc.ctlr.write(GICC_CTLR::ENABLE::SET + GICC_CTLR::EOIMODE::SET);
}

fn set<const N: usize>(registers: &[ReadWrite<u32>; N], at: usize, value: u32) {
    if let Some(register) = registers.get(at) {
        register.set(value);
    }
}

/// Lets `intid` come; `edge` says how it is signalled. Of a shared one its target
/// stays as [`init_distributor`] left it.
pub fn enable(intid: usize, edge: bool) {
    let gicd = gicd();
    if let Some(config) = gicd.icfgr.get(intid / 16).filter(|_| intid >= 32) {
        let bit = 2 << (intid % 16 * 2);
        config.set(if edge { config.get() | bit } else { config.get() & !bit });
    }
    set(&gicd.isenabler, intid / 32, 1 << (intid % 32));
}

/// Keeps `intid` from coming.
pub fn disable(intid: usize) {
    set(&gicd().icenabler, intid / 32, 1 << (intid % 32));
}

/// Ends what is left of a private interrupt `intid` on this core from the guest
/// that had it: active or pending. For a VM that starts anew.
pub fn clear(intid: usize) {
    set(&gicd().icactiver, intid / 32, 1 << (intid % 32));
    set(&gicd().icpendr, intid / 32, 1 << (intid % 32));
}

/// Whether a list register of this core holds an interrupt that its guest has not
/// acknowledged.
pub(crate) fn has_virtual_interrupt() -> bool {
    // SAFETY: 1. as for `gicd`; these registers are only read.
    let gich = unsafe { &*(layout::GICH as *const Gich) };
    let lists = (gich.vtr.get() & 0x3f) as usize + 1;
    gich.lr.iter().take(lists).any(|list| list.get() & GICH_LR_PENDING != 0)
}

/// GICH_LR.State, pending (IHI 0048B.b 5.3.12).
const GICH_LR_PENDING: u32 = 1 << 28;

/// Has the controller look at its lines again, by a write that changes nothing:
/// see [`trap_wfi`](crate::vcpu::trap_wfi).
pub(crate) fn look_again() {
    gicc().pmr.set(0xff);
}

/// Sends software-generated interrupt 0 to core number `core`.
pub fn kick(core: usize) {
    // What the other core is to see is written before it is told (DDI 0487, the
    // ordering of a store and the interrupt that announces it).
    barrier::dsb(barrier::ISHST);
    let target = TARGETS.get(core).map_or(0, |target| target.load(Ordering::Relaxed));
    gicd().sgir.set(target << 16);
}

/// What this core acknowledged: an interrupt whose priority it dropped, or that
/// there was none (INTID 1020 and up).
#[derive(Clone, Copy, Debug)]
pub struct Acknowledged(u32);

/// Acknowledges what is signalled to this core.
#[inline(always)]
pub fn acknowledge() -> Acknowledged {
    let iar = gicc().iar.get();
    // EOIR ignores the numbers that are not interrupts (IHI 0048B.b 4.4.5).
    gicc().eoir.set(iar);
    Acknowledged(iar)
}

impl Acknowledged {
    /// Nothing.
    pub const NONE: Self = Self(1023);

    /// Which it is.
    #[inline(always)]
    pub fn intid(self) -> usize {
        (self.0 & 0x3ff) as usize
    }

    /// It has been dealt with.
    #[inline(always)]
    pub fn deactivate(self) {
        gicc().dir.set(self.0);
    }
}
