//! The exits: what the vectors call.
//!
//! The first ones end in a call of the object and are what the budgets are
//! about. Everything else goes through [`exit_rare`](rare), with the whole register
//! file in the frame.

#![allow(unsafe_code, reason = "functions that assembly calls by name")]

mod rare;

pub(crate) use rare::{advance, quarantine_route, refuse_memory};

use crate::crash::{Crash, Trap};
use crate::floating;
use crate::gic::{self, CpuInterface, Version};
use crate::gicv2::Gicv2;
use crate::gicv3::Gicv3;
use crate::vcpu::Vcpu;
use aarch64_cpu::registers::{FAR_EL2, HPFAR_EL2};
use evisor_contract::{Register, Status, Width, Words};
use evisor_router::{Delivery, call, deliver, read, read_register, write, write_register};
use spin::Once;
use tock_registers::interfaces::Readable;

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

#[unsafe(no_mangle)]
extern "C" fn exit_read(vcpu: &mut Vcpu, ipa: u64, width: Width) -> Words {
    read(&mut vcpu.caches.mmio, ipa, width, &mut vcpu.context)
}

#[unsafe(no_mangle)]
extern "C" fn exit_write(vcpu: &mut Vcpu, ipa: u64, width: Width, value: u64) -> Words {
    write(&mut vcpu.caches.mmio, ipa, width, value, &mut vcpu.context)
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

#[unsafe(no_mangle)]
extern "C" fn exit_read_register(vcpu: &mut Vcpu, esr: u64) -> Words {
    let name = Register::from_syndrome(esr as u32);
    read_register(&mut vcpu.caches.registers, name, &mut vcpu.context)
}

#[unsafe(no_mangle)]
extern "C" fn exit_write_register(vcpu: &mut Vcpu, esr: u64, value: u64) -> Words {
    let name = Register::from_syndrome(esr as u32);
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
extern "C" fn exit_refused_v2(vcpu: &mut Vcpu) {
    refused::<Gicv2>(vcpu);
}

#[unsafe(no_mangle)]
extern "C" fn exit_refused_v3(vcpu: &mut Vcpu) {
    refused::<Gicv3>(vcpu);
}

/// An interrupt that nobody took is turned off, lest it come for ever. A kick from another
/// core has done its work by coming here.
#[cold]
#[inline(never)]
fn refused<G: CpuInterface>(vcpu: &mut Vcpu) {
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
    match interrupt::<G>(vcpu).status() {
        Status::Held => {}
        Status::Done => G::deactivate(vcpu.acknowledged),
        _ => refused::<G>(vcpu),
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
