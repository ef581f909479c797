//! A node of a tree that is being read.

use crate::property::{Property, Strings};
use crate::tree::{Entry, Tree};
use alloc::string::String;
use core::fmt;

/// A node. It is as cheap to copy as two words.
#[derive(Clone, Copy)]
pub struct Node<'t> {
    tree: &'t Tree<'t>,
    index: usize,
}

/// What stands in for a node that is not there; never seen, as every index was
/// taken from the tree that it is used with.
static NOTHING: Entry<'static> =
    Entry { name: "", parent: 0, end: 0, properties: 0..0, compatible: &[] };

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        core::ptr::eq(self.tree, other.tree) && self.index == other.index
    }
}

impl Eq for Node<'_> {}

impl fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.path())
    }
}

impl<'t> Node<'t> {
    pub(crate) fn new(tree: &'t Tree<'_>, index: usize) -> Self {
        Self { tree, index }
    }

    fn entry(&self) -> &'t Entry<'t> {
        self.tree.entry(self.index).unwrap_or(&NOTHING)
    }

    fn at(&self, index: usize) -> Self {
        Self { tree: self.tree, index }
    }

    /// The tree that it is in.
    pub fn tree(&self) -> &'t Tree<'t> {
        self.tree
    }

    /// Its name with the unit address; the root's is empty.
    pub fn name(&self) -> &'t str {
        self.entry().name
    }

    /// Its name without the unit address.
    pub fn short_name(&self) -> &'t str {
        self.name().split_once('@').map_or(self.name(), |(name, _)| name)
    }

    /// What stands behind the `@`.
    pub fn unit_address(&self) -> Option<&'t str> {
        self.name().split_once('@').map(|(_, unit)| unit)
    }

    /// From the root to here; the root's is `/`.
    pub fn path(&self) -> String {
        let mut path = String::with_capacity(64);
        self.write_path(&mut path);
        if path.is_empty() {
            path.push('/');
        }
        path
    }

    /// As deep as nodes lie: [`MAX_DEPTH`](crate::MAX_DEPTH).
    fn write_path(&self, path: &mut String) {
        if let Some(parent) = self.parent() {
            parent.write_path(path);
            path.push('/');
            path.push_str(self.name());
        }
    }

    /// The node that it lies in; the root lies in none.
    pub fn parent(&self) -> Option<Self> {
        (self.index != 0).then(|| self.at(self.entry().parent))
    }

    /// The node itself, its parent, and so on up to the root.
    pub fn lineage(&self) -> impl Iterator<Item = Self> {
        core::iter::successors(Some(*self), Self::parent)
    }

    /// Its children, in the order of the source.
    pub fn children(&self) -> Children<'t> {
        Children { next: self.at(self.index + 1), end: self.entry().end }
    }

    /// All that lies in it at any depth, in the order of the source.
    pub fn descendants(&self) -> impl Iterator<Item = Self> + use<'t> {
        let node = *self;
        (node.index + 1..node.entry().end).map(move |index| node.at(index))
    }

    /// Whether `other` is this node or lies in it.
    pub fn contains(&self, other: Self) -> bool {
        core::ptr::eq(self.tree, other.tree)
            && (self.index..self.entry().end).contains(&other.index)
    }

    /// The child with this name, or else the first whose name is this one
    /// without its unit address.
    pub fn child(&self, name: &str) -> Option<Self> {
        let mut short = None;
        for child in self.children() {
            match child.name().strip_prefix(name) {
                Some("") => return Some(child),
                Some(rest) if rest.starts_with('@') => short = short.or(Some(child)),
                _ => {}
            }
        }
        short
    }

    /// The node at a path from here, `soc/serial@0`; the node itself if the path
    /// is empty.
    pub fn descend(&self, path: &str) -> Option<Self> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(*self, |node, name| node.child(name))
    }

    /// Its properties, in the order of the source.
    pub fn properties(&self) -> impl ExactSizeIterator<Item = Property<'t>> + use<'t> {
        self.tree.slice(self.entry().properties.clone()).iter().copied()
    }

    /// The property with this name.
    pub fn property(&self, name: &str) -> Option<Property<'t>> {
        self.properties().find(|property| property.name == name)
    }

    /// Whether it has a property with this name.
    pub fn has(&self, name: &str) -> bool {
        self.property(name).is_some()
    }

    /// A property that is one cell.
    pub fn cell(&self, name: &str) -> Option<u32> {
        self.property(name)?.cell()
    }

    /// A property that is one string.
    pub fn string(&self, name: &str) -> Option<&'t str> {
        self.property(name)?.string()
    }

    /// What it is compatible with, the most special first. Nothing if the
    /// property is missing or malformed.
    pub fn compatible(&self) -> impl Iterator<Item = &'t str> + use<'t> {
        let strings = self.property("compatible").and_then(|property| property.strings());
        strings.into_iter().flat_map(|strings: Strings<'t>| strings)
    }

    /// Whether it is compatible with `name`.
    pub fn is_compatible(&self, name: &str) -> bool {
        let name = name.as_bytes();
        let mut list = self.entry().compatible;
        if list.last() != Some(&0) {
            return false;
        }
        while list.len() > name.len() {
            if list.get(name.len()) == Some(&0) && list.starts_with(name) {
                return true;
            }
            // The next string, if one can begin that is as long.
            let before = list.get(..list.len() - name.len() - 1).unwrap_or_default();
            let Some(end) = before.iter().position(|byte| *byte == 0) else { return false };
            list = list.get(end + 1..).unwrap_or_default();
        }
        false
    }

    /// Whether it is there: its `status` is missing or `okay` (§2.3.4).
    pub fn is_enabled(&self) -> bool {
        self.property("status").is_none_or(|p| matches!(p.string(), Some("okay" | "ok")))
    }

    /// Its phandle, in the old spelling too.
    pub fn phandle(&self) -> Option<u32> {
        self.cell("phandle").or_else(|| self.cell("linux,phandle"))
    }

    /// The node that the first cell of a property points at.
    pub fn reference(&self, property: &str) -> Option<Self> {
        let phandle = self.property(property)?.cells()?.next()?;
        self.tree.by_phandle(phandle)
    }

    /// The node that its interrupts go to: `interrupt-parent`, its own or that
    /// of the nearest node around it (§2.4.1.2).
    pub fn interrupt_parent(&self) -> Option<Self> {
        self.lineage().find(|n| n.has("interrupt-parent"))?.reference("interrupt-parent")
    }
}

/// The children of a node.
#[derive(Clone, Debug)]
pub struct Children<'t> {
    next: Node<'t>,
    end: usize,
}

impl<'t> Iterator for Children<'t> {
    type Item = Node<'t>;

    fn next(&mut self) -> Option<Node<'t>> {
        if self.next.index >= self.end {
            return None;
        }
        let child = self.next;
        self.next = child.at(child.entry().end);
        Some(child)
    }
}
