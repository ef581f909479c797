//! GICv2 as a guest sees it (ARM IHI 0048B.b chapter 4).
//!
//! The guest has no Security Extensions: every interrupt is in Group 0, and the
//! first enable bit of each part is all that it needs.
#![allow(unsafe_code, reason = "references to the device's registers")]
#![allow(
    missing_docs,
    reason = "the register macros make items that no comment reaches"
)]

use aarch64_cpu::asm::barrier;
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

use crate::map;

register_bitfields! {u32,
    /// GICD_TYPER (IHI 0048B.b §4.3.2).
    pub TYPER [
        /// CPU interfaces less one.
        CPUNumber OFFSET(5) NUMBITS(3) [],
        /// Interrupts, in units of 32, less one.
        ITLinesNumber OFFSET(0) NUMBITS(5) []
    ],
    /// GICC_IAR (IHI 0048B.b §4.4.4).
    pub IAR [
        /// The core that sent an SGI.
        CPUID OFFSET(10) NUMBITS(3) [],
        /// The interrupt; 1023 if none.
        INTID OFFSET(0) NUMBITS(10) []
    ]
}

register_structs! {
    /// The distributor's registers (IHI 0048B.b table 4-1).
    #[allow(missing_docs, reason = "they are named as in the manual")]
    pub Distributor {
        (0x000 => pub ctlr: ReadWrite<u32>),
        (0x004 => pub typer: ReadOnly<u32, TYPER::Register>),
        (0x008 => pub iidr: ReadOnly<u32>),
        (0x00c => _reserved0),
        (0x080 => pub igroupr: [ReadWrite<u32>; 32]),
        (0x100 => pub isenabler: [ReadWrite<u32>; 32]),
        (0x180 => pub icenabler: [ReadWrite<u32>; 32]),
        (0x200 => pub ispendr: [ReadWrite<u32>; 32]),
        (0x280 => pub icpendr: [ReadWrite<u32>; 32]),
        (0x300 => pub isactiver: [ReadWrite<u32>; 32]),
        (0x380 => pub icactiver: [ReadWrite<u32>; 32]),
        (0x400 => pub ipriorityr: [ReadWrite<u8>; 1024]),
        (0x800 => pub itargetsr: [ReadWrite<u8>; 1024]),
        (0xc00 => pub icfgr: [ReadWrite<u32>; 64]),
        (0xd00 => _reserved1),
        (0xf00 => pub sgir: WriteOnly<u32>),
        (0xf04 => _reserved2),
        (0xf10 => pub cpendsgir: [ReadWrite<u8>; 16]),
        (0xf20 => pub spendsgir: [ReadWrite<u8>; 16]),
        (0xf30 => _reserved3),
        (0x1000 => @END),
    },
    /// The CPU interface's registers (IHI 0048B.b table 4-2).
    #[allow(missing_docs, reason = "they are named as in the manual")]
    pub CpuInterface {
        (0x0000 => pub ctlr: ReadWrite<u32>),
        (0x0004 => pub pmr: ReadWrite<u32>),
        (0x0008 => pub bpr: ReadWrite<u32>),
        (0x000c => pub iar: ReadOnly<u32, IAR::Register>),
        (0x0010 => pub eoir: WriteOnly<u32>),
        (0x0014 => pub rpr: ReadOnly<u32>),
        (0x0018 => pub hppir: ReadOnly<u32, IAR::Register>),
        (0x001c => _reserved0),
        (0x00fc => pub iidr: ReadOnly<u32>),
        (0x0100 => @END),
    }
}

/// The INTID that means no interrupt (IHI 0048B.b §3.2.5).
pub const SPURIOUS: u32 = 1023;

/// The distributor's registers.
#[must_use]
pub fn distributor() -> &'static Distributor {
    // SAFETY: the guest's map has a GICv2 distributor at this address, for
    // good, and its registers may be read and written by anyone at any time.
    unsafe { &*(map::GICD as *const Distributor) }
}

/// The CPU interface's registers.
#[must_use]
pub fn cpu_interface() -> &'static CpuInterface {
    // SAFETY: as for the distributor.
    unsafe { &*(map::GICC as *const CpuInterface) }
}

/// Turns both parts on, with no interrupt enabled but those that were, and none
/// masked by priority.
pub fn enable() {
    distributor().ctlr.set(1);
    cpu_interface().pmr.set(0xff);
    cpu_interface().ctlr.set(1);
    barrier::dsb(barrier::SY);
}

fn bit(intid: u32) -> (usize, u32) {
    ((intid / 32) as usize, 1 << (intid % 32))
}

fn write_bit(bank: &[ReadWrite<u32>; 32], intid: u32) {
    let (index, mask) = bit(intid);
    if let Some(register) = bank.get(index) {
        register.set(mask);
    }
    barrier::dsb(barrier::SY);
}

fn read_bit(bank: &[ReadWrite<u32>; 32], intid: u32) -> bool {
    let (index, mask) = bit(intid);
    bank.get(index).is_some_and(|bits| bits.get() & mask != 0)
}

/// Enables an interrupt; an SPI goes to the first core (where there is only
/// one, it ignores that: IHI 0048B.b §4.3.12).
pub fn enable_interrupt(intid: u32) {
    const FIRST_SPI: u32 = 32;
    if let (FIRST_SPI.., Some(target)) = (intid, distributor().itargetsr.get(intid as usize)) {
        target.set(1);
    }
    write_bit(&distributor().isenabler, intid);
}

/// Disables an interrupt.
pub fn disable_interrupt(intid: u32) {
    write_bit(&distributor().icenabler, intid);
}

/// Whether an interrupt is enabled.
#[must_use]
pub fn is_enabled(intid: u32) -> bool {
    read_bit(&distributor().isenabler, intid)
}

/// Makes an interrupt pending by software.
pub fn set_pending(intid: u32) {
    write_bit(&distributor().ispendr, intid);
}

/// Takes an interrupt's pending state away, as far as software gave it.
pub fn clear_pending(intid: u32) {
    write_bit(&distributor().icpendr, intid);
}

/// Whether an interrupt is pending.
#[must_use]
pub fn is_pending(intid: u32) -> bool {
    read_bit(&distributor().ispendr, intid)
}

/// Takes an interrupt's active state away.
pub fn clear_active(intid: u32) {
    write_bit(&distributor().icactiver, intid);
}

/// Whether an interrupt is active.
#[must_use]
pub fn is_active(intid: u32) -> bool {
    read_bit(&distributor().isactiver, intid)
}

/// Sets an interrupt's priority; lower is more urgent.
pub fn set_priority(intid: u32, priority: u8) {
    if let Some(register) = distributor().ipriorityr.get(intid as usize) {
        register.set(priority);
    }
    barrier::dsb(barrier::SY);
}

/// An interrupt's priority.
#[must_use]
pub fn priority(intid: u32) -> u8 {
    let register = distributor().ipriorityr.get(intid as usize);
    register.map_or(0, Readable::get)
}

/// Sends an SGI to the core that asks (GICD_SGIR, TargetListFilter 0b10).
pub fn send_to_self(sgi: u32) {
    barrier::dsb(barrier::SY);
    distributor().sgir.set((0b10 << 24) | sgi);
    barrier::dsb(barrier::SY);
}

/// Acknowledges the most urgent interrupt: what GICC_IAR said, whole, as
/// [`end`] wants it back.
#[must_use]
pub fn acknowledge() -> u32 {
    cpu_interface().iar.get()
}

/// The INTID in what [`acknowledge`] returned.
#[must_use]
pub fn intid(acknowledged: u32) -> u32 {
    IAR::INTID.read(acknowledged)
}

/// Drops the priority and deactivates.
pub fn end(acknowledged: u32) {
    cpu_interface().eoir.set(acknowledged);
    barrier::dsb(barrier::SY);
}
