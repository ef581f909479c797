//! What embedded-sdmmc sees of the disk.

use crate::disk::Disk;
use crate::error::SdError;
use crate::files::volume::{Fields, Next, Volume};
use crate::files::{FileError, LibraryError};
use crate::spec::{BLOCK, BLOCK_WORDS};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use core::fmt;
use embedded_sdmmc::{Block, BlockCount, BlockDevice, BlockIdx, Error};
use zerocopy::IntoBytes;

/// Blocks that are read at once of tables and folders, which are read in order.
const LINE: usize = 16;
/// A folder has at most 65,536 entries of 32 bytes: more is a circle.
const FOLDER: u32 = 65_536 * 32 / BLOCK as u32;
/// The attribute of a volume label; with the next, part of a long name.
const LABEL: u8 = 0x08;
const LONG_NAME: u8 = 0x0f;
const IS_FOLDER: u8 = 0x10;
/// An entry that was deleted.
const DELETED: u8 = 0xe5;

/// What is wrong with a chain.
pub const LEADS_OUT: &str = "a chain of clusters leads out of the volume";

/// What is being looked for, and so what a block that is read holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// The partition table, the boot sector and the FSInfo sector.
    Boot,
    /// An entry with this name in a folder of so many blocks at most.
    Name([u8; 11], u32),
    /// Where a file begins: this block.
    Start(Option<u64>),
}

impl Look {
    /// For a name of a path.
    ///
    /// # Errors
    /// It is not an 8.3 name.
    pub fn for_name(name: &str) -> Result<Self, FileError> {
        // Others are in code pages of DOS, which nobody can name here.
        if name.is_empty() || name.starts_with('.') || !name.is_ascii() {
            return Err(FileError::BadName);
        }
        let short = embedded_sdmmc::ShortFileName::create_from_str(name);
        let short = short.map_err(|_| FileError::BadName)?;
        let mut stored = [b' '; 11];
        let bytes = stored.iter_mut().zip(short.base_name());
        bytes.for_each(|(to, from)| *to = *from);
        let bytes = stored.iter_mut().skip(8).zip(short.extension());
        bytes.for_each(|(to, from)| *to = *from);
        Ok(Self::Name(stored, FOLDER))
    }
}

/// The disk, with what is known of its file system.
pub struct State<D> {
    pub disk: D,
    pub volume: Volume,
    pub look: Look,
    boot: [u32; BLOCK_WORDS],
    /// What was read last of folders, and of the table.
    lines: [Line; 2],
    /// Why a block was refused: embedded-sdmmc does not always pass it on.
    refused: Option<FileError>,
}

/// Blocks that were read together.
struct Line {
    first: u64,
    count: usize,
    words: Vec<u32>,
}

impl Line {
    fn new() -> Self {
        Self { first: 0, count: 0, words: vec![0; LINE * BLOCK_WORDS] }
    }

    fn block(&self, index: u64) -> Option<&[u32; BLOCK_WORDS]> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.words.as_chunks().0.get(..self.count)?.get(at)
    }

    /// Reads up to `count` blocks from this one on.
    fn fill<D: Disk>(&mut self, disk: &mut D, index: u64, count: usize) -> Result<(), SdError> {
        self.count = 0;
        let words = self.words.get_mut(..count * BLOCK_WORDS).unwrap_or_default();
        self.count = match disk.read(index, words) {
            Ok(()) => count,
            // One of the others may be the one that cannot be read.
            Err(_) => {
                disk.read(index, words.get_mut(..BLOCK_WORDS).unwrap_or_default())?;
                1
            }
        };
        self.first = index;
        Ok(())
    }
}

/// A block was refused; [`State`] knows why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused")
    }
}

impl core::error::Error for Refused {}

/// Looks for something else from now on.
pub fn look<D>(state: &RefCell<State<D>>, look: Look) {
    let mut state = state.borrow_mut();
    state.look = look;
    state.refused = None;
}

/// What an error of embedded-sdmmc comes from.
pub fn explain<D>(state: &RefCell<State<D>>, error: LibraryError) -> FileError {
    if let Some(error) = state.borrow().refused {
        return error;
    }
    match error {
        Error::NotFound | Error::OpenedFileAsDir => FileError::Missing,
        Error::OpenedDirAsFile => FileError::Folder,
        Error::FilenameError(_) => FileError::BadName,
        _ => FileError::Corrupt("it makes no sense"),
    }
}

/// A disk for embedded-sdmmc, which it cannot write.
pub struct Guard<'a, D>(pub &'a RefCell<State<D>>);

impl<D: Disk> BlockDevice for Guard<'_, D> {
    type Error = Refused;

    fn read(&self, blocks: &mut [Block], start: BlockIdx) -> Result<(), Refused> {
        let mut state = self.0.borrow_mut();
        for (block, index) in blocks.iter_mut().zip(u64::from(start.0)..) {
            if let Err(error) = state.show(index, block) {
                state.refused = Some(error);
                return Err(Refused);
            }
        }
        Ok(())
    }

    fn write(&self, _: &[Block], _: BlockIdx) -> Result<(), Refused> {
        Err(Refused)
    }

    fn num_blocks(&self) -> Result<BlockCount, Refused> {
        Ok(BlockCount(u32::try_from(self.0.borrow().disk.blocks()).unwrap_or(u32::MAX)))
    }
}

impl<D: Disk> State<D> {
    pub fn new(disk: D, volume: Volume, boot: [u32; BLOCK_WORDS]) -> Self {
        let lines = [Line::new(), Line::new()];
        Self { disk, volume, look: Look::Boot, boot, lines, refused: None }
    }

    /// What embedded-sdmmc reads at this block.
    fn show(&mut self, index: u64, block: &mut Block) -> Result<(), FileError> {
        match self.look {
            Look::Boot => {
                self.show_boot(index, block);
                Ok(())
            }
            _ if self.volume.fat.contains(&index) => self.copy(index, block),
            Look::Start(_) if self.volume.data.contains(&index) => {
                self.look = Look::Start(Some(index));
                Ok(())
            }
            Look::Name(name, left)
                if self.volume.root.contains(&index) || self.volume.data.contains(&index) =>
            {
                let left = left.checked_sub(1);
                let left = left.ok_or(FileError::Corrupt("a folder does not end"))?;
                self.look = Look::Name(name, left);
                self.copy(index, block)?;
                self.check_folder(&name, block)
            }
            _ => Err(FileError::Corrupt(LEADS_OUT)),
        }
    }

    /// The boot sector is the one that was checked, even if the card has another one by
    /// now. The table has only this partition, and FSInfo, which is only a hint for
    /// who writes, knows nothing.
    fn show_boot(&self, index: u64, block: &mut Block) {
        let mut put = |at: usize, bytes: &[u8]| {
            if let Some(place) = block.contents.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        };
        if index == self.volume.first {
            put(0, self.boot.as_bytes());
        } else if index == 0 {
            let count = (self.volume.data.end - self.volume.first) as u32;
            put(446 + 4, &[0x0c]);
            put(446 + 8, &(self.volume.first as u32).to_le_bytes());
            put(446 + 12, &count.to_le_bytes());
            put(510, &[0x55, 0xaa]);
        } else {
            put(0, b"RRaA");
            put(484, b"rrAa");
            put(488, &[0xff; 8]);
            put(508, &[0, 0, 0x55, 0xaa]);
        }
    }

    fn copy(&mut self, index: u64, block: &mut Block) -> Result<(), FileError> {
        let words = self.words(index)?;
        block.contents.copy_from_slice(words.as_bytes());
        Ok(())
    }

    /// The words of a block of tables or folders, read with what follows it in the same
    /// part of the volume.
    fn words(&mut self, index: u64) -> Result<&[u32; BLOCK_WORDS], FileError> {
        let Self { volume, lines: [folders, table], disk, .. } = self;
        let in_table = volume.fat.contains(&index);
        let line = if in_table { table } else { folders };
        if line.block(index).is_none() {
            let parts = [&volume.fat, &volume.root, &volume.data];
            let part = parts.into_iter().find(|part| part.contains(&index));
            let follow = part.map_or(1, |part| part.end - index);
            line.fill(disk, index, follow.min(LINE as u64) as usize).map_err(FileError::Card)?;
            if in_table {
                volume.mask(&mut line.words);
            }
        }
        line.block(index).ok_or(FileError::Corrupt("it makes no sense"))
    }

    /// The first block of the cluster that follows a block's in its chain.
    pub fn follow(&mut self, block: u64) -> Result<Next, FileError> {
        let (word, shift) = self.volume.entry_of(block);
        let index = self.volume.fat.start + (word / BLOCK_WORDS) as u64;
        let word = self.words(index)?.get(word % BLOCK_WORDS).copied().unwrap_or(0);
        Ok(self.volume.next(word >> shift))
    }

    /// Hides volume labels, which embedded-sdmmc would take for what is looked for, and
    /// looks at the entry that it will find.
    fn check_folder(&self, name: &[u8; 11], block: &mut Block) -> Result<(), FileError> {
        let (entries, _) = block.contents.as_chunks_mut::<32>();
        for entry in entries.iter_mut().take_while(|entry| entry[0] != 0) {
            let attributes = entry[11];
            if attributes & LABEL != 0 && attributes & LONG_NAME != LONG_NAME {
                entry[0] = DELETED;
            } else if entry.starts_with(name) {
                return self.check_entry(entry);
            }
        }
        Ok(())
    }

    fn check_entry(&self, entry: &[u8; 32]) -> Result<(), FileError> {
        let fields = Fields(entry);
        let upper = if self.volume.wide { fields.number::<2>(20) << 16 } else { 0 };
        let cluster = (upper | fields.number::<2>(26)) as u32;
        let size = fields.number::<4>(28);
        let room = u64::from(self.volume.clusters) * self.volume.per_cluster * BLOCK as u64;
        let is_folder = entry[11] & IS_FOLDER != 0;
        if !self.volume.has(cluster) && (is_folder || size > 0) {
            return Err(FileError::Corrupt("a file's first cluster is not in the volume"));
        }
        if !is_folder && size > room {
            return Err(FileError::Corrupt("a file is larger than the volume"));
        }
        Ok(())
    }
}
