//! The bytes of a tree that is being written (Devicetree Specification 0.4,
//! chapter 5).
//!
//! vm-fdt does the same and is what the tests compare with; with its two kinds of
//! map it takes 7 KiB of the hypervisor's image, for a tree that the drafts hold
//! already.

use crate::fdt::{BEGIN_NODE, END, END_NODE, PROPERTY};
use crate::header::{LAST_COMPATIBLE_VERSION, MAGIC, SIZE, VERSION};
use alloc::vec::Vec;

/// How deep nodes may lie, as in Linux.
const MAX_DEPTH: usize = 64;
/// §2.2.1, §2.2.4: how long names may be, the unit address apart.
const MAX_NAME: usize = 31;
/// What a tree without reservations has before its structure block: the header,
/// and the entry that ends the reservations.
const BEFORE: usize = SIZE + 16;

/// A tree, token by token.
pub(crate) struct Writer<'a> {
    structure: Vec<u8>,
    strings: Vec<u8>,
    /// What is in there, and where.
    names: Vec<(&'a str, u32)>,
    phandles: Vec<u32>,
    depth: usize,
}

impl Default for Writer<'_> {
    /// With room for what a guest's tree has as a rule.
    fn default() -> Self {
        Self {
            structure: Vec::with_capacity(4096),
            strings: Vec::with_capacity(512),
            names: Vec::with_capacity(64),
            phandles: Vec::with_capacity(8),
            depth: 0,
        }
    }
}

impl<'a> Writer<'a> {
    #[inline(never)]
    fn word(&mut self, word: u32) {
        self.structure.extend_from_slice(&word.to_be_bytes());
    }

    #[inline(never)]
    fn bytes(&mut self, bytes: &[u8]) {
        self.structure.extend_from_slice(bytes);
        self.structure.resize(self.structure.len().next_multiple_of(4), 0);
    }

    /// A node begins.
    pub fn begin(&mut self, name: &str) -> Result<(), &'static str> {
        if self.depth == MAX_DEPTH {
            return Err("lies too deep");
        }
        if !is_node_name(name) {
            return Err("is not a name that a node can have");
        }
        self.depth += 1;
        self.word(BEGIN_NODE);
        self.structure.extend_from_slice(name.as_bytes());
        self.bytes(&[0]);
        Ok(())
    }

    /// The node that began last has a property.
    pub fn property(&mut self, name: &'a str, value: &[u8]) -> Result<(), &'static str> {
        let length = u32::try_from(value.len()).map_err(|_| TOO_LARGE)?;
        if let ("phandle", Ok(phandle)) = (name, value.try_into()) {
            let phandle = u32::from_be_bytes(phandle);
            if self.phandles.contains(&phandle) {
                return Err("has the phandle of another node");
            }
            self.phandles.push(phandle);
        }
        let offset = self.offset_of(name).ok_or("has a property with an impossible name")?;
        let words = [PROPERTY, length, offset].map(u32::to_be_bytes);
        self.structure.extend_from_slice(words.as_flattened());
        self.bytes(value);
        Ok(())
    }

    /// Where the name of a property stands in the strings block.
    fn offset_of(&mut self, name: &'a str) -> Option<u32> {
        if let Some((_, offset)) = self.names.iter().find(|(known, _)| *known == name) {
            return Some(*offset);
        }
        if !is_property_name(name) {
            return None;
        }
        let offset = self.strings.len() as u32;
        self.strings.extend_from_slice(name.as_bytes());
        self.strings.push(0);
        self.names.push((name, offset));
        Some(offset)
    }

    /// The node that began last ends.
    pub fn end(&mut self) {
        self.depth = self.depth.saturating_sub(1);
        self.word(END_NODE);
    }

    /// The tree ends.
    pub fn finish(mut self) -> Result<Vec<u8>, &'static str> {
        self.word(END);
        let (structure, strings) = (self.structure.len(), self.strings.len());
        let total = BEFORE + structure + strings;
        u32::try_from(total).map_err(|_| TOO_LARGE)?;
        let mut bytes = Vec::with_capacity(total);
        let (magic, version) = (MAGIC as usize, VERSION as usize);
        let compatible = LAST_COMPATIBLE_VERSION as usize;
        let (at, behind) = (BEFORE, BEFORE + structure);
        // §5.2: the sizes of the two blocks come last, the other one first.
        let fields = [magic, total, at, behind, SIZE, version, compatible, 0, strings, structure];
        for field in fields {
            bytes.extend_from_slice(&(field as u32).to_be_bytes());
        }
        bytes.resize(BEFORE, 0);
        bytes.extend_from_slice(&self.structure);
        bytes.extend_from_slice(&self.strings);
        Ok(bytes)
    }
}

const TOO_LARGE: &str = "makes the tree larger than one can be";

/// §2.2.1: a name, and perhaps a unit address; or the root's.
fn is_node_name(full: &str) -> bool {
    let (name, unit) = full.split_once('@').unwrap_or((full, ""));
    let alike = |c| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'A'..=b'Z' | b'+'..=b'.' | b'_');
    let begins = name.bytes().next().is_some_and(|c| c.is_ascii_alphabetic());
    let named = begins && name.len() <= MAX_NAME && name.bytes().chain(unit.bytes()).all(alike);
    named || full.is_empty()
}

fn is_property_name(name: &str) -> bool {
    let alike =
        |c| matches!(c, b'a'..=b'z' | b'#' | b'0'..=b'9' | b'A'..=b'Z' | b'+'..=b'.' | b'_' | b'?');
    !name.is_empty() && name.len() <= MAX_NAME && name.bytes().all(alike)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec};
    use vm_fdt::FdtWriter;

    #[test]
    fn bytes_are_those_of_vm_fdt() {
        let mut ours = Writer::default();
        let mut theirs = FdtWriter::new().unwrap();
        let mut open = Vec::new();
        for depth in 0..5_u8 {
            let name = if depth == 0 { "".into() } else { format!("node-{depth}@{depth:x},0") };
            ours.begin(&name).unwrap();
            open.push(theirs.begin_node(&name).unwrap());
            for (at, name) in ["reg", "compatible", "#size-cells", "reg-names"].iter().enumerate() {
                let value = vec![depth; at + usize::from(depth)];
                ours.property(name, &value).unwrap();
                theirs.property(name, &value).unwrap();
            }
            ours.property("phandle", &[0, 0, 0, depth]).unwrap();
            theirs.property_phandle(depth.into()).unwrap();
        }
        while let Some(node) = open.pop() {
            ours.end();
            theirs.end_node(node).unwrap();
        }
        assert_eq!(ours.finish().unwrap(), theirs.finish().unwrap());
    }

    #[test]
    fn names_are_those_of_vm_fdt() {
        let long = "a123456789012345678901234567890";
        let longer = format!("{long}1");
        let with_unit = format!("{long}@1234567890");
        let longer_with_unit = format!("{longer}@0");
        let names = [
            "a",
            "1",
            "a@",
            "@1",
            "a@1@2",
            "a_b.c+d-e,f",
            "a*",
            "a?",
            "#a",
            "a b",
            "a\0",
            "\u{e9}",
            "-a",
            "a@1,2",
            "@",
            "a@#",
            "",
            long,
            &longer,
            &with_unit,
            &longer_with_unit,
        ];
        for name in names {
            let mut writer = FdtWriter::new().unwrap();
            let root = writer.begin_node("").unwrap();
            let property = writer.property(name, &[]).is_ok();
            assert_eq!(Writer::default().property(name, &[]).is_ok(), property, "{name:?}");
            let node = writer.begin_node(name).is_ok();
            let mut ours = Writer::default();
            ours.begin("").unwrap();
            assert_eq!(ours.begin(name).is_ok(), node, "{name:?}");
            let _ = root;
        }
    }

    #[test]
    fn phandles_are_given_once_and_depth_ends() {
        let mut writer = Writer::default();
        writer.property("phandle", &[0, 0, 0, 1]).unwrap();
        assert!(writer.property("phandle", &[0, 0, 0, 1]).is_err());
        assert!((0..MAX_DEPTH).all(|_| writer.begin("a").is_ok()));
        assert!(writer.begin("a").is_err());
    }
}
