//! ELF files for AArch64 (the ELF specification, gABI 4.1; AArch64: IHI 0056).
//!
//! Segments go to their physical addresses; nothing is relocated, so that a file
//! linked at no address (`ET_DYN`) goes to where its program headers say too.

use crate::{Kind, Refusal, Segment};
use alloc::vec::Vec;
use elf::abi::{EM_AARCH64, ET_DYN, ET_EXEC, PT_INTERP, PT_LOAD};
use elf::endian::LittleEndian;
use elf::file::{Class, FileHeader, parse_ident};
use elf::segment::{ProgramHeader, SegmentTable};

/// The most segments that a file may have. Linkers make four.
pub const MAX_SEGMENTS: usize = 32;

/// The identification, the rest of the header of 64-bit files, and the size of an
/// entry of their program header table.
const IDENTIFICATION: usize = 16;
const HEADER: usize = 64;
const ENTRY: u64 = 56;

const BROKEN: Refusal = Refusal::new("is a broken ELF file", "link it again");
const NO_SEGMENT: Refusal =
    Refusal::new("is an ELF file that loads nothing", "link it as a program (objects are none)");

/// Reads the headers in `head`, the beginning of a file of `length` bytes.
pub(crate) fn read(head: &[u8], length: u64) -> Result<Kind, Refusal> {
    let header = header(head)?;
    let table = program_headers(&header, head)?;
    let mut segments = Vec::new();
    let mut entry = None;
    for program in table.iter() {
        match program.p_type {
            PT_INTERP => {
                let remedy = "link it statically";
                return Err(Refusal::new("is an ELF file that needs a dynamic linker", remedy));
            }
            PT_LOAD if program.p_memsz > 0 => {
                add(&mut segments, segment(&program, length)?)?;
                entry = entry.or_else(|| inside(&program, header.e_entry));
            }
            _ => {}
        }
    }
    if segments.is_empty() {
        return Err(NO_SEGMENT);
    }
    let entry = entry.ok_or(Refusal::new(
        "is an ELF file whose entry is in none of its segments",
        "name an entry in the linker script: ENTRY(symbol)",
    ))?;
    Ok(Kind::Elf { segments, entry })
}

fn header(head: &[u8]) -> Result<FileHeader<LittleEndian>, Refusal> {
    const OTHER: Refusal = Refusal::new(
        "is an ELF file for another machine",
        "build it for AArch64: 64 bits, little-endian",
    );
    let (identification, rest) = head.split_at_checked(IDENTIFICATION).ok_or(BROKEN)?;
    let identification = parse_ident::<LittleEndian>(identification).map_err(|_| OTHER)?;
    if identification.1 != Class::ELF64 {
        return Err(OTHER);
    }
    let rest = rest.get(..HEADER - IDENTIFICATION).ok_or(BROKEN)?;
    let header = FileHeader::parse_tail(identification, rest).map_err(|_| BROKEN)?;
    match (header.e_machine, header.e_type) {
        (EM_AARCH64, ET_EXEC | ET_DYN) => Ok(header),
        (EM_AARCH64, _) => Err(NO_SEGMENT),
        _ => Err(OTHER),
    }
}

fn program_headers<'d>(
    header: &FileHeader<LittleEndian>,
    head: &'d [u8],
) -> Result<SegmentTable<'d, LittleEndian>, Refusal> {
    if header.e_phnum != 0 && u64::from(header.e_phentsize) != ENTRY {
        return Err(BROKEN);
    }
    let start = usize::try_from(header.e_phoff).map_err(|_| BROKEN)?;
    let size = u64::from(header.e_phnum) * ENTRY;
    let table = head.get(start..).and_then(|rest| rest.get(..size as usize));
    let table = table.ok_or(Refusal::new(
        "is an ELF file without its program headers where they should be",
        "link it again; of a compressed one they lie in the first 4 KiB",
    ))?;
    Ok(SegmentTable::new(LittleEndian, Class::ELF64, table))
}

fn segment(program: &ProgramHeader, length: u64) -> Result<Segment, Refusal> {
    let in_file = program.p_offset.checked_add(program.p_filesz).filter(|end| *end <= length);
    let in_memory = program.p_paddr.checked_add(program.p_memsz);
    match in_file.and(in_memory) {
        Some(_) if program.p_filesz <= program.p_memsz => Ok(Segment {
            offset: program.p_offset,
            bytes: program.p_filesz,
            address: program.p_paddr,
            size: program.p_memsz,
        }),
        _ => Err(BROKEN),
    }
}

fn add(segments: &mut Vec<Segment>, segment: Segment) -> Result<(), Refusal> {
    let apart = |other: &Segment| {
        other.address + other.size <= segment.address
            || segment.address + segment.size <= other.address
    };
    if !segments.iter().all(apart) {
        let remedy = "correct the load addresses in the linker script";
        return Err(Refusal::new("is an ELF file whose segments overlap", remedy));
    }
    if segments.len() == MAX_SEGMENTS {
        return Err(Refusal::new("is an ELF file of more than 32 segments", "join some"));
    }
    segments.push(segment);
    Ok(())
}

/// The physical address of the virtual one, if it lies in the segment.
fn inside(program: &ProgramHeader, address: u64) -> Option<u64> {
    let distance = address.checked_sub(program.p_vaddr)?;
    (distance < program.p_memsz).then(|| program.p_paddr.wrapping_add(distance))
}
