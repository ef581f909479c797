//! `evisor,rights`: what a VM may do with an object.

use crate::error::Faults;
use crate::words;
use alloc::format;
use evisor_contract::Rights;
use evisor_fdt::Node;

/// The words for rights, of which `evisor,rights` is a list.
pub const RIGHT_NAMES: [(&str, Rights); 6] = [
    ("read", Rights::READ),
    ("write", Rights::WRITE),
    ("interrupt", Rights::INTERRUPT),
    ("control", Rights::CONTROL),
    ("grant", Rights::GRANT),
    ("call", Rights::CALL),
];

/// The rights that a node's capability gets: those it names, or all but grant.
pub(crate) fn read(faults: &Faults, node: Node<'_>) -> Rights {
    let Some(property) = node.property(words::RIGHTS) else {
        return Rights::all().difference(Rights::GRANT);
    };
    let Some(strings) = property.strings() else {
        let remedy = "write it as \"read\", \"write\"";
        faults.property(node, words::RIGHTS, "is not a list of strings", remedy);
        return Rights::empty();
    };
    strings.fold(Rights::empty(), |rights, name| rights | right(faults, node, name))
}

fn right(faults: &Faults, node: Node<'_>, name: &str) -> Rights {
    let known = RIGHT_NAMES.iter().find(|(known, _)| *known == name);
    if known.is_none() {
        let names = RIGHT_NAMES.map(|(name, _)| name).join(", ");
        let message = format!("there is no right \"{name}\"");
        faults.property(node, words::RIGHTS, message, format!("the rights are {names}"));
    }
    known.map_or(Rights::empty(), |(_, right)| *right)
}
