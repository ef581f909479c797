//! Guests' files that are on the board's card.

use crate::host::{DiskError, Machine};
use crate::report::refuse;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use evisor_aarch64::layout::SLICE;
use evisor_aarch64::{Ram, timer};
use evisor_fdt::Tree;
use evisor_kernel::Bundle;
use evisor_manifest::{CARD, CardFile, card_files};
use evisor_sd::{FileError, Files};
use log::info;

/// How many bytes are read between two lines that say so.
const TOLD: u64 = 4 << 20;

/// Reads the files that the manifest names from the first FAT partition of the board's
/// card into memory of their own, and adds them to the bundle. Why one cannot be had is
/// said once. Gives the paths of the VMs that cannot be had without.
pub(crate) fn fetch(
    manifest: &'static Tree<'static>,
    machine: &'static Machine,
    memory: &mut Vec<Ram>,
    bundle: &mut Bundle<'static>,
) -> Vec<String> {
    let wanted = card_files(manifest);
    if wanted.is_empty() {
        return Vec::new();
    }
    machine.with_disk(|disk| {
        let disk = match disk {
            Ok((disk, _)) => Ok(&mut **disk as &mut dyn evisor_sd::Disk),
            Err(DiskError::Card(error)) => Err(Problem::Card(FileError::Card(*error))),
            Err(_) => Err(Problem::NoPlace),
        };
        let mut files = disk.and_then(|disk| Files::new(disk).map_err(Problem::Card));
        let mut lost = Vec::new();
        for file in &wanted {
            if bundle.file(file.name).is_some() {
                continue;
            }
            let read = match &mut files {
                Ok(files) => read(files, file.name, memory),
                Err(problem) => Err(*problem),
            };
            match read {
                Ok(bytes) => bundle.add(file.name, bytes),
                Err(problem) => lost.extend(told(file, &problem)),
            }
        }
        lost
    })
}

/// Why a file cannot be had.
#[derive(Clone, Copy)]
enum Problem {
    NoPlace,
    Card(FileError),
    Memory(u64),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPlace => {
                write!(f, "the board has no place for a card; put the file into the bundle")
            }
            Self::Card(error) => write!(f, "{error}"),
            Self::Memory(size) => {
                let mebibytes = size.div_ceil(1 << 20);
                write!(f, "has {mebibytes} MiB, and no memory in one piece is left for it; ")?;
                write!(f, "make it smaller")
            }
        }
    }
}

/// Says what is wrong, and gives the path of the VM that is lost.
fn told(file: &CardFile<'_>, problem: &Problem) -> Option<String> {
    let (node, property, name) = (file.node.path(), file.property, file.name);
    refuse(format_args!("{node}: {property}: \"{name}\": {problem}"));
    let vm = file.vm?.path();
    info!("{vm} is left out");
    Some(vm)
}

fn read<D: evisor_sd::Disk>(
    files: &mut Files<D>,
    name: &str,
    memory: &mut Vec<Ram>,
) -> Result<&'static [u8], Problem> {
    let path = name.strip_prefix(CARD).unwrap_or(name);
    let size = u64::from(files.size(path).map_err(Problem::Card)?);
    let whole = size.next_multiple_of(SLICE).max(SLICE);
    let fits = |ram: &Ram| ram.aligned(SLICE).is_some_and(|left| left >= whole);
    let at = memory.iter().position(fits).ok_or(Problem::Memory(size))?;
    let (ram, rest) = memory.swap_remove(at).split(SLICE, whole).ok_or(Problem::Memory(size))?;
    memory.extend(rest);
    let bytes = ram.lend().map_err(|_| Problem::Memory(size))?;
    let (bytes, _) = bytes.split_at_mut(size as usize);
    let started = timer::now();
    let mut told = 0;
    let mut tell = |done: u64, size: u64| {
        if done - told >= TOLD && done < size {
            told = done;
            info!("{name}: {} of {} MiB", done >> 20, size >> 20);
        }
    };
    files.read(path, bytes, &mut tell).map_err(Problem::Card)?;
    let ticks = timer::now() - started;
    let micros = (ticks.saturating_mul(1_000_000) / timer::frequency().max(1)).max(1);
    let rate = (size.saturating_mul(1_000_000) / micros) >> 10;
    let (kibibytes, milliseconds) = (size.div_ceil(1 << 10), micros / 1000);
    let rest = micros % 1000;
    info!("{name}: {kibibytes} KiB in {milliseconds}.{rest:03} ms, {rate} KiB/s");
    Ok(bytes)
}
