//! A component's node in the manifest, and its node in the guest's tree.

use alloc::borrow::Cow;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A node of the manifest, as a component sees it when it is built.
#[derive(Debug)]
pub struct Node<'a> {
    path: &'a str,
    properties: &'a [(&'a str, &'a [u8])],
    reg: &'a [(u64, u64)],
}

/// Why a component could not be built: what, where, and what to do. As small as
/// an address, since each step of building may answer with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError(Box<Problem>);

/// What [`BuildError`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The property that is at fault, if one is.
    pub property: Option<Cow<'static, str>>,
    /// What is wrong.
    pub problem: Cow<'static, str>,
    /// What to do about it.
    pub remedy: Cow<'static, str>,
}

impl BuildError {
    /// An error in the node as a whole.
    pub fn new(
        problem: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of(None, problem.into(), remedy.into())
    }

    /// An error in `property`.
    pub fn property(
        property: &str,
        problem: impl Into<Cow<'static, str>>,
        remedy: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::of(Some(Cow::Owned(String::from(property))), problem.into(), remedy.into())
    }

    #[cold]
    #[inline(never)]
    fn of(
        property: Option<Cow<'static, str>>,
        problem: Cow<'static, str>,
        remedy: Cow<'static, str>,
    ) -> Self {
        Self(Box::new(Problem { property, problem, remedy }))
    }

    /// What it says.
    pub fn into_problem(self) -> Problem {
        *self.0
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { property, problem, remedy } = &*self.0;
        if let Some(property) = property {
            write!(f, "{property}: ")?;
        }
        write!(f, "{problem}; {remedy}")
    }
}

impl<'a> Node<'a> {
    /// A node at `path` with its `properties` and the address and size of each of
    /// its register windows.
    pub const fn new(
        path: &'a str,
        properties: &'a [(&'a str, &'a [u8])],
        reg: &'a [(u64, u64)],
    ) -> Self {
        Self { path, properties, reg }
    }

    /// Where it is in the manifest.
    pub fn path(&self) -> &'a str {
        self.path
    }

    /// The guest-physical address and the size of window `index`.
    pub fn window(&self, index: usize) -> Option<(u64, u64)> {
        self.reg.get(index).copied()
    }

    /// The raw value of a property.
    pub fn bytes(&self, name: &str) -> Option<&'a [u8]> {
        self.properties.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }

    /// Whether a property is there, whatever its value.
    pub fn flag(&self, name: &str) -> bool {
        self.bytes(name).is_some()
    }

    /// A property of one cell.
    ///
    /// # Errors
    /// It has not exactly four bytes.
    pub fn cell(&self, name: &str) -> Result<Option<u32>, BuildError> {
        self.bytes(name).map(|value| word(name, value)).transpose()
    }

    /// A property that is one string.
    ///
    /// # Errors
    /// It is not one NUL-terminated string of UTF-8.
    pub fn string(&self, name: &str) -> Result<Option<&'a str>, BuildError> {
        self.bytes(name).map(|value| string(name, value)).transpose()
    }
}

fn word(name: &str, value: &[u8]) -> Result<u32, BuildError> {
    let bytes: [u8; 4] = value
        .try_into()
        .map_err(|_| BuildError::property(name, "is not one cell", "write it as <number>"))?;
    Ok(u32::from_be_bytes(bytes))
}

fn string<'a>(name: &str, value: &'a [u8]) -> Result<&'a str, BuildError> {
    let error = || BuildError::property(name, "is not one string", "write it as \"text\"");
    let (last, text) = value.split_last().ok_or_else(error)?;
    if *last != 0 || text.contains(&0) {
        return Err(error());
    }
    core::str::from_utf8(text).map_err(|_| error())
}

/// A node of the tree that the guest will read, on its way. What is set here
/// stands before what the manifest's node has under the same name.
pub trait GuestNode {
    /// Sets a property to raw bytes.
    fn set(&mut self, name: &str, value: &[u8]);

    /// The phandle of a `fixed-clock` of so many hertz; one node a frequency.
    fn fixed_clock(&mut self, hertz: u32) -> u32;

    /// Sets a property to nothing: it is there.
    fn set_flag(&mut self, name: &str) {
        self.set(name, &[]);
    }

    /// Sets a property to cells.
    fn set_cells(&mut self, name: &str, cells: &[u32]) {
        let bytes: Vec<u8> = cells.iter().flat_map(|cell| cell.to_be_bytes()).collect();
        self.set(name, &bytes);
    }

    /// Sets a property to strings.
    fn set_strings(&mut self, name: &str, strings: &[&str]) {
        let mut bytes = Vec::with_capacity(64);
        for string in strings {
            bytes.extend_from_slice(string.as_bytes());
            bytes.push(0);
        }
        self.set(name, &bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typed_properties() {
        let properties: [(&str, &[u8]); 3] =
            [("cell", &[0, 0, 1, 2]), ("text", b"hello\0"), ("two", b"a\0b\0")];
        let node = Node::new("/vm/x@0", &properties, &[(0x1000, 0x200)]);
        assert_eq!(node.cell("cell"), Ok(Some(0x102)));
        assert_eq!(node.cell("none"), Ok(None));
        assert!(node.cell("text").is_err());
        assert_eq!(node.string("text"), Ok(Some("hello")));
        assert!(node.string("two").is_err());
        assert!(node.string("cell").is_err());
        assert_eq!(node.window(0), Some((0x1000, 0x200)));
        assert_eq!(node.window(1), None);
    }

    #[test]
    fn errors_read_well() {
        let error = BuildError::property("reg", "is missing", "add it");
        assert_eq!(alloc::format!("{error}"), "reg: is missing; add it");
    }
}
