//! A tree that is being written.

use crate::node::Node;
use crate::write::Writer;
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

/// A node on its way, with all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Draft {
    name: String,
    properties: Vec<(String, Vec<u8>)>,
    children: Vec<Draft>,
}

impl Draft {
    /// A node with a name and nothing in it. The root's name is empty.
    pub fn new(name: &str) -> Self {
        Self { name: String::from(name), ..Self::default() }
    }

    /// A copy of a node with its properties, without its children.
    pub fn copy(node: Node<'_>) -> Self {
        let mut draft = Self::new(node.name());
        for property in node.properties() {
            if draft.get(property.name).is_none() {
                draft.set(property.name, property.value);
            }
        }
        draft
    }

    /// A copy of a node with all that is in it.
    pub fn copy_all(node: Node<'_>) -> Self {
        let mut draft = Self::copy(node);
        draft.children = node.children().map(Self::copy_all).collect();
        draft
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives it another name.
    pub fn rename(&mut self, name: &str) {
        self.name = String::from(name);
    }

    /// The value of a property.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.properties.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_slice())
    }

    /// Sets a property to bytes, in the place of what it was.
    pub fn set(&mut self, name: &str, value: &[u8]) {
        match self.properties.iter_mut().find(|(n, _)| n == name) {
            Some((_, old)) => *old = value.to_vec(),
            None => self.properties.push((String::from(name), value.to_vec())),
        }
    }

    /// Sets a property to cells.
    pub fn set_cells(&mut self, name: &str, cells: &[u32]) {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.set(name, &bytes);
    }

    /// Sets a property to a number of two cells.
    pub fn set_number(&mut self, name: &str, number: u64) {
        self.set(name, &number.to_be_bytes());
    }

    /// Sets a property to strings.
    pub fn set_strings(&mut self, name: &str, strings: &[&str]) {
        let bytes: Vec<u8> = strings.iter().flat_map(|string| string.bytes().chain([0])).collect();
        self.set(name, &bytes);
    }

    /// Removes the properties whose names `keep` does not want.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.properties.retain(|(name, _)| keep(name));
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
            self.children.push(Self::new(name));
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
        WriteError { node: self.name.clone(), problem }
    }

    fn write(&self, to: &mut Writer) -> Result<(), WriteError> {
        to.begin(&self.name).map_err(|problem| self.refused(problem))?;
        for (name, value) in &self.properties {
            to.property(name, value).map_err(|problem| self.refused(problem))?;
        }
        self.children.iter().try_for_each(|child| child.write(to))?;
        to.end();
        Ok(())
    }
}
