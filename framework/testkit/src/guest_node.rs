//! What a component adds to the guest's tree, as text to compare.

use evisor_contract::{Declaration, GuestNode, Node};
use std::collections::BTreeMap;

#[derive(Default)]
struct Recorded {
    properties: BTreeMap<String, Vec<u8>>,
    clocks: Vec<u32>,
}

impl GuestNode for Recorded {
    fn set(&mut self, name: &str, value: &[u8]) {
        self.properties.insert(name.to_owned(), value.to_owned());
    }

    fn fixed_clock(&mut self, hertz: u32) -> u32 {
        let at = self.clocks.iter().position(|c| *c == hertz).unwrap_or_else(|| {
            self.clocks.push(hertz);
            self.clocks.len() - 1
        });
        u32::try_from(at).expect("few clocks") + 1
    }
}

/// The properties that the component adds for a node with `properties`, a line
/// each, in alphabetical order: strings quoted, other values as hexadecimal
/// cells. Phandles of clocks count from 1.
pub fn describe(declaration: &Declaration, properties: &[(&str, &[u8])]) -> String {
    let mut guest = Recorded::default();
    let node = Node::new("/vm/node", properties, &[]);
    (declaration.describe)(&node, &mut guest).expect("describe");
    let mut lines: Vec<String> =
        guest.properties.iter().map(|(name, value)| line(name, value)).collect();
    let clocks = guest.clocks.iter().enumerate();
    lines.extend(clocks.map(|(at, hertz)| format!("clock {} = {hertz} Hz", at + 1)));
    lines.join("\n")
}

fn line(name: &str, value: &[u8]) -> String {
    match text(value) {
        _ if value.is_empty() => name.to_owned(),
        Some(text) => format!("{name} = {text}"),
        None => format!("{name} = <{}>", cells(value)),
    }
}

/// `value` as quoted strings, if it is NUL-terminated strings of printable text.
fn text(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value.strip_suffix(&[0])?).ok()?;
    let strings: Vec<&str> = text.split('\0').collect();
    let printable = |s: &&str| !s.is_empty() && s.chars().all(|c| c.is_ascii_graphic());
    strings.iter().all(printable).then(|| format!("\"{}\"", strings.join("\", \"")))
}

fn cells(value: &[u8]) -> String {
    let cells = value.chunks(4).map(|cell| {
        let bytes = cell.iter().fold(0, |n, byte| n << 8 | u32::from(*byte));
        format!("{bytes:#x}")
    });
    cells.collect::<Vec<_>>().join(" ")
}
