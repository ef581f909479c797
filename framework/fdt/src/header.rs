//! The header and the memory reservation block (Devicetree Specification v0.4
//! §5.2, §5.3).

use crate::error::FdtError;
use alloc::vec::Vec;
use core::ops::Range;

pub(crate) const MAGIC: u32 = 0xd00d_feed;
pub(crate) const VERSION: u32 = 17;
pub(crate) const LAST_COMPATIBLE_VERSION: u32 = 16;
pub(crate) const SIZE: usize = 40;

/// A header whose blocks are known to lie inside the tree.
#[derive(Debug)]
pub(crate) struct Header {
    pub total: usize,
    pub structure: Range<usize>,
    pub strings: Range<usize>,
    reservations: usize,
}

/// The big-endian word at `offset`.
pub(crate) fn word(bytes: &[u8], offset: usize) -> Option<u32> {
    let (word, _) = bytes.get(offset..)?.split_first_chunk()?;
    Some(u32::from_be_bytes(*word))
}

fn double(bytes: &[u8], offset: usize) -> Option<u64> {
    let (double, _) = bytes.get(offset..)?.split_first_chunk()?;
    Some(u64::from_be_bytes(*double))
}

impl Header {
    /// Reads and checks the header at the start of `bytes`.
    pub fn read(bytes: &[u8]) -> Result<Self, FdtError> {
        let truncated = |need| FdtError::Truncated { need, have: bytes.len() };
        let field = |index: usize| {
            word(bytes, index * 4).map(|value| value as usize).ok_or(truncated(SIZE))
        };
        if word(bytes, 0).ok_or(truncated(SIZE))? != MAGIC {
            return Err(FdtError::NotADeviceTree);
        }
        check_version(bytes).ok_or(truncated(SIZE))??;
        let total = field(1)?;
        if total > bytes.len() {
            return Err(truncated(total));
        }
        let header = Self {
            total,
            structure: block("structure", field(2)?, field(9)?, total, 4)?,
            strings: block("strings", field(3)?, field(8)?, total, 1)?,
            reservations: block("memory reservation", field(4)?, 16, total, 8)?.start,
        };
        Ok(header)
    }

    /// The memory reservations: address and size. fdt-rs has an iterator for
    /// them that panics where the block does not end inside the tree.
    pub fn reservations(&self, bytes: &[u8]) -> Result<Vec<(u64, u64)>, FdtError> {
        let mut found = Vec::new();
        let bytes = bytes.get(..self.total).unwrap_or_default();
        for offset in (self.reservations..self.total).step_by(16) {
            let entry = double(bytes, offset).zip(double(bytes, offset + 8));
            match entry.ok_or(FdtError::BadReservation)? {
                (0, 0) => return Ok(found),
                (address, size) => {
                    address.checked_add(size).ok_or(FdtError::BadReservation)?;
                    found.push((address, size));
                }
            }
        }
        Err(FdtError::BadReservation)
    }
}

fn check_version(bytes: &[u8]) -> Option<Result<(), FdtError>> {
    let (version, last) = word(bytes, 20).zip(word(bytes, 24))?;
    let known = version == VERSION && last == LAST_COMPATIBLE_VERSION;
    Some(if known { Ok(()) } else { Err(FdtError::UnknownVersion(version)) })
}

fn block(
    name: &'static str,
    start: usize,
    size: usize,
    total: usize,
    alignment: usize,
) -> Result<Range<usize>, FdtError> {
    let end = start.checked_add(size).filter(|end| *end <= total);
    match end {
        Some(end) if start >= SIZE && start.is_multiple_of(alignment) => Ok(start..end),
        _ => Err(FdtError::Misplaced(name)),
    }
}
