//! A manifest with the files that it names, and the bundle made of them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::archive::Archive;
use crate::debian_guest;
use crate::diagnostic::Diagnostics;
use crate::image::{Features, Image};
use crate::manifest::Manifest;
use crate::toolchain::Toolchain;

/// The version of the bundle's layout; the loader refuses one that it does not
/// know.
const BUNDLE_VERSION: &[u8] = b"1\n";

/// Members start on a page, so that a guest's file can be mapped where it lies.
const ALIGN: usize = 4096;

/// A manifest and all that it needs to boot.
pub struct Deployment {
    pub manifest: Manifest,
    pub files: Vec<File>,
}

/// A guest's file, under the name that the manifest gives it.
pub struct File {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Deployment {
    /// Compiles the manifest, and builds, fetches or reads what it names. What is
    /// missing is an error at the line that names it.
    pub fn load(path: &Path) -> Result<Self> {
        let manifest = Manifest::compile(path)?;
        let folder = manifest.folder();
        let (mut files, mut missing) = (Vec::new(), Vec::new());
        for reference in manifest.references() {
            match read(reference.name, &folder) {
                Ok(bytes) => files.push(File { name: reference.name.to_owned(), bytes }),
                Err(error) => missing.push(
                    reference
                        .property
                        .place
                        .clone()
                        .error(format!("{}: {error:#}", reference.property.name), REMEDY)
                        .at_node(&reference.property.node),
                ),
            }
        }
        if !missing.is_empty() {
            return Err(Diagnostics(missing).into());
        }
        Ok(Self { manifest, files })
    }

    /// The bundle that is given to the loader as the initrd.
    pub fn bundle(&self) -> Result<Vec<u8>> {
        let mut archive = Archive::aligned(ALIGN);
        archive.file("evisor,bundle", 0o644, BUNDLE_VERSION)?;
        archive.file("manifest.dtb", 0o644, &self.manifest.tree)?;
        for file in &self.files {
            archive.file(&file.name, 0o644, &file.bytes)?;
        }
        archive.finish()
    }
}

const REMEDY: &str = "A name is a path relative to the manifest, image:NAME for one of \
    eVisor's own guests, or debian:linux, debian:initramfs or debian:u-boot.";

/// The bytes that a name in a manifest stands for.
fn read(name: &str, folder: &Path) -> Result<Vec<u8>> {
    if let Some(image) = name.strip_prefix("image:") {
        return guest(image)?.raw();
    }
    if let Some(fetched) = name.strip_prefix("debian:") {
        return debian_guest::read(fetched);
    }
    fs::read(folder.join(name)).with_context(|| format!("cannot read {name}"))
}

/// One of our own guests, built for the board.
pub fn guest(name: &str) -> Result<Image> {
    let known = crate::workspace::root().join("images").join(name).join("Cargo.toml");
    if !known.is_file() {
        anyhow::bail!("there is no guest images/{name}");
    }
    Image::build(Toolchain::chosen()?, &format!("evisor-guest-{name}"), &Features::Default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Places;

    fn deployment() -> Deployment {
        let manifest =
            Manifest { path: "m.dts".into(), tree: vec![1; 100], places: Places::default() };
        let files = vec![File { name: "image:serial".to_owned(), bytes: vec![2; 5000] }];
        Deployment { manifest, files }
    }

    #[test]
    fn the_bundle_names_its_version_first() {
        let bundle = deployment().bundle().unwrap();
        let members: Vec<_> = cpio_reader::iter_files(&bundle)
            .map(|e| (e.name().trim_end_matches('\0').to_owned(), e.file().len()))
            .collect();
        let expected = [("evisor,bundle", 2), ("manifest.dtb", 100), ("image:serial", 5000)];
        assert_eq!(members, expected.map(|(name, size)| (name.to_owned(), size)));
    }

    #[test]
    fn an_unknown_guest_is_named() {
        let error = read("image:no-such", Path::new("/")).unwrap_err();
        assert!(error.to_string().contains("images/no-such"), "{error}");
    }
}
