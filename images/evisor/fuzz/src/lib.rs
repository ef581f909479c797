//! What the targets share: a good bundle, edits of it, and what eVisor does with
//! a bundle before it builds anything.

use evisor::LEFT_OUT;
use evisor_contract::components;
use evisor_fdt::{Aligned, Tree};
use evisor_kernel::Bundle;
use evisor_manifest::{BoardFacts, Files, GicVersion, Surroundings, guest_tree, read};

/// The manifest of Linux alone, compiled.
pub const MANIFEST: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/manifest.dtb"));

/// A bundle as the host command writes it, less its padding.
pub fn archive(manifest: &[u8]) -> Vec<u8> {
    let mut archive = Vec::new();
    let members: [(&str, &[u8]); 5] = [
        ("evisor,bundle", b"1\n"),
        ("manifest.dtb", manifest),
        ("debian:linux", &kernel()),
        ("debian:initramfs", &[0x5a; 100]),
        ("TRAILER!!!", b""),
    ];
    for (name, bytes) in members {
        member(&mut archive, name, bytes);
    }
    archive
}

/// A newc header, the name and the file, each padded to four bytes (`cpio(5)`).
fn member(archive: &mut Vec<u8>, name: &str, bytes: &[u8]) {
    const REGULAR_FILE: usize = 0o100_644;
    let (name_size, size) = (name.len() + 1, bytes.len());
    archive.extend(b"070701");
    for field in [0, REGULAR_FILE, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0] {
        archive.extend(format!("{field:08x}").into_bytes());
    }
    archive.extend(name.bytes().chain([0]));
    archive.resize(archive.len().next_multiple_of(4), 0);
    archive.extend(bytes);
    archive.resize(archive.len().next_multiple_of(4), 0);
}

/// The start of a kernel of 32 MiB (Linux, `Documentation/arch/arm64/booting.rst`).
fn kernel() -> [u8; 64] {
    let mut head = [0; 64];
    head[16..24].copy_from_slice(&(32_u64 << 20).to_le_bytes());
    head[56..60].copy_from_slice(b"ARM\x64");
    head
}

/// Changes `good` as `edits` say, eight bytes an edit: bits, words, words copied
/// from elsewhere, and now and then a new end.
pub fn edited(good: &[u8], edits: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    for edit in edits.chunks_exact(8) {
        let (at, from) = (place(&bytes, edit[1], edit[2]), place(&bytes, edit[4], edit[5]));
        let value = [edit[4], edit[5], edit[6], edit[7]];
        match edit[0] % 16 {
            0..4 => bytes[at + usize::from(edit[3] % 4)] ^= 1 << (edit[4] % 8),
            4..8 => bytes[at..at + 4].copy_from_slice(&[0, 0, edit[4], edit[5]]),
            8..12 => bytes[at..at + 4].copy_from_slice(&value),
            12..15 => bytes.copy_within(from..from + 4, at),
            _ => bytes.truncate((at + 4).max(good.len() / 2)),
        }
    }
    bytes
}

/// An offset at which there is a whole word.
fn place(bytes: &[u8], high: u8, low: u8) -> usize {
    usize::from(u16::from_be_bytes([high, low])) % (bytes.len() / 4) * 4
}

/// Reads a manifest, and writes the trees of the guests that it has.
pub fn examine(manifest: &[u8], files: &dyn Files) {
    evisor::link();
    let bytes = Aligned::copy(manifest);
    let Ok(tree) = Tree::new(bytes.bytes()) else { return };
    let memory = vec![(0x4020_0000, 0x3400_0000)];
    let gic = Some(GicVersion::V2);
    let board = BoardFacts { name: "qemu-virt".into(), gic, memory, cores: 4 };
    let registry = components().expect("no two components answer to one name");
    let around = Surroundings {
        registry,
        left_out: LEFT_OUT,
        board: &board,
        devices: None,
        files,
        lost: &[],
    };
    match read(&tree, &around) {
        Ok(deployment) => deployment.vms.iter().for_each(|vm| {
            let _ = guest_tree(&tree, vm, Some(&[7]));
        }),
        Err(faults) => assert!(!faults.is_empty(), "it is refused for no reason"),
    }
}

/// Reads a bundle, and its manifest with the files that it has.
pub fn unpack(archive: &[u8]) {
    if let Ok(bundle) = Bundle::read(archive) {
        examine(bundle.manifest(), &bundle);
    }
}
