//! A tree that is being written.

use crate::node::Node;
use crate::write::Writer;
use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Why a draft cannot become a tree: a name that is none, a phandle that is
/// given twice, or nodes too deep.
#[derive(Debug, PartialEq, Eq)]
pub struct WriteError {
    /// The name of the node that cannot be written.
    pub node: String,
    problem: &'static str,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "node \"{}\" {}", self.node, self.problem)
    }
}

/// A node on its way, with all that is in it. What is copied of a tree stays there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft<'a> {
    name: Cow<'a, str>,
    properties: Vec<(Cow<'a, str>, Cow<'a, [u8]>)>,
    children: Vec<Draft<'a>>,
}

impl<'a> Draft<'a> {
    /// A node with a name and nothing in it. The root's name is empty.
    pub fn new(name: impl Into<Cow<'a, str>>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// A copy of a node with those of its properties that `keep` wants, without its
    /// children.
    pub fn copy_of(node: Node<'a>, keep: impl Fn(&str) -> bool) -> Self {
        let mut draft = Self::new(node.name());
        // With room for what is set in it as a rule.
        draft.properties.reserve(node.properties().len() + 4);
        for property in node.properties().filter(|property| keep(property.name)) {
            if draft.get(property.name).is_none() {
                draft.properties.push((property.name.into(), property.value.into()));
            }
        }
        draft
    }

    /// A copy of a node with all that is in it.
    pub fn copy_all(node: Node<'a>) -> Self {
        let mut draft = Self::copy_of(node, |_| true);
        draft.children = node.children().map(Self::copy_all).collect();
        draft
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: &'a str) {
        self.name = name.into();
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(n, _)| n == name).map(|(_, value)| &**value)
    }

    /// Sets a property to bytes, in the place of what it was.
    pub fn set(&mut self, name: impl Into<Cow<'a, str>>, value: impl Into<Cow<'a, [u8]>>) {
        self.put(name.into(), value.into());
    }

    fn put(&mut self, name: Cow<'a, str>, value: Cow<'a, [u8]>) {
        match self.properties.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.properties.push((name, value)),
        }
    }

    /// Sets a property to cells.
    pub fn set_cells(&mut self, name: impl Into<Cow<'a, str>>, cells: &[u32]) {
        let mut bytes = Vec::with_capacity(4 * cells.len());
        cells.iter().for_each(|cell| bytes.extend_from_slice(&cell.to_be_bytes()));
        self.set(name, bytes);
    }

    /// Sets a property to a number of two cells.
    pub fn set_number(&mut self, name: impl Into<Cow<'a, str>>, number: u64) {
        self.set(name, number.to_be_bytes().to_vec());
    }

    /// Sets a property to strings.
    pub fn set_strings(&mut self, name: impl Into<Cow<'a, str>>, strings: &[&str]) {
        let mut bytes = Vec::with_capacity(64);
        for string in strings {
            bytes.extend_from_slice(string.as_bytes());
            bytes.push(0);
        }
        self.set(name, bytes);
    }

    /// Its children.
    pub fn children(&self) -> &[Self] {
        &self.children
    }

    /// Its children, to be changed, added to or removed from.
    pub fn children_mut(&mut self) -> &mut Vec<Self> {
        &mut self.children
    }

    /// The node at a path from here, by full names; the node itself if the path
    /// is empty.
    pub fn descend(&self, path: &str) -> Option<&Self> {
        let mut names = path.split('/').filter(|name| !name.is_empty());
        names.try_fold(self, |node, name| node.children.iter().find(|child| child.name == name))
    }

    /// The child with this name; added at the end if there was none.
    pub fn child_mut(&mut self, name: &str) -> &mut Self {
        let found = self.children.iter().position(|child| child.name == name);
        let index = found.unwrap_or(self.children.len());
        if found.is_none() {
            self.children.push(Self::new(String::from(name)));
        }
        // The index was found or made just now; a child cannot be missing.
        #[expect(clippy::indexing_slicing, reason = "the index is of a child that is there")]
        &mut self.children[index]
    }

    /// The tree, with this node for its root.
    ///
    /// # Errors
    /// A name or a phandle is not one that a tree can have.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let mut writer = Writer::default();
        self.write(&mut writer)?;
        writer.finish().map_err(|problem| self.refused(problem))
    }

    fn refused(&self, problem: &'static str) -> WriteError {
        WriteError { node: self.name.clone().into_owned(), problem }
    }

    fn write<'w>(&'w self, to: &mut Writer<'w>) -> Result<(), WriteError> {
        to.begin(&self.name).map_err(|problem| self.refused(problem))?;
        for (name, value) in &self.properties {
            to.property(name, value).map_err(|problem| self.refused(problem))?;
        }
        self.children.iter().try_for_each(|child| child.write(to))?;
        to.end();
        Ok(())
    }
}
