//! A manifest with the files that it names, and the bundle made of them.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::archive::Archive;
use crate::card_file::{self, CardFiles, find, short_name};
use crate::debian_guest;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::image::{Features, Image};
use crate::manifest::{Manifest, Reference};
use crate::toolchain::Toolchain;

/// The version of the bundle's layout; the loader refuses one that it does not
/// know.
const BUNDLE_VERSION: &[u8] = b"1\n";

/// Members start on a page, so that a guest's file can be mapped where it lies.
const ALIGN: usize = 4096;

/// A manifest and all that it needs to boot.
pub struct Deployment {
    pub manifest: Manifest,
    /// What the bundle holds.
    pub files: Vec<File>,
    /// What eVisor reads from the SD card, `card:` before the names.
    pub card: Vec<File>,
}

/// A guest's file, under the name that the manifest gives it.
pub struct File {
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Deployment {
    /// Compiles the manifest, and builds, fetches or reads what it names. What is
    /// missing is an error at the line that names it.
    pub fn load(path: &Path, on_card: &CardFiles) -> Result<Self> {
        let manifest = Manifest::compile(path)?;
        let folder = manifest.folder();
        let (mut files, mut card, mut missing) = (Vec::new(), Vec::new(), Vec::new());
        for reference in manifest.references() {
            let name = reference.name.to_owned();
            let (list, bytes, remedy) = match name.strip_prefix(card_file::PREFIX) {
                Some(short) => {
                    let bytes = read_of_card(short, &folder, on_card);
                    (&mut card, bytes, card_file::remedy(short))
                }
                None => (&mut files, read(&name, &folder), REMEDY.to_owned()),
            };
            match bytes {
                Ok(bytes) => list.push(File { name, bytes }),
                Err(error) => missing.push(refusal(&reference, &error, remedy)),
            }
        }
        if !missing.is_empty() {
            return Err(Diagnostics(missing).into());
        }
        Ok(Self { manifest, files, card })
    }

    /// The bundle that is given to the loader as the initrd.
    pub fn bundle(&self) -> Result<Vec<u8>> {
        self.archive(&[])
    }

    /// The bundle with the card's files, for the checker, which has no card.
    pub fn whole(&self) -> Result<Vec<u8>> {
        self.archive(&self.card)
    }

    fn archive(&self, more: &[File]) -> Result<Vec<u8>> {
        let mut archive = Archive::aligned(ALIGN);
        archive.file("evisor,bundle", 0o644, BUNDLE_VERSION)?;
        archive.file("manifest.dtb", 0o644, &self.manifest.tree)?;
        for file in self.files.iter().chain(more) {
            archive.file(&file.name, 0o644, &file.bytes)?;
        }
        archive.finish()
    }
}

const REMEDY: &str = "A name is a path relative to the manifest, image:NAME for one of \
    eVisor's own guests, or debian:NAME for one of Debian's files.";

fn refusal(reference: &Reference<'_>, error: &anyhow::Error, remedy: String) -> Diagnostic {
    let property = reference.property;
    let message = format!("{}: {error:#}", property.name);
    property.place.clone().error(message, remedy).at_node(&property.node)
}

/// The bytes of a file that stays on the card.
fn read_of_card(name: &str, folder: &Path, on_card: &CardFiles) -> Result<Vec<u8>> {
    match on_card.source(&short_name(name)?) {
        Some(source) => read_given(source),
        None => card_file::read(&find(folder, name)?),
    }
}

/// The bytes of what `--card-file` names.
pub fn read_given(source: &str) -> Result<Vec<u8>> {
    if source.starts_with("image:") || source.starts_with("debian:") {
        return read(source, Path::new(""));
    }
    card_file::read(Path::new(source))
}

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
        let card = vec![File { name: "card:K.IMG".to_owned(), bytes: vec![3; 7] }];
        Deployment { manifest, files, card }
    }

    fn members(bundle: &[u8]) -> Vec<(String, usize)> {
        cpio_reader::iter_files(bundle)
            .map(|e| (e.name().trim_end_matches('\0').to_owned(), e.file().len()))
            .collect()
    }

    #[test]
    fn the_bundle_names_its_version_first() {
        let expected = [("evisor,bundle", 2), ("manifest.dtb", 100), ("image:serial", 5000)];
        let expected = expected.map(|(name, size)| (name.to_owned(), size));
        assert_eq!(members(&deployment().bundle().unwrap()), expected);
    }

    #[test]
    fn only_the_checker_is_given_the_cards_files() {
        let members = members(&deployment().whole().unwrap());
        assert_eq!(members.last(), Some(&("card:K.IMG".to_owned(), 7)));
    }

    #[test]
    fn an_unknown_guest_is_named() {
        let error = read("image:no-such", Path::new("/")).unwrap_err();
        assert!(error.to_string().contains("images/no-such"), "{error}");
    }
}
