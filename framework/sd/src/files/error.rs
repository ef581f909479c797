//! Why a file cannot be had.

use crate::error::SdError;
use crate::partitions::TableError;
use core::fmt;

/// Why a file cannot be had. Its path is the caller's to name. None of them keeps other
/// files from being read, but the first four.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileError {
    /// The card cannot be used, or failed in the middle.
    Card(SdError),
    /// The partition table cannot be used.
    Table(TableError),
    /// No partition is FAT16 or FAT32.
    NoPartition,
    /// The first such partition holds another file system, FAT12 for one.
    NotFat(&'static str),
    /// The file system contradicts itself.
    Corrupt(&'static str),
    /// There is no such file, or no such folder.
    Missing,
    /// It is a folder.
    Folder,
    /// It has more bytes than there is room for.
    TooLarge {
        /// Its bytes.
        size: u64,
        /// Those that there is room for.
        room: u64,
    },
    /// A part of the path is not an 8.3 name.
    BadName,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Card(error) => error.fmt(f),
            Self::Table(error) => error.fmt(f),
            Self::NoPartition => {
                write!(f, "the SD card has no FAT partition: make one, FAT32 (type 0c)")
            }
            Self::NotFat(what) => {
                write!(f, "the SD card's FAT partition {what}: format it, with mkfs.fat -F 32")
            }
            Self::Corrupt(what) => {
                write!(f, "the SD card's FAT partition is corrupt: {what}; run fsck.fat, ")?;
                write!(f, "or format it and copy the files again")
            }
            Self::Missing => {
                write!(f, "there is no such file on the SD card's first FAT partition: ")?;
                write!(f, "copy it there, or mend the path")
            }
            Self::Folder => write!(f, "it is a folder: name a file in it"),
            Self::TooLarge { size, room } => {
                write!(f, "the file is too large: it has {size} bytes, and there is room for ")?;
                write!(f, "{room}; give the VM more memory, or make the file smaller")
            }
            Self::BadName => {
                write!(f, "the path is not of 8.3 names, as LINUX.GZ is: at most eight letters, ")?;
                write!(f, "a dot and three; rename the file")
            }
        }
    }
}

impl core::error::Error for FileError {}
