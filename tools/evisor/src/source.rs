//! Where the nodes and properties of a compiled tree stand in the source.
//!
//! Read from `dtc -O dts -T -T`, which writes the merged tree with a comment of
//! file, line and column after everything. Only that much of the syntax is read:
//! dtc, not we, says what a device-tree source is.

use std::collections::BTreeMap;
use std::path::Path;

use crate::diagnostic::Place;

/// The places of a tree, by the path of the node.
#[derive(Debug, Default)]
pub struct Places {
    nodes: BTreeMap<String, Place>,
    properties: Vec<Property>,
}

/// A property as the source gives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Property {
    pub node: String,
    pub name: String,
    /// The strings in its value, in order.
    pub strings: Vec<String>,
    pub place: Place,
}

impl Places {
    /// Reads dtc's annotated output.
    pub fn read(annotated: &str) -> Self {
        let mut places = Self::default();
        let mut path: Vec<&str> = Vec::new();
        let mut last = Place::new(Path::new("manifest"), 1);
        for line in annotated.lines().map(str::trim) {
            let (code, place) = split_comment(line);
            // What dtc adds itself (phandles) has no place: it is near its node's.
            let place = place.unwrap_or_else(|| last.clone());
            last = place.clone();
            if let Some(name) = code.strip_suffix('{') {
                path.push(without_label(name.trim()));
                places.nodes.insert(join(&path), place);
            } else if code == "};" {
                path.pop();
            } else if let Some(statement) = code.strip_suffix(';').filter(|_| !path.is_empty()) {
                places.properties.push(property(statement, join(&path), place));
            }
        }
        places
    }

    pub fn properties(&self) -> &[Property] {
        &self.properties
    }

    /// The place of a property, else of its node, else of the nearest node above
    /// that is in the source.
    pub fn find(&self, node: &str, property: Option<&str>) -> Option<Place> {
        let exact = property.and_then(|name| {
            self.properties.iter().find(|p| p.node == node && p.name == name).map(|p| &p.place)
        });
        let above = || ancestors(node).find_map(|path| self.nodes.get(path));
        exact.or_else(above).cloned()
    }
}

/// `/a/b`, `/a`, `/`.
fn ancestors(node: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(node), |path| match path.rsplit_once('/')? {
        ("", "") => None,
        ("", _) => Some("/"),
        (parent, _) => Some(parent),
    })
}

fn join(path: &[&str]) -> String {
    match path {
        [_root, below @ ..] if !below.is_empty() => format!("/{}", below.join("/")),
        _ => "/".to_owned(),
    }
}

fn without_label(name: &str) -> &str {
    name.rsplit_once(": ").map_or(name, |(_, name)| name)
}

/// Splits `code /* a.dts:1:2-3:4, b.dts:… */`; what is given in several places
/// belongs where it was given first.
fn split_comment(line: &str) -> (&str, Option<Place>) {
    let Some((code, comment)) = line.rsplit_once("/* ") else {
        return (line, None);
    };
    let first = comment.trim_end_matches("*/").split(", ").next().unwrap_or_default();
    (code.trim(), read_place(first.trim()))
}

/// `FILE:LINE:COLUMN-LINE:COLUMN`, read from its end: a path may hold colons.
fn read_place(text: &str) -> Option<Place> {
    let (start, _end) = text.rsplit_once('-')?;
    let (file_and_line, _column) = start.rsplit_once(':')?;
    let (file, line) = file_and_line.rsplit_once(':')?;
    Some(Place::new(Path::new(file), line.parse().ok()?))
}

fn property(statement: &str, node: String, place: Place) -> Property {
    let (name, value) = statement.split_once(" = ").unwrap_or((statement, ""));
    Property { node, name: without_label(name.trim()).to_owned(), strings: strings(value), place }
}

fn strings(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = value.chars();
    while rest.by_ref().any(|c| c == '"') {
        found.push(string(&mut rest));
    }
    found
}

fn string(rest: &mut impl Iterator<Item = char>) -> String {
    let mut text = String::new();
    while let Some(c) = rest.next() {
        match c {
            '"' => break,
            '\\' => text.extend(rest.next().map(unescape)),
            c => text.push(c),
        }
    }
    text
}

fn unescape(c: char) -> char {
    match c {
        'n' => '\n',
        't' => '\t',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANNOTATED: &str = r#"/dts-v1/;

/ { /* m/inc/g.dtsi:1:3-1:33, m/t.dts:3:3-7:3 */
	l = <0x01>; /* m/t.dts:4:2-4:13 */

	lab: linux { /* m/t.dts:6:9-9:41, m/t.dts:11:6-11:13 */
		s = "x \"q\" /* c */", "y"; /* m/t.dts:9:9-9:20 */
		evisor,image = "debian:linux"; /* m/t.dts:7:6-7:8 */
		phandle = <0x01>; /* <no-file>:<no-line> */

		uart@9000000 { /* m/inc/u.dtsi:2:9-5:3 */
			reg = <0x00 0x9000000>; /* m/inc/u.dtsi:3:9-3:22 */
		}; /* m/inc/u.dtsi:2:9-5:3 */
	}; /* m/t.dts:6:9-6:41 */
}; /* m/t.dts:3:3-7:3 */
"#;

    fn at(file: &str, line: usize) -> Option<Place> {
        Some(Place::new(Path::new(file), line))
    }

    #[test]
    fn nodes_and_properties_have_places() {
        let places = Places::read(ANNOTATED);
        assert_eq!(places.find("/linux/uart@9000000", Some("reg")), at("m/inc/u.dtsi", 3));
        assert_eq!(places.find("/linux/uart@9000000", Some("absent")), at("m/inc/u.dtsi", 2));
        assert_eq!(places.find("/linux", None), at("m/t.dts", 6));
        assert_eq!(places.find("/linux/gone/deeper", None), at("m/t.dts", 6));
        assert_eq!(places.find("/", Some("l")), at("m/t.dts", 4));
        assert_eq!(places.find("/elsewhere", None), at("m/inc/g.dtsi", 1));
    }

    #[test]
    fn strings_are_read_with_their_quotes_and_comments() {
        let places = Places::read(ANNOTATED);
        let strings = |name: &str| {
            places.properties().iter().find(|p| p.name == name).map(|p| p.strings.clone()).unwrap()
        };
        assert_eq!(strings("s"), ["x \"q\" /* c */", "y"]);
        assert_eq!(strings("evisor,image"), ["debian:linux"]);
    }
}
