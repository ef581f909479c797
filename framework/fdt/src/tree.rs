//! A checked tree, as an index of its nodes and properties.

use crate::error::FdtError;
use crate::fdt::{Token, Tokens};
use crate::header::Header;
use crate::node::Node;
use crate::property::Property;
use alloc::vec::Vec;
use core::ops::Range;

/// How deep nodes may lie in one another. Linux allows 64; boards have 6. It
/// bounds whoever walks a tree by recursion.
pub const MAX_DEPTH: usize = 32;

/// A device tree that was read to its end.
///
/// Where two siblings or two properties of a node have one name, the first is
/// found by name; both are there for who iterates.
#[derive(Debug)]
pub struct Tree<'a> {
    /// In the order of the source, so that a node's descendants follow it.
    nodes: Vec<Entry<'a>>,
    properties: Vec<Property<'a>>,
    reserved: Vec<(u64, u64)>,
    bytes: &'a [u8],
}

/// A node of the index.
#[derive(Debug)]
pub(crate) struct Entry<'a> {
    pub name: &'a str,
    /// The root is its own parent.
    pub parent: usize,
    /// The node after its last descendant.
    pub end: usize,
    pub properties: Range<usize>,
    /// The value of `compatible`: boards look for their devices among all nodes.
    pub compatible: &'a [u8],
}

impl<'a> Tree<'a> {
    /// Checks the bytes of a tree and indexes it. Bytes after the tree are
    /// ignored.
    ///
    /// `bytes` must start at a multiple of four; [`Aligned`](crate::Aligned)
    /// makes a copy that does.
    ///
    /// # Errors
    /// It is not a device tree of version 17 with a sound structure.
    pub fn new(bytes: &'a [u8]) -> Result<Self, FdtError> {
        let header = Header::read(bytes)?;
        let reserved = header.reservations(bytes)?;
        let mut tokens = Tokens::new(bytes, &header)?;
        let mut index = Index::for_block(header.structure.len());
        while index.take(&mut tokens)? {}
        let bytes = bytes.get(..header.total).unwrap_or_default();
        Ok(Self { nodes: index.nodes, properties: index.properties, reserved, bytes })
    }

    /// The bytes that it was read from, without what followed it.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The memory reservations: address and size.
    pub fn reserved(&self) -> &[(u64, u64)] {
        &self.reserved
    }

    /// The root. There always is one.
    pub fn root(&self) -> Node<'_> {
        Node::new(self, 0)
    }

    /// All nodes, in the order of the source.
    pub fn nodes(&self) -> impl Iterator<Item = Node<'_>> {
        (0..self.nodes.len()).map(|index| Node::new(self, index))
    }

    /// The node at a path, `/soc/serial@0`, or one that starts with an alias,
    /// `serial0`; options behind a colon, as `stdout-path` has them, do not
    /// count. Names match without their unit address too, the first wins.
    pub fn find(&self, path: &str) -> Option<Node<'_>> {
        let path = path.split_once(':').map_or(path, |(path, _)| path);
        match path.strip_prefix('/') {
            Some(rest) => self.root().descend(rest),
            None => {
                let (alias, rest) = path.split_once('/').unwrap_or((path, ""));
                let target = self.root().child("aliases")?.property(alias)?.string()?;
                self.root().descend(target.strip_prefix('/')?)?.descend(rest)
            }
        }
    }

    /// The node with this phandle.
    pub fn by_phandle(&self, phandle: u32) -> Option<Node<'_>> {
        self.nodes().find(|node| node.phandle() == Some(phandle))
    }

    /// The nodes that are compatible with `name`.
    pub fn compatible<'s>(&'s self, name: &'s str) -> impl Iterator<Item = Node<'s>> {
        self.nodes().filter(move |node| node.is_compatible(name))
    }

    pub(crate) fn entry(&self, index: usize) -> Option<&Entry<'a>> {
        self.nodes.get(index)
    }

    pub(crate) fn slice(&self, properties: Range<usize>) -> &[Property<'a>] {
        self.properties.get(properties).unwrap_or_default()
    }
}

/// The index while it grows.
struct Index<'a> {
    nodes: Vec<Entry<'a>>,
    properties: Vec<Property<'a>>,
    /// The nodes that have begun and not ended.
    open: Vec<usize>,
}

impl<'a> Index<'a> {
    /// With room for what a structure block of `bytes` bytes has as a rule, in
    /// boards' trees and in manifests.
    fn for_block(bytes: usize) -> Self {
        Self {
            nodes: Vec::with_capacity(bytes / 96),
            properties: Vec::with_capacity(bytes / 24),
            open: Vec::with_capacity(8),
        }
    }

    /// Takes one token; false if it was the last.
    fn take(&mut self, tokens: &mut Tokens<'a>) -> Result<bool, FdtError> {
        let offset = tokens.offset();
        let problem = match tokens.next()? {
            Token::Begin(name) => self.begin(name),
            Token::Property(name, value) => self.property(Property { name, value }),
            Token::EndNode => self.end(),
            Token::End if self.nodes.is_empty() => Some("there is no root"),
            Token::End if !self.open.is_empty() => Some("a node does not end"),
            Token::End => return Ok(false),
        };
        match problem {
            None => Ok(true),
            Some(problem) => Err(FdtError::Broken { offset, problem }),
        }
    }

    fn begin(&mut self, name: &'a str) -> Option<&'static str> {
        match (self.open.last(), self.nodes.is_empty(), name.is_empty()) {
            (None, false, _) => return Some("there are two roots"),
            (None, true, false) => return Some("the root has a name"),
            (Some(_), _, true) => return Some("a node has no name"),
            _ if self.open.len() == MAX_DEPTH => return Some("nodes lie too deep"),
            _ => {}
        }
        let index = self.nodes.len();
        let parent = self.open.last().copied().unwrap_or(index);
        let start = self.properties.len();
        self.nodes.push(Entry {
            name,
            parent,
            end: index + 1,
            properties: start..start,
            compatible: &[],
        });
        self.open.push(index);
        None
    }

    fn property(&mut self, property: Property<'a>) -> Option<&'static str> {
        // §5.4.2: the properties of a node come before its children, so the node
        // that is open is the last one begun.
        let Some(&open) = self.open.last() else { return Some("a property has no node") };
        match self.nodes.last_mut() {
            Some(node) if open + 1 == node.end => {
                if property.name == "compatible" && node.compatible.is_empty() {
                    node.compatible = property.value;
                }
                self.properties.push(property);
                node.properties.end = self.properties.len();
                None
            }
            _ => Some("a property comes after a child"),
        }
    }

    fn end(&mut self) -> Option<&'static str> {
        let Some(index) = self.open.pop() else { return Some("a node ends that never began") };
        let end = self.nodes.len();
        if let Some(node) = self.nodes.get_mut(index) {
            node.end = end;
        }
        None
    }
}
