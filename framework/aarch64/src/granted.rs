//! Memory that components were granted, as EL2 has it mapped for good: their VM's,
//! and their own.
//!
//! A guest may use the same lines with its caches off, or by attributes that do not
//! look into one, as Linux does for buffers of devices that are not coherent. So each
//! copy begins with what memory holds, and leaves nothing in a cache: lines are
//! cleaned and invalidated to the point of coherency before and after (DDI 0487,
//! Mismatched memory attributes). A guest that writes to a line, its caches off,
//! while a component writes to another part of it may lose its bytes, as it would
//! with a device that is not coherent and its own cache.

#![allow(unsafe_code, reason = "accesses to memory by address")]

use crate::maintenance;
use crate::ram::Ram;
use aarch64_paging::MapError;
use alloc::boxed::Box;
use core::ops::Range;
use evisor_contract::{Memory, Outside};

/// A range of addresses, and where EL2 has it.
struct Part {
    addresses: Range<u64>,
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
        Ok(Part { addresses: ipa..ipa + ram.size(), at, writable })
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
        let part = Part { addresses: 0..self.size(), at: self.keep()?, writable: true };
        Ok(Box::leak(Box::new(Granted(Box::new([part])))))
    }
}

impl Granted {
    /// The part that holds all of `bytes` from `address` on, and where in EL2's map.
    fn find(&self, address: u64, bytes: usize) -> Result<(&Part, u64), Outside> {
        let end = address.checked_add(bytes as u64).ok_or(Outside)?;
        let holds = |part: &&Part| part.addresses.contains(&address) && end <= part.addresses.end;
        let part = self.0.iter().find(holds).ok_or(Outside)?;
        Ok((part, part.at + (address - part.addresses.start)))
    }
}

impl Memory for Granted {
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Outside> {
        let (_, at) = self.find(address, to.len())?;
        maintenance::clean_and_invalidate(at, to.len() as u64);
        // SAFETY: 1. mapped for good, as long as `to` is.
        unsafe { copy_out(at, to) };
        maintenance::clean_and_invalidate(at, to.len() as u64);
        Ok(())
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Outside> {
        let (part, at) = self.find(address, from.len())?;
        if !part.writable {
            return Err(Outside);
        }
        maintenance::clean_and_invalidate(at, from.len() as u64);
        // SAFETY: 1. mapped for good, as long as `from` is, and not the image's.
        unsafe { copy_in(at, from) };
        maintenance::clean_and_invalidate(at, from.len() as u64);
        Ok(())
    }
}

/// How many bytes lie before the first whole doubleword.
fn before_words(at: u64) -> usize {
    (at.wrapping_neg() & 7) as usize
}

/// Copies what lies at `at`; each byte is read once, whoever writes meanwhile.
///
/// # Safety
/// 1. As many bytes as `to` has are mapped there.
unsafe fn copy_out(at: u64, to: &mut [u8]) {
    let mut at = at;
    let (head, rest) = to.split_at_mut(before_words(at).min(to.len()));
    let bytes = |at: &mut u64, part: &mut [u8]| {
        for byte in part {
            // SAFETY: 1. as the caller says.
            *byte = unsafe { (*at as *const u8).read_volatile() };
            *at += 1;
        }
    };
    bytes(&mut at, head);
    // SAFETY: 1. any bytes are numbers.
    let (before, fours, after) = unsafe { rest.align_to_mut::<[u64; 4]>() };
    if before.is_empty() {
        for (place, four) in (at..).step_by(32).zip(&mut *fours) {
            // SAFETY: 1. as the caller says; aligned since the head was taken off.
            let word = |n: u64| unsafe { ((place + 8 * n) as *const u64).read_volatile() };
            *four = [word(0), word(1), word(2), word(3)];
        }
        at += 32 * fours.len() as u64;
        return bytes(&mut at, after);
    }
    let (words, tail) = rest.as_chunks_mut();
    for word in words {
        // SAFETY: 1. as the caller says; aligned since the head was taken off.
        *word = unsafe { (at as *const u64).read_volatile() }.to_le_bytes();
        at += 8;
    }
    bytes(&mut at, tail);
}

/// Copies `from` to `at`.
///
/// # Safety
/// 1. As many bytes as `from` has are mapped there, and are nobody's that Rust knows.
unsafe fn copy_in(at: u64, from: &[u8]) {
    let mut at = at;
    let (head, rest) = from.split_at(before_words(at).min(from.len()));
    let bytes = |at: &mut u64, part: &[u8]| {
        for byte in part {
            // SAFETY: 1. as the caller says.
            unsafe { (*at as *mut u8).write_volatile(*byte) };
            *at += 1;
        }
    };
    bytes(&mut at, head);
    // SAFETY: 1. any bytes are numbers.
    let (before, fours, after) = unsafe { rest.align_to::<[u64; 4]>() };
    if before.is_empty() {
        for (place, [a, b, c, d]) in (at..).step_by(32).zip(fours) {
            let word = |n: u64, value: &u64| {
                // SAFETY: 1. as the caller says; aligned since the head was taken off.
                unsafe { ((place + 8 * n) as *mut u64).write_volatile(*value) };
            };
            word(0, a);
            word(1, b);
            word(2, c);
            word(3, d);
        }
        at += 32 * fours.len() as u64;
        return bytes(&mut at, after);
    }
    let (words, tail) = rest.as_chunks();
    for word in words {
        // SAFETY: 1. as the caller says; aligned since the head was taken off.
        unsafe { (at as *mut u64).write_volatile(u64::from_le_bytes(*word)) };
        at += 8;
    }
    bytes(&mut at, tail);
}
