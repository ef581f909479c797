//! gzip (RFC 1952), of one member, as `gzip` writes it.
//!
//! miniz_oxide unpacks into a window of 32 KiB; whoever wants the bytes is called
//! for each piece of it. So a file is unpacked where it goes, and in no more memory
//! than the window.

use crate::Refusal;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use crc::{CRC_32_ISO_HDLC, Crc, Digest};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::inflate_flags::TINFL_FLAG_HAS_MORE_INPUT;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress};

/// The identification and the one method that there is (§2.3.1).
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];
const HEADER: usize = 10;
/// CRC32 and ISIZE.
const TRAILER: usize = 8;
/// What deflate may refer back to (RFC 1951 §2).
const WINDOW: usize = 32 << 10;

const HEADER_CRC: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xe0;

static CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

const BROKEN: Refusal = broken("is a broken gzip file");
const CUT: Refusal = broken("is a gzip file that is cut off");

const fn broken(problem: &'static str) -> Refusal {
    Refusal::new(problem, "compress it again with gzip, and put all of it there")
}

/// Why unpacking stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum Stopped<E> {
    /// The file is not sound.
    Refused(Refusal),
    /// Whoever took the bytes wanted no more.
    ByTaker(E),
}

impl<E> From<Refusal> for Stopped<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// Whether a file is compressed.
pub(crate) fn is(file: &[u8]) -> bool {
    file.starts_with(&MAGIC)
}

/// What it says of its length, unpacked (ISIZE: modulo 4 GiB).
pub(crate) fn length(file: &[u8]) -> Result<u64, Refusal> {
    let (_, length) = trailer(file).ok_or(CUT)?;
    match length {
        0 => Err(Refusal::new("is empty", "put the right file there")),
        length => Ok(u64::from(length)),
    }
}

/// The first `most` bytes, or all of them if there are fewer.
pub(crate) fn head(file: &[u8], most: usize) -> Result<Vec<u8>, Refusal> {
    let mut head = Vec::with_capacity(most);
    let mut inflating = Inflating::new(deflated(file)?);
    while head.len() < most && !inflating.ended {
        let (_, piece) = inflating.step(usize::MAX)?;
        head.extend(piece.iter().take(most - head.len()));
    }
    Ok(head)
}

/// A file that is being unpacked, piece by piece, so that something else can be done
/// between two.
pub struct Unpacking<'a> {
    inflating: Inflating<'a>,
    digest: Digest<'static, u32>,
    checksum: u32,
    length: u64,
}

impl<'a> Unpacking<'a> {
    /// `file` is one that [`inspect`](crate::inspect) found to be compressed.
    ///
    /// # Errors
    /// The file is not sound.
    pub fn new(file: &'a [u8]) -> Result<Self, Refusal> {
        let (checksum, length) = trailer(file).ok_or(CUT)?;
        let inflating = Inflating::new(deflated(file)?);
        Ok(Self { inflating, digest: CRC.digest(), checksum, length: u64::from(length) })
    }

    /// The next piece, with its offset: what at most `input` more bytes of the file come
    /// to, and up to 32 KiB. It can be empty. `None` behind the last one. Never more than
    /// the length that the file says it has.
    ///
    /// # Errors
    /// The file is not sound: of another length, or another checksum. What came before is
    /// worthless.
    pub fn next_piece(&mut self, input: usize) -> Result<Option<(u64, &[u8])>, Refusal> {
        const LENGTH: Refusal = broken("is a gzip file of another length than it says");
        if self.inflating.ended {
            let digest = core::mem::replace(&mut self.digest, CRC.digest());
            return match () {
                () if self.inflating.input.len() != TRAILER => {
                    Err(broken("is a gzip file with something behind its end"))
                }
                () if self.inflating.done != self.length => Err(LENGTH),
                () if digest.finalize() != self.checksum => {
                    Err(broken("is a gzip file with a wrong checksum"))
                }
                () => Ok(None),
            };
        }
        let (offset, piece) = self.inflating.step(input)?;
        if offset + piece.len() as u64 > self.length {
            return Err(LENGTH);
        }
        self.digest.update(piece);
        Ok(Some((offset, piece)))
    }
}

/// Unpacks `file`, which [`inspect`](crate::inspect) found to be compressed, and
/// gives `take` its bytes in order, each piece with its offset: never more than
/// the length that the file says it has.
///
/// # Errors
/// The file is not sound: of another length, or another checksum. What was taken
/// before is worthless. Or `take` failed.
pub fn unpack<E>(
    file: &[u8],
    mut take: impl FnMut(u64, &[u8]) -> Result<(), E>,
) -> Result<(), Stopped<E>> {
    let mut unpacking = Unpacking::new(file)?;
    while let Some((offset, piece)) = unpacking.next_piece(usize::MAX)? {
        take(offset, piece).map_err(Stopped::ByTaker)?;
    }
    Ok(())
}

/// Checksum and length, from the file's end.
fn trailer(file: &[u8]) -> Option<(u32, u32)> {
    let (rest, length) = file.split_last_chunk()?;
    let (_, checksum) = rest.split_last_chunk()?;
    Some((u32::from_le_bytes(*checksum), u32::from_le_bytes(*length)))
}

/// What follows the header (§2.3): deflate's stream, and the trailer.
fn deflated(file: &[u8]) -> Result<&[u8], Refusal> {
    let (header, mut rest) = file.split_at_checked(HEADER).ok_or(CUT)?;
    let flags = header.get(3).copied().unwrap_or(RESERVED);
    if !is(header) || flags & RESERVED != 0 {
        return Err(BROKEN);
    }
    if flags & EXTRA != 0 {
        let (length, behind) = rest.split_first_chunk().ok_or(CUT)?;
        rest = behind.get(usize::from(u16::from_le_bytes(*length))..).ok_or(CUT)?;
    }
    for text in [NAME, COMMENT] {
        if flags & text != 0 {
            let end = rest.iter().position(|byte| *byte == 0).ok_or(CUT)?;
            rest = rest.get(end + 1..).ok_or(CUT)?;
        }
    }
    if flags & HEADER_CRC != 0 { rest.get(2..).ok_or(CUT) } else { Ok(rest) }
}

/// Deflate's stream at the start of `input`, being unpacked.
struct Inflating<'a> {
    /// What was not read yet; at the end, what follows the stream.
    input: &'a [u8],
    state: Box<DecompressorOxide>,
    window: Vec<u8>,
    /// How many bytes came out.
    done: u64,
    ended: bool,
}

impl<'a> Inflating<'a> {
    fn new(input: &'a [u8]) -> Self {
        Self { input, state: Box::default(), window: vec![0; WINDOW], done: 0, ended: false }
    }

    /// What at most `input` more bytes come to, and its offset.
    fn step(&mut self, input: usize) -> Result<(u64, &[u8]), Refusal> {
        let (given, more) = match self.input.get(..input) {
            Some(given) => (given, TINFL_FLAG_HAS_MORE_INPUT),
            None => (self.input, 0),
        };
        let (at, offset) = ((self.done % WINDOW as u64) as usize, self.done);
        let (status, read, written) =
            decompress(&mut self.state, given, &mut self.window, at, more);
        self.input = self.input.get(read..).unwrap_or_default();
        self.done += written as u64;
        match status {
            TINFLStatus::Done => self.ended = true,
            TINFLStatus::HasMoreOutput if written > 0 => {}
            TINFLStatus::NeedsMoreInput if read > 0 => {}
            TINFLStatus::FailedCannotMakeProgress => return Err(CUT),
            _ => return Err(BROKEN),
        }
        Ok((offset, self.window.get(at..at + written).unwrap_or_default()))
    }
}
