//! Loads and stores whose syndrome does not say what they are (ISV is 0): pairs,
//! those that change their base, those of vector registers.
//!
//! The instruction is read from the guest's memory and decoded, and each element
//! goes through the router, the lower address first. Registers change when all of
//! it was done; of a store that is refused half-way, the first half stays done (the
//! manual allows both: "Instructions that load or store more than one
//! register").
//!
//! Between the fault and now, another vCPU may have changed the tables or the
//! instruction. Tables that no longer lead to the instruction: the guest executes
//! it again, and takes its own fault, or comes back. It can go round only as long
//! as its TLB holds what its tables do not, and takes its interrupts meanwhile. An
//! instruction that is not the one that faulted is refused: whatever it is, it can
//! name nothing that the guest could not have accessed.
//!
//! What is refused, besides what `evisor-decode` does not know: instructions of
//! AArch32, and an access whose first byte is not what faulted (its first element
//! is memory, and the second is not).

use crate::exit::{advance, deliver_all, fault_ipa, quarantine_route, refuse_memory};
use crate::translate::{self, Kind};
use crate::vcpu::Vcpu;
use crate::vector::Vectors;
use crate::{inject, stage2};
use aarch64_cpu::registers::{ELR_EL2, FAR_EL2, SP_EL0, SP_EL1, SPSR_EL2};
use evisor_contract::{Status, Width};
use evisor_decode::{Access, Bank, Base, decode};
use evisor_router::{read, write};
use tock_registers::interfaces::{Readable, Writeable};

/// Why an access is not carried out.
enum Stop {
    /// The guest's tables have changed, or the object does not know yet: the guest
    /// executes the instruction again.
    Again,
    /// External abort, on the address in FAR_EL2.
    Refused,
    /// The guest's own tables refuse an element behind the first: the fault status.
    Own(u64),
}

/// The values of an access, a doubleword or less each: two vectors at most.
type Values = [u64; 4];

/// Carries out the instruction that took the translation fault `esr`, or gives
/// the guest its abort.
#[cold]
#[inline(never)]
pub(crate) fn load_or_store(vcpu: &mut Vcpu, esr: u64) {
    match attempt(vcpu, esr) {
        Ok(()) => advance(),
        Err(Stop::Again) => {}
        Err(Stop::Refused) => refuse_memory(vcpu, esr),
        Err(Stop::Own(status)) => inject::data_abort(esr, status),
    }
}

fn attempt(vcpu: &mut Vcpu, esr: u64) -> Result<(), Stop> {
    let access = decode(instruction(vcpu)?).ok_or(Stop::Refused)?;
    let base = match access.base {
        Base::Pc => ELR_EL2.get(),
        Base::Register(number) => base(vcpu, number),
    };
    let offset = access.offset_register().map_or(0, |number| general(vcpu, number));
    let address = access.address(base, offset);
    // FAR_EL2 has the tag, if there is one.
    let same = (address ^ FAR_EL2.get()) << 8 == 0;
    if !same || access.is_store() != (esr & 1 << 6 != 0) {
        return Err(Stop::Refused);
    }
    if access.is_store() {
        store(vcpu, &access, address)?;
    } else {
        load(vcpu, &access, address)?;
    }
    if let (Some(after), Base::Register(number)) = (access.base_after(base), access.base) {
        set_base(vcpu, number, after);
    }
    Ok(())
}

/// The instruction that the guest stands at.
fn instruction(vcpu: &Vcpu) -> Result<u32, Stop> {
    if SPSR_EL2.get() & AARCH32 != 0 {
        return Err(Stop::Refused);
    }
    // EL1 can read whatever EL0 can execute.
    let ipa = translate::stage1(Kind::ReadEl1, ELR_EL2.get()).map_err(|_| Stop::Again)?;
    stage2::read_word(vcpu.context.core(), ipa).ok_or(Stop::Refused)
}

const AARCH32: u64 = 1 << 4;
const EL_AND_SP: u64 = 0b1101;
const EL0: u64 = 0b0000;
const EL1H: u64 = 0b0101;
const PAN: u64 = 1 << 22;

#[expect(clippy::indexing_slicing, reason = "masked to the size of the frame")]
fn general(vcpu: &Vcpu, number: u8) -> u64 {
    vcpu.x[usize::from(number & 31)]
}

#[expect(clippy::indexing_slicing, reason = "masked to the size of the frame")]
fn set_general(vcpu: &mut Vcpu, number: u8, value: u64) {
    if number != 31 {
        vcpu.x[usize::from(number & 31)] = value;
    }
}

fn base(vcpu: &Vcpu, number: u8) -> u64 {
    match number {
        31 if SPSR_EL2.get() & EL_AND_SP == EL1H => SP_EL1.get(),
        31 => SP_EL0.get(),
        _ => general(vcpu, number),
    }
}

fn set_base(vcpu: &mut Vcpu, number: u8, value: u64) {
    match number {
        31 if SPSR_EL2.get() & EL_AND_SP == EL1H => SP_EL1.set(value),
        31 => SP_EL0.set(value),
        _ => set_general(vcpu, number, value),
    }
}

fn store(vcpu: &mut Vcpu, access: &Access, address: u64) -> Result<(), Stop> {
    let mut values = gather(vcpu, access);
    each_element(vcpu, access, address, &mut values, |vcpu, ipa, width, value| {
        let reply = write(&mut vcpu.caches.mmio, ipa, width, *value, &mut vcpu.context);
        reply.status()
    })
}

fn load(vcpu: &mut Vcpu, access: &Access, address: u64) -> Result<(), Stop> {
    let mut values = [0; 4];
    each_element(vcpu, access, address, &mut values, |vcpu, ipa, width, value| {
        let reply = read(&mut vcpu.caches.mmio, ipa, width, &mut vcpu.context);
        *value = reply.value();
        reply.status()
    })?;
    scatter(vcpu, access, values);
    Ok(())
}

/// Does `element` for each part of an access: a register, or half a vector. What
/// one asks to happen has happened before the next.
fn each_element(
    vcpu: &mut Vcpu,
    access: &Access,
    address: u64,
    values: &mut Values,
    element: impl Fn(&mut Vcpu, u64, Width, &mut u64) -> Status,
) -> Result<(), Stop> {
    let width = Width::from_sas(u32::from(access.size.min(3)));
    let registers = if access.second.is_some() { 2 } else { 1 };
    let count = registers * elements(access);
    let mut at = address;
    for value in values.iter_mut().take(count) {
        let ipa = element_ipa(access, address, at)?;
        let status = element(vcpu, ipa, width, value);
        if status == Status::Again {
            return Err(Stop::Again);
        }
        if status != Status::Done {
            quarantine_route(vcpu, ipa, status);
            FAR_EL2.set(at);
            return Err(Stop::Refused);
        }
        deliver_all(vcpu);
        at = at.wrapping_add(width.bytes());
    }
    Ok(())
}

/// How many accesses a register takes.
fn elements(access: &Access) -> usize {
    if access.size > 3 { 2 } else { 1 }
}

/// The guest-physical address of the element at `at`. Hardware has translated the
/// page of the first, at `first`.
fn element_ipa(access: &Access, first: u64, at: u64) -> Result<u64, Stop> {
    if first >> 12 == at >> 12 {
        return Ok(fault_ipa() & !0xfff | at & 0xfff);
    }
    let spsr = SPSR_EL2.get();
    let kind = Kind::of(spsr & EL_AND_SP == EL0, access.is_store());
    // PAN: what EL0 can read, EL1 must not touch ("About PSTATE.PAN").
    let user = spsr & PAN != 0 && kind.is_el1() && translate::stage1(Kind::ReadEl0, at).is_ok();
    let translated = if user { Err(PERMISSION) } else { translate::stage1(kind, at) };
    translated.map_err(|status| {
        FAR_EL2.set(at);
        Stop::Own(status)
    })
}

/// DFSC: permission fault, level 3.
const PERMISSION: u64 = 0b00_1111;

/// What the registers of a store hold.
fn gather(vcpu: &Vcpu, access: &Access) -> Values {
    let second = access.second.unwrap_or(31);
    if access.bank == Bank::General {
        return [general(vcpu, access.first), general(vcpu, second), 0, 0];
    }
    let vectors = Vectors::read();
    let ([a, b], [c, d]) = (vectors.get(access.first), vectors.get(second));
    if access.size > 3 { [a, b, c, d] } else { [a, c, 0, 0] }
}

/// Puts what was loaded into its registers.
fn scatter(vcpu: &mut Vcpu, access: &Access, values: Values) {
    let [a, b, c, d] = values;
    if access.bank == Bank::General {
        set_general(vcpu, access.first, access.extended(a));
        if let Some(second) = access.second {
            set_general(vcpu, second, access.extended(b));
        }
        return;
    }
    let (first, second) = if access.size > 3 { ([a, b], [c, d]) } else { ([a, 0], [b, 0]) };
    let mut vectors = Vectors::read();
    vectors.set(access.first, first);
    if let Some(number) = access.second {
        vectors.set(number, second);
    }
    vectors.write();
}
