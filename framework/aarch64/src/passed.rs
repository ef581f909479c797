//! Registers of a device that a VM was given, for the accesses that EL2 makes in its
//! guest's place.
//!
//! A device may answer with an error what its guest asks of it. The load or store is
//! then that of `vectors.s` which the vector for EL2's own aborts knows, and has failed;
//! anywhere else such an abort is a defect and ends all. An error that comes late (an
//! SError, which a store can give) is taken when the guest goes on, and is its crash.

#![allow(unsafe_code, reason = "accesses to registers by address")]

use crate::map;
use aarch64_paging::MapError;
use alloc::boxed::Box;
use evisor_contract::{HostRegisters, Width};

#[repr(C)]
struct Answer {
    value: u64,
    failed: u64,
}

unsafe extern "C" {
    fn device_read(at: u64, width: u32) -> Answer;
    fn device_write(at: u64, width: u32, value: u64) -> Answer;
}

/// Registers that are mapped for good.
struct Mapped {
    at: u64,
    size: u64,
}

impl Mapped {
    /// Where the register at `offset` is, if an access of `width` to it stays inside.
    fn address(&self, offset: u64, width: Width) -> Option<u64> {
        let fits = offset.checked_add(width.bytes())? <= self.size;
        let at = self.at.checked_add(offset)?;
        (fits && at.is_multiple_of(width.bytes()) && width != Width::Doubleword).then_some(at)
    }
}

impl HostRegisters for Mapped {
    fn read(&mut self, offset: u64, width: Width) -> Option<u64> {
        let at = self.address(offset, width)?;
        // SAFETY: 1. a device's registers are mapped there for good. 2. nothing of
        // eVisor's is: what it drives is not given away.
        let Answer { value, failed } = unsafe { device_read(at, width as u32) };
        (failed == 0).then_some(value)
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> bool {
        let Some(at) = self.address(offset, width) else { return false };
        // SAFETY: 1. and 2. as above.
        unsafe { device_write(at, width as u32, value).failed == 0 }
    }
}

/// The registers of a device of the board, `size` bytes at `physical`; not those of one
/// that eVisor [drives](map::driven).
///
/// # Errors
/// EL2's tables say no.
pub fn registers(physical: u64, size: u64) -> Result<Box<dyn HostRegisters>, MapError> {
    let at = map::passed_device(physical, size)?;
    Ok(Box::new(Mapped { at, size }))
}
