//! `evisor new-device`: the crate of a device, in a folder of its own, to start
//! from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::process::say;
use crate::workspace;

/// The template: where a file goes, and what is in it. `@NAME@` and `@EVISOR@` are
/// filled in.
const FILES: [(&str, &str); 6] = [
    ("Cargo.toml", include_str!("../templates/device/Cargo.toml")),
    ("README.md", include_str!("../templates/device/README.md")),
    ("@NAME@.dts", include_str!("../templates/device/device.dts")),
    ("src/lib.rs", include_str!("../templates/device/src/lib.rs")),
    ("src/spec.rs", include_str!("../templates/device/src/spec.rs")),
    ("src/tests.rs", include_str!("../templates/device/src/tests.rs")),
];

#[derive(Args)]
pub struct NewDevice {
    /// Name of the crate: small letters, digits and hyphens
    name: String,
    /// Folder to make, wherever you like
    folder: PathBuf,
}

impl NewDevice {
    pub fn carry_out(&self) -> Result<u8> {
        let there = self.folder.exists();
        ensure!(!there, "{} is there already: name a new folder", self.folder.display());
        write(&self.name, &self.folder, &workspace::root())?;
        let (name, folder) = (&self.name, self.folder.canonicalize()?);
        let folder = folder.display();
        say(&format!("{folder} is a device that counts; make of it what you need"));
        say("to have it in the image, add to images/evisor/Cargo.toml");
        println!("under [dependencies]:  {}", dependency(name, &folder.to_string()));
        println!("in the list default:   \"{name}\",");
        say(&format!("then try it: ./evisor bench {folder}/{name}.dts"));
        Ok(0)
    }
}

/// The line that makes it an optional part of the image.
pub fn dependency(name: &str, folder: &str) -> String {
    format!("{name} = {{ path = \"{folder}\", optional = true }}")
}

/// Writes the crate, for the eVisor at `root`.
pub fn write(name: &str, folder: &Path, root: &Path) -> Result<()> {
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let fine = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_name);
    ensure!(fine, "'{name}' is no name for a crate: use small letters, digits and hyphens");
    let root = root.display().to_string();
    let fill = |text: &str| text.replace("@NAME@", name).replace("@EVISOR@", &root);
    for (file, text) in FILES {
        let path = folder.join(fill(file));
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
        write_changed(&path, fill(text).as_bytes())?;
    }
    Ok(())
}

/// Writes a file unless it is so already: cargo builds what has a new date.
pub fn write_changed(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_filled_in() {
        let folder = std::env::temp_dir().join(format!("evisor-device-{}", std::process::id()));
        write("my-clock", &folder, Path::new("/e")).unwrap();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        assert!(manifest.contains("name = \"my-clock\""), "{manifest}");
        assert!(manifest.contains("path = \"/e/framework/contract\""), "{manifest}");
        let source = fs::read_to_string(folder.join("my-clock.dts")).unwrap();
        assert!(source.contains("my-clock@b000000 {"), "{source}");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_name_that_cargo_would_refuse_is_refused() {
        for name in ["", "Clock", "a b", "1a", "../x"] {
            assert!(write(name, Path::new("/nowhere"), Path::new("/e")).is_err(), "{name}");
        }
    }
}
