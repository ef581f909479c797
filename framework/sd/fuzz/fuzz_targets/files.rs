//! A card with a file system, changed in any places: its files are read or refused.

#![no_main]

use evisor_sd::{Disk, Files, SdError};
use libfuzzer_sys::fuzz_target;
use std::io::{Cursor, Write};
use std::sync::LazyLock;
use zerocopy::IntoBytes;

/// Where the partition starts.
const FIRST: usize = 8;
const BLOCKS: usize = 4600;

static CARD: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut volume = Cursor::new(vec![0; BLOCKS * 512]);
    let options = fatfs::FormatVolumeOptions::new();
    let options = options.fat_type(fatfs::FatType::Fat16).bytes_per_cluster(512);
    fatfs::format_volume(&mut volume, options).expect("a volume");
    let system = fatfs::FileSystem::new(&mut volume, fatfs::FsOptions::new()).expect("a system");
    let folder = system.root_dir().create_dir("folder").expect("a folder");
    for (name, size) in [("one", 3000), ("two", 700)] {
        let mut file = folder.create_file(name).expect("a file");
        file.write_all(&vec![7; size]).expect("room");
    }
    drop(folder);
    drop(system);
    let mut card = vec![0; FIRST * 512];
    card[446 + 4] = 0x0e;
    card[446 + 8] = FIRST as u8;
    card[446 + 12..446 + 14].copy_from_slice(&(BLOCKS as u16).to_le_bytes());
    card[510..512].copy_from_slice(&[0x55, 0xaa]);
    card.extend(volume.into_inner());
    card
});

/// The card, and bytes that are others.
struct Changed<'a>(&'a [u8]);

impl Disk for Changed<'_> {
    fn blocks(&self) -> u64 {
        CARD.len() as u64 / 512
    }

    fn read(&mut self, block: u64, words: &mut [u32]) -> Result<(), SdError> {
        let start = block as usize * 512;
        let bytes = words.as_mut_bytes();
        bytes.copy_from_slice(&CARD[start..start + bytes.len()]);
        let (changes, _) = self.0.as_chunks::<3>();
        for [low, high, value] in changes {
            // The partition table, or a byte of the partition's first 64 KiB, which
            // hold the boot sector, both tables, all folders and files.
            let at = usize::from(u16::from_le_bytes([*low, *high]));
            let at = if at < 512 { at } else { FIRST * 512 + at - 512 };
            if let Some(byte) = at.checked_sub(start).and_then(|at| bytes.get_mut(at)) {
                *byte = *value;
            }
        }
        Ok(())
    }
}

fuzz_target!(|changes: &[u8]| {
    let Ok(mut files) = Files::new(Changed(changes)) else { return };
    let mut room = [0; 4096];
    for path in ["folder/one", "folder/two", "none"] {
        let _ = files.read(path, &mut room, &mut |_, _| ());
    }
});
