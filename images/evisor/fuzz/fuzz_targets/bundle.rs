//! What a boot loader may pass as a bundle: any bytes, or a good one edited.

#![no_main]

use evisor_fuzz::{MANIFEST, archive, edited, unpack};
use std::sync::LazyLock;

static GOOD: LazyLock<Vec<u8>> = LazyLock::new(|| archive(MANIFEST));

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| match bytes.split_first() {
    Some((0, archive)) => unpack(archive),
    Some((_, edits)) => unpack(&edited(&GOOD, edits)),
    None => unpack(&GOOD),
});
