//! The interrupt controller as a guest sees it: GICv2 (ARM IHI 0048B.b chapter 4) or
//! GICv3 (ARM IHI 0069 chapter 12), whichever the processor says that it has.
//!
//! Interrupts numbered below 32 are the asking core's own.
#![allow(unsafe_code, reason = "a reference to the device's registers")]
#![allow(missing_docs, reason = "the register macros make items that no comment reaches")]

pub mod v2;
pub mod v3;

use core::sync::atomic::{AtomicU8, Ordering};

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::ID_AA64PFR0_EL1;
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};
use tock_registers::registers::{ReadOnly, ReadWrite, WriteOnly};
use tock_registers::{register_bitfields, register_structs};

use crate::{cores, map};

register_bitfields! {u32,
    /// GICD_TYPER (IHI 0048B.b §4.3.2, IHI 0069 §12.9.38).
    pub TYPER [
        /// CPU interfaces less one (GICv2).
        CPUNumber OFFSET(5) NUMBITS(3) [],
        /// Interrupts, in units of 32, less one.
        ITLinesNumber OFFSET(0) NUMBITS(5) []
    ]
}

register_structs! {
    /// The distributor's registers (IHI 0048B.b table 4-1). GICv3's lie where
    /// GICv2's do, and so do those of a redistributor's private interrupts.
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
    }
}

/// Which architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// GICv2, memory mapped.
    V2 = 2,
    /// GICv3, with the CPU interface in system registers.
    V3 = 3,
}

/// To whom an SGI goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The core that sends it.
    Own,
    /// All but the core that sends it.
    Others,
    /// One bit a core.
    Cores(u8),
}

/// The INTID that means no interrupt (IHI 0048B.b §3.2.5, IHI 0069 §2.2.1).
pub const SPURIOUS: u32 = 1023;

/// The first interrupt that is not private to a core.
pub const FIRST_SHARED: u32 = 32;

/// The version, by ID_AA64PFR0_EL1.GIC (DDI 0487): whether there are system
/// registers for it.
#[must_use]
pub fn version() -> Version {
    static KNOWN: AtomicU8 = AtomicU8::new(0);
    if KNOWN.load(Ordering::Relaxed) == 0 {
        let version = if ID_AA64PFR0_EL1.get() >> 24 & 0xf == 0 { 2 } else { 3 };
        KNOWN.store(version, Ordering::Relaxed);
    }
    if KNOWN.load(Ordering::Relaxed) == 2 { Version::V2 } else { Version::V3 }
}

fn is_v2() -> bool {
    version() == Version::V2
}

/// The distributor's registers.
#[must_use]
pub fn distributor() -> &'static Distributor {
    // SAFETY: the guest's map has a distributor at this address, for good, and its
    // registers may be read and written by anyone at any time.
    unsafe { &*(map::GICD as *const Distributor) }
}

/// Where the registers of an interrupt are, for this core.
#[must_use]
pub fn bank(intid: u32) -> &'static Distributor {
    if intid < FIRST_SHARED && !is_v2() { v3::private(cores::number()) } else { distributor() }
}

/// Turns both parts on, with no interrupt enabled but those that were, and none
/// masked by priority.
pub fn enable() {
    if is_v2() {
        distributor().ctlr.set(1);
    } else {
        v3::enable_distributor();
    }
    enable_core();
}

/// Turns on this core's part only.
pub fn enable_core() {
    if is_v2() {
        v2::enable_core()
    } else {
        v3::enable_core()
    }
    barrier::dsb(barrier::SY);
}

/// Whether the distributor forwards interrupts.
pub fn set_distributor(on: bool) {
    if is_v2() {
        distributor().ctlr.set(u32::from(on));
        barrier::dsb(barrier::SY);
    } else {
        v3::set_distributor(on);
    }
}

/// Whether this core's interface signals interrupts.
pub fn set_interface(on: bool) {
    if is_v2() {
        let value = if on { v2::CTLR::EnableGrp0::SET } else { v2::CTLR::EnableGrp0::CLEAR };
        v2::cpu_interface().ctlr.modify(value);
        barrier::dsb(barrier::SY);
    } else {
        v3::set_interface(on);
    }
}

fn bit(intid: u32) -> (usize, u32) {
    ((intid / 32) as usize, 1 << (intid % 32))
}

fn write_bit(registers: &[ReadWrite<u32>; 32], intid: u32) {
    let (index, mask) = bit(intid);
    if let Some(register) = registers.get(index) {
        register.set(mask);
    }
    barrier::dsb(barrier::SY);
}

fn read_bit(registers: &[ReadWrite<u32>; 32], intid: u32) -> bool {
    let (index, mask) = bit(intid);
    registers.get(index).is_some_and(|bits| bits.get() & mask != 0)
}

/// Enables an interrupt; an SPI goes to this core (where there is only one, GICv2
/// ignores that: IHI 0048B.b §4.3.12).
pub fn enable_interrupt(intid: u32) {
    if intid >= FIRST_SHARED {
        route(intid, cores::number());
    }
    write_bit(&bank(intid).isenabler, intid);
}

/// Disables an interrupt, and waits until that is in effect.
pub fn disable_interrupt(intid: u32) {
    write_bit(&bank(intid).icenabler, intid);
    match version() {
        Version::V2 => {}
        Version::V3 if intid < FIRST_SHARED => v3::settle_private(),
        Version::V3 => v3::settle(),
    }
}

/// Whether an interrupt is enabled.
#[must_use]
pub fn is_enabled(intid: u32) -> bool {
    read_bit(&bank(intid).isenabler, intid)
}

/// Sends a shared interrupt to a core.
pub fn route(intid: u32, core: usize) {
    if is_v2() {
        v2::route(intid, core)
    } else {
        v3::route(intid, core)
    }
    barrier::dsb(barrier::SY);
}

/// Makes an interrupt pending by software.
pub fn set_pending(intid: u32) {
    write_bit(&bank(intid).ispendr, intid);
}

/// Takes an interrupt's pending state away, as far as software gave it. GICv2 has
/// registers of their own for SGIs (IHI 0048B.b §4.3.16): from whichever core.
pub fn clear_pending(intid: u32) {
    match distributor().cpendsgir.get(intid as usize) {
        Some(sources) if is_v2() => sources.set(0xff),
        _ => write_bit(&bank(intid).icpendr, intid),
    }
    barrier::dsb(barrier::SY);
}

/// Whether an interrupt is pending.
#[must_use]
pub fn is_pending(intid: u32) -> bool {
    read_bit(&bank(intid).ispendr, intid)
}

/// Gives an interrupt the active state.
pub fn set_active(intid: u32) {
    write_bit(&bank(intid).isactiver, intid);
}

/// Takes an interrupt's active state away.
pub fn clear_active(intid: u32) {
    write_bit(&bank(intid).icactiver, intid);
}

/// Whether an interrupt is active.
#[must_use]
pub fn is_active(intid: u32) -> bool {
    read_bit(&bank(intid).isactiver, intid)
}

/// Sets an interrupt's priority; lower is more urgent.
pub fn set_priority(intid: u32, priority: u8) {
    if let Some(register) = bank(intid).ipriorityr.get(intid as usize) {
        register.set(priority);
    }
    barrier::dsb(barrier::SY);
}

/// An interrupt's priority.
#[must_use]
pub fn priority(intid: u32) -> u8 {
    let register = bank(intid).ipriorityr.get(intid as usize);
    register.map_or(0, Readable::get)
}

/// Makes a shared interrupt edge-triggered, or level-sensitive.
pub fn set_edge(intid: u32, edge: bool) {
    if let Some(register) = bank(intid).icfgr.get((intid / 16) as usize) {
        let field = 0b10 << (2 * (intid % 16));
        let others = register.get() & !field;
        register.set(if edge { others | field } else { others });
    }
    barrier::dsb(barrier::SY);
}

/// Sends an SGI to the core that asks.
pub fn send_to_self(sgi: u32) {
    send(sgi, Target::Own);
}

/// Sends an SGI.
pub fn send(sgi: u32, target: Target) {
    if is_v2() { v2::send(sgi, target) } else { v3::send(sgi, target) }
}

/// Acknowledges the most urgent interrupt: what the register said, whole, as
/// [`end`] wants it back.
#[must_use]
pub fn acknowledge() -> u32 {
    if is_v2() { v2::cpu_interface().iar.get() } else { v3::acknowledge() }
}

/// The INTID in what [`acknowledge`] returned.
#[must_use]
pub fn intid(acknowledged: u32) -> u32 {
    acknowledged & 0x3ff
}

/// Drops the priority, and deactivates unless that is separate.
pub fn end(acknowledged: u32) {
    if is_v2() {
        v2::cpu_interface().eoir.set(acknowledged)
    } else {
        v3::end(acknowledged)
    }
    barrier::dsb(barrier::SY);
}

/// Deactivates, where that is separate from the end.
pub fn deactivate(acknowledged: u32) {
    if is_v2() {
        v2::cpu_interface().dir.set(acknowledged)
    } else {
        v3::deactivate(acknowledged)
    }
    barrier::dsb(barrier::SY);
}

/// Makes the end of an interrupt only drop the priority (EOImode 1), or not.
pub fn set_end_mode(separate: bool) {
    if is_v2() {
        let value = if separate { v2::CTLR::EOImode::SET } else { v2::CTLR::EOImode::CLEAR };
        v2::cpu_interface().ctlr.modify(value);
        barrier::dsb(barrier::SY);
    } else {
        v3::set_end_mode(separate);
    }
}

/// The most urgent pending interrupt.
#[must_use]
pub fn highest_pending() -> u32 {
    let pending = if is_v2() { v2::cpu_interface().hppir.get() } else { v3::highest_pending() };
    intid(pending)
}

/// The priority of what is active; 0xff if nothing is.
#[must_use]
pub fn running_priority() -> u32 {
    if is_v2() { v2::cpu_interface().rpr.get() & 0xff } else { v3::running_priority() }
}

/// Lets only what is more urgent than this through.
pub fn set_mask(priority: u32) {
    if is_v2() {
        v2::cpu_interface().pmr.set(priority);
        barrier::dsb(barrier::SY);
    } else {
        v3::set_mask(priority);
    }
}

/// What [`set_mask`] set.
#[must_use]
pub fn mask() -> u32 {
    if is_v2() { v2::cpu_interface().pmr.get() } else { v3::mask() }
}

/// How much of a priority decides about preemption.
pub fn set_binary_point(point: u32) {
    if is_v2() {
        v2::cpu_interface().bpr.set(point);
        barrier::dsb(barrier::SY);
    } else {
        v3::set_binary_point(point);
    }
}

/// What [`set_binary_point`] set.
#[must_use]
pub fn binary_point() -> u32 {
    if is_v2() { v2::cpu_interface().bpr.get() } else { v3::binary_point() }
}
