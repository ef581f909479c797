//! From a name to the object's answer.
//!
//! Each function is inlined into the exit that it serves and ends in a call of
//! the object, which the compiler makes a jump. [`Reply::ABSENT`] comes back for
//! a name without a route, without the right, or with the wrong width; who asked
//! turns it into the architecture's answer.

use crate::cache::Cache;
use evisor_contract::{
    CallPort, CallRegisters, Context, MmioPort, Register, RegisterPort, Reply, Rights, Width,
};

/// The bit of [`Rights`] for a read of width 0.
const READ: u32 = Rights::READ8.bits().trailing_zeros();
/// The bit of [`Rights`] for a write of width 0.
const WRITE: u32 = Rights::WRITE8.bits().trailing_zeros();
const CALL: u32 = Rights::CALL.bits().trailing_zeros();

/// Whether `address` is a multiple of `width`. Windows start and end at multiples
/// of eight, so that an aligned access never crosses the end of one.
#[inline(always)]
fn aligned(address: u64, width: Width) -> bool {
    let bits = width as u32;
    (address >> bits) << bits == address
}

/// A load from guest-physical address `ipa`.
#[inline(always)]
pub fn read(cache: &mut Cache<dyn MmioPort>, ipa: u64, width: Width, cx: &mut Context) -> Reply {
    let (route, distance) = cache.find(ipa);
    let capability = route.capability();
    if !capability.permits_bit(READ + width as u32) || !aligned(ipa, width) {
        return Reply::ABSENT;
    }
    capability.follow().read(distance + capability.window(), width, cx)
}

/// A store of `value` to guest-physical address `ipa`.
#[inline(always)]
pub fn write(
    cache: &mut Cache<dyn MmioPort>,
    ipa: u64,
    width: Width,
    value: u64,
    cx: &mut Context,
) -> Reply {
    let (route, distance) = cache.find(ipa);
    let capability = route.capability();
    if !capability.permits_bit(WRITE + width as u32) || !aligned(ipa, width) {
        return Reply::ABSENT;
    }
    capability.follow().write(distance + capability.window(), width, value & width.mask(), cx)
}

/// A call of an SMCCC function.
#[inline(always)]
pub fn call(
    cache: &mut Cache<dyn CallPort>,
    function: u32,
    registers: &mut CallRegisters,
    cx: &mut Context,
) -> Reply {
    let (route, _) = cache.find(u64::from(function));
    let capability = route.capability();
    if !capability.permits_bit(CALL) {
        return Reply::ABSENT;
    }
    capability.follow().call(function, registers, cx)
}

/// A read of a system register.
#[inline(always)]
pub fn read_register(
    cache: &mut Cache<dyn RegisterPort>,
    register: Register,
    cx: &mut Context,
) -> Reply {
    let (route, _) = cache.find(u64::from(register.key()));
    let capability = route.capability();
    if !capability.permits_bit(READ + Width::Doubleword as u32) {
        return Reply::ABSENT;
    }
    capability.follow().read_register(register, cx)
}

/// A write of a system register.
#[inline(always)]
pub fn write_register(
    cache: &mut Cache<dyn RegisterPort>,
    register: Register,
    value: u64,
    cx: &mut Context,
) -> Reply {
    let (route, _) = cache.find(u64::from(register.key()));
    let capability = route.capability();
    if !capability.permits_bit(WRITE + Width::Doubleword as u32) {
        return Reply::ABSENT;
    }
    capability.follow().write_register(register, value, cx)
}
