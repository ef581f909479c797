//! A manifest: any bytes, or a good one edited.

#![no_main]

use evisor_fuzz::{MANIFEST, archive, edited, examine};
use evisor_kernel::Bundle;
use std::sync::LazyLock;

static FILES: LazyLock<Bundle<'static>> = LazyLock::new(|| {
    let archive = Vec::leak(archive(MANIFEST));
    Bundle::read(archive).expect("a good bundle is one")
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| match bytes.split_first() {
    Some((0, tree)) => examine(tree, &*FILES),
    Some((_, edits)) => examine(&edited(MANIFEST, edits), &*FILES),
    None => examine(MANIFEST, &*FILES),
});
