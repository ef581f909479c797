//! Seeded mutants of cards: files of them are read or refused, in bounded work.

use crate::images::{FIRST, Ram, card, content, interleave};
use evisor_sd::{Disk, Files};
use fatfs::FatType;
use std::hint::black_box;

const MUTANTS: u64 = 10_000;
const PATHS: [&str; 4] = ["guests/kernel", "guests/disk", "guests/in/deep", "nothing"];

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

fn fill(root: &crate::images::Folder<'_, '_>) {
    let folder = root.create_dir("guests").unwrap();
    interleave(&folder, &[("kernel", &content(1, 20_001)), ("disk", &content(2, 9_000))], 700);
    interleave(&folder.create_dir("in").unwrap(), &[("deep", &[1, 2, 3])], 9);
}

/// Where bytes matter: the partition table, the boot sector and the sectors after it,
/// the start of each table, folders.
fn places(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let folder = |name: &[u8; 11]| {
        let at = bytes.windows(11).position(|bytes| bytes == name).unwrap();
        at / 512 * 512..at / 512 * 512 + 512
    };
    let boot = FIRST * 512;
    let reserved = usize::from(u16::from_le_bytes([bytes[boot + 14], bytes[boot + 15]]));
    let table = boot + reserved * 512;
    vec![
        444..512,
        boot..boot + 64,
        table..table + 256,
        folder(b"GUESTS     "),
        folder(b"KERNEL     "),
    ]
}

fn mutate(bytes: &mut [u8], places: &[std::ops::Range<usize>], random: &mut Random) {
    let place = places[random.below(places.len())].clone();
    let at = place.start + random.below(place.len());
    match random.below(4) {
        0 => bytes[at] ^= 1 << random.below(8),
        1 => bytes[at] = random.next() as u8,
        2 => bytes[at & !3..][..4].fill([0, 0xff, 0x0f][random.below(3)]),
        _ => bytes[at & !1..][..2].copy_from_slice(&(random.below(70) as u16).to_le_bytes()),
    }
}

fn try_all(ram: &Ram, read: &mut u64, refused: &mut u64) {
    let mut room = vec![0; 32 * 1024];
    let Ok(mut files) = Files::new(ram.clone()) else {
        *refused += 1;
        return;
    };
    for path in PATHS {
        ram.with(|inner| inner.reads = (0, 0));
        match files.read(path, &mut room, &mut |_, _| ()) {
            Ok(size) => {
                assert!(size as usize <= room.len());
                *read += 1;
            }
            Err(error) => {
                black_box(error.to_string());
                *refused += 1;
            }
        }
        // A folder of the most entries, each block of it beside one of the table.
        let (_, blocks) = ram.with(|inner| inner.reads);
        assert!(blocks < 3 * 4096 * 32, "{path}: {blocks} blocks");
    }
}

fn mutants(bytes: Vec<u8>) {
    let places = places(&bytes);
    let mut random = Random(0x6576_6973_6f72);
    let (mut read, mut refused) = (0, 0);
    let ram = Ram::new(bytes.clone());
    for _ in 0..MUTANTS {
        ram.with(|inner| {
            for _ in 0..=random.below(4) {
                mutate(&mut inner.bytes, &places, &mut random);
            }
        });
        try_all(&ram, &mut read, &mut refused);
        for place in &places {
            ram.with(|inner| inner.bytes[place.clone()].copy_from_slice(&bytes[place.clone()]));
        }
    }
    // Neither side may be idle, or the test looks at half of the code.
    assert!(read > MUTANTS / 4 && refused > MUTANTS / 4, "{read} {refused}");
    assert!(ram.with(|inner| inner.bytes == bytes));
}

#[test]
fn mutants_of_fat16() {
    mutants(card(FatType::Fat16, 5_000, 512, fill));
}

#[test]
fn mutants_of_fat32() {
    mutants(card(FatType::Fat32, 68_000, 512, fill));
}

/// A card whose blocks are something else each time they are read: what was checked is
/// what is used.
struct Changing(Ram, Random);

impl Disk for Changing {
    fn blocks(&self) -> u64 {
        self.0.blocks()
    }

    fn read(&mut self, block: u64, words: &mut [u32]) -> Result<(), evisor_sd::SdError> {
        self.0.read(block, words)?;
        for _ in 0..self.1.below(3) {
            let at = self.1.below(words.len());
            words[at] = [0, u32::MAX, self.1.next() as u32, words[at] ^ 1][self.1.below(4)];
        }
        Ok(())
    }
}

#[test]
fn a_card_that_changes() {
    for kind in [(FatType::Fat16, 5_000), (FatType::Fat32, 68_000)] {
        let ram = Ram::new(card(kind.0, kind.1, 512, fill));
        let mut room = vec![0; 32 * 1024];
        let mut read = 0;
        for seed in 0..MUTANTS / 4 {
            let disk = Changing(ram.clone(), Random(seed));
            let Ok(mut files) = Files::new(disk) else { continue };
            for path in PATHS {
                read += u32::from(files.read(path, &mut room, &mut |_, _| ()).is_ok());
            }
        }
        assert!(read > 0);
    }
}
