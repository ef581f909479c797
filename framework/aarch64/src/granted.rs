//! Memory that components were granted, as EL2 has it mapped for good: their VM's,
//! and their own.
//!
//! A guest may use the same lines with its caches off, or by attributes that do not
//! look into one, as Linux does for buffers of devices that are not coherent. So each
//! copy begins with what memory holds, and leaves nothing in a cache: lines are
//! cleaned and invalidated to the point of coherency before and after (DDI 0487,
//! Mismatched memory attributes). Nobody waits for that after a read: the line is clean, and
//! is invalidated in the order of the program, behind the load; what is to be complete when
//! a copy begins, or when a write ends, a barrier makes so. That orders the copies too.
//!
//! A guest that writes to a line, its caches off, while a component writes to another part
//! of it may lose its bytes, as it would with a device that is not coherent and its own
//! cache.

#![allow(unsafe_code, reason = "accesses to memory by address")]

use crate::maintenance;
use crate::ram::Ram;
use aarch64_paging::MapError;
use alloc::boxed::Box;
use core::arch::asm;
use evisor_contract::{Memory, Outside};

unsafe extern "C" {
    /// Copies `bytes` bytes, each of which is read once and written once, whoever writes
    /// meanwhile; those of an aligned word or doubleword together (memory.s).
    ///
    /// # Safety
    /// 1. As many are mapped at `from`, and at `to`, to be written; the two do not overlap.
    fn copy_each_once(to: *mut u8, from: *const u8, bytes: usize);
}

/// A range of addresses, and where EL2 has it.
struct Part {
    first: u64,
    size: u64,
    at: u64,
    writable: bool,
}

/// What lies at the addresses of its parts.
struct Granted(Box<[Part]>);

/// The memory of a VM for its components: for each region its guest-physical
/// address, the memory, and whether it may be written.
///
/// # Errors
/// EL2's tables say no.
pub fn of_vm<'a>(
    regions: impl Iterator<Item = (u64, &'a Ram, bool)>,
) -> Result<&'static dyn Memory, MapError> {
    let part = |(ipa, ram, writable): (u64, &Ram, bool)| {
        let at = ram.keep()?;
        Ok(Part { first: ipa, size: ram.size(), at, writable })
    };
    Ok(Box::leak(Box::new(Granted(regions.map(part).collect::<Result<_, MapError>>()?))))
}

impl Ram {
    /// Makes it a component's own, from address 0, with `content` at its start and
    /// zeros behind that.
    ///
    /// # Errors
    /// `content` is longer, or EL2's tables say no.
    pub fn give(mut self, content: &[u8]) -> Result<&'static dyn Memory, MapError> {
        let length = content.len() as u64;
        self.write(0, content)?;
        self.zero(length, self.size().saturating_sub(length))?;
        let part = Part { first: 0, size: self.size(), at: self.keep()?, writable: true };
        Ok(Box::leak(Box::new(Granted(Box::new([part])))))
    }
}

impl Granted {
    /// The part that holds all of `bytes` from `address` on, and where in EL2's map.
    #[inline(always)]
    fn find(&self, address: u64, bytes: usize) -> Result<(&Part, u64), Outside> {
        let bytes = bytes as u64;
        let holds = |part: &&Part| {
            let offset = address.wrapping_sub(part.first);
            offset < part.size && bytes <= part.size - offset
        };
        let part = self.0.iter().find(holds).ok_or(Outside)?;
        Ok((part, part.at + (address - part.first)))
    }
}

/// What is read most, an index, a word or a descriptor, in one access: it lies in one line,
/// however long that is (DDI 0487, CTR_EL0.DminLine counts words, and four at least).
///
/// # Safety
/// 1. As many bytes as `to` has are mapped at `at`. 2. `at` is a multiple of their number.
macro_rules! load {
    ($at:ident, $to:ident, $load:literal, $store:literal $(, $more:ident($($reg:tt)*) _)?) => {
        asm!("dc civac, {at}", "dsb sy", $load, "dc civac, {at}", $store,
            out(reg) _, $($more($($reg)*) _,)?
            at = in(reg) $at, to = in(reg) $to.as_mut_ptr(), options(nostack, preserves_flags))
    };
}

impl Memory for Granted {
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Outside> {
        let (_, at) = self.find(address, to.len())?;
        let aligned = at.is_multiple_of(to.len() as u64);
        match to.len() {
            // SAFETY: 1. mapped for good, as long as `to` is, which is nobody else's. 2. Looked
            // at just before.
            2 if aligned => unsafe { load!(at, to, "ldrh {0:w}, [{at}]", "strh {0:w}, [{to}]") },
            // SAFETY: the same.
            4 if aligned => unsafe { load!(at, to, "ldr {0:w}, [{at}]", "str {0:w}, [{to}]") },
            // SAFETY: the same.
            16 if aligned => unsafe {
                load!(at, to, "ldp {0}, {1}, [{at}]", "stp {0}, {1}, [{to}]", out(reg) _)
            },
            _ => read_any(at, to),
        }
        Ok(())
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Outside> {
        let (part, at) = self.find(address, from.len())?;
        if !part.writable {
            return Err(Outside);
        }
        maintenance::clean_and_invalidate(at, from.len() as u64);
        // SAFETY: 1. mapped for good, as long as `from` is, and nobody's that Rust knows.
        unsafe { copy_each_once(at as *mut u8, from.as_ptr(), from.len()) };
        maintenance::clean_and_invalidate(at, from.len() as u64);
        Ok(())
    }
}

#[inline(never)]
fn read_any(at: u64, to: &mut [u8]) {
    maintenance::clean_and_invalidate(at, to.len() as u64);
    // SAFETY: 1. found there, and mapped for good, as long as `to` is, which is nobody else's.
    unsafe { copy_each_once(to.as_mut_ptr(), at as *const u8, to.len()) };
    maintenance::begin_to_clean_and_invalidate(at, to.len() as u64);
}
