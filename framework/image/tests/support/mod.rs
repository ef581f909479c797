//! Files to inspect, made here.
#![allow(dead_code, reason = "each test uses its part")]

use crc::{CRC_32_ISO_HDLC, Crc};

/// Linux's header in front of nothing.
pub fn linux(text_offset: u64, size: u64, flags: u64) -> Vec<u8> {
    let mut file = vec![0; 64];
    file[8..16].copy_from_slice(&text_offset.to_le_bytes());
    file[16..24].copy_from_slice(&size.to_le_bytes());
    file[24..32].copy_from_slice(&flags.to_le_bytes());
    file[56..60].copy_from_slice(b"ARM\x64");
    file
}

/// A program header: type, offset, virtual and physical address, size in the file
/// and in memory.
pub type Program = [u64; 6];

/// An ELF file of 0x1000 bytes.
pub fn elf(kind: u16, entry: u64, programs: &[Program]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([kind.to_le_bytes(), 183_u16.to_le_bytes()].concat());
    file.extend(1_u32.to_le_bytes());
    for word in [entry, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend(0_u32.to_le_bytes());
    for half in [64, 56, programs.len() as u16, 64, 0, 0] {
        file.extend(half.to_le_bytes());
    }
    for [kind, offset, virt, phys, in_file, in_memory] in programs {
        file.extend((*kind as u32).to_le_bytes());
        file.extend(7_u32.to_le_bytes());
        for word in [offset, virt, phys, in_file, in_memory, &0x1000] {
            file.extend(word.to_le_bytes());
        }
    }
    file.resize(file.len().max(0x1000), 0xee);
    file
}

/// An ELF file of two segments, the second with zeros behind it.
pub fn sound_elf() -> Vec<u8> {
    let text = [1, 0x200, 0xffff_0000_0008_0000, 0x4008_0000, 0x100, 0x100];
    let data = [1, 0x300, 0xffff_0000_0009_0000, 0x4009_0000, 0x80, 0x1000];
    elf(2, 0xffff_0000_0008_0040, &[text, data])
}

/// Compresses as gzip does, with a header of these flags and fields.
pub fn gzip_with(flags: u8, fields: &[u8], bytes: &[u8]) -> Vec<u8> {
    let mut file = vec![0x1f, 0x8b, 8, flags, 0, 0, 0, 0, 0, 3];
    file.extend(fields);
    file.extend(miniz_oxide::deflate::compress_to_vec(bytes, 6));
    file.extend(Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(bytes).to_le_bytes());
    file.extend((bytes.len() as u32).to_le_bytes());
    file
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    gzip_with(0, &[], bytes)
}
