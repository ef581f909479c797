//! From a node's `compatible` to the component that answers to it.

use crate::error::Faults;
use crate::gic;
use crate::surroundings::{GicVersion, Surroundings};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use evisor_contract::Declaration;
use evisor_fdt::Node;

/// The names that mean one version of it.
const GICS: [(&str, GicVersion); 6] = [
    ("evisor,gic-v2", GicVersion::V2),
    ("arm,gic-400", GicVersion::V2),
    ("arm,cortex-a15-gic", GicVersion::V2),
    ("arm,cortex-a7-gic", GicVersion::V2),
    ("evisor,gic-v3", GicVersion::V3),
    ("arm,gic-v3", GicVersion::V3),
];

/// The component for `node`, by the first of its strings that one answers to.
pub(crate) fn component(
    faults: &Faults,
    around: &Surroundings<'_>,
    node: Node<'_>,
) -> Option<&'static Declaration> {
    let Some(strings) = node.property("compatible").and_then(|p| p.strings()) else {
        let remedy = "say what it is, or remove it";
        faults.property(node, "compatible", "is missing or not a list of strings", remedy);
        return None;
    };
    let strings: Vec<&str> = strings.collect();
    if !gic_is_given(faults, around, node, &strings) {
        return None;
    }
    let found = strings.iter().find_map(|string| answering(around, resolved(around, string)));
    if found.is_none() {
        unmatched(faults, around, node, &strings);
    }
    found
}

fn answering(around: &Surroundings<'_>, string: &str) -> Option<&'static Declaration> {
    let mut all = around.registry.iter();
    all.find(|declaration| declaration.compatible.iter().any(|name| equal(name, string)))
}

/// Every boot compares each string of a manifest's with each that a component answers
/// to, and most differ in their length or their last byte.
#[inline(always)]
fn equal(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    one.len() == other.len() && one.last() == other.last() && one == other
}

/// `string`, or what the board makes of it.
fn resolved<'s>(around: &Surroundings<'_>, string: &'s str) -> &'s str {
    match around.board.gic {
        Some(GicVersion::V2) if string == gic::ANY => "evisor,gic-v2",
        Some(GicVersion::V3) if string == gic::ANY => "evisor,gic-v3",
        _ => string,
    }
}

/// Whether the board gives the interrupt controller that `strings` name, if
/// they name one.
fn gic_is_given(
    faults: &Faults,
    around: &Surroundings<'_>,
    node: Node<'_>,
    strings: &[&str],
) -> bool {
    let board = around.board;
    let named = strings.iter().find_map(|s| GICS.iter().find(|(name, _)| name == s));
    if named.is_none() && !strings.contains(&gic::ANY) {
        return true;
    }
    let Some(given) = board.gic else {
        let message = format!("{} has no GIC that can be virtualized", board.name);
        faults.property(node, "compatible", message, "deploy on another board");
        return false;
    };
    let Some((name, _)) = named.filter(|(_, wanted)| *wanted != given) else { return true };
    let message = format!("\"{name}\" cannot be had: {} gives a {given}", board.name);
    let remedy = format!("write \"{}\" for what the board gives", gic::ANY);
    faults.property(node, "compatible", message, remedy);
    false
}

fn unmatched(faults: &Faults, around: &Surroundings<'_>, node: Node<'_>, strings: &[&str]) {
    let resolved: Vec<&str> = strings.iter().map(|string| resolved(around, string)).collect();
    let feature = around
        .left_out
        .iter()
        .find(|(_, answers)| resolved.iter().any(|string| answers.contains(string)));
    let message = format!("no component answers to \"{}\"", strings.join("\", \""));
    let remedy = match feature {
        Some((feature, _)) => format!("build with feature {feature}"),
        None => String::from("correct the name, or remove the node"),
    };
    faults.property(node, "compatible", message, remedy);
}
