//! What the first exits leave: no budget is about it.

use super::{KERNEL, exit_call, exit_read, exit_write, fault_ipa, quarantine};
use crate::crash::{Crash, Trap};
use crate::translate::Kind;
use crate::vcpu::Vcpu;
use crate::{emulate, fault, gic, inject, translate};
use aarch64_cpu::registers::{ELR_EL2, ESR_EL2, FAR_EL2, SPSR_EL2};
use evisor_contract::{Register, Status, Width};
use evisor_decode::serror::SError;
use evisor_router::write;
use tock_registers::interfaces::{Readable, Writeable};

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
    let (ipa, width, value) = (fault_ipa(), width(esr), operand(vcpu, esr >> 16));
    let reply = match store {
        true => exit_write(vcpu, ipa, width, value),
        false => exit_read(vcpu, ipa, width),
    };
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

/// Of an access (SAS).
fn width(esr: u64) -> Width {
    Width::from_sas((esr >> 22) as u32)
}

/// What register `number` (its low five bits) holds; the frame's slot 31 is XZR.
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
