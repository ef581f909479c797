//! Files that can be booted: what they say of themselves ([`inspect`]), and their
//! bytes, piece by piece ([`unpack`]).
//!
//! A file is a Linux image, an ELF file or raw, each as it is or compressed with
//! gzip. It may come from anywhere: what it says is checked against its length
//! here, and against the VM's memory by who places it. [`inspect`] unpacks no more
//! than the first bytes; that the rest is sound is only known when it was unpacked.
//!
//! Not done here: relocating, other compressions, symbols.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod executable;
mod gzip;
mod linux;

pub use executable::MAX_SEGMENTS;
pub use gzip::{Stopped, Unpacking, unpack};

use alloc::vec::Vec;

/// A file that can be booted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Whether it is compressed.
    pub packed: bool,
    /// Its length, unpacked; if it is compressed, what it says of that.
    pub length: u64,
    /// What it is.
    pub kind: Kind,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A Linux image: it goes to `text_offset` behind a 2 MiB boundary, is entered
    /// at its first byte, and claims `size` bytes from there.
    Linux {
        /// See above.
        text_offset: u64,
        /// See above; not less than the length.
        size: u64,
    },
    /// An ELF file, with the physical address of its entry.
    Elf {
        /// What is loaded: at least one, none empty, none over another.
        segments: Vec<Segment>,
        /// Where the first instruction is.
        entry: u64,
    },
    /// Bytes without a header.
    Raw,
}

/// A part of an ELF file that is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Where it is in the file; it ends inside of it.
    pub offset: u64,
    /// How many of its bytes are in the file.
    pub bytes: u64,
    /// Its physical address.
    pub address: u64,
    /// How many bytes it has in memory, zeros included. It does not wrap.
    pub size: u64,
}

/// Why a file cannot be booted: what it is, and what to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Completes a sentence that starts with the file's name.
    pub problem: &'static str,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Refusal {
    const fn new(problem: &'static str, remedy: &'static str) -> Self {
        Self { problem, remedy }
    }
}

/// How much of a compressed file is looked at.
const HEAD: usize = 4096;

/// Says what `file` is. One that is to be taken as `raw` may begin with anything;
/// it is unpacked all the same.
///
/// # Errors
/// It cannot be booted.
pub fn inspect(file: &[u8], raw: bool) -> Result<Image, Refusal> {
    if !gzip::is(file) {
        let length = file.len() as u64;
        return Ok(Image { packed: false, length, kind: kind(file, length, raw)? });
    }
    let length = gzip::length(file)?;
    let head = gzip::head(file, HEAD)?;
    if gzip::is(&head) && !raw {
        return Err(Refusal::new("is compressed twice", "compress it once"));
    }
    Ok(Image { packed: true, length, kind: kind(&head, length, raw)? })
}

fn kind(head: &[u8], length: u64, raw: bool) -> Result<Kind, Refusal> {
    const UNPACK: &str = "unpack it first; gzip is unpacked for you";
    match head {
        _ if raw => Ok(Kind::Raw),
        [0x7f, b'E', b'L', b'F', ..] => executable::read(head, length),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Err(Refusal::new("is compressed with zstd", UNPACK)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Err(Refusal::new("is compressed with xz", UNPACK)),
        [b'M', b'Z', _, _, b'z', b'i', b'm', b'g', ..] => {
            Err(Refusal::new("is compressed for EFI (vmlinuz.efi)", "take the Image inside of it"))
        }
        [0x27, 0x05, 0x19, 0x56, ..] => {
            Err(Refusal::new("is a U-Boot image", "take the file that mkimage made it from"))
        }
        [0xd0, 0x0d, 0xfe, 0xed, ..] => {
            Err(Refusal::new("is a device tree or a FIT image", "take the kernel inside of it"))
        }
        _ => linux::read(head, length).map(|linux| linux.unwrap_or(Kind::Raw)),
    }
}
