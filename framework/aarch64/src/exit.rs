//! The exits: what the vectors call.
//!
//! The first ones end in a call of the object and are what the budgets are
//! about. Everything else goes through [`exit_rare`], with the whole register
//! file in the frame.

#![allow(unsafe_code, reason = "functions that assembly calls by name")]

use crate::gic::{self, CpuInterface, Version};
use crate::gicv2::Gicv2;
use crate::gicv3::Gicv3;
use crate::translate::Kind;
use crate::vcpu::Vcpu;
use crate::{emulate, fault, floating, inject, translate};
use aarch64_cpu::registers::{ELR_EL2, ESR_EL2, FAR_EL2, HPFAR_EL2, SPSR_EL2};
use core::fmt;
use evisor_contract::{Register, Status, Width, Words};
use evisor_decode::serror::SError;
use evisor_router::{Delivery, call, deliver, read, read_register, write, write_register};
use spin::Once;
use tock_registers::interfaces::{Readable, Writeable};

/// What the exits need of the kernel, all of it rare.
pub trait Kernel: Sync {
    /// The object at this address (that of any of its ports) failed or asked for
    /// too much: take every right to it away.
    fn quarantine(&self, port: *const ());

    /// Something was set in [`Context::attention`](evisor_contract::Context): do
    /// it. True if the vCPU is to leave its guest.
    fn attend(&self, vcpu: &mut Vcpu, attention: u32) -> bool;

    /// The guest cannot go on, and came to EL2 by `trap`.
    fn crash(&self, vcpu: &mut Vcpu, crash: Crash, trap: Trap);
}

/// How a guest came to EL2: the registers of EL2 that say so.
#[derive(Clone, Copy, Debug)]
pub struct Trap {
    /// ELR_EL2: the instruction, guest-virtual.
    pub elr: u64,
    /// SPSR_EL2: PSTATE there.
    pub spsr: u64,
    /// ESR_EL2.
    pub esr: u64,
    /// FAR_EL2; of an abort, the address, guest-virtual.
    pub far: u64,
    /// HPFAR_EL2; of a translation fault at stage 2, the page, guest-physical.
    pub hpfar: u64,
}

impl Trap {
    fn now() -> Self {
        Self {
            elr: ELR_EL2.get(),
            spsr: SPSR_EL2.get(),
            esr: ESR_EL2.get(),
            far: FAR_EL2.get(),
            hpfar: HPFAR_EL2.get(),
        }
    }
}

/// Why a guest cannot go on.
#[derive(Clone, Copy, Debug)]
pub enum Crash {
    /// It took a physical SError.
    SError {
        /// ESR_EL2.
        esr: u64,
    },
    /// Its own vector cannot be fetched: it would abort for ever.
    VectorUnmapped {
        /// Where the vector is, guest-virtual.
        vector: u64,
    },
    /// A load, store or fetch was refused, and the manifest has that end it.
    Access {
        /// Where, guest-physical, if that is known.
        ipa: Option<u64>,
    },
    /// An instruction that nobody answers, and the manifest has that end it.
    Instruction,
}

impl Crash {
    /// Why, without where.
    pub fn what(&self) -> &'static str {
        match self {
            Self::SError { .. } => "SError",
            Self::VectorUnmapped { .. } => "no memory at its vectors",
            Self::Access { .. } => "an access was refused",
            Self::Instruction => "an instruction was refused",
        }
    }

    /// Where, if an address is what it is about.
    pub fn address(&self) -> Option<u64> {
        match self {
            Self::VectorUnmapped { vector } => Some(*vector),
            Self::Access { ipa } => *ipa,
            _ => None,
        }
    }
}

impl fmt::Display for Crash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SError { esr } => write!(f, "SError, ESR {esr:#x}"),
            Self::VectorUnmapped { vector } => write!(f, "no memory at its vectors, {vector:#x}"),
            Self::Access { ipa: Some(ipa) } => write!(f, "an access to {ipa:#x} was refused"),
            Self::Access { ipa: None } => f.write_str("an access was refused"),
            Self::Instruction => f.write_str("an instruction was refused"),
        }
    }
}

static KERNEL: Once<&'static dyn Kernel> = Once::new();

/// Says who the kernel is, before any guest runs.
pub fn set_kernel(kernel: &'static dyn Kernel) {
    KERNEL.call_once(|| kernel);
}

/// The guest-physical address of a data abort: HPFAR has the page, FAR the offset
/// in it (valid for a stage 2 fault that is not on a table walk).
#[inline(always)]
pub(crate) fn fault_ipa() -> u64 {
    (HPFAR_EL2.get() >> 4) << 12 | FAR_EL2.get() & 0xfff
}

#[inline(always)]
fn width(esr: u64) -> Width {
    Width::from_sas((esr >> 22) as u32)
}

#[unsafe(no_mangle)]
extern "C" fn exit_read(vcpu: &mut Vcpu, esr: u64) -> Words {
    read(&mut vcpu.caches.mmio, fault_ipa(), width(esr), &mut vcpu.context)
}

#[unsafe(no_mangle)]
extern "C" fn exit_write(vcpu: &mut Vcpu, esr: u64) -> Words {
    let value = operand(vcpu, esr >> 16);
    write(&mut vcpu.caches.mmio, fault_ipa(), width(esr), value, &mut vcpu.context)
}

/// A store to memory that the guest is shown and may not write: the component
/// behind that window takes it.
///
/// HPFAR_EL2 says nothing of a permission fault (DDI 0487, HPFAR_EL2), so the
/// guest's own translation is asked, and the instruction runs again if it has
/// changed meanwhile.
fn write_shown(vcpu: &mut Vcpu, esr: u64) {
    let el0 = SPSR_EL2.get() & 0b1100 == 0;
    let Ok(ipa) = translate::stage1(Kind::of(el0, false), FAR_EL2.get()) else { return };
    let value = operand(vcpu, esr >> 16);
    let reply = write(&mut vcpu.caches.mmio, ipa, width(esr), value, &mut vcpu.context);
    match reply.status() {
        Status::Done => advance(),
        Status::Failed => {
            let route = vcpu.caches.mmio.search(ipa).0;
            quarantine(core::ptr::from_ref(route.capability().port()).cast());
            refuse_memory(vcpu, esr);
        }
        _ => refuse_memory(vcpu, esr),
    }
}

#[unsafe(no_mangle)]
extern "C" fn exit_call(function: u32, vcpu: &mut Vcpu) -> Words {
    let (arguments, _) = split(&mut vcpu.x);
    call(&mut vcpu.caches.calls, function, arguments, &mut vcpu.context)
}

#[inline(always)]
fn split(x: &mut [u64; 32]) -> (&mut [u64; 18], &mut [u64]) {
    let (first, rest) = x.split_at_mut(18);
    match first.try_into() {
        Ok(arguments) => (arguments, rest),
        Err(_) => unreachable!(),
    }
}

/// What register `number` (its low five bits) holds; the frame's slot 31 is XZR.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "masked to the size of the frame")]
fn operand(vcpu: &Vcpu, number: u64) -> u64 {
    vcpu.x[(number & 31) as usize]
}

#[expect(clippy::indexing_slicing, reason = "masked to the size of the frame")]
fn set_operand(vcpu: &mut Vcpu, number: u64, value: u64) {
    if number & 31 != 31 {
        vcpu.x[(number & 31) as usize] = value;
    }
}

#[unsafe(no_mangle)]
extern "C" fn exit_read_register(vcpu: &mut Vcpu, esr: u64) -> Words {
    let name = Register::from_syndrome(esr as u32);
    read_register(&mut vcpu.caches.registers, name, &mut vcpu.context)
}

#[unsafe(no_mangle)]
extern "C" fn exit_write_register(vcpu: &mut Vcpu, esr: u64) -> Words {
    let name = Register::from_syndrome(esr as u32);
    let value = operand(vcpu, esr >> 5);
    write_register(&mut vcpu.caches.registers, name, value, &mut vcpu.context)
}

#[unsafe(no_mangle)]
extern "C" fn exit_interrupt_v2(vcpu: &mut Vcpu) -> Words {
    interrupt::<Gicv2>(vcpu)
}

#[unsafe(no_mangle)]
extern "C" fn exit_interrupt_v3(vcpu: &mut Vcpu) -> Words {
    interrupt::<Gicv3>(vcpu)
}

#[inline(always)]
fn interrupt<G: CpuInterface>(vcpu: &mut Vcpu) -> Words {
    let acknowledged = G::acknowledge();
    let intid = G::intid(acknowledged);
    vcpu.acknowledged = acknowledged;
    if intid < 32 {
        G::drop_priority(acknowledged);
        vcpu.space.interrupts.notify_private(intid, &mut vcpu.context)
    } else if intid < 1020 {
        G::drop_priority(acknowledged);
        vcpu.root.interrupts.notify_shared(intid, &mut vcpu.context)
    } else {
        // Spurious: it went away. There is nothing to deactivate.
        Words::HELD
    }
}

#[unsafe(no_mangle)]
extern "C" fn exit_deactivate_v2(vcpu: &mut Vcpu, status: u64) {
    deactivate::<Gicv2>(vcpu, status);
}

#[unsafe(no_mangle)]
extern "C" fn exit_deactivate_v3(vcpu: &mut Vcpu, status: u64) {
    deactivate::<Gicv3>(vcpu, status);
}

/// What is left to do about an interrupt that no guest will deactivate.
///
/// A kick from another core has done its work by coming here; any other interrupt
/// that leads nowhere is turned off, lest it come for ever.
#[inline(always)]
fn deactivate<G: CpuInterface>(vcpu: &mut Vcpu, status: u64) {
    if status != Status::Done as u64 {
        return deactivate_refused::<G>(vcpu);
    }
    G::deactivate(vcpu.acknowledged);
}

/// Apart, so that a doorbell saves no registers for it.
#[cold]
#[inline(never)]
fn deactivate_refused<G: CpuInterface>(vcpu: &mut Vcpu) {
    let intid = G::intid(vcpu.acknowledged);
    if intid >= 16 {
        G::disable(intid);
        vcpu.refused += 1;
    }
    G::deactivate(vcpu.acknowledged);
}

/// An interrupt that came while no guest is on the core, on behalf of its vCPU.
pub(crate) fn take_interrupt(vcpu: &mut Vcpu) {
    match gic::version() {
        Version::V2 => take::<Gicv2>(vcpu),
        Version::V3 => take::<Gicv3>(vcpu),
    }
    exit_work(vcpu);
}

/// The same; what the kernel wants of the vCPU is left to the caller.
pub(crate) fn take_interrupt_only(vcpu: &mut Vcpu) {
    match gic::version() {
        Version::V2 => take::<Gicv2>(vcpu),
        Version::V3 => take::<Gicv3>(vcpu),
    }
    deliver_all(vcpu);
}

fn take<G: CpuInterface>(vcpu: &mut Vcpu) {
    let status = interrupt::<G>(vcpu).status();
    if status != Status::Held {
        deactivate::<G>(vcpu, status as u64);
    }
}

#[unsafe(no_mangle)]
extern "C" fn exit_work(vcpu: &mut Vcpu) -> u64 {
    deliver_all(vcpu);
    if vcpu.context.attention.load(core::sync::atomic::Ordering::Relaxed) == 0 {
        return 0;
    }
    let attention = vcpu.context.attention.swap(0, core::sync::atomic::Ordering::Acquire);
    u64::from(KERNEL.get().is_some_and(|kernel| kernel.attend(vcpu, attention)))
}

/// Has happen what objects asked for.
#[inline(always)]
pub(crate) fn deliver_all(vcpu: &mut Vcpu) {
    while let Delivery::Failed(capability) = deliver(&mut vcpu.context) {
        quarantine(core::ptr::from_ref(capability.port()).cast());
        capability.clear(evisor_contract::Rights::all());
    }
}

#[cold]
fn quarantine(port: *const ()) {
    if let Some(kernel) = KERNEL.get() {
        kernel.quarantine(port);
    }
}

/// Floating point on a core that is shared, by a vCPU whose values are elsewhere.
#[unsafe(no_mangle)]
extern "C" fn exit_floating_point(vcpu: &mut Vcpu) {
    floating::take(vcpu);
}

/// An SError that came while the guest ran, or was told late: from what the guest did, or
/// what EL2 did for it. EL2 itself takes none, as PSTATE.A is set there.
#[unsafe(no_mangle)]
extern "C" fn exit_serror(vcpu: &mut Vcpu) {
    let esr = ESR_EL2.get();
    match SError::of(esr) {
        SError::Restartable => {}
        SError::Contained => crash(vcpu, Crash::SError { esr }),
        SError::Uncontainable => fault::uncontainable(esr, ELR_EL2.get()),
    }
}

fn crash(vcpu: &mut Vcpu, crash: Crash) {
    if let Some(kernel) = KERNEL.get() {
        kernel.crash(vcpu, crash, Trap::now());
    }
}

mod class {
    pub const WFX: u64 = 0x01;
    pub const HVC: u64 = 0x16;
    pub const SMC: u64 = 0x17;
    pub const REGISTER: u64 = 0x18;
    pub const INSTRUCTION_ABORT: u64 = 0x20;
    pub const DATA_ABORT: u64 = 0x24;
}

/// Everything that the fast path does not do. `status` is zero, or what an object
/// answered to an access that the fast path already made. Of one that is to be
/// tried again, nothing is done: the guest is still at its instruction.
#[unsafe(no_mangle)]
extern "C" fn exit_rare(vcpu: &mut Vcpu, status: u64) {
    let esr = ESR_EL2.get();
    if status == Status::Failed as u64 {
        quarantine_failed(vcpu, esr, Status::Failed);
    }
    match esr >> 26 {
        class::DATA_ABORT if status == 0 => data_abort(vcpu, esr),
        class::DATA_ABORT if status == Status::Again as u64 => {}
        class::DATA_ABORT => refuse_memory(vcpu, esr),
        class::INSTRUCTION_ABORT => instruction_abort(vcpu, esr),
        class::HVC if status != 0 => set_operand(vcpu, 0, u64::MAX),
        class::HVC => hypervisor_call(vcpu, esr),
        class::SMC => secure_monitor_call(vcpu, esr),
        class::WFX => wait(esr),
        _ => refuse_instruction(vcpu, esr),
    }
}

/// WFI, where the board wants it trapped; WFE is not.
fn wait(esr: u64) {
    if esr & 1 == 0 {
        gic::look_again();
        // EL2 is not woken by what is for EL1 (DDI 0487, WFI wake-up events).
        if !gic::has_virtual_interrupt() {
            aarch64_cpu::asm::wfi();
        }
    }
    advance();
}

pub(crate) fn advance() {
    ELR_EL2.set(ELR_EL2.get().wrapping_add(4));
}

pub(crate) fn refuse_memory(vcpu: &mut Vcpu, esr: u64) {
    vcpu.refused += 1;
    if vcpu.refusal_is_fatal {
        let ipa = routable(esr).then(fault_ipa);
        return crash(vcpu, Crash::Access { ipa });
    }
    inject::external_abort(esr);
}

fn refuse_instruction(vcpu: &mut Vcpu, esr: u64) {
    vcpu.refused += 1;
    if vcpu.refusal_is_fatal {
        return crash(vcpu, Crash::Instruction);
    }
    inject::undefined(esr);
}

/// Whether it is a translation fault of a load or store: an address that may lead
/// to a route.
fn routable(esr: u64) -> bool {
    plain(esr) && esr & 0x3c == 0b00_0100
}

/// Whether it is a store, with a valid syndrome, that stage 2 does not permit.
fn store_not_permitted(esr: u64) -> bool {
    let store = 1 << 24 | 1 << 6;
    plain(esr) && esr & 0x3c == 0b00_1100 && esr & store == store
}

/// A load or store with a valid address: no external abort, cache maintenance or
/// table walk.
fn plain(esr: u64) -> bool {
    esr & (1 << 10 | 1 << 9 | 1 << 8 | 1 << 7) == 0
}

/// A data abort that the fast path did not take: sign-extending loads, what has no
/// valid syndrome, stores to memory that is mapped read-only, and what has no answer
/// but an abort (cache maintenance, table walks).
fn data_abort(vcpu: &mut Vcpu, esr: u64) {
    if store_not_permitted(esr) {
        return write_shown(vcpu, esr);
    }
    if !routable(esr) {
        return refuse_memory(vcpu, esr);
    }
    if esr & 1 << 24 == 0 {
        return emulate::load_or_store(vcpu, esr);
    }
    let store = esr & 1 << 6 != 0;
    let reply = if store { exit_write(vcpu, esr) } else { exit_read(vcpu, esr) };
    if reply.status() == Status::Again {
        return;
    }
    if reply.status() != Status::Done {
        quarantine_failed(vcpu, esr, reply.status());
        return refuse_memory(vcpu, esr);
    }
    if !store {
        set_operand(vcpu, esr >> 16, extend(esr, reply.value()));
    }
    advance();
}

/// SSE and SF (DDI 0487, ISS of a Data Abort): a loaded value sign-extended to
/// the register's size.
fn extend(esr: u64, value: u64) -> u64 {
    if esr & 1 << 21 == 0 {
        return value;
    }
    let shift = 64 - 8 * width(esr).bytes();
    let extended = ((value << shift).cast_signed() >> shift).cast_unsigned();
    if esr & 1 << 15 == 0 { extended & 0xffff_ffff } else { extended }
}

/// A fetch from where nothing is. If it is the guest's own vector that cannot be
/// fetched, taking the guest there would never end.
fn instruction_abort(vcpu: &mut Vcpu, esr: u64) {
    let vector = aarch64_cpu::registers::VBAR_EL1.get();
    let at = ELR_EL2.get();
    if at >= vector && at < vector.wrapping_add(0x800) {
        vcpu.refused += 1;
        return crash(vcpu, Crash::VectorUnmapped { vector });
    }
    refuse_memory(vcpu, esr);
}

/// HVC with another immediate than 0 is nobody's call: NOT_SUPPORTED, as for an
/// unknown function.
fn hypervisor_call(vcpu: &mut Vcpu, esr: u64) {
    if esr & 0xffff != 0 {
        vcpu.refused += 1;
        return set_operand(vcpu, 0, u64::MAX);
    }
    route_call(vcpu);
}

/// SMC is trapped before it is executed: the guest goes on behind it.
fn secure_monitor_call(vcpu: &mut Vcpu, esr: u64) {
    advance();
    hypervisor_call(vcpu, esr);
}

fn route_call(vcpu: &mut Vcpu) {
    let function = vcpu.x[0] as u32;
    let reply = exit_call(function, vcpu);
    quarantine_failed(vcpu, ESR_EL2.get(), reply.status());
    let value = if reply.status() == Status::Done { reply.value() } else { u64::MAX };
    set_operand(vcpu, 0, value);
}

/// If an object failed, finds which one the access went to and takes the rights
/// to it away.
fn quarantine_failed(vcpu: &mut Vcpu, esr: u64, status: Status) {
    if status != Status::Failed {
        return;
    }
    let port: *const () = match esr >> 26 {
        class::DATA_ABORT => return quarantine_route(vcpu, fault_ipa(), status),
        class::HVC | class::SMC => {
            let function = vcpu.x[0] & 0xffff_ffff;
            core::ptr::from_ref(vcpu.caches.calls.search(function).0.capability().port()).cast()
        }
        class::REGISTER => {
            let name = u64::from(Register::from_syndrome(esr as u32).key());
            core::ptr::from_ref(vcpu.caches.registers.search(name).0.capability().port()).cast()
        }
        _ => return,
    };
    quarantine(port);
}

/// The same for an access to guest-physical `ipa`.
pub(crate) fn quarantine_route(vcpu: &mut Vcpu, ipa: u64, status: Status) {
    if status == Status::Failed {
        let (route, _) = vcpu.caches.mmio.search(ipa);
        quarantine(core::ptr::from_ref(route.capability().port()).cast());
    }
}
