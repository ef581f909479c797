//! Any bytes are refused, or are a tree that can be read to its end. The seed is
//! `tests/trees/board.dts`, compiled.

#![no_main]

#[path = "../../tests/reader/mod.rs"]
mod reader;

use evisor_fdt::{Aligned, Tree};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let bytes = Aligned::copy(bytes);
    if let Ok(tree) = Tree::new(bytes.bytes()) {
        reader::read_all(&tree);
    }
});
