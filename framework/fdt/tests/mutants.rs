//! Seeded mutants of compiled trees: each is accepted or refused, and what is
//! accepted can be read to its end in every way that the crate offers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod compile;
mod reader;

use compile::compile;
use evisor_fdt::{Aligned, Tree};
use reader::read_all;
use std::hint::black_box;

const MUTANTS: u64 = 100_000;

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
        (self.next() % bound.max(1) as u64) as usize
    }
}

/// One change: a bit, a byte, a word, a word with meaning, a move, or the end.
fn mutate(bytes: &mut Vec<u8>, random: &mut Random) {
    const WORDS: [u32; 12] =
        [0, 1, 2, 3, 4, 9, 16, 0x7fff_ffff, 0x8000_0000, 0xffff_fff0, 0xffff_fffc, u32::MAX];
    // The header is a fortieth of the tree and decides most.
    let reach = if random.below(3) == 0 { 40.min(bytes.len()) } else { bytes.len() };
    let at = random.below(reach);
    let word = at & !3;
    match random.below(6) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 if word + 4 <= bytes.len() => {
            let value = WORDS[random.below(WORDS.len())];
            bytes[word..word + 4].copy_from_slice(&value.to_be_bytes());
        }
        3 if word + 4 <= bytes.len() => {
            let old = u32::from_be_bytes(bytes[word..word + 4].try_into().unwrap());
            let near = old.wrapping_add(random.below(33) as u32).wrapping_sub(16);
            bytes[word..word + 4].copy_from_slice(&near.to_be_bytes());
        }
        4 => {
            let from = random.below(bytes.len());
            let len = random.below(64).min(bytes.len() - from.max(at));
            bytes.copy_within(from..from + len, at);
        }
        _ if random.below(8) == 0 => bytes.truncate(at.max(1)),
        _ => {}
    }
}

#[test]
fn mutants_are_accepted_or_refused() {
    let seeds = [compile("board"), compile("empty")];
    let mut random = Random(0x6576_6973_6f72);
    let (mut accepted, mut refused) = (0, 0);
    for mutant in 0..MUTANTS {
        let mut bytes = seeds[usize::from(mutant % 10 == 0)].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, &mut random);
        }
        let bytes = Aligned::copy(&bytes);
        match Tree::new(bytes.bytes()) {
            Ok(tree) => {
                read_all(&tree);
                accepted += 1;
            }
            Err(error) => {
                black_box(error.to_string());
                refused += 1;
            }
        }
    }
    // Neither side may be idle, or the test looks at half of the code.
    assert!(accepted > MUTANTS / 10 && refused > MUTANTS / 10, "{accepted} {refused}");
}
