//! The physical GICv2 (IHI 0048B.b), at the addresses of [`layout`](crate::layout).
//!
//! The CPU interface splits priority drop from deactivation (EOImode 1), so that
//! an interrupt handed to a guest stays active until the guest deactivates it.

#![allow(unsafe_code, reason = "memory-mapped registers at fixed EL2 addresses")]

use crate::gic::{self, Acknowledged, CpuInterface, GuestInterface, Version};
use crate::{layout, map};
use aarch64_cpu::asm::barrier;
use aarch64_paging::MapError;
use core::mem::offset_of;
use core::sync::atomic::{AtomicU64, Ordering};
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
        (0x000 => hcr: ReadWrite<u32>),
        (0x004 => vtr: ReadOnly<u32>),
        (0x008 => vmcr: ReadWrite<u32>),
        (0x00c => _r0),
        (0x030 => elrsr0: ReadOnly<u32>),
        (0x034 => _r1),
        (0x0f0 => apr: ReadWrite<u32>),
        (0x0f4 => _r2),
        (0x100 => lr: [ReadWrite<u32>; 64]),
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

/// Where GICC_DIR is in GICC.
pub(crate) const GICC_DIR: usize = offset_of!(Gicc, dir);

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
    gic::choose(Version::V2);
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
pub(crate) fn virtual_interface() -> Option<VirtualInterface> {
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

/// See [`gic::init_distributor`].
pub(crate) fn init_distributor() {
    let gicd = gicd();
    gicd.ctlr.set(0);
    let words = (gicd.typer.get() & 0x1f) as usize + 1;
    for word in 1..words {
        set(&gicd.icenabler, word, u32::MAX);
        set(&gicd.icpendr, word, u32::MAX);
        set(&gicd.icactiver, word, u32::MAX);
    }
    let here = here(gicd);
    for word in 8..words * 8 {
        set(&gicd.ipriorityr, word, PRIORITY);
        set(&gicd.itargetsr, word, here);
    }
    gicd.ctlr.set(1);
}

/// The banked part of the distributor and the CPU interface of this core. Gives
/// what [`kick`] takes: its bit.
pub(crate) fn init_core() -> u64 {
    let gicd = gicd();
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
    u64::from(here(gicd))
}

/// The bit of this core's CPU interface. The first eight words are banked and
/// read-only (IHI 0048B.b 4.3.12); with one core they read as zero.
fn here(gicd: &Gicd) -> u32 {
    gicd.itargetsr.first().map_or(1, ReadWrite::get).max(0x0101_0101)
}

fn set<const N: usize>(registers: &[ReadWrite<u32>; N], at: usize, value: u32) {
    if let Some(register) = registers.get(at) {
        register.set(value);
    }
}

/// See [`gic::enable`]. Of a shared one the target stays as [`init_distributor`]
/// left it.
pub(crate) fn enable(intid: usize, edge: bool) {
    signalled(intid, edge);
    set(&gicd().isenabler, intid / 32, 1 << (intid % 32));
}

fn signalled(intid: usize, edge: bool) {
    if let Some(config) = gicd().icfgr.get(intid / 16).filter(|_| intid >= 32) {
        let bit = 2 << (intid % 16 * 2);
        config.set(if edge { config.get() | bit } else { config.get() & !bit });
    }
}

/// See [`gic::lead`]; the core is the one that [`init_core`] said this target of.
pub(crate) fn lead(intid: usize, edge: bool, target: u64) {
    signalled(intid, edge);
    send_to(intid, target as u32 & 0xff);
}

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
    send_to(intid, here(gicd()) & 0xff);
}

/// The shared interrupt `intid` goes to the cores in `targets`, as bits.
fn send_to(intid: usize, targets: u32) {
    if let Some(register) = gicd().itargetsr.get(intid / 4).filter(|_| intid >= 32) {
        let shift = intid % 4 * 8;
        register.set(register.get() & !(0xff << shift) | targets << shift);
    }
}

/// See [`gic::clear`].
pub(crate) fn clear(intid: usize) {
    set(&gicd().icactiver, intid / 32, 1 << (intid % 32));
    set(&gicd().icpendr, intid / 32, 1 << (intid % 32));
}

/// The virtual interface of this core. Of a guest that is on, it is the VM's
/// interrupt controller's; here it is only read, and switched as a whole.
fn gich() -> &'static Gich {
    // SAFETY: 1. as for `gicd`.
    unsafe { &*(layout::GICH as *const Gich) }
}

/// GICH_HCR.En cleared.
pub(crate) fn quiet_guest() {
    gich().hcr.set(0);
}

/// GICH_HCR.En alone.
pub(crate) fn signal_guest(on: bool) {
    let hcr = &gich().hcr;
    hcr.set(hcr.get() & !1 | u32::from(on));
}

/// Whether a list register of this core holds an interrupt that its guest has not
/// acknowledged.
pub(crate) fn has_virtual_interrupt() -> bool {
    let gich = gich();
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

/// Sends software-generated interrupt 0 to the CPU interface with this bit.
pub(crate) fn kick(target: u64) {
    signal(target, 0);
}

/// The same by software-generated interrupt `sgi` (IHI 0048B.b §4.3.15).
#[inline(always)]
pub(crate) fn signal(target: u64, sgi: u32) {
    // What the other core is to see is written before it is told (DDI 0487, the
    // ordering of a store and the interrupt that announces it).
    barrier::dsb(barrier::ISHST);
    gicd().sgir.set((target as u32 & 0xff) << 16 | sgi & 0xf);
}

/// A core on which vCPUs are switched.
pub(crate) struct Switched {
    lists: usize,
    /// Of GICH_ELRSR0, those that are there.
    all: u32,
}

impl Switched {
    /// This one. More than [`gic::LISTS`] are used by nobody.
    pub fn here() -> Self {
        let lists = ((gich().vtr.get() & 0x3f) as usize + 1).min(gic::LISTS);
        Self { lists, all: (1 << lists) - 1 }
    }

    /// GICH_ELRSR0 has a bit for each that is empty and whose end need not be told.
    #[inline(always)]
    pub fn holds_any(&self) -> bool {
        !gich().elrsr0.get() & self.all != 0
    }

    /// See [`gic::Switched::save`].
    #[inline(always)]
    pub fn save(&self, guest: &mut GuestInterface, private: u32) {
        let gich = gich();
        guest.hcr = gich.hcr.get().into();
        guest.vmcr = gich.vmcr.get().into();
        guest.active_priorities[0] = gich.apr.get().into();
        guest.used = self.holds_any();
        if guest.used {
            for (saved, list) in guest.lists.iter_mut().zip(&gich.lr).take(self.lists) {
                *saved = list.get().into();
            }
        }
        let [active, ..] = &gicd().isactiver;
        guest.active = active.get() & private;
        if guest.active != 0 {
            set(&gicd().icactiver, 0, guest.active);
        }
    }

    /// See [`gic::Switched::load`]; `lists` says whether the list registers matter.
    #[inline(always)]
    pub fn load(&self, guest: &GuestInterface, lists: bool) {
        let gich = gich();
        gich.vmcr.set(guest.vmcr as u32);
        gich.apr.set(guest.active_priorities[0] as u32);
        if lists {
            for (saved, list) in guest.lists.iter().zip(&gich.lr).take(self.lists) {
                list.set(if guest.used { *saved as u32 } else { 0 });
            }
        }
        gich.hcr.set(guest.hcr as u32);
        if guest.active != 0 {
            set(&gicd().isactiver, 0, guest.active);
            // Before what drives it does: none of it comes a second time.
            barrier::dsb(barrier::SY);
        }
    }
}

/// A GICv2 on the path of an interrupt.
pub(crate) struct Gicv2;

impl CpuInterface for Gicv2 {
    #[inline(always)]
    fn acknowledge() -> Acknowledged {
        let iar = gicc().iar.get();
        // Two addresses, and the sender ordered its half with a DSB (DDI 0487,
        // Memory barriers).
        barrier::dmb(barrier::OSHLD);
        Acknowledged(iar.into())
    }

    #[inline(always)]
    fn intid(Acknowledged(iar): Acknowledged) -> usize {
        (iar & 0x3ff) as usize
    }

    /// With the CPU field of an SGI, as it was read (IHI 0048B.b 4.4.5).
    #[inline(always)]
    fn drop_priority(Acknowledged(iar): Acknowledged) {
        gicc().eoir.set(iar as u32);
    }

    #[inline(always)]
    fn deactivate(Acknowledged(iar): Acknowledged) {
        gicc().dir.set(iar as u32);
    }

    fn disable(intid: usize) {
        set(&gicd().icenabler, intid / 32, 1 << (intid % 32));
    }
}
