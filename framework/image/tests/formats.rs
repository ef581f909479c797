//! What files of each kind say of themselves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod support;

use evisor_image::{Image, Kind, MAX_SEGMENTS, Segment, Stopped, Unpacking, inspect, unpack};
use support::{elf, gzip, gzip_with, linux, sound_elf};

fn kind(file: &[u8]) -> Kind {
    inspect(file, false).unwrap().kind
}

fn problem(file: &[u8]) -> &'static str {
    inspect(file, false).unwrap_err().problem
}

#[test]
fn linux_headers() {
    let mut file = linux(0x1000, 0x9000, 0xa);
    file.resize(0x8000, 0);
    assert_eq!(kind(&file), Kind::Linux { text_offset: 0x1000, size: 0x9000 });
    file[16..24].copy_from_slice(&0x100_u64.to_le_bytes());
    assert_eq!(kind(&file), Kind::Linux { text_offset: 0x1000, size: 0x8000 });
    // Before 3.17 the header had no size.
    file[16..24].copy_from_slice(&[0; 8]);
    assert_eq!(kind(&file), Kind::Linux { text_offset: 0x8_0000, size: 0x8000 });
    assert_eq!(problem(&linux(0, 0x9000, 1)), "is a big-endian kernel");
}

#[test]
fn elf_files() {
    let segments = vec![
        Segment { offset: 0x200, bytes: 0x100, address: 0x4008_0000, size: 0x100 },
        Segment { offset: 0x300, bytes: 0x80, address: 0x4009_0000, size: 0x1000 },
    ];
    assert_eq!(kind(&sound_elf()), Kind::Elf { segments, entry: 0x4008_0040 });
    // Linked at no address: it goes to the one that it says too.
    let file = elf(3, 0x10, &[[1, 0x200, 0, 0, 0x20, 0x20]]);
    let segments = vec![Segment { offset: 0x200, bytes: 0x20, address: 0, size: 0x20 }];
    assert_eq!(kind(&file), Kind::Elf { segments, entry: 0x10 });
    // What is not loaded, and what has no size, does not count.
    let file = elf(2, 0x10, &[[4, 1, 2, 3, 4, 5], [1, 9, 9, 9, 0, 0], [1, 0, 0, 0, 1, 0x20]]);
    assert!(matches!(kind(&file), Kind::Elf { segments, .. } if segments.len() == 1));
}

#[test]
fn elf_files_that_are_refused() {
    let one = |program| problem(&elf(2, 0x10, &[program]));
    assert_eq!(one([1, 0x200, 0, 0, 0x30, 0x20]), "is a broken ELF file");
    assert_eq!(one([1, 0xfff, 0, 0, 2, 0x20]), "is a broken ELF file");
    assert_eq!(one([1, u64::MAX, 0, 0, 2, 0x20]), "is a broken ELF file");
    assert_eq!(one([1, 0, 0, u64::MAX, 2, 0x20]), "is a broken ELF file");
    assert_eq!(one([6, 0, 0, 0, 2, 0x20]), "is an ELF file that loads nothing");
    let outside = "is an ELF file whose entry is in none of its segments";
    assert_eq!(one([1, 0, 0x11, 0, 2, 0x20]), outside);
    assert_eq!(one([1, 0, 0, 0, 2, 0x10]), outside);
    assert_eq!(one([3, 0, 0, 0, 2, 0x10]), "is an ELF file that needs a dynamic linker");
    let over = [[1, 0, 0, 0x1000, 1, 0x1001], [1, 0, 0, 0x2000, 1, 0x20]];
    assert_eq!(problem(&elf(2, 0, &over)), "is an ELF file whose segments overlap");
    let many = |count: usize| {
        let programs: Vec<_> = (0..count as u64).map(|n| [1, 0, n * 16, n * 16, 1, 16]).collect();
        inspect(&elf(2, 0, &programs), false)
    };
    assert!(many(MAX_SEGMENTS).is_ok());
    assert!(many(MAX_SEGMENTS + 1).is_err());
    assert_eq!(problem(&elf(1, 0, &[])), "is an ELF file that loads nothing");
    for (at, value) in [(4, 1), (5, 2), (6, 0), (18, 62)] {
        let mut file = sound_elf();
        file[at] = value;
        assert_eq!(problem(&file), "is an ELF file for another machine", "byte {at}");
    }
    for length in 4..64 {
        assert!(inspect(&sound_elf()[..length], false).is_err());
    }
    let mut far = sound_elf();
    far[32..40].copy_from_slice(&0xfff_u64.to_le_bytes());
    let missing = "is an ELF file without its program headers where they should be";
    assert_eq!(problem(&far), missing);
}

#[test]
fn what_is_not_read_is_named() {
    assert_eq!(problem(b"\x28\xb5\x2f\xfd...."), "is compressed with zstd");
    assert_eq!(problem(b"\xfd7zXZ\0...."), "is compressed with xz");
    assert_eq!(problem(b"MZ\0\0zimg...."), "is compressed for EFI (vmlinuz.efi)");
    assert_eq!(problem(b"\x27\x05\x19\x56...."), "is a U-Boot image");
    assert_eq!(problem(b"\xd0\x0d\xfe\xed...."), "is a device tree or a FIT image");
    assert_eq!(problem(&gzip(&gzip(b"x"))), "is compressed twice");
}

#[test]
fn raw_files_begin_with_anything() {
    assert_eq!(kind(b"raw"), Kind::Raw);
    for file in [&sound_elf()[..], &linux(0, 1, 0), b"\x28\xb5\x2f\xfd", &[0x1f, 0x8b]] {
        let image = inspect(file, true).unwrap();
        assert_eq!(image, Image { packed: false, length: file.len() as u64, kind: Kind::Raw });
    }
    // To place a compressed file as it is, compress it once more.
    let packed = gzip(b"x");
    let image = inspect(&gzip(&packed), true).unwrap();
    assert_eq!(image, Image { packed: true, length: packed.len() as u64, kind: Kind::Raw });
}

#[test]
fn compressed_files_are_seen_through() {
    let mut kernel = linux(0, 0x40_0000, 0);
    kernel.resize(100_000, 7);
    let image = inspect(&gzip(&kernel), false).unwrap();
    let expected = Kind::Linux { text_offset: 0, size: 0x40_0000 };
    assert_eq!(image, Image { packed: true, length: 100_000, kind: expected });
    assert_eq!(kind(&gzip(&sound_elf())), kind(&sound_elf()));
}

/// Unpacks all of a file, for which it makes no difference how much at a time.
fn unpacked(file: &[u8]) -> Result<Vec<u8>, &'static str> {
    let whole = unpacked_at_once(file);
    for input in [1, 7, 64] {
        assert_eq!(unpacked_in_pieces(file, input), whole);
    }
    whole
}

fn unpacked_in_pieces(file: &[u8], input: usize) -> Result<Vec<u8>, &'static str> {
    let mut unpacking = Unpacking::new(file).map_err(|refusal| refusal.problem)?;
    let mut bytes = Vec::new();
    while let Some((offset, piece)) =
        unpacking.next_piece(input).map_err(|refusal| refusal.problem)?
    {
        assert_eq!(offset, bytes.len() as u64);
        bytes.extend(piece);
    }
    Ok(bytes)
}

fn unpacked_at_once(file: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut bytes = Vec::new();
    let taken = unpack(file, |offset, piece| {
        assert_eq!(offset, bytes.len() as u64);
        bytes.extend(piece);
        Ok::<_, ()>(())
    });
    match taken {
        Ok(()) => Ok(bytes),
        Err(Stopped::Refused(refusal)) => Err(refusal.problem),
        Err(Stopped::ByTaker(())) => panic!("it took all"),
    }
}

#[test]
fn gzip_headers_of_every_kind() {
    let text = b"hello hello hello";
    let fields: [(u8, &[u8]); 7] = [
        (0, b""),
        (1, b""),
        (1 << 1, b"cc"),
        (1 << 2, b"\x03\0abc"),
        (1 << 3, b"name\0"),
        (1 << 4, b"comment\0"),
        (0x1e, b"\x01\0abname\0comment\0cc"),
    ];
    for (flags, fields) in fields {
        let fields = if flags == 0x1e { b"\x01\0aname\0comment\0cc" } else { fields };
        assert_eq!(unpacked(&gzip_with(flags, fields, text)).unwrap(), text, "{flags:#x}");
    }
    for reserved in [1 << 5, 1 << 6, 1 << 7] {
        assert_eq!(unpacked(&gzip_with(reserved, b"", text)), Err("is a broken gzip file"));
    }
}

#[test]
fn unsound_gzip_files_are_refused() {
    let sound = gzip(&[3; 1000]);
    let end = sound.len();
    let with = |at: usize| {
        let mut file = sound.clone();
        file[at] ^= 1;
        unpacked(&file).unwrap_err()
    };
    assert_eq!(with(end - 8), "is a gzip file with a wrong checksum");
    assert_eq!(with(end - 4), "is a gzip file of another length than it says");
    assert_eq!(with(end - 1), "is a gzip file of another length than it says");
    let mut behind = sound.clone();
    behind.splice(end - 8..end - 8, [0; 3]);
    assert_eq!(unpacked(&behind), Err("is a gzip file with something behind its end"));
    let two = [&sound[..], &sound[..]].concat();
    assert_eq!(unpacked(&two), Err("is a gzip file with something behind its end"));
    for length in 3..end {
        assert!(unpacked(&sound[..length]).is_err(), "{length}");
    }
    assert_eq!(problem(&gzip(b"")), "is empty");
}

#[test]
fn unpacking_stops_when_it_is_told_to() {
    let mut pieces = 0;
    let stopped = unpack(&gzip(&vec![0; 1 << 20]), |_, piece| {
        assert!(piece.len() <= 32 << 10);
        pieces += 1;
        if pieces == 3 { Err("enough") } else { Ok(()) }
    });
    assert_eq!((stopped, pieces), (Err(Stopped::ByTaker("enough")), 3));
}

#[test]
fn no_more_is_given_than_the_file_says() {
    let mut bomb = gzip(&vec![0; 1 << 20]);
    let end = bomb.len();
    bomb[end - 4..].copy_from_slice(&40_000_u32.to_le_bytes());
    let mut given = 0;
    let stopped = unpack(&bomb, |_, piece| {
        given += piece.len();
        Ok::<_, ()>(())
    });
    assert!(matches!(stopped, Err(Stopped::Refused(_))) && given <= 40_000);
}
