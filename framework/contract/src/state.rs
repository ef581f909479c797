//! Saved state: a tag and a version, then little-endian words.

use alloc::vec::Vec;
use core::fmt;

/// State being written.
#[derive(Debug, Default)]
pub struct Save {
    bytes: Vec<u8>,
}

/// State being read back.
#[derive(Debug)]
pub struct Restore<'a> {
    bytes: &'a [u8],
}

/// Why saved state was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreError {
    /// It belongs to another kind of object.
    WrongTag,
    /// It was written by a version that this one does not know.
    UnknownVersion(u32),
    /// It ends too early.
    Truncated,
    /// It is not a state that the object can be in.
    Impossible,
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongTag => write!(f, "the state belongs to another kind of object"),
            Self::UnknownVersion(version) => write!(f, "state version {version} is not known here"),
            Self::Truncated => write!(f, "the state ends too early"),
            Self::Impossible => write!(f, "the object cannot be in this state"),
        }
    }
}

impl Save {
    /// Starts an object's state.
    pub fn begin(&mut self, tag: [u8; 8], version: u32) {
        self.bytes.extend_from_slice(&tag);
        self.word(version);
    }

    /// Writes 32 bits.
    #[inline(never)]
    pub fn word(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes 64 bits.
    #[inline(never)]
    pub fn double(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Writes bytes, without their number.
    #[inline(never)]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// All that was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

impl<'a> Restore<'a> {
    /// Reads from `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Expects an object's state, of `version` exactly.
    ///
    /// # Errors
    /// Another tag or version is there.
    #[inline(never)]
    pub fn begin(&mut self, tag: [u8; 8], version: u32) -> Result<(), RestoreError> {
        if self.take::<8>()? != tag {
            return Err(RestoreError::WrongTag);
        }
        match self.word()? {
            found if found == version => Ok(()),
            found => Err(RestoreError::UnknownVersion(found)),
        }
    }

    /// Reads 32 bits.
    ///
    /// # Errors
    /// [`RestoreError::Truncated`].
    #[inline(never)]
    pub fn word(&mut self) -> Result<u32, RestoreError> {
        self.take().map(u32::from_le_bytes)
    }

    /// Reads 32 bits, of which only those in `mask` can be set.
    ///
    /// # Errors
    /// [`RestoreError::Truncated`]; [`RestoreError::Impossible`] if another is.
    #[inline(never)]
    pub fn bits(&mut self, mask: u32) -> Result<u32, RestoreError> {
        match self.word()? {
            value if value & !mask == 0 => Ok(value),
            _ => Err(RestoreError::Impossible),
        }
    }

    /// Reads a word that is 0 or 1.
    ///
    /// # Errors
    /// As those of [`bits`](Self::bits).
    pub fn flag(&mut self) -> Result<bool, RestoreError> {
        self.bits(1).map(|value| value != 0)
    }

    /// Reads 64 bits.
    ///
    /// # Errors
    /// [`RestoreError::Truncated`].
    pub fn double(&mut self) -> Result<u64, RestoreError> {
        self.take().map(u64::from_le_bytes)
    }

    /// Fills `to`.
    ///
    /// # Errors
    /// [`RestoreError::Truncated`].
    #[inline(never)]
    pub fn raw(&mut self, to: &mut [u8]) -> Result<(), RestoreError> {
        let (bytes, rest) = self.bytes.split_at_checked(to.len()).ok_or(RestoreError::Truncated)?;
        to.copy_from_slice(bytes);
        self.bytes = rest;
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], RestoreError> {
        let mut bytes = [0; N];
        self.raw(&mut bytes)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_refusals() {
        let mut save = Save::default();
        save.begin(*b"example\0", 3);
        save.word(7);
        save.double(u64::MAX);
        let bytes = save.into_bytes();

        let mut restore = Restore::new(&bytes);
        assert_eq!(restore.begin(*b"example\0", 3), Ok(()));
        assert_eq!(restore.word(), Ok(7));
        assert_eq!(restore.double(), Ok(u64::MAX));
        assert_eq!(restore.word(), Err(RestoreError::Truncated));
        let seven = bytes.get(12..).unwrap_or_default();
        assert_eq!(Restore::new(seven).bits(0xf), Ok(7));
        assert_eq!(Restore::new(seven).bits(0xb), Err(RestoreError::Impossible));
        assert_eq!(Restore::new(seven).flag(), Err(RestoreError::Impossible));

        assert_eq!(Restore::new(&bytes).begin(*b"another\0", 3), Err(RestoreError::WrongTag));
        let version = Restore::new(&bytes).begin(*b"example\0", 4);
        assert_eq!(version, Err(RestoreError::UnknownVersion(3)));
    }
}
