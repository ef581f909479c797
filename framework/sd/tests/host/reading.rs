//! Files of sound cards, and of cards that are not.

use crate::images::{FIRST, Ram, bad, card, content, entry, interleave};
use evisor_sd::{FileError, Files, TableError};
use fatfs::FatType;
use std::sync::OnceLock;

const KERNEL: usize = 100_003;
const DISK: usize = 40 * 512;

fn fill(root: &crate::images::Folder<'_, '_>) {
    let (kernel, disk) = (content(1, KERNEL), content(2, DISK));
    let folder = root.create_dir("guests").unwrap();
    interleave(&folder, &[("kernel.gz", &kernel), ("DISK.IMG", &disk)], 700);
    root.create_file("empty").unwrap();
    // A folder as the volume is labelled.
    let inner = root.create_dir("guests/inner").unwrap().create_dir("deeper").unwrap();
    interleave(&inner, &[("one.b", &[7])], 1);
    // More than a cluster of entries.
    let many = root.create_dir("many").unwrap();
    for number in 0..100 {
        let name = format!("f{number}");
        interleave(&many, &[(&name, name.as_bytes())], 9);
    }
}

fn fat16() -> &'static [u8] {
    static CARD: OnceLock<Vec<u8>> = OnceLock::new();
    CARD.get_or_init(|| card(FatType::Fat16, 10_000, 512, fill))
}

fn fat32() -> &'static [u8] {
    static CARD: OnceLock<Vec<u8>> = OnceLock::new();
    CARD.get_or_init(|| card(FatType::Fat32, 70_000, 512, fill))
}

fn files(bytes: &[u8]) -> (Ram, Files<Ram>) {
    let ram = Ram::new(bytes.to_vec());
    (ram.clone(), Files::new(ram).unwrap())
}

fn read(files: &mut Files<Ram>, path: &str) -> Result<Vec<u8>, FileError> {
    let mut room = vec![0xee; 200_000];
    let size = files.read(path, &mut room, &mut |_, _| ())? as usize;
    assert!(room[size..].iter().all(|byte| *byte == 0xee), "beyond the file");
    room.truncate(size);
    Ok(room)
}

#[test]
fn files_of_both_kinds_are_read() {
    for bytes in [fat16(), fat32()] {
        let (_, mut files) = files(bytes);
        assert_eq!(files.partition().first, FIRST as u64);
        for path in ["guests/kernel.gz", "/GUESTS/Kernel.GZ", "//guests/KERNEL.gz"] {
            assert_eq!(files.size(path), Ok(KERNEL as u32));
            assert!(read(&mut files, path) == Ok(content(1, KERNEL)), "{path}");
        }
        assert!(read(&mut files, "guests/disk.img") == Ok(content(2, DISK)));
        assert_eq!(read(&mut files, "empty"), Ok(vec![]));
        assert_eq!(read(&mut files, "guests/inner/deeper/one.b"), Ok(vec![7]));
        assert_eq!(read(&mut files, "many/f99"), Ok(b"f99".to_vec()));
    }
}

#[test]
fn rooms_that_do_not_start_at_a_word() {
    let (_, mut files) = files(fat16());
    for offset in 1..4 {
        let mut room = vec![0; KERNEL + 8];
        let shifted = &mut room[offset..];
        assert_eq!(files.read("guests/kernel.gz", shifted, &mut |_, _| ()), Ok(KERNEL as u32));
        assert!(shifted[..KERNEL] == content(1, KERNEL));
    }
}

/// Blocks that lie together are read together, and no block of a file twice.
#[test]
fn a_file_in_one_piece_is_read_at_once() {
    const SIZE: usize = 3 << 20;
    let bytes = card(FatType::Fat32, 80_000, 512, |root| {
        interleave(root, &[("large", &content(3, SIZE))], SIZE);
    });
    let (ram, mut files) = files(&bytes);
    ram.with(|inner| inner.reads = (0, 0));
    let mut room = vec![0; SIZE];
    let mut told = Vec::new();
    files.read("large", &mut room, &mut |so_far, _| told.push(so_far)).unwrap();
    assert!(room == content(3, SIZE));
    let half = 1 << 19;
    assert_eq!(told, [half, 2 * half, 3 * half, 4 * half, 5 * half, 6 * half]);
    let (reads, blocks) = ram.with(|inner| inner.reads);
    // Six of the file, one of the folder; the table's 48 blocks by 16.
    assert!(reads <= 6 + 1 + 4, "{reads} reads");
    assert!(blocks <= (SIZE / 512) as u64 + 5 * 16, "{blocks} blocks");
}

#[test]
fn what_is_not_there() {
    for bytes in [fat16(), fat32()] {
        let (_, mut files) = files(bytes);
        for path in
            ["guests/nothing", "nothing", "nothing/kernel.gz", "empty/kernel.gz", "many/f100"]
        {
            assert_eq!(files.size(path), Err(FileError::Missing), "{path}");
        }
        // The volume's label is no file.
        assert_eq!(files.size("guests"), Err(FileError::Folder));
        assert_eq!(files.size("guests/inner"), Err(FileError::Folder));
        for path in
            ["", "/", "guests/", "ninechars", "a.four", "a b", "a/../b", ".", "ä", "a*", "a.b.c"]
        {
            assert_eq!(files.size(path), Err(FileError::BadName), "{path}");
        }
    }
}

#[test]
fn no_room() {
    let (ram, mut files) = files(fat16());
    let (size, room) = (KERNEL as u64, 100_000);
    ram.with(|inner| inner.reads = (0, 0));
    let result = files.read("guests/kernel.gz", &mut vec![0; 100_000], &mut |_, _| ());
    assert_eq!(result, Err(FileError::TooLarge { size, room }));
    assert!(ram.with(|inner| inner.reads.1) <= 64);
}

/// A card error in the middle is told with its block, and other files are read.
#[test]
fn a_card_error_in_the_middle() {
    for bytes in [fat16(), fat32()] {
        let needle = &content(1, KERNEL)[50_000 / 700 * 700..][..64];
        let at = bytes.windows(64).position(|bytes| bytes == needle).unwrap();
        let block = at as u64 / 512;
        let (ram, mut files) = files(bytes);
        ram.with(|inner| inner.bad.insert(block));
        assert_eq!(read(&mut files, "guests/kernel.gz"), Err(FileError::Card(bad(block))));
        assert!(read(&mut files, "guests/disk.img") == Ok(content(2, DISK)));
    }
}

/// embedded-sdmmc takes an error for a missing file, and in a folder's chain for its
/// end.
#[test]
fn card_errors_in_tables_and_folders() {
    for bytes in [fat16(), fat32()] {
        let (ram, mut files) = files(bytes);
        let total = bytes.len() as u64 / 512;
        ram.with(|inner| inner.bad.extend(FIRST as u64 + 1..total));
        for path in ["guests/kernel.gz", "empty", "many/f99", "nothing"] {
            assert!(matches!(files.size(path), Err(FileError::Card(_))), "{path}");
        }
    }
}

/// One block that cannot be read, beside those that are wanted, does no harm.
#[test]
fn reading_ahead_is_not_needed() {
    let (ram, mut files) = files(fat16());
    let fat = FIRST as u64 + 1;
    ram.with(|inner| inner.bad.insert(fat + 15));
    assert_eq!(read(&mut files, "guests/inner/deeper/one.b"), Ok(vec![7]));
}

/// The partition's first block, and the first allocation table, in bytes.
const BOOT: usize = FIRST * 512;

fn table(bytes: &[u8]) -> usize {
    BOOT + 512 * usize::from(u16::from_le_bytes([bytes[BOOT + 14], bytes[BOOT + 15]]))
}

/// The first cluster of a file, by its entry.
fn first_cluster(bytes: &[u8], name: &[u8; 11]) -> usize {
    let at = bytes.windows(11).position(|bytes| bytes == name).unwrap();
    let half = |at: usize| usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    half(at + 20) << 16 | half(at + 26)
}

/// Changes an entry of the table.
fn set_entry(bytes: &mut [u8], wide: bool, cluster: usize, value: u32) {
    let at = table(bytes);
    if wide {
        bytes[at + 4 * cluster..][..4].copy_from_slice(&value.to_le_bytes());
    } else {
        bytes[at + 2 * cluster..][..2].copy_from_slice(&(value as u16).to_le_bytes());
    }
}

fn next(bytes: &[u8], wide: bool, cluster: usize) -> usize {
    let at = table(bytes) + cluster * if wide { 4 } else { 2 };
    let low = usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]));
    let high = usize::from(u16::from_le_bytes([bytes[at + 2], bytes[at + 3]]));
    if wide { low | high << 16 } else { low }
}

#[test]
fn chains_that_are_not_sound() {
    const ENDS: &str = "a file has fewer clusters than its size says";
    const LEADS: &str = "a chain of clusters leads out of the volume";
    const GOES: &str = "a file has more clusters than its size says, or they go in a circle";
    for (bytes, wide) in [(fat16(), false), (fat32(), true)] {
        let start = first_cluster(bytes, b"KERNEL  GZ ");
        let second = next(bytes, wide, start);
        let last = (1..KERNEL / 512 + 1).fold(start, |cluster, _| next(bytes, wide, cluster));
        let (end, bad) = if wide { (0x0fff_ffff, 0x0fff_fff7) } else { (0xffff, 0xfff7) };
        let table = [
            (second, end, ENDS),
            (second, 0, LEADS),
            (second, 1, LEADS),
            (second, bad, LEADS),
            (second, bad - 1, LEADS),
            // A circle in the middle, of one and of two; at the end; and one cluster more.
            (second, second as u32, GOES),
            (second, start as u32, GOES),
            (last, start as u32, GOES),
            (last, last as u32, GOES),
            (last, 0, GOES),
        ];
        for (cluster, value, why) in table {
            let mut bytes = bytes.to_vec();
            set_entry(&mut bytes, wide, cluster, value);
            let (_, mut files) = files(&bytes);
            let result = read(&mut files, "guests/kernel.gz");
            assert_eq!(result.err(), Some(FileError::Corrupt(why)), "{wide} {cluster} {value:#x}");
            assert!(read(&mut files, "guests/disk.img") == Ok(content(2, DISK)));
        }
    }
}

#[test]
fn folders_that_are_not_sound() {
    for (bytes, wide) in [(fat16(), false), (fat32(), true)] {
        let start = first_cluster(bytes, b"MANY       ");
        for (value, why) in [
            (start as u32, "a folder does not end"),
            (0, "a chain of clusters leads out of the volume"),
            (
                if wide { 0x0fff_fff7 } else { 0xfff7 },
                "a chain of clusters leads out of the volume",
            ),
        ] {
            let mut bytes = bytes.to_vec();
            set_entry(&mut bytes, wide, start, value);
            let (ram, mut files) = files(&bytes);
            assert_eq!(files.size("many/f99"), Err(FileError::Corrupt(why)), "{wide} {value:#x}");
            assert!(ram.with(|inner| inner.reads.0) < 10_000);
        }
    }
}

#[test]
fn entries_that_are_not_sound() {
    for bytes in [fat16(), fat32()] {
        let at = bytes.windows(11).position(|bytes| bytes == b"KERNEL  GZ ").unwrap();
        let folder = bytes.windows(11).position(|bytes| bytes == b"INNER      ").unwrap();
        let nowhere = FileError::Corrupt("a file's first cluster is not in the volume");
        let large = FileError::Corrupt("a file is larger than the volume");
        for (at, change, path, error) in [
            (at + 26, [0, 0], "guests/kernel.gz", nowhere),
            (at + 26, [1, 0], "guests/kernel.gz", nowhere),
            (at + 30, [0xff, 0xff], "guests/kernel.gz", large),
            (folder + 26, [0, 0], "guests/inner/deeper/one.b", nowhere),
            (folder + 26, [1, 0], "guests/inner", nowhere),
        ] {
            let mut bytes = bytes.to_vec();
            bytes[at..at + 2].copy_from_slice(&change);
            let (_, mut files) = files(&bytes);
            assert_eq!(read(&mut files, path), Err(error), "{path}");
        }
    }
    let mut bytes = fat32().to_vec();
    let at = bytes.windows(11).position(|bytes| bytes == b"KERNEL  GZ ").unwrap();
    // embedded-sdmmc panics on a cluster beyond 2^30.
    bytes[at + 20..at + 22].copy_from_slice(&[0xff, 0xff]);
    assert!(matches!(read(&mut files(&bytes).1, "guests/kernel.gz"), Err(FileError::Corrupt(_))));
}

fn refused(bytes: Vec<u8>) -> FileError {
    match Files::new(Ram::new(bytes)) {
        Ok(_) => panic!("it is taken"),
        Err(error) => error,
    }
}

#[test]
fn boot_sectors_that_are_not_sound() {
    let senseless = FileError::Corrupt("its boot sector makes no sense");
    let larger = FileError::Corrupt("it is larger than its partition, or has no clusters");
    let short = FileError::Corrupt("its allocation table is too short");
    let table: [(&[u8], usize, &[u8], FileError); 17] = [
        (fat16(), 510, &[0, 0], FileError::NotFat("has no file system")),
        (fat16(), 11, &[0, 4], FileError::NotFat("does not have sectors of 512 bytes")),
        (fat16(), 13, &[0], senseless),
        (fat16(), 13, &[3], senseless),
        (fat16(), 14, &[0, 0], senseless),
        (fat16(), 16, &[0], senseless),
        (fat16(), 14, &[255, 255], larger),
        (fat16(), 17, &[0, 0], senseless),
        (fat16(), 19, &[255, 255], larger),
        (fat16(), 13, &[4], FileError::NotFat("is FAT12")),
        (fat16(), 22, &[5, 0], short),
        (fat32(), 32, &[255, 255, 255, 255], larger),
        (fat32(), 36, &[255, 255, 255, 255], larger),
        (fat32(), 44, &[1, 0, 0, 0], senseless),
        (fat32(), 44, &[255, 255, 255, 255], senseless),
        (fat32(), 42, &[1, 0], senseless),
        (fat32(), 36, &[5, 0, 0, 0], short),
    ];
    for (bytes, at, change, error) in table {
        let mut bytes = bytes.to_vec();
        bytes[BOOT + at..][..change.len()].copy_from_slice(change);
        assert_eq!(refused(bytes), error, "{at} {change:?}");
    }
}

/// FSInfo is a hint for who writes ("FAT32 FSInfo Sector Structure").
#[test]
fn fsinfo_does_not_matter() {
    for change in [[0, 0], [0xff, 0xff], [5, 0]] {
        let mut bytes = fat32().to_vec();
        bytes[BOOT + 48..BOOT + 50].copy_from_slice(&change);
        assert!(read(&mut files(&bytes).1, "guests/disk.img") == Ok(content(2, DISK)));
    }
}

#[test]
fn fat12_and_other_partitions_are_told() {
    let small = card(FatType::Fat12, 2000, 512, |_| ());
    assert_eq!(refused(small), FileError::NotFat("is FAT12"));
    let mut linux = fat16().to_vec();
    linux[446 + 4] = 0x83;
    assert_eq!(refused(linux), FileError::NoPartition);
    assert_eq!(refused(vec![0; 4096]), FileError::Table(TableError::Missing));
}

/// The first FAT partition, wherever it stands in the table.
#[test]
fn another_partition_may_come_first() {
    let mut bytes = fat16().to_vec();
    entry(&mut bytes, 3, 0x0e, FIRST as u32, 10_000);
    entry(&mut bytes, 0, 0x83, 1, 100);
    assert!(read(&mut files(&bytes).1, "guests/disk.img") == Ok(content(2, DISK)));
}
