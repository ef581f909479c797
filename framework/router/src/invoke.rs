//! From a name to the object's answer.
//!
//! Each function is inlined into the exit that it serves and ends in a call of
//! the object, which the compiler makes a jump. [`Words::ABSENT`] comes back for
//! a name without a route, without the right, or with the wrong width; who asked
//! turns it into the architecture's answer.

use crate::cache::Cache;
use crate::table::Route;
use evisor_contract::{
    CallPort, CallRegisters, Context, MmioPort, Register, RegisterPort, Rights, Width, Words,
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
    // The low half is enough, and shifts by what already is in a register.
    address as u32 & !(u32::MAX << width as u32) == 0
}

type Found<P> = (&'static Route<P>, u64);

/// A load from guest-physical address `ipa`.
#[inline(always)]
pub fn read(cache: &mut Cache<dyn MmioPort>, ipa: u64, width: Width, cx: &mut Context) -> Words {
    match cache.hit(ipa) {
        Some(found) => read_through(found, ipa, width, cx),
        None => read_missed(cache, ipa, width, cx),
    }
}

#[cold]
#[inline(never)]
fn read_missed(cache: &mut Cache<dyn MmioPort>, ipa: u64, width: Width, cx: &mut Context) -> Words {
    read_through(cache.search(ipa), ipa, width, cx)
}

#[inline(always)]
fn read_through(
    (route, distance): Found<dyn MmioPort>,
    ipa: u64,
    width: Width,
    cx: &mut Context,
) -> Words {
    let capability = route.capability();
    if !capability.permits_bit(READ + width as u32) || !aligned(ipa, width) {
        return Words::ABSENT;
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
) -> Words {
    match cache.hit(ipa) {
        Some(found) => write_through(found, ipa, width, value, cx),
        None => write_missed(cache, ipa, width, value, cx),
    }
}

#[cold]
#[inline(never)]
fn write_missed(
    cache: &mut Cache<dyn MmioPort>,
    ipa: u64,
    width: Width,
    value: u64,
    cx: &mut Context,
) -> Words {
    write_through(cache.search(ipa), ipa, width, value, cx)
}

#[inline(always)]
fn write_through(
    (route, distance): Found<dyn MmioPort>,
    ipa: u64,
    width: Width,
    value: u64,
    cx: &mut Context,
) -> Words {
    let capability = route.capability();
    if !capability.permits_bit(WRITE + width as u32) || !aligned(ipa, width) {
        return Words::ABSENT;
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
) -> Words {
    match cache.hit(u64::from(function)) {
        Some(found) => call_through(found, function, registers, cx),
        None => call_missed(cache, function, registers, cx),
    }
}

#[cold]
#[inline(never)]
fn call_missed(
    cache: &mut Cache<dyn CallPort>,
    function: u32,
    registers: &mut CallRegisters,
    cx: &mut Context,
) -> Words {
    call_through(cache.search(u64::from(function)), function, registers, cx)
}

#[inline(always)]
fn call_through(
    (route, _): Found<dyn CallPort>,
    function: u32,
    registers: &mut CallRegisters,
    cx: &mut Context,
) -> Words {
    let capability = route.capability();
    if !capability.permits_bit(CALL) {
        return Words::ABSENT;
    }
    capability.follow().call(function, registers, cx)
}

/// A read of a system register.
#[inline(always)]
pub fn read_register(
    cache: &mut Cache<dyn RegisterPort>,
    register: Register,
    cx: &mut Context,
) -> Words {
    match cache.hit(u64::from(register.key())) {
        Some(found) => read_register_through(found, register, cx),
        None => read_register_missed(cache, register, cx),
    }
}

#[cold]
#[inline(never)]
fn read_register_missed(
    cache: &mut Cache<dyn RegisterPort>,
    register: Register,
    cx: &mut Context,
) -> Words {
    read_register_through(cache.search(u64::from(register.key())), register, cx)
}

#[inline(always)]
fn read_register_through(
    (route, _): Found<dyn RegisterPort>,
    register: Register,
    cx: &mut Context,
) -> Words {
    let capability = route.capability();
    if !capability.permits_bit(READ + Width::Doubleword as u32) {
        return Words::ABSENT;
    }
    capability.follow().read_register(register, cx)
}

/// A write of `value` to a system register.
#[inline(always)]
pub fn write_register(
    cache: &mut Cache<dyn RegisterPort>,
    register: Register,
    value: u64,
    cx: &mut Context,
) -> Words {
    match cache.hit(u64::from(register.key())) {
        Some(found) => write_register_through(found, register, value, cx),
        None => write_register_missed(cache, register, value, cx),
    }
}

#[cold]
#[inline(never)]
fn write_register_missed(
    cache: &mut Cache<dyn RegisterPort>,
    register: Register,
    value: u64,
    cx: &mut Context,
) -> Words {
    write_register_through(cache.search(u64::from(register.key())), register, value, cx)
}

#[inline(always)]
fn write_register_through(
    (route, _): Found<dyn RegisterPort>,
    register: Register,
    value: u64,
    cx: &mut Context,
) -> Words {
    let capability = route.capability();
    if !capability.permits_bit(WRITE + Width::Doubleword as u32) {
        return Words::ABSENT;
    }
    capability.follow().write_register(register, value, cx)
}
