//! The tokens of the structure block, properties read by fdt-rs: the one module of
//! this crate with `unsafe` in it.
//!
//! Before fdt-rs reads a property, [`Tokens::check`] has looked at it: it lies in
//! the structure block, its value ends there, its name lies in the strings block,
//! and another token follows. After that fdt-rs has nothing left to refuse, and
//! none of its assertions (debug builds check alignment and that the token is not
//! the last word) can fail.
//!
//! The other tokens say no more than was looked at; and fdt-rs looks for the end of
//! a node's name in 30 bytes, where the specification (§2.2.1) allows 31 characters
//! before the unit address, and real trees use them.

#![allow(unsafe_code, reason = "fdt-rs's constructor is unsafe")]

use crate::aligned::ALIGNMENT;
use crate::error::FdtError;
use crate::header::{Header, word};
use fdt_rs::base::DevTree;
use fdt_rs::base::iters::DevTreeParseIter;
use fdt_rs::base::parse::ParsedTok;
use fdt_rs::prelude::FallibleIterator;

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
pub(crate) struct Tokens<'a, 'h> {
    tree: DevTree<'a>,
    header: &'h Header,
    /// Names of properties that were checked, each with its offset, at the place
    /// that the offset's low bits name.
    names: [(usize, &'a str); NAMES],
    pub offset: usize,
}

impl<'a, 'h> Tokens<'a, 'h> {
    /// The tokens of the tree in `bytes`, whose header is `header`.
    pub fn new(bytes: &'a [u8], header: &'h Header) -> Result<Self, FdtError> {
        let truncated = FdtError::Truncated { need: header.total, have: bytes.len() };
        let bytes = bytes.get(..header.total).ok_or(truncated)?;
        if bytes.as_ptr().align_offset(ALIGNMENT) != 0 {
            return Err(FdtError::Unaligned);
        }
        // SAFETY:
        // 1. The bytes are aligned to 32 bits: tested above.
        // 2. They are exactly as long as the header's total size: cut above.
        let tree = unsafe { DevTree::new(bytes) };
        let tree = tree.map_err(|_| FdtError::NotADeviceTree)?;
        let names = [(usize::MAX, ""); NAMES];
        Ok(Self { tree, header, names, offset: header.structure.start })
    }

    /// The next token.
    pub fn next(&mut self) -> Result<Token<'a>, FdtError> {
        loop {
            let rest = self.block(self.offset).ok_or(self.broken("the structure does not end"))?;
            let token = word(rest, 0).ok_or(self.broken("the structure does not end"))?;
            match token {
                END => return Ok(Token::End),
                BEGIN_NODE => {
                    let name = self.node_name(rest)?;
                    self.offset = self.followed(4 + name.len() + 1)?;
                    return Ok(Token::Begin(name));
                }
                PROPERTY => {
                    let name = self.check_property(rest)?;
                    return Ok(Token::Property(name, self.read_value()?));
                }
                END_NODE => {
                    self.offset = self.followed(4)?;
                    return Ok(Token::EndNode);
                }
                NOP => self.offset = self.followed(4)?,
                _ => return Err(self.broken("there is no such token")),
            }
        }
    }

    /// An error at the token that is being read.
    pub fn broken(&self, problem: &'static str) -> FdtError {
        FdtError::Broken { offset: self.offset, problem }
    }

    /// Reads the value of a checked property with fdt-rs.
    fn read_value(&mut self) -> Result<&'a [u8], FdtError> {
        let refused = self.broken("a token is malformed");
        let mut tokens = DevTreeParseIter { offset: self.offset, fdt: &self.tree };
        let Ok(Some(ParsedTok::Prop(property))) = tokens.next() else { return Err(refused) };
        self.offset = tokens.offset;
        Ok(property.prop_buf)
    }

    fn node_name(&self, rest: &'a [u8]) -> Result<&'a str, FdtError> {
        let name = rest.get(4..).and_then(terminated).ok_or(self.broken("a name does not end"))?;
        let name = text(name).filter(|name| is_node_name(name));
        name.ok_or(self.broken("a node has an impossible name"))
    }

    /// Checks a property and gives its name.
    fn check_property(&mut self, rest: &[u8]) -> Result<&'a str, FdtError> {
        let fields = word(rest, 4).zip(word(rest, 8));
        let (length, name) = fields.ok_or(self.broken("a property does not end"))?;
        let name = self.property_name(name as usize);
        let name = name.ok_or(self.broken("a property has an impossible name"))?;
        self.followed(12 + length as usize)?;
        Ok(name)
    }

    /// The offset of the token after the `length` bytes of this one.
    fn followed(&self, length: usize) -> Result<usize, FdtError> {
        let next = self.offset + length.next_multiple_of(4);
        let follows = self.block(next).is_some_and(|rest| rest.len() >= 4);
        if follows { Ok(next) } else { Err(self.broken("a token does not end in its block")) }
    }

    /// The structure block from `offset` on.
    fn block(&self, offset: usize) -> Option<&'a [u8]> {
        self.tree.buf().get(offset..self.header.structure.end)
    }

    fn property_name(&mut self, offset: usize) -> Option<&'a str> {
        let known = self.names.get(offset % NAMES).filter(|(known, _)| *known == offset);
        if let Some((_, name)) = known {
            return Some(name);
        }
        let strings = self.tree.buf().get(self.header.strings.clone())?;
        let rest = strings.get(offset..)?;
        let name = text(terminated(rest.get(..PROPERTY_NAME).unwrap_or(rest))?)?;
        if !is_property_name(name) {
            return None;
        }
        *self.names.get_mut(offset % NAMES)? = (offset, name);
        Some(name)
    }
}

fn terminated(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.iter().position(|byte| *byte == 0)?;
    bytes.get(..end)
}

fn text(bytes: &[u8]) -> Option<&str> {
    core::str::from_utf8(bytes).ok()
}

fn is_node_name(name: &str) -> bool {
    name.bytes()
        .all(|c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'A'..=b'Z' | b'+'..=b'.' | b'_' | b'@'))
}

fn is_property_name(name: &str) -> bool {
    let alike =
        |c| matches!(c, b'a'..=b'z' | b'#' | b'0'..=b'9' | b'A'..=b'Z' | b'*'..=b'.' | b'_' | b'?');
    !name.is_empty() && name.bytes().all(alike)
}
