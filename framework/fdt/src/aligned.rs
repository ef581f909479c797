//! A copy of a tree that starts where a tree must start.

use alloc::vec::Vec;

/// How a tree is aligned (§5.6 asks for more).
pub(crate) const ALIGNMENT: usize = 4;

/// Bytes, copied so that they start at a multiple of four: what
/// [`Tree::new`](crate::Tree::new) asks for, and what a `Vec<u8>` does not
/// promise.
#[derive(Debug)]
pub struct Aligned {
    /// With up to three bytes in front. Never grows, so it stays where it is.
    bytes: Vec<u8>,
    start: usize,
}

impl Aligned {
    /// Copies `bytes`.
    pub fn copy(bytes: &[u8]) -> Self {
        let mut copy: Vec<u8> = Vec::with_capacity(bytes.len() + ALIGNMENT);
        let start = copy.as_ptr().align_offset(ALIGNMENT) % ALIGNMENT;
        copy.resize(start, 0);
        copy.extend_from_slice(bytes);
        Self { bytes: copy, start }
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        self.bytes.get(self.start..).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_aligned_and_equal() {
        let bytes = [1, 2, 3, 4, 5, 6, 7];
        for len in 0..bytes.len() {
            let copy = Aligned::copy(&bytes[..len]);
            assert_eq!(copy.bytes(), &bytes[..len]);
            assert_eq!(copy.bytes().as_ptr().align_offset(ALIGNMENT), 0);
        }
    }
}
