//! Guests' files that stay on the SD card: `card:NAME` in a manifest.
//!
//! eVisor reads them at boot, by their short names. So that a manifest can be checked
//! before, and a card be written, the host command is given the same files: beside the
//! manifest, or by `--card-file`.

use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;

/// What a manifest puts before such a file's name.
pub const PREFIX: &str = "card:";

/// What a short name may hold besides letters and digits (Microsoft's FAT
/// specification 1.03, "Short Directory Entries").
const SIGNS: &str = "$%'-_@~`!(){}^#&";

/// Where the files that stay on the card are taken from.
#[derive(Args, Clone, Debug, Default)]
pub struct CardFiles {
    /// Where the file is that the manifest calls card:NAME, if not beside it: a path,
    /// image:GUEST or debian:linux (repeatable)
    #[arg(long = "card-file", value_name = "NAME=FILE")]
    pub given: Vec<CardFile>,
}

/// A file's name on the card, and what it is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardFile {
    pub name: String,
    pub source: String,
}

impl FromStr for CardFile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, source) = text.split_once('=').ok_or("it has to be NAME=FILE")?;
        let name = name.strip_prefix(PREFIX).unwrap_or(name);
        let name = short_name(name).map_err(|error| error.to_string())?;
        Ok(Self { name, source: source.to_owned() })
    }
}

impl CardFiles {
    /// What was given for a file of the card, as a manifest of the current folder would
    /// name it.
    pub fn source(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|file| file.name == name).map(|file| file.source.as_str())
    }
}

/// What to do about a file that cannot be had.
pub fn remedy(name: &str) -> String {
    match short_name(name) {
        Ok(short) => {
            format!("Put it beside the manifest, or say where it is: --card-file {short}=FILE.")
        }
        Err(_) => "eVisor reads the card by short names: give the file one.".to_owned(),
    }
}

/// The name as it stands on the card: each part has up to eight characters, and a dot
/// with up to three more; letters are capitals.
pub fn short_name(name: &str) -> Result<String> {
    for part in name.split('/') {
        let (start, end) = part.split_once('.').unwrap_or((part, "x"));
        let fits = (1..=8).contains(&start.len()) && (1..=3).contains(&end.len());
        let allowed = |c: char| c.is_ascii_alphanumeric() || SIGNS.contains(c);
        ensure!(
            fits && start.chars().chain(end.chars()).all(allowed),
            "\"{name}\" is no short name: up to eight letters, digits or {SIGNS}, a dot, up to \
             three more; folders with /"
        );
    }
    Ok(name.to_ascii_uppercase())
}

/// The file of that name in a folder, in whatever case its parts are there.
pub fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    let mut path = folder.to_path_buf();
    for part in name.split('/') {
        path = entry(&path, part).with_context(|| {
            format!("there is no {name} in {}", crate::workspace::shown(folder))
        })?;
    }
    Ok(path)
}

fn entry(folder: &Path, name: &str) -> Option<PathBuf> {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let mut same: Vec<_> = fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().eq_ignore_ascii_case(name))
        .map(|e| e.path())
        .collect();
    same.sort();
    let exact = same.iter().find(|path| path.ends_with(name)).cloned();
    exact.or_else(|| same.into_iter().next())
}

/// Reads a file that a FAT file system can hold.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let shown = path.display();
    let meta = fs::metadata(path).with_context(|| format!("cannot read {shown}"))?;
    if meta.len() > u64::from(u32::MAX) {
        bail!("{shown} is too large for a FAT file system: it has to be smaller than 4 GiB");
    }
    fs::read(path).with_context(|| format!("cannot read {shown}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_written_in_capitals() {
        for (name, short) in
            [("KERNEL.IMG", "KERNEL.IMG"), ("a", "A"), ("boot/root~1.gz", "BOOT/ROOT~1.GZ")]
        {
            assert_eq!(short_name(name).unwrap(), short);
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "kernel_image",
            "a.html",
            "a.",
            ".a",
            "a b",
            "a.b.c",
            "/a",
            "a/",
            "../a",
            "\u{e4}",
            "a+b",
        ] {
            let error = short_name(name).unwrap_err().to_string();
            assert!(error.contains(&format!("\"{name}\" is no short name")), "{error}");
        }
    }

    #[test]
    fn a_file_is_given_with_or_without_the_prefix() {
        let file = CardFile { name: "K.IMG".to_owned(), source: "debian:linux".to_owned() };
        assert_eq!("k.img=debian:linux".parse(), Ok(file.clone()));
        assert_eq!("card:K.IMG=debian:linux".parse(), Ok(file));
        assert!("k.img".parse::<CardFile>().is_err());
        assert!("kernel.image=x".parse::<CardFile>().unwrap_err().contains("short name"));
    }

    #[test]
    fn files_are_found_in_any_case() {
        let folder = std::env::temp_dir().join(format!("evisor-card-file-{}", std::process::id()));
        fs::create_dir_all(folder.join("Boot")).unwrap();
        fs::write(folder.join("Boot/kernel.Img"), "x").unwrap();
        let found = find(&folder, "BOOT/KERNEL.IMG").unwrap();
        let error = find(&folder, "BOOT/OTHER").unwrap_err().to_string();
        let large = folder.join("large");
        fs::File::create(&large).unwrap().set_len(1 << 32).unwrap();
        let too_large = read(&large).unwrap_err().to_string();
        fs::remove_dir_all(&folder).unwrap();
        assert!(found.ends_with("Boot/kernel.Img"));
        assert!(error.contains("BOOT/OTHER"), "{error}");
        assert!(too_large.contains("4 GiB"), "{too_large}");
    }
}
