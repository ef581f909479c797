//! Cards with file systems, as another implementation makes them.

use evisor_sd::{Disk, SdError};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::io::{Cursor, Write};
use std::rc::Rc;
use zerocopy::IntoBytes;

/// Where the partition starts.
pub const FIRST: usize = 2048;

/// A disk in memory, for a driver and for a test at once.
#[derive(Clone)]
pub struct Ram(pub Rc<RefCell<Inner>>);

pub struct Inner {
    pub bytes: Vec<u8>,
    /// Blocks that cannot be read.
    pub bad: BTreeSet<u64>,
    /// Reads, and blocks of them.
    pub reads: (u64, u64),
}

impl Ram {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(Inner { bytes, bad: BTreeSet::new(), reads: (0, 0) })))
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.0.borrow_mut())
    }
}

/// How a block of [`Ram`] fails.
pub fn bad(block: u64) -> SdError {
    SdError::Transfer { index: 17, block, cause: evisor_sd::Cause::Controller(1 << 21) }
}

impl Disk for Ram {
    fn blocks(&self) -> u64 {
        self.with(|inner| inner.bytes.len() as u64 / 512)
    }

    fn read(&mut self, block: u64, words: &mut [u32]) -> Result<(), SdError> {
        assert!(words.len().is_multiple_of(128) && !words.is_empty());
        self.with(|inner| {
            let count = words.len() as u64 / 128;
            inner.reads = (inner.reads.0 + 1, inner.reads.1 + count);
            if let Some(&first) = inner.bad.range(block..block + count).next() {
                return Err(bad(first));
            }
            let range = block as usize * 512..(block + count) as usize * 512;
            let bytes = inner.bytes.get(range).expect("a block of the card");
            words.as_mut_bytes().copy_from_slice(bytes);
            Ok(())
        })
    }
}

/// A file's content: no two of its words are equal, nor those of two files.
pub fn content(seed: u32, size: usize) -> Vec<u8> {
    let words = (0..size.div_ceil(4) as u32).map(|word| word.wrapping_mul(0x9e37_79b1) ^ seed);
    words.flat_map(u32::to_le_bytes).take(size).collect()
}

/// A card with one partition; what is in the file system is for `fill` to say.
pub fn card(
    kind: fatfs::FatType,
    blocks: usize,
    cluster: u32,
    fill: impl FnOnce(&Folder<'_, '_>),
) -> Vec<u8> {
    let mut volume = Cursor::new(vec![0; blocks * 512]);
    let options = fatfs::FormatVolumeOptions::new()
        .fat_type(kind)
        .bytes_per_cluster(cluster)
        .volume_label(*b"GUESTS     ");
    fatfs::format_volume(&mut volume, options).unwrap();
    let system = fatfs::FileSystem::new(&mut volume, fatfs::FsOptions::new()).unwrap();
    fill(&system.root_dir());
    drop(system);
    let type_byte = if kind == fatfs::FatType::Fat32 { 0x0c } else { 0x0e };
    let mut card = vec![0; FIRST * 512];
    entry(&mut card, 0, type_byte, FIRST as u32, blocks as u32);
    card.extend(volume.into_inner());
    card
}

pub type Folder<'s, 'v> = fatfs::Dir<'s, &'v mut Cursor<Vec<u8>>>;

/// Writes an entry of the partition table, and its signature.
pub fn entry(card: &mut [u8], index: usize, kind: u8, first: u32, count: u32) {
    let at = 446 + 16 * index;
    card[at + 4] = kind;
    card[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
    card[at + 12..at + 16].copy_from_slice(&count.to_le_bytes());
    card[510..512].copy_from_slice(&[0x55, 0xaa]);
}

/// Writes several files by turns, so that their clusters alternate.
pub fn interleave(folder: &Folder<'_, '_>, files: &[(&str, &[u8])], step: usize) {
    let mut open: Vec<_> =
        files.iter().map(|(name, _)| folder.create_file(name).unwrap()).collect();
    let longest = files.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or(0);
    for at in (0..longest).step_by(step) {
        for (file, (_, bytes)) in open.iter_mut().zip(files) {
            let piece = bytes.get(at..bytes.len().min(at + step)).unwrap_or_default();
            file.write_all(piece).unwrap();
        }
    }
}
