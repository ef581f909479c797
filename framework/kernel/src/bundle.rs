//! The bundle: one cpio archive with the manifest and the guests' files.

use crate::newc;
use core::fmt;
use core::hash::{BuildHasherDefault, Hasher};
use evisor_manifest::Files;
use hashbrown::HashMap;

/// The member that says which format it is, and the version known here.
const MARK: &str = "evisor,bundle";
const VERSION: &[u8] = b"1\n";
const MANIFEST: &str = "manifest.dtb";

/// A bundle's files, by name.
pub struct Bundle<'a> {
    files: HashMap<&'a str, &'a [u8], BuildHasherDefault<Fnv>>,
}

/// FNV-1a, of 64 bits: a few instructions. Who chooses the names chooses the
/// whole deployment, so that nobody gains from a slow table.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Why an archive is not a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BundleError {
    /// It has no member that marks a bundle.
    NotABundle,
    /// It is of another version.
    UnknownVersion,
    /// It has no manifest.
    NoManifest,
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotABundle => {
                "the initial RAM disk is no eVisor bundle; pass the bundle.cpio that `evisor build` made"
            }
            Self::UnknownVersion => {
                "the bundle has a version that this eVisor does not know; build both from one tree"
            }
            Self::NoManifest => "the bundle has no manifest.dtb; build it with `evisor build`",
        })
    }
}

impl<'a> Bundle<'a> {
    /// Reads a newc archive.
    ///
    /// # Errors
    /// It is not a bundle of this version, or has no manifest.
    pub fn read(archive: &'a [u8]) -> Result<Self, BundleError> {
        let mut files = HashMap::default();
        files.extend(newc::files(archive));
        let bundle = Self { files };
        match bundle.file(MARK) {
            None => Err(BundleError::NotABundle),
            Some(VERSION) => bundle.file(MANIFEST).map(|_| ()).ok_or(BundleError::NoManifest),
            Some(_) => Err(BundleError::UnknownVersion),
        }?;
        Ok(bundle)
    }

    /// Adds a file that is kept elsewhere.
    pub fn add(&mut self, name: &'a str, bytes: &'a [u8]) {
        self.files.insert(name, bytes);
    }

    /// A file by its name.
    pub fn file(&self, name: &str) -> Option<&'a [u8]> {
        self.files.get(name).copied()
    }

    /// The compiled manifest.
    pub fn manifest(&self) -> &'a [u8] {
        self.file(MANIFEST).unwrap_or_default()
    }
}

impl Files for Bundle<'_> {
    fn bytes_of(&self, name: &str) -> Option<&[u8]> {
        self.file(name)
    }
}
