//! Seeded mutants of compiled manifests: each is refused, or read, and read
//! manifests give guest trees or say why not. Nothing panics.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use evisor_fdt::{Aligned, Tree};
use evisor_manifest::{guest_tree, read};
use support::{around, board, compile, tests};

const MUTANTS: u64 = 20_000;

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }
}

/// Changes a word of what follows the header: mutants that are no trees are
/// evisor-fdt's test's affair.
fn mutate(bytes: &mut [u8], random: &mut Random) {
    const WORDS: [u32; 10] =
        [0, 1, 3, 4, 8, 0x1000, 0x7fff_ffff, 0x8000_0000, 0xffff_f000, u32::MAX];
    let word = 40 + random.below((bytes.len() - 40) / 4) * 4;
    match random.below(3) {
        0 => {
            let value = WORDS[random.below(WORDS.len())];
            bytes[word..word + 4].copy_from_slice(&value.to_be_bytes());
        }
        1 => bytes[word + random.below(4)] ^= 1 << random.below(8),
        _ => {
            let from = 40 + random.below((bytes.len() - 40) / 4) * 4;
            bytes.copy_within(from..from + 4, word);
        }
    }
}

#[test]
fn mutants_are_read_or_refused() {
    let seeds = ["sound/everything.dts", "broken/window-off-its-bus.dts"]
        .map(|source| compile(&tests().join(source)).unwrap());
    let board = board();
    let mut random = Random(0x6d61_6e69_6665);
    let (mut trees, mut sound, mut guests) = (0, 0, 0);
    for mutant in 0..MUTANTS {
        let mut bytes = seeds[usize::from(mutant % 8 == 0)].bytes().to_vec();
        for _ in 0..=random.below(3) {
            mutate(&mut bytes, &mut random);
        }
        let bytes = Aligned::copy(&bytes);
        let Ok(tree) = Tree::new(bytes.bytes()) else { continue };
        trees += 1;
        match read(&tree, &around(&board)) {
            Err(errors) => {
                assert!(!errors.is_empty());
                assert!(errors.iter().all(|error| !error.to_string().is_empty()));
            }
            Ok(deployment) => {
                sound += 1;
                let made = deployment.vms.iter().map(|vm| guest_tree(&tree, vm, Some(&[7])));
                guests += made.filter(Result::is_ok).count();
            }
        }
    }
    assert!(trees > MUTANTS / 4 && sound > 100 && guests > 100, "{trees} {sound} {guests}");
}
