//! Files of the card's first FAT partition, by embedded-sdmmc.
//!
//! It reads file systems that are sound; of others, some make it panic, walk in a
//! circle, or take an error for the end of a folder. So what it reads goes through a
//! [`Guard`](guard::Guard), which shows it nothing that leads outside: the boot sector
//! as it was checked, FAT entries that are the end or a cluster of the volume, and of
//! the entry that is looked for, one whose cluster exists.
//!
//! It reads block by block too. So it finds a file and says where it begins, which it
//! does by asking for its first byte: the guard notes the block instead of reading it.
//! The chain of clusters is followed here, and those that lie together are read at
//! once, to where they are wanted.

mod error;
mod guard;
mod volume;

pub use error::FileError;

use crate::disk::Disk;
use crate::partitions::{Partition, partitions};
use crate::spec::{BLOCK, BLOCK_WORDS};
use alloc::vec;
use alloc::vec::Vec;
use core::cell::RefCell;
use embedded_sdmmc::{
    Mode, RawDirectory, RawFile, TimeSource, Timestamp, VolumeIdx, VolumeManager,
};
use guard::{Guard, LEADS_OUT, Look, State};
use volume::{Next, Volume};
use zerocopy::{FromBytes, IntoBytes};

/// Blocks that are read at once to where they are wanted; progress is told as often.
const PIECE: u64 = 1024;
/// The same where they go through a buffer.
const BUFFERED: usize = 64;

/// What is wrong with a file's chain.
const ENDS_EARLY: &str = "a file has fewer clusters than its size says";
/// One that goes in a circle has no end at all.
const GOES_ON: &str = "a file has more clusters than its size says, or they go in a circle";

/// The files. What is written to the card meanwhile is not seen.
pub struct Files<D> {
    state: RefCell<State<D>>,
    partition: Partition,
    buffer: Vec<u32>,
}

/// Told of bytes so far, and of all.
pub type Told<'a> = &'a mut dyn FnMut(u64, u64);

/// Nothing is written, so nothing has a time.
struct NoTime;

impl TimeSource for NoTime {
    fn get_timestamp(&self) -> Timestamp {
        Timestamp::from_fat(0, 0)
    }
}

type Manager<'a, D> = VolumeManager<Guard<'a, D>, NoTime, 2, 1, 1>;

/// A file that is open.
struct Open<'a, D: Disk> {
    manager: Manager<'a, D>,
    state: &'a RefCell<State<D>>,
    file: RawFile,
    size: u32,
}

/// Blocks of a file that lie together.
#[derive(Clone, Copy)]
struct Piece {
    block: u64,
    count: u64,
    /// Where they are in the file, in bytes.
    offset: u64,
}

impl<D: Disk> Files<D> {
    /// Finds the first FAT16 or FAT32 partition.
    ///
    /// # Errors
    /// The card cannot be read, or has none, or its boot sector is not sound.
    pub fn new(mut disk: D) -> Result<Self, FileError> {
        let table = partitions(&mut disk).map_err(FileError::Table)?;
        let found = table.into_iter().flatten().find(Partition::is_fat);
        let partition = found.ok_or(FileError::NoPartition)?;
        let mut boot = [0; BLOCK_WORDS];
        disk.read(partition.first, &mut boot).map_err(FileError::Card)?;
        let volume = Volume::read(boot.as_bytes(), &partition)?;
        // BPB_FSInfo: where it is, the guard shows one.
        if let Some(place) = boot.as_mut_bytes().get_mut(48..50).filter(|_| volume.wide) {
            place.copy_from_slice(&[1, 0]);
        }
        let state = RefCell::new(State::new(disk, volume, boot));
        Ok(Self { state, partition, buffer: vec![0; BUFFERED * BLOCK_WORDS] })
    }

    /// Where they are.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// The size of a file in bytes. A path is of 8.3 names, `guests/linux.gz`, in
    /// whatever case; a slash at its start does not count.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub fn size(&mut self, path: &str) -> Result<u32, FileError> {
        Ok(self.open(path)?.size)
    }

    /// Reads a file into the start of `room`, as fast as it goes if that starts at a
    /// multiple of four. How many bytes it has.
    ///
    /// # Errors
    /// There is no such file, it cannot be read, or has no room. What `room` holds
    /// then is not said.
    pub fn read(&mut self, path: &str, room: &mut [u8], told: Told<'_>) -> Result<u32, FileError> {
        let mut buffer = core::mem::take(&mut self.buffer);
        let result = self.read_through(path, room, &mut buffer, told);
        self.buffer = buffer;
        result
    }

    fn read_through(
        &self,
        path: &str,
        room: &mut [u8],
        buffer: &mut [u32],
        told: Told<'_>,
    ) -> Result<u32, FileError> {
        let open = self.open(path)?;
        let size = u64::from(open.size);
        let too_large = FileError::TooLarge { size, room: room.len() as u64 };
        let room = usize::try_from(size).ok().and_then(|size| room.get_mut(..size));
        let room = room.ok_or(too_large)?;
        open.each_piece(PIECE, &mut |disk, piece| {
            let rest = usize::try_from(piece.offset).ok().and_then(|at| room.get_mut(at..));
            let rest = rest.unwrap_or_default();
            let bytes = rest.len().min(piece.count as usize * BLOCK);
            read_piece(disk, piece.block, rest.get_mut(..bytes).unwrap_or_default(), buffer)?;
            told(piece.offset + bytes as u64, size);
            Ok(())
        })?;
        Ok(open.size)
    }

    fn open(&self, path: &str) -> Result<Open<'_, D>, FileError> {
        let state = &self.state;
        let path = path.trim_start_matches('/');
        path.split('/').try_for_each(|name| Look::for_name(name).map(drop))?;
        let manager = Manager::new_with_limits(Guard(state), NoTime, 0);
        let explain = |error| guard::explain(state, error);
        guard::look(state, Look::Boot);
        let volume = manager.open_raw_volume(VolumeIdx(0)).map_err(explain)?;
        let mut folder = manager.open_root_dir(volume).map_err(explain)?;
        let mut names = path.split('/').peekable();
        while let Some(name) = names.next() {
            guard::look(state, Look::for_name(name)?);
            if names.peek().is_none() {
                let file = manager.open_file_in_dir(folder, name, Mode::ReadOnly);
                let file = file.map_err(explain)?;
                let size = manager.file_length(file).map_err(explain)?;
                return Ok(Open { manager, state, file, size });
            }
            folder = enter(&manager, folder, name).map_err(explain)?;
        }
        Err(FileError::BadName)
    }
}

type LibraryError = embedded_sdmmc::Error<guard::Refused>;

fn enter<D: Disk>(
    manager: &Manager<'_, D>,
    folder: RawDirectory,
    name: &str,
) -> Result<RawDirectory, LibraryError> {
    let inner = manager.open_dir(folder, name)?;
    manager.close_dir(folder)?;
    Ok(inner)
}

/// Reads blocks to `room`, whose last one may end early.
fn read_piece<D: Disk>(
    disk: &mut D,
    block: u64,
    room: &mut [u8],
    buffer: &mut [u32],
) -> Result<(), FileError> {
    let whole = room.len() / BLOCK * BLOCK;
    let (blocks, _) = room.split_at_mut(whole);
    let done = match <[u32]>::mut_from_bytes(blocks) {
        Ok(words) if !words.is_empty() => {
            disk.read(block, words).map_err(FileError::Card)?;
            whole
        }
        _ => 0,
    };
    let mut block = block + (done / BLOCK) as u64;
    for bytes in room.get_mut(done..).unwrap_or_default().chunks_mut(BUFFERED * BLOCK) {
        let count = bytes.len().div_ceil(BLOCK);
        let words = buffer.get_mut(..count * BLOCK_WORDS).unwrap_or_default();
        disk.read(block, words).map_err(FileError::Card)?;
        let read = words.as_bytes().get(..bytes.len()).unwrap_or_default();
        bytes.copy_from_slice(read);
        block += count as u64;
    }
    Ok(())
}

impl<D: Disk> Open<'_, D> {
    /// The blocks of the file in order, at most `most` at a time.
    fn each_piece(
        &self,
        most: u64,
        each: &mut dyn FnMut(&mut D, Piece) -> Result<(), FileError>,
    ) -> Result<(), FileError> {
        let blocks = u64::from(self.size).div_ceil(BLOCK as u64);
        if blocks == 0 {
            return Ok(());
        }
        let first = self.find_start()?;
        let mut state = self.state.borrow_mut();
        let cluster = state.volume.per_cluster;
        let mut piece = Piece { block: first, count: 0, offset: 0 };
        let mut at = first;
        let mut left = blocks;
        loop {
            piece.count += cluster.min(left);
            left = left.saturating_sub(cluster);
            while piece.count >= most {
                each(&mut state.disk, Piece { count: most, ..piece })?;
                piece = piece.after(most);
            }
            let next = match (state.follow(at)?, left) {
                (Next::End, 0) => break,
                (_, 0) => return Err(FileError::Corrupt(GOES_ON)),
                (Next::End, _) => return Err(FileError::Corrupt(ENDS_EARLY)),
                (Next::Nowhere, _) => return Err(FileError::Corrupt(LEADS_OUT)),
                (Next::Block(next), _) => next,
            };
            if next != at + cluster && piece.count > 0 {
                each(&mut state.disk, piece)?;
                piece = piece.after(piece.count);
            }
            if piece.count == 0 {
                piece.block = next;
            }
            at = next;
        }
        if piece.count > 0 { each(&mut state.disk, piece) } else { Ok(()) }
    }

    /// The first block of the file, which is not empty.
    fn find_start(&self) -> Result<u64, FileError> {
        guard::look(self.state, Look::Start(None));
        let read = self.manager.read(self.file, &mut [0]);
        read.map_err(|error| guard::explain(self.state, error))?;
        match self.state.borrow().look {
            Look::Start(Some(block)) => Ok(block),
            _ => Err(FileError::Corrupt(ENDS_EARLY)),
        }
    }
}

impl Piece {
    /// What is left when its first blocks are done.
    fn after(self, count: u64) -> Self {
        Self {
            block: self.block + count,
            count: self.count - count,
            offset: self.offset + count * BLOCK as u64,
        }
    }
}
