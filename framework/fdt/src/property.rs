//! A property and the shapes that its value can have.

/// A property of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'t> {
    /// Its name.
    pub name: &'t str,
    /// Its value, as it stands in the tree: numbers are big-endian.
    pub value: &'t [u8],
}

impl<'t> Property<'t> {
    /// The value, if it is one cell.
    pub fn cell(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_be_bytes)
    }

    /// The value, if it is one cell or two.
    pub fn number(&self) -> Option<u64> {
        match self.value.len() {
            4 => self.cell().map(u64::from),
            _ => self.value.try_into().ok().map(u64::from_be_bytes),
        }
    }

    /// The cells of the value, if it consists of cells.
    pub fn cells(&self) -> Option<Cells<'t>> {
        self.value.len().is_multiple_of(4).then_some(Cells { rest: self.value })
    }

    /// The value, if it is exactly one string.
    pub fn string(&self) -> Option<&'t str> {
        let (_, text) = self.value.split_last().filter(|(last, _)| **last == 0)?;
        if text.contains(&0) { None } else { core::str::from_utf8(text).ok() }
    }

    /// The strings of the value, if it is a list of at least one, each ended by
    /// NUL.
    pub fn strings(&self) -> Option<Strings<'t>> {
        let (_, texts) = self.value.split_last().filter(|(last, _)| **last == 0)?;
        core::str::from_utf8(texts).ok().map(|texts| Strings { rest: Some(texts) })
    }
}

/// The cells of a property.
#[derive(Clone, Debug)]
pub struct Cells<'t> {
    rest: &'t [u8],
}

impl Iterator for Cells<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let (cell, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(u32::from_be_bytes(*cell))
    }
}

impl Cells<'_> {
    /// How many are left.
    pub fn count_left(&self) -> usize {
        self.rest.len() / 4
    }

    /// The next `count` (0, 1 or 2) cells as one number.
    pub fn number(&mut self, count: usize) -> Option<u64> {
        let mut number = 0;
        for _ in 0..count {
            number = number << 32 | u64::from(self.next()?);
        }
        Some(number)
    }
}

/// The strings of a property.
#[derive(Clone, Debug)]
pub struct Strings<'t> {
    rest: Option<&'t str>,
}

impl<'t> Iterator for Strings<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        let rest = self.rest?;
        let (first, rest) = rest.split_once('\0').map_or((rest, None), |(a, b)| (a, Some(b)));
        self.rest = rest;
        Some(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn property(value: &[u8]) -> Property<'_> {
        Property { name: "x", value }
    }

    #[test]
    fn strings_are_ended_by_nul() {
        let strings = |value| property(value).strings().map(Iterator::collect::<Vec<_>>);
        assert_eq!(strings(b"a\0bc\0"), Some(Vec::from(["a", "bc"])));
        assert_eq!(strings(b"\0"), Some(Vec::from([""])));
        assert_eq!(strings(b"a\0b"), None);
        assert_eq!(strings(b""), None);
        assert_eq!(strings(b"\xff\0"), None);
        assert_eq!(property(b"a\0").string(), Some("a"));
        assert_eq!(property(b"a\0b\0").string(), None);
    }

    #[test]
    fn numbers_are_big_endian() {
        assert_eq!(property(&[0, 0, 1, 2]).cell(), Some(0x102));
        assert_eq!(property(&[0, 0, 1, 2]).number(), Some(0x102));
        assert_eq!(property(&[0, 0, 0, 1, 0, 0, 0, 2]).number(), Some(0x1_0000_0002));
        assert_eq!(property(&[1]).cell(), None);
        assert!(property(&[1, 2, 3]).cells().is_none());
        let mut cells = property(&[0, 0, 0, 1, 0, 0, 0, 2]).cells().unwrap();
        assert_eq!(cells.count_left(), 2);
        assert_eq!(cells.number(2), Some(0x1_0000_0002));
        assert_eq!(cells.number(1), None);
    }
}
