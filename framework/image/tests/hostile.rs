//! Files that nobody made with care: inspected or refused, and nothing panics.

#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use evisor_image::{Image, Kind, inspect, unpack};
use proptest::collection::vec;
use proptest::prelude::*;
use support::{gzip, linux, sound_elf};

/// What holds of every file that is accepted.
fn hold(file: &[u8], image: &Image) {
    match &image.kind {
        Kind::Linux { size, .. } => assert!(*size >= image.length),
        Kind::Raw => assert!(image.length > 0 || file.is_empty()),
        Kind::Elf { segments, .. } => {
            assert!(!segments.is_empty());
            for segment in segments {
                assert!(segment.bytes <= segment.size && segment.size > 0);
                let end = segment.offset.checked_add(segment.bytes);
                assert!(end.is_some_and(|end| end <= image.length));
                assert!(segment.address.checked_add(segment.size).is_some());
            }
        }
    }
}

fn examine(file: &[u8]) {
    for raw in [false, true] {
        let Ok(image) = inspect(file, raw) else { continue };
        hold(file, &image);
        if image.packed {
            let mut given = 0;
            let taken = unpack(file, |offset, piece| {
                assert_eq!(offset, given);
                given += piece.len() as u64;
                assert!(given <= image.length);
                Ok::<_, ()>(())
            });
            assert!(taken.is_err() || given == image.length);
        }
    }
}

/// Changes some bytes of a file, and its length.
fn mutants(file: Vec<u8>, hot: usize) -> impl Strategy<Value = Vec<u8>> {
    let length = file.len();
    let change = (0..hot.min(length), prop_oneof![any::<u8>(), Just(0), Just(0xff)]);
    (vec(change, 0..4), prop_oneof![3 => Just(length), 1 => 0..length]).prop_map(
        move |(changes, length)| {
            let mut file = file.clone();
            for (at, value) in changes {
                file[at] = value;
            }
            file.truncate(length);
            file
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes(file in vec(any::<u8>(), 0..200), magic in 0..5_usize) {
        let magic: &[u8] =
            [&b""[..], b"\x7fELF\x02\x01\x01", b"\x1f\x8b\x08\0", b"\x1f\x8b\x08\x1e", b"MZ"][magic];
        examine(&[magic, &file].concat());
    }

    #[test]
    fn mutants_of_an_elf_file(file in mutants(sound_elf(), 64 + 2 * 56)) {
        examine(&file);
    }

    #[test]
    fn mutants_of_linux(file in mutants(linux(0, 0x1000, 0), 64)) {
        examine(&file);
    }

    #[test]
    fn mutants_of_gzip(file in mutants(gzip(&sound_elf()), 200)) {
        examine(&file);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_packed_comes_out(bytes in vec(any::<u8>(), 1..100), times in 1..1000_usize) {
        let bytes = bytes.repeat(times);
        let file = gzip(&bytes);
        prop_assert_eq!(inspect(&file, true).map(|image| image.length), Ok(bytes.len() as u64));
        let mut out: Vec<u8> = Vec::new();
        let taken = unpack(&file, |_, piece| { out.extend(piece); Ok::<_, ()>(()) });
        prop_assert_eq!(taken, Ok(()));
        prop_assert!(out == bytes);
    }
}
