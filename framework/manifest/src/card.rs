//! Files that are on the board's card and not in the bundle: what a manifest calls
//! `card:NAME`.

use crate::read::VM;
use crate::words;
use alloc::vec::Vec;
use evisor_fdt::{Node, Tree};

/// What the name of such a file begins with.
pub const CARD: &str = "card:";

/// The properties that name files.
const NAMES: [&str; 3] = [words::IMAGE, words::INITRD, words::FILE];

/// A file on the card that a manifest names.
#[derive(Clone, Copy, Debug)]
pub struct CardFile<'t> {
    /// Its name, with [`CARD`] before it, as [`Files`](crate::Files) is asked for it.
    pub name: &'t str,
    /// Who names it.
    pub node: Node<'t>,
    /// In which property.
    pub property: &'t str,
    /// The VM that cannot be had without it; `None` if it serves all of them.
    pub vm: Option<Node<'t>>,
}

/// The files on the card that a manifest names, in its order. Whether the rest of it
/// is right is not looked at.
pub fn card_files<'t>(manifest: &'t Tree<'t>) -> Vec<CardFile<'t>> {
    let mut files = Vec::new();
    for child in manifest.root().children().filter(Node::is_enabled) {
        let vm = Some(child).filter(|node| node.is_compatible(VM));
        for node in core::iter::once(child).chain(child.descendants()) {
            of_node(node, vm, &mut files);
        }
    }
    files
}

fn of_node<'t>(node: Node<'t>, vm: Option<Node<'t>>, files: &mut Vec<CardFile<'t>>) {
    for property in node.properties().filter(|property| NAMES.contains(&property.name)) {
        let names = property.strings().into_iter().flatten().filter(|name| name.starts_with(CARD));
        files.extend(names.map(|name| CardFile { name, node, property: property.name, vm }));
    }
}
