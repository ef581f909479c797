//! The tokens of the structure block (Devicetree Specification v0.4 §5.4): the one
//! module of this crate with `unsafe` in it.
//!
//! A token is given only when all of it was looked at: it lies in the structure
//! block, its names have only the characters that names have, the name of a
//! property lies in the strings block, and another token follows.
//!
//! The board's tree is read on the way to the first guest, so a byte is looked at
//! once.

#![allow(unsafe_code, reason = "reads words in place, and names that are ASCII")]

use crate::aligned::ALIGNMENT;
use crate::error::FdtError;
use crate::header::Header;

pub(crate) const BEGIN_NODE: u32 = 1;
pub(crate) const END_NODE: u32 = 2;
pub(crate) const PROPERTY: u32 = 3;
const NOP: u32 = 4;
pub(crate) const END: u32 = 9;

/// How far to look for the end of a property's name. The specification (§2.2.4)
/// allows 31 characters; this bounds the time that a hostile tree costs.
const PROPERTY_NAME: usize = 256;

/// How many names of properties are remembered. A tree has few, again and again.
const NAMES: usize = 64;

/// What the structure block consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A node begins.
    Begin(&'a str),
    /// It has a property: name and value.
    Property(&'a str, &'a [u8]),
    /// The node ends.
    EndNode,
    /// The tree ends.
    End,
}

/// The tokens of a tree, one after the other.
pub(crate) struct Tokens<'a> {
    strings: &'a [u8],
    /// The structure block, as words and as bytes.
    words: &'a [u32],
    bytes: &'a [u8],
    /// The next token: an index of words.
    next: usize,
    /// Where the block starts in the tree.
    start: usize,
    /// Names of properties that were checked, each with its offset, at the place
    /// that the offset's low bits name.
    names: [(usize, &'a str); NAMES],
}

impl<'a> Tokens<'a> {
    /// The tokens of the tree in `bytes`, whose header is `header`.
    pub fn new(bytes: &'a [u8], header: &Header) -> Result<Self, FdtError> {
        let truncated = FdtError::Truncated { need: header.total, have: bytes.len() };
        let tree = bytes.get(..header.total).ok_or(truncated)?;
        let bytes = tree.get(header.structure.clone()).unwrap_or_default();
        // SAFETY: 1. any four bytes are a word.
        let (before, words, _) = unsafe { bytes.align_to() };
        if !before.is_empty() || tree.as_ptr().align_offset(ALIGNMENT) != 0 {
            return Err(FdtError::Unaligned);
        }
        Ok(Self {
            strings: tree.get(header.strings.clone()).unwrap_or_default(),
            words,
            bytes,
            next: 0,
            start: header.structure.start,
            names: [(usize::MAX, ""); NAMES],
        })
    }

    /// Where the next token is in the tree.
    pub fn offset(&self) -> usize {
        self.start + 4 * self.next
    }

    /// The next token.
    #[inline(always)]
    pub fn next(&mut self) -> Result<Token<'a>, FdtError> {
        loop {
            match self.word(0) {
                Some(PROPERTY) => return self.property(),
                Some(BEGIN_NODE) => {
                    let name = self.node_name()?;
                    self.skip(4 + name.len() + 1)?;
                    return Ok(Token::Begin(name));
                }
                Some(END_NODE) => {
                    self.skip(4)?;
                    return Ok(Token::EndNode);
                }
                Some(END) => return Ok(Token::End),
                Some(NOP) => self.skip(4)?,
                Some(_) => return Err(self.broken("there is no such token")),
                None => return Err(self.broken("the structure does not end")),
            }
        }
    }

    /// An error at the token that is being read.
    #[cold]
    #[inline(never)]
    fn broken(&self, problem: &'static str) -> FdtError {
        FdtError::Broken { offset: self.offset(), problem }
    }

    /// Word `index` of the next token.
    #[inline]
    fn word(&self, index: usize) -> Option<u32> {
        self.words.get(self.next + index).copied().map(u32::from_be)
    }

    fn node_name(&self) -> Result<&'a str, FdtError> {
        let bytes = self.bytes.get(4 * self.next + 4..).unwrap_or_default();
        match leading(bytes, IN_NODE) {
            Some((name, 0)) => Ok(name),
            Some(_) => Err(self.broken("a node has an impossible name")),
            None => Err(self.broken("a name does not end")),
        }
    }

    #[inline]
    fn property(&mut self) -> Result<Token<'a>, FdtError> {
        let Some((length, name)) = self.word(1).zip(self.word(2)) else {
            return Err(self.broken("a property does not end"));
        };
        let Some(name) = self.property_name(name as usize) else {
            return Err(self.broken("a property has an impossible name"));
        };
        let (start, length) = (4 * self.next + 12, length as usize);
        self.skip(12 + length)?;
        // `skip` has seen that there is as much.
        Ok(Token::Property(name, self.bytes.get(start..start + length).unwrap_or_default()))
    }

    /// Goes on behind this token, which has `length` bytes. Another one follows.
    #[inline]
    fn skip(&mut self, length: usize) -> Result<(), FdtError> {
        let next = self.next + length.div_ceil(4);
        if next >= self.words.len() {
            return Err(self.broken("a token does not end in its block"));
        }
        self.next = next;
        Ok(())
    }

    #[inline]
    fn property_name(&mut self, offset: usize) -> Option<&'a str> {
        match self.names.get(offset % NAMES) {
            Some((known, name)) if *known == offset => Some(name),
            _ => self.check_name(offset),
        }
    }

    #[inline(never)]
    fn check_name(&mut self, offset: usize) -> Option<&'a str> {
        let rest = self.strings.get(offset..)?;
        match leading(rest.get(..PROPERTY_NAME).unwrap_or(rest), IN_PROPERTY)? {
            (name, 0) if !name.is_empty() => {
                *self.names.get_mut(offset % NAMES)? = (offset, name);
                Some(name)
            }
            _ => None,
        }
    }
}

/// That a character may stand in the name of a node, and of a property.
const IN_NODE: u8 = 1;
const IN_PROPERTY: u8 = 2;

/// Which names each byte may stand in. All of them are ASCII.
static CHARACTERS: [u8; 256] = {
    let mut characters = [0; 256];
    let mut byte = 0;
    while byte < 128 {
        let c = byte as u8;
        let either = c.is_ascii_alphanumeric() || matches!(c, b'+'..=b'.' | b'_');
        let node = either || c == b'@';
        let property = either || matches!(c, b'#' | b'*' | b'?');
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            characters[byte] =
                if node { IN_NODE } else { 0 } | if property { IN_PROPERTY } else { 0 };
        }
        byte += 1;
    }
    characters
};

/// What `bytes` begin with of characters of a `kind`, and the byte behind them.
#[inline]
fn leading(bytes: &[u8], kind: u8) -> Option<(&str, u8)> {
    let other = |byte: &u8| CHARACTERS.get(usize::from(*byte)).is_none_or(|c| c & kind == 0);
    let length = bytes.iter().position(other)?;
    let (name, rest) = bytes.split_at_checked(length)?;
    // SAFETY: 1. `CHARACTERS` has ASCII only.
    Some((unsafe { core::str::from_utf8_unchecked(name) }, *rest.first()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_the_characters_of_the_specification() {
        let others = |kind, but: &str| -> bool {
            (0..=255_u8).all(|byte| {
                let c = char::from(byte);
                let known = c.is_ascii_alphanumeric() || but.contains(c);
                (leading(&[byte, 0], kind) == Some(("", byte)) || byte == 0) != known
            })
        };
        assert!(others(IN_NODE, "+,-._@"));
        assert!(others(IN_PROPERTY, "*+,-._#?"));
    }

    #[test]
    fn a_name_ends() {
        assert_eq!(leading(b"a@0\0b", IN_NODE), Some(("a@0", 0)));
        assert_eq!(leading(b"a@0", IN_NODE), None);
        assert_eq!(leading(b"a@0\0", IN_PROPERTY), Some(("a", b'@')));
    }
}
