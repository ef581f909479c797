//! The VideoCore's firmware, which starts a Raspberry Pi 4: Debian's package
//! raspi-firmware, or a folder that the user names.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::debian_guest::Store;
use crate::deployment::File;
use crate::image::write_whole;
use crate::sources;

const PACKAGE: &str = "raspi-firmware";

/// The firmware, and what it patches for the memory it finds. The boot code before them
/// is in the board's EEPROM.
const FILES: [&str; 2] = ["start4.elf", "fixup4.dat"];

/// Its licence wants to go where it goes: the name on the card, and those that it has
/// in Debian's package and where the firmware is published.
const LICENCE: &str = "LICENCE.broadcom";
const LICENCES: [&str; 2] = ["copyright", LICENCE];

/// The firmware's files from a folder.
pub fn of_folder(folder: &Path) -> Result<Vec<File>> {
    let mut files = Vec::new();
    for name in FILES {
        let path = folder.join(name);
        let bytes = fs::read(&path).with_context(|| {
            format!(
                "--firmware: cannot read {}; the folder has to hold {}",
                path.display(),
                FILES.join(" and ")
            )
        })?;
        files.push(File { name: name.to_owned(), bytes });
    }
    if let Some(bytes) = LICENCES.iter().find_map(|name| fs::read(folder.join(name)).ok()) {
        files.push(File { name: LICENCE.to_owned(), bytes });
    }
    Ok(files)
}

/// The firmware's files from Debian, fetched once.
pub fn of_debian() -> Result<Vec<File>> {
    let store = Store::open()?;
    let folder = store.folder.join(PACKAGE);
    if !FILES.iter().all(|name| folder.join(name).is_file()) {
        fetch(&store, &folder).with_context(|| {
            format!(
                "the VideoCore's firmware ({}) could not be had: it is in Debian's package \
                 {PACKAGE}, section {}. Name a folder that holds the files with --firmware \
                 FOLDER, or leave them out with --no-firmware",
                FILES.join(", "),
                sources::FIRMWARE
            )
        })?;
    }
    of_folder(&folder)
}

fn fetch(store: &Store, to: &Path) -> Result<()> {
    store.with_apt(sources::FIRMWARE, |apt| {
        let package = apt.describe(PACKAGE)?;
        apt.unpack(&package)?;
        fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
        let documents = apt.files().join("usr/share/doc").join(PACKAGE);
        copy(&documents, to, LICENCES.first().copied().unwrap_or_default())?;
        write_whole(&to.join("packages.txt"), package.record().as_bytes())?;
        FILES.iter().try_for_each(|name| copy(&apt.files().join("usr/lib").join(PACKAGE), to, name))
    })
}

fn copy(from: &Path, to: &Path, name: &str) -> Result<()> {
    let path = from.join(name);
    let bytes =
        fs::read(&path).with_context(|| format!("{PACKAGE} holds no {}", path.display()))?;
    write_whole(&to.join(name), &bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_the_files_is_told_which() {
        let error = format!("{:#}", of_folder(Path::new("/nowhere")).err().unwrap());
        assert!(error.contains("/nowhere/start4.elf"), "{error}");
        assert!(error.contains("start4.elf and fixup4.dat"), "{error}");
    }

    #[test]
    fn the_licence_goes_with_the_files() {
        let folder = std::env::temp_dir().join(format!("evisor-firmware-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        for name in ["start4.elf", "fixup4.dat", "copyright"] {
            fs::write(folder.join(name), name).unwrap();
        }
        let files = of_folder(&folder).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["start4.elf", "fixup4.dat", "LICENCE.broadcom"]);
        assert_eq!(files[2].bytes, b"copyright");
    }
}
