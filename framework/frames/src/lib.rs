//! Several consoles on one serial line, in frames. The README has the format.
//!
//! What a frame carries may be anything. On the line no byte of one is a control
//! character, so that neither a terminal's line discipline nor software flow control
//! changes it, and the bytes that begin and end one are not in text of ASCII or UTF-8:
//! what is printed in between is told apart.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

#[cfg(test)]
mod tests;

/// The version that this crate writes and reads.
pub const VERSION: u8 = 1;
/// How many bytes a frame carries at most.
pub const MOST: usize = 64;
/// The port of what is not a console's: the payload is a [`Control`].
pub const CONTROL: u8 = 0xff;

/// Begins a frame.
pub const START: u8 = 0xfe;
/// Ends it.
pub const END: u8 = 0xff;
/// The next byte has [`FLIPPED`] flipped.
const ESCAPE: u8 = 0xfd;
const FLIPPED: u8 = 0x40;

/// Port, length, payload, and the check's two bytes.
const BODY: usize = MOST + 4;

/// What host and hypervisor tell each other, first byte of the payload first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Control<'a> {
    /// From the host: frames of this version from now on, please.
    Ask(u8),
    /// The answer: from now on, in this version.
    Granted(u8),
    /// The answer: no; this is the version that there is.
    Refused(u8),
    /// From the host: plain text again.
    Plain,
    /// From the hypervisor: what the console on a port is called.
    Name(u8, &'a [u8]),
    /// From the hypervisor: so many bytes of the port were lost here.
    Lost(u8, u32),
}

/// What a request begins with, so that nobody types one.
const ASK: &[u8] = b"?evisor";
/// What the frame of every [`Control::Ask`] begins with on the line, up to its version.
pub const ASKS: [u8; 12] = [
    START,
    ESCAPE,
    CONTROL ^ FLIPPED,
    ESCAPE,
    8 ^ FLIPPED,
    b'?',
    b'e',
    b'v',
    b'i',
    b's',
    b'o',
    b'r',
];
/// How long such a frame is at most.
pub const ASK_MOST: usize = ASKS.len() + 2 * 3 + 1;

/// How long the longest of them is: the name of a console.
const LONGEST: usize = 2 + NAME;
/// How long a name may be.
pub const NAME: usize = 31;

impl<'a> Control<'a> {
    /// From a payload; `None` if it is none that this version knows.
    pub fn read(payload: &'a [u8]) -> Option<Self> {
        if let Some(rest) = payload.strip_prefix(ASK) {
            return rest.first().copied().map(Self::Ask);
        }
        match *payload {
            [b'+', version] => Some(Self::Granted(version)),
            [b'-', version] => Some(Self::Refused(version)),
            [b'.'] => Some(Self::Plain),
            [b'n', port, ref name @ ..] => Some(Self::Name(port, name)),
            [b'l', port, a, b, c, d] => Some(Self::Lost(port, u32::from_le_bytes([a, b, c, d]))),
            _ => None,
        }
    }

    /// Writes it as a frame.
    pub fn write(&self, to: &mut impl FnMut(u8)) {
        let mut payload = [0; LONGEST];
        let mut length = 0;
        let mut put = |bytes: &[u8]| {
            for (slot, byte) in payload.iter_mut().skip(length).zip(bytes) {
                *slot = *byte;
                length += 1;
            }
        };
        match *self {
            Self::Ask(version) => {
                put(ASK);
                put(&[version]);
            }
            Self::Granted(version) => put(&[b'+', version]),
            Self::Refused(version) => put(&[b'-', version]),
            Self::Plain => put(b"."),
            Self::Name(port, name) => {
                put(&[b'n', port]);
                put(name);
            }
            Self::Lost(port, count) => {
                put(&[b'l', port]);
                put(&count.to_le_bytes());
            }
        }
        write(CONTROL, payload.get(..length).unwrap_or_default(), to);
    }
}

/// Writes a frame with the first [`MOST`] bytes of `payload`.
pub fn write(port: u8, payload: &[u8], to: &mut impl FnMut(u8)) {
    let payload = payload.get(..MOST).unwrap_or(payload);
    let head = [port, payload.len() as u8];
    let check = head.iter().chain(payload).fold(SEED, crc);
    to(START);
    for byte in head.iter().chain(payload).chain(&check.to_be_bytes()) {
        stuff(*byte, to);
    }
    to(END);
}

fn stuff(byte: u8, to: &mut impl FnMut(u8)) {
    if (0x20..0xf8).contains(&byte) && byte != 0x7f {
        return to(byte);
    }
    to(ESCAPE);
    to(byte ^ FLIPPED);
}

const SEED: u16 = 0xffff;

/// CRC-16/CCITT: x^16 + x^12 + x^5 + 1, the highest bit first, a byte in eight steps
/// without a table.
fn crc(crc: u16, byte: &u8) -> u16 {
    let x = (crc >> 8) ^ u16::from(*byte);
    let x = x ^ (x >> 4);
    (crc << 8) ^ (x << 12) ^ (x << 5) ^ x
}

/// What a byte from the line completes.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// Nothing yet.
    Nothing,
    /// Bytes that are in no frame, or in one that is broken.
    Stray(&'a [u8]),
    /// A frame.
    Frame {
        /// Whose it is.
        port: u8,
        /// What it carries.
        payload: &'a [u8],
    },
}

/// Finds frames in what comes from a line, byte by byte. Whatever comes, it finds the
/// next whole frame behind it.
pub struct Decoder {
    /// The frame so far, and one byte more, so that none is lost when it is too long.
    body: [u8; BODY + 1],
    length: usize,
    inside: bool,
    escaped: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// Outside of a frame.
    pub const fn new() -> Self {
        Self { body: [0; BODY + 1], length: 0, inside: false, escaped: false }
    }

    /// Whether a frame has begun and not ended.
    pub fn is_inside(&self) -> bool {
        self.inside
    }

    /// Takes a byte from the line.
    pub fn take(&mut self, byte: u8) -> Step<'_> {
        match byte {
            START => {
                let broken = core::mem::take(&mut self.length);
                (self.inside, self.escaped) = (true, false);
                stray(self.body.get(..broken))
            }
            END if self.inside => self.end(),
            ESCAPE if self.inside => {
                self.escaped = true;
                Step::Nothing
            }
            _ if self.inside => {
                let flip = if core::mem::take(&mut self.escaped) { FLIPPED } else { 0 };
                self.keep(byte ^ flip);
                if self.length > BODY { self.broken() } else { Step::Nothing }
            }
            _ => {
                self.keep(byte);
                self.broken()
            }
        }
    }

    /// No more comes: gives what is left of a frame.
    pub fn finish(&mut self) -> Step<'_> {
        self.broken()
    }

    fn keep(&mut self, byte: u8) {
        if let Some(slot) = self.body.get_mut(self.length) {
            *slot = byte;
            self.length += 1;
        }
    }

    fn broken(&mut self) -> Step<'_> {
        let length = core::mem::take(&mut self.length);
        self.inside = false;
        stray(self.body.get(..length))
    }

    fn end(&mut self) -> Step<'_> {
        let length = core::mem::take(&mut self.length);
        self.inside = false;
        let Some(body) = self.body.get(..length) else { return Step::Nothing };
        match check(body) {
            Some((port, payload)) => Step::Frame { port, payload },
            None => stray(Some(body)),
        }
    }
}

fn stray(bytes: Option<&[u8]>) -> Step<'_> {
    match bytes {
        Some(bytes) if !bytes.is_empty() => Step::Stray(bytes),
        _ => Step::Nothing,
    }
}

/// Port and payload, if length and check are right.
fn check(body: &[u8]) -> Option<(u8, &[u8])> {
    let (rest, sum) = body.split_last_chunk::<2>()?;
    let (&[port, length], payload) = rest.split_first_chunk::<2>()?;
    let right = payload.len() == usize::from(length)
        && rest.iter().fold(SEED, crc) == u16::from_be_bytes(*sum);
    right.then_some((port, payload))
}
