//! Reads an accepted tree in every way that the crate offers; for the mutants'
//! test and the fuzz target.

use evisor_fdt::{Aligned, Draft, Node, Tree};
use std::hint::black_box;

fn read_node(node: Node<'_>) {
    black_box((node.path(), node.unit_address(), node.is_enabled(), node.phandle()));
    let _ = black_box((node.reg(), node.reg_of_cpu(), node.interrupt_parent()));
    for property in node.properties() {
        black_box((property.cell(), property.number(), property.string()));
        black_box(property.strings().map(Iterator::count));
        black_box(property.cells().map(Iterator::count));
    }
    assert!(node.children().all(|child| child.parent() == Some(node)));
}

/// Reads all of a tree, writes it, and reads it again.
pub fn read_all(tree: &Tree<'_>) {
    tree.nodes().for_each(read_node);
    assert_eq!(tree.nodes().count(), 1 + tree.root().descendants().count());
    black_box((tree.find("serial0"), tree.by_phandle(1), tree.reserved()));
    let draft = Draft::copy_all(tree.root());
    let Ok(written) = draft.to_bytes() else { return };
    let written = Aligned::copy(&written);
    let again = Tree::new(written.bytes()).expect("what is written can be read");
    assert_eq!(Draft::copy_all(again.root()), draft);
}
