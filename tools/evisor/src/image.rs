//! Building bootable programs and turning them from ELF into what a loader
//! copies.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use object::elf::PT_LOAD;
use object::read::elf::{ElfFile64, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol, SectionKind};
use serde_json::Value;

use crate::process::long;
use crate::toolchain::Toolchain;

const BUILD: Duration = Duration::from_secs(1800);

/// A built program: the ELF file and its bytes.
pub struct Image {
    pub path: PathBuf,
    elf: Vec<u8>,
}

/// Which features of a crate to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Features {
    Default,
    Only(Vec<String>),
}

/// What a program takes of memory, by kind of section.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    pub text: u64,
    pub rodata: u64,
    pub data: u64,
    pub bss: u64,
}

impl Image {
    /// Builds the program `name` of the crate of that name, for the board.
    pub fn build(toolchain: Toolchain, name: &str, features: &Features) -> Result<Self> {
        let mut cargo = toolchain.cargo("build");
        cargo.args([
            "--release",
            "--message-format=json-render-diagnostics",
            "-p",
            name,
            "--bin",
            name,
        ]);
        if let Features::Only(list) = features {
            cargo.args(["--no-default-features", "--features", &list.join(",")]);
        }
        // One with other features takes the place of this one's file.
        let _alone = toolchain.lock()?;
        let messages = long(&format!("building {name}"), &mut cargo, BUILD)?;
        let path = executable(&messages, name).with_context(|| {
            format!("cargo built no program {name}: has the crate a [[bin]] of its name?")
        })?;
        Self::read(path)
    }

    fn read(path: PathBuf) -> Result<Self> {
        let elf = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self { path, elf })
    }

    /// The ELF file; another build may have taken the place of the one at `path`.
    pub fn elf(&self) -> &[u8] {
        &self.elf
    }

    /// The bytes from the lowest loaded address on, gaps filled with zeros; what
    /// is zero at the end (bss) is left out.
    pub fn raw(&self) -> Result<Vec<u8>> {
        flatten(&self.elf).with_context(|| format!("{} cannot be loaded", self.path.display()))
    }

    /// The address of a symbol.
    pub fn symbol(&self, name: &str) -> Result<u64> {
        let file = parse(&self.elf)?;
        let symbol = file.symbols().find(|symbol| symbol.name() == Ok(name));
        let symbol = symbol.map(|symbol| symbol.address());
        symbol.with_context(|| format!("{} has no symbol {name}", self.path.display()))
    }

    /// Where a section is, and the first of it, so many bytes at most.
    pub fn section(&self, name: &str, most: usize) -> Result<(u64, Vec<u8>)> {
        let file = parse(&self.elf)?;
        let section = file.section_by_name(name).with_context(|| format!("it has no {name}"))?;
        let bytes = section.data().with_context(|| format!("{name} lies outside of the file"))?;
        Ok((section.address(), bytes.iter().take(most).copied().collect()))
    }

    pub fn sizes(&self) -> Result<Sizes> {
        measure(&self.elf).with_context(|| format!("cannot read {}", self.path.display()))
    }
}

/// The path of the program in what cargo reports of a build.
pub fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    messages.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()).find_map(|m| {
        let is_it = m.pointer("/target/name")?.as_str()? == name;
        let path = m.get("executable")?.as_str()?;
        is_it.then(|| PathBuf::from(path))
    })
}

/// Builds the programs of these crates with as many cores as there are: each is linked on
/// one.
pub fn build_all(toolchain: Toolchain, names: &[String]) -> Result<()> {
    let mut cargo = toolchain.cargo("build");
    cargo.arg("--release");
    cargo.args(names.iter().flat_map(|name| ["-p", name, "--bin", name]));
    let _alone = toolchain.lock()?;
    long("building all images", &mut cargo, BUILD).map(drop)
}

fn parse(elf: &[u8]) -> Result<ElfFile64<'_, Endianness>> {
    ElfFile64::parse(elf).context("it is no 64-bit ELF file")
}

fn flatten(elf: &[u8]) -> Result<Vec<u8>> {
    let file = parse(elf)?;
    let endian = file.endian();
    let loaded: Vec<_> = file
        .elf_program_headers()
        .iter()
        .filter(|h| h.p_type(endian) == PT_LOAD && h.p_filesz(endian) > 0)
        .collect();
    let first =
        loaded.iter().map(|h| h.p_paddr(endian)).min().context("nothing in it is loaded")?;
    let mut raw = Vec::new();
    for header in loaded {
        let bytes = header.data(endian, elf).ok().context("a segment lies outside of the file")?;
        let at = usize::try_from(header.p_paddr(endian) - first)?;
        place(&mut raw, at, bytes)?;
    }
    Ok(raw)
}

/// Segments that lie far apart are a linker script's mistake, not a large image.
fn place(raw: &mut Vec<u8>, at: usize, bytes: &[u8]) -> Result<()> {
    const LARGEST: usize = 256 << 20;
    let end = at.checked_add(bytes.len()).filter(|&end| end <= LARGEST);
    let Some(end) = end else {
        bail!("its segments lie more than {} MiB apart", LARGEST >> 20);
    };
    if raw.len() < end {
        raw.resize(end, 0);
    }
    if let Some(room) = raw.get_mut(at..end) {
        room.copy_from_slice(bytes);
    }
    Ok(())
}

fn measure(elf: &[u8]) -> Result<Sizes> {
    let mut sizes = Sizes::default();
    for section in parse(elf)?.sections() {
        let size = section.size();
        match section.kind() {
            SectionKind::Text => sizes.text += size,
            // linkme's sections, which go there, are marked as writable.
            _ if section.name() == Ok(".rodata") => sizes.rodata += size,
            SectionKind::ReadOnlyData | SectionKind::ReadOnlyString => sizes.rodata += size,
            SectionKind::Data => sizes.data += size,
            SectionKind::UninitializedData => sizes.bss += size,
            _ => {}
        }
    }
    Ok(sizes)
}

/// Writes a file that a reader never sees half written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    static WRITTEN: AtomicU32 = AtomicU32::new(0);
    let (process, number) = (std::process::id(), WRITTEN.fetch_add(1, Ordering::Relaxed));
    let unfinished = path.with_extension(format!("unfinished-{process}-{number}"));
    fs::write(&unfinished, bytes)
        .with_context(|| format!("cannot write {}", unfinished.display()))?;
    fs::rename(&unfinished, path).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shortest ELF with two loaded segments: at 0x1000 "abcd", at 0x1008 "ef".
    fn tiny_elf() -> Vec<u8> {
        let mut elf = Vec::new();
        elf.extend_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        elf.extend_from_slice(&[2, 0, 0xb7, 0, 1, 0, 0, 0]);
        for word in [0x1000_u64, 64, 0] {
            elf.extend_from_slice(&word.to_le_bytes());
        }
        elf.extend_from_slice(&[0, 0, 0, 0, 64, 0, 56, 0, 2, 0, 64, 0, 0, 0, 0, 0]);
        let data = 64 + 2 * 56;
        for (offset, address, size) in [(data + 4, 0x1008_u64, 2_u64), (data, 0x1000, 4)] {
            elf.extend_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
            for word in [offset, address + 0xffff_0000, address, size, size + 100, 1] {
                elf.extend_from_slice(&word.to_le_bytes());
            }
        }
        elf.extend_from_slice(b"abcdef");
        elf
    }

    #[test]
    fn segments_lie_where_their_load_addresses_say() {
        assert_eq!(flatten(&tiny_elf()).unwrap(), b"abcd\0\0\0\0ef");
    }

    #[test]
    fn segments_far_apart_are_refused() {
        let mut raw = Vec::new();
        assert!(place(&mut raw, 1 << 40, b"x").is_err());
        assert!(place(&mut raw, usize::MAX, b"x").is_err());
    }

    #[test]
    fn cargo_names_the_program() {
        let messages = "{\"reason\":\"x\"}\n\
            {\"target\":{\"name\":\"a\"},\"executable\":\"/t/a\"}\n\
            {\"target\":{\"name\":\"b\"},\"executable\":\"/t/b\"}\n";
        assert_eq!(executable(messages, "b"), Some(PathBuf::from("/t/b")));
        assert_eq!(executable(messages, "c"), None);
    }
}
