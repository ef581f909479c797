//! The other cores: parked by the firmware's stub, each in a spin table of one word.

#![allow(unsafe_code, reason = "writes to the words that the tree names")]

use alloc::vec::Vec;
use evisor_aarch64::spin_table;
use evisor_fdt::{Node, Tree};
use evisor_machine::binding;
use log::warn;
use spin::Once;

/// Of each core that can be started, its affinity and the word that it watches.
static PARKED: Once<Vec<(u64, u64)>> = Once::new();

/// The affinities of the cores that can be used.
pub fn find(tree: &Tree<'_>) -> Result<Vec<u64>, &'static str> {
    let mut parked = Vec::new();
    let cores = binding::cores(tree, |node, affinity| match word(node) {
        Some(word) => {
            parked.push((affinity, word));
            true
        }
        None => {
            let method = node.string("enable-method").unwrap_or("nothing");
            warn!(
                "{} is left out: its enable-method is {method}, and on this board it has to be \
                 spin-table (there is no firmware that answers an SMC)",
                node.path()
            );
            false
        }
    });
    // Whoever could write there, or to the code that reads it, would have a core at EL2.
    let reserved =
        |word: u64| tree.reserved().iter().any(|(at, size)| word >= *at && word - at + 8 <= *size);
    if !parked.iter().all(|(_, word)| reserved(*word)) {
        return Err("the tree does not reserve the memory that the other cores wait in");
    }
    PARKED.call_once(|| parked);
    Ok(cores)
}

/// The word that a core watches.
fn word(node: Node<'_>) -> Option<u64> {
    let is_parked = node.string("enable-method") == Some("spin-table");
    node.property("cpu-release-addr").filter(|_| is_parked)?.number()
}

/// Has the core with this affinity start at `entry`.
pub fn start(affinity: u64, entry: u64) -> bool {
    let parked = PARKED.get().into_iter().flatten();
    let found = parked.copied().find(|(core, _)| *core == affinity);
    let Some((_, word)) = found else { return false };
    // SAFETY: 1. the tree says so, and reserves it.
    unsafe { spin_table::release(word, entry) }
}
