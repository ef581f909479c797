//! The tokens of the structure block, read by fdt-rs: the one module of this
//! crate with `unsafe` in it.
//!
//! Before fdt-rs reads a token, [`Tokens::check`] has read the same one: it lies
//! in the structure block, its name ends there, its value ends there, the name
//! of a property lies in the strings block, and another token follows. After
//! that fdt-rs has nothing left to refuse, and none of its assertions (debug
//! builds check alignment and that the token is not the last word) can fail.
//!
//! fdt-rs looks for the end of a node's name in 30 bytes. The specification
//! (§2.2.1) allows 31 characters before the unit address, and real trees use
//! them: such a token is read here and stepped over.

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

/// The longest name of a node that fdt-rs reads.
const FDT_RS_NAME: usize = fdt_rs::spec::MAX_NODE_NAME_LEN - 2;

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
    pub offset: usize,
}

/// A token that was checked.
enum Checked<'a> {
    /// fdt-rs may read it.
    Sound,
    /// A node whose name is too long for fdt-rs, and where the next token is.
    LongName(&'a str, usize),
    /// The tree ends.
    End,
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
        Ok(Self { tree, header, offset: header.structure.start })
    }

    /// The next token.
    pub fn next(&mut self) -> Result<Token<'a>, FdtError> {
        loop {
            match self.check()? {
                Checked::End => return Ok(Token::End),
                Checked::LongName(name, next) => {
                    self.offset = next;
                    return Ok(Token::Begin(name));
                }
                Checked::Sound => {}
            }
            if let Some(token) = self.read()? {
                return Ok(token);
            }
        }
    }

    /// An error at the token that is being read.
    pub fn broken(&self, problem: &'static str) -> FdtError {
        FdtError::Broken { offset: self.offset, problem }
    }

    /// Reads a checked token with fdt-rs; `None` for one without meaning.
    fn read(&mut self) -> Result<Option<Token<'a>>, FdtError> {
        let refused = self.broken("a token is malformed");
        let mut tokens = DevTreeParseIter { offset: self.offset, fdt: &self.tree };
        let token = tokens.next().ok().flatten().ok_or(refused)?;
        self.offset = tokens.offset;
        Ok(match token {
            ParsedTok::BeginNode(node) => Some(Token::Begin(text(node.name).ok_or(refused)?)),
            ParsedTok::EndNode => Some(Token::EndNode),
            ParsedTok::Nop => None,
            ParsedTok::Prop(property) => {
                let name = self.property_name(property.name_offset).ok_or(refused)?;
                Some(Token::Property(name, property.prop_buf))
            }
        })
    }

    fn check(&self) -> Result<Checked<'a>, FdtError> {
        let rest = self.block(self.offset).ok_or(self.broken("the structure does not end"))?;
        let token = word(rest, 0).ok_or(self.broken("the structure does not end"))?;
        let length = match token {
            END => return Ok(Checked::End),
            BEGIN_NODE => return self.check_node(rest),
            PROPERTY => self.check_property(rest)?,
            END_NODE | NOP => 4,
            _ => return Err(self.broken("there is no such token")),
        };
        self.followed(length)?;
        Ok(Checked::Sound)
    }

    fn check_node(&self, rest: &'a [u8]) -> Result<Checked<'a>, FdtError> {
        let name = rest.get(4..).and_then(terminated).ok_or(self.broken("a name does not end"))?;
        let name = text(name).filter(|name| is_node_name(name));
        let name = name.ok_or(self.broken("a node has an impossible name"))?;
        let next = self.followed(4 + name.len() + 1)?;
        Ok(match name.len() {
            0..=FDT_RS_NAME => Checked::Sound,
            _ => Checked::LongName(name, next),
        })
    }

    fn check_property(&self, rest: &[u8]) -> Result<usize, FdtError> {
        let fields = word(rest, 4).zip(word(rest, 8));
        let (length, name) = fields.ok_or(self.broken("a property does not end"))?;
        let name = self.property_name(name as usize).filter(|name| is_property_name(name));
        name.ok_or(self.broken("a property has an impossible name"))?;
        Ok(12 + length as usize)
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

    fn property_name(&self, offset: usize) -> Option<&'a str> {
        let strings = self.tree.buf().get(self.header.strings.clone())?;
        let rest = strings.get(offset..)?;
        text(terminated(rest.get(..PROPERTY_NAME).unwrap_or(rest))?)
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
    name.bytes().all(|c| c.is_ascii_alphanumeric() || b",._+-@".contains(&c))
}

fn is_property_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b",._+*#?-".contains(&c))
}
