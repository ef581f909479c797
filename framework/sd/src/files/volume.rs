//! The boot sector, checked (Microsoft, "FAT: General Overview of On-Disk Format",
//! version 1.03, "Boot Sector and BPB"; names of fields are its).

use crate::files::FileError;
use crate::partitions::Partition;
use crate::spec::BLOCK;
use core::ops::Range;

/// Where things are, in blocks of the card. All of it lies within the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The boot sector.
    pub first: u64,
    /// The first of the file allocation tables.
    pub fat: Range<u64>,
    /// The root folder of FAT16; empty in FAT32.
    pub root: Range<u64>,
    /// The clusters.
    pub data: Range<u64>,
    /// Blocks of a cluster.
    pub per_cluster: u64,
    /// How many clusters; they are numbered from 2 on.
    pub clusters: u32,
    /// FAT32.
    pub wide: bool,
}

/// What follows a cluster in its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The cluster that starts with this block.
    Block(u64),
    /// Nothing: it is the last one.
    End,
    /// What is no cluster of the volume.
    Nowhere,
}

/// Fewer clusters are FAT12 ("FAT Type Determination").
const FAT16_FROM: u64 = 4085;
/// And fewer FAT16.
const FAT32_FROM: u64 = 65525;
/// A bad cluster; what is above it ends a chain.
const BAD_16: u32 = 0xfff7;
const BAD_32: u32 = 0x0fff_fff7;
/// Numbers from here on are no clusters of FAT32.
const RESERVED: u64 = 0x0fff_fff0;
/// The largest cluster has so many blocks.
const LARGEST: u64 = 128;

/// Numbers of so many bytes at an offset, little-endian.
pub struct Fields<'a>(pub &'a [u8]);

impl Fields<'_> {
    pub fn number<const N: usize>(&self, at: usize) -> u64 {
        let bytes = self.0.get(at..at + N).unwrap_or_default();
        bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
    }

    /// A field of 16 bits, or if it is 0 one of 32.
    fn either(&self, short: usize, long: usize) -> u64 {
        match self.number::<2>(short) {
            0 => self.number::<4>(long),
            value => value,
        }
    }
}

impl Volume {
    /// From a partition's first block.
    ///
    /// # Errors
    /// It is of another file system, or says what cannot be.
    pub fn read(boot: &[u8], partition: &Partition) -> Result<Self, FileError> {
        let fields = Fields(boot);
        if fields.number::<2>(510) != 0xaa55 {
            return Err(FileError::NotFat("has no file system"));
        }
        if fields.number::<2>(11) != BLOCK as u64 {
            return Err(FileError::NotFat("does not have sectors of 512 bytes"));
        }
        let per_cluster = fields.number::<1>(13);
        let (reserved, fats) = (fields.number::<2>(14), fields.number::<1>(16));
        let (entries, blocks) = (fields.number::<2>(17), fields.either(19, 32));
        let fat = fields.either(22, 36);
        if !per_cluster.is_power_of_two() || reserved == 0 || fats == 0 || fat == 0 {
            return Err(FileError::Corrupt("its boot sector makes no sense"));
        }
        let root = reserved + fats * fat;
        let data = root + (entries * 32).div_ceil(BLOCK as u64);
        if data >= blocks || blocks > partition.count {
            return Err(FileError::Corrupt("it is larger than its partition, or has no clusters"));
        }
        let clusters = (blocks - data) / per_cluster;
        let wide = match clusters {
            0..FAT16_FROM => return Err(FileError::NotFat("is FAT12")),
            FAT16_FROM..FAT32_FROM => false,
            _ => true,
        };
        // Block numbers have 32 bits, also that of the cluster after the last.
        let end = partition.first + partition.count + LARGEST;
        if clusters + 2 >= RESERVED || end > u64::from(u32::MAX) {
            return Err(FileError::NotFat("is too large"));
        }
        let entry = if wide { 4 } else { 2 };
        if fat * BLOCK as u64 / entry < clusters + 2 {
            return Err(FileError::Corrupt("its allocation table is too short"));
        }
        let first = partition.first;
        let volume = Self {
            first,
            fat: first + reserved..first + reserved + fat,
            root: first + root..first + data,
            data: first + data..first + data + clusters * per_cluster,
            per_cluster,
            clusters: clusters as u32,
            wide,
        };
        volume.check_kind(&fields, entries)?;
        Ok(volume)
    }

    /// What only one of the kinds has.
    fn check_kind(&self, fields: &Fields<'_>, entries: u64) -> Result<(), FileError> {
        let sound = if self.wide {
            // BPB_RootEntCnt, BPB_FSVer, BPB_RootClus.
            let root = fields.number::<4>(44) as u32;
            entries == 0 && fields.number::<2>(42) == 0 && self.has(root)
        } else {
            entries > 0 && fields.number::<2>(22) != 0
        };
        if sound { Ok(()) } else { Err(FileError::Corrupt("its boot sector makes no sense")) }
    }

    /// Whether there is such a cluster.
    pub fn has(&self, cluster: u32) -> bool {
        (2..self.clusters + 2).contains(&cluster)
    }

    /// Where the table has the entry of the cluster that a block belongs to: the word,
    /// and how far up in it.
    pub fn entry_of(&self, block: u64) -> (usize, u32) {
        let cluster = ((block - self.data.start) / self.per_cluster) as usize + 2;
        if self.wide { (cluster, 0) } else { (cluster / 2, 16 * (cluster % 2) as u32) }
    }

    /// What an entry says, of which the lower bits count.
    pub fn next(&self, entry: u32) -> Next {
        let (entry, bad) =
            if self.wide { (entry & 0x0fff_ffff, BAD_32) } else { (entry & 0xffff, BAD_16) };
        if self.has(entry) {
            Next::Block(self.data.start + u64::from(entry - 2) * self.per_cluster)
        } else if entry > bad {
            Next::End
        } else {
            Next::Nowhere
        }
    }

    /// Makes entries of the table that are neither a cluster nor the end lead to the
    /// cluster after the last one: that one is refused when it is read, and
    /// embedded-sdmmc, which takes a bad cluster for the end of a folder, cannot go
    /// past it.
    pub fn mask(&self, table: &mut [u32]) {
        let mask = |entry: u32| match self.next(entry) {
            Next::Nowhere => self.clusters + 2,
            _ => entry,
        };
        for word in table {
            *word = if self.wide {
                mask(*word & 0x0fff_ffff)
            } else {
                mask(*word & 0xffff) | mask(*word >> 16) << 16
            };
        }
    }
}
