//! The partition table in a card's first block: a master boot record, four entries.

use crate::disk::Disk;
use crate::error::SdError;
use crate::spec::BLOCK_WORDS;
use core::fmt;
use zerocopy::IntoBytes;

/// A primary partition; it lies on the card and shares no block with another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its first 512-byte block.
    pub first: u64,
    /// How many it has.
    pub count: u64,
    /// What the table says that it holds: 0x0c is FAT32, 0x83 Linux.
    pub kind: u8,
}

impl Partition {
    fn end(&self) -> u64 {
        self.first + self.count
    }

    /// FAT16 or FAT32, by its kind.
    pub fn is_fat(&self) -> bool {
        matches!(self.kind, 0x04 | 0x06 | 0x0b | 0x0c | 0x0e)
    }
}

/// Why a card has no partitions that can be used. Numbers are from 1 on, as Linux's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableError {
    /// The first block cannot be read.
    Card(SdError),
    /// There is no table in it.
    Missing,
    /// The card has a GUID partition table instead.
    Guid,
    /// A partition reaches beyond the end of the card, or covers the table.
    Outside(usize),
    /// Two partitions share blocks.
    Overlap(usize, usize),
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Card(error) => error.fmt(f),
            Self::Missing => {
                write!(f, "the SD card has no partition table: give it one (MBR, not GPT)")
            }
            Self::Guid => {
                write!(f, "the SD card has a GUID partition table: make a new one, MBR (DOS)")
            }
            Self::Outside(number) => {
                write!(f, "partition {number} of the SD card is not within the card: ")?;
                write!(f, "the table is from another card, make a new one")
            }
            Self::Overlap(one, other) => {
                write!(f, "partitions {one} and {other} of the SD card overlap: ")?;
                write!(f, "make a new table")
            }
        }
    }
}

impl core::error::Error for TableError {}

/// Reads the partition table.
///
/// # Errors
/// There is none, or what it says cannot be: then none of it is believed.
pub fn partitions<D: Disk>(disk: &mut D) -> Result<[Option<Partition>; 4], TableError> {
    let mut words = [0; BLOCK_WORDS];
    disk.read(0, &mut words).map_err(TableError::Card)?;
    let block = words.as_bytes();
    let fat = |at: usize| block.get(at..at + 3) == Some(b"FAT");
    // A file system without partitions has the same signature, and code where the
    // entries would be.
    if block.get(510..) != Some(&[0x55, 0xaa]) || fat(54) || fat(82) {
        return Err(TableError::Missing);
    }
    let mut table = [None; 4];
    let entries = block.get(446..510).unwrap_or_default().chunks_exact(16);
    for (slot, entry) in table.iter_mut().zip(entries) {
        *slot = partition(entry);
    }
    check(&table, disk.blocks())?;
    Ok(table)
}

fn partition(entry: &[u8]) -> Option<Partition> {
    let &[_, _, _, _, kind, _, _, _, a, b, c, d, e, f, g, h] = entry else { return None };
    let first = u64::from(u32::from_le_bytes([a, b, c, d]));
    let count = u64::from(u32::from_le_bytes([e, f, g, h]));
    (kind != 0 && count != 0).then_some(Partition { first, count, kind })
}

fn check(table: &[Option<Partition>; 4], blocks: u64) -> Result<(), TableError> {
    let all = || table.iter().zip(1..).filter_map(|(slot, number)| Some((slot.as_ref()?, number)));
    if all().any(|(partition, _)| partition.kind == 0xee) {
        return Err(TableError::Guid);
    }
    for (one, number) in all() {
        if one.first == 0 || one.end() > blocks {
            return Err(TableError::Outside(number));
        }
        let meets = |other: &Partition| one.first < other.end() && other.first < one.end();
        if let Some((_, other)) = all().find(|(other, at)| *at > number && meets(other)) {
            return Err(TableError::Overlap(number, other));
        }
    }
    Ok(())
}
