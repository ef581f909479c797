//! What a VM boots, and where in its memory that goes.
//!
//! The image is placed as Linux's booting.rst for arm64 says: `text_offset`
//! bytes behind a 2 MiB boundary. An image without Linux's header is placed at
//! the boundary and entered at its first byte. Behind the image, at the next
//! 2 MiB boundary, comes the device tree with 2 MiB of its own, and then the
//! initial RAM disk. All of it lies in the VM's first memory region.

use crate::error::Faults;
use crate::plan::{FilePlan, ImagePlan, MemoryPlan};
use crate::space::{PAGE, mebibytes};
use crate::surroundings::Files;
use crate::{DEVICE_TREE_SPACE, words};
use alloc::format;
use alloc::string::{String, ToString};
use evisor_fdt::Node;

const BLOCK: u64 = 2 << 20;
/// `text_offset` of kernels before 3.17, which leave `image_size` at 0.
const OLD_TEXT_OFFSET: u64 = 0x8_0000;

/// What is booted, placed.
pub(crate) struct Boot {
    pub image: ImagePlan,
    pub initrd: Option<FilePlan>,
    pub device_tree_ipa: u64,
}

/// What an image says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Claim {
    text_offset: u64,
    size: u64,
}

/// A VM's memory, filled from below.
struct Room<'a, 't> {
    faults: &'a Faults,
    vm: Node<'t>,
    memory: Option<&'a MemoryPlan>,
    next: u64,
}

/// Finds the files and places them.
pub(crate) fn place(
    faults: &Faults,
    files: &dyn Files,
    vm: Node<'_>,
    memory: &[MemoryPlan],
) -> Boot {
    let memory = memory.first();
    let start = memory.and_then(|memory| memory.ipa.checked_next_multiple_of(BLOCK));
    let mut room = Room { faults, vm, memory, next: start.unwrap_or(0) };
    let image = image(faults, files, vm, &mut room);
    let device_tree_ipa =
        room.take(words::IMAGE, "the guest's device tree", BLOCK, DEVICE_TREE_SPACE);
    let initrd = words::string(faults, vm, words::INITRD).and_then(|name| {
        let size = size_of(faults, files, vm, words::INITRD, name)?;
        let ipa = room.take(words::INITRD, &format!("\"{name}\""), PAGE, size);
        Some(FilePlan { file: name.to_string(), ipa, size })
    });
    Boot { image, initrd, device_tree_ipa }
}

fn image(faults: &Faults, files: &dyn Files, vm: Node<'_>, room: &mut Room<'_, '_>) -> ImagePlan {
    if !vm.has(words::IMAGE) {
        faults.property(vm, words::IMAGE, "is missing", "name the file that the VM boots");
    }
    let name = words::string(faults, vm, words::IMAGE);
    let claim = name.and_then(|name| claim_of(faults, files, vm, name)).unwrap_or_default();
    let name = name.unwrap_or_default();
    room.next = room.next.saturating_add(claim.text_offset);
    let load_ipa = room.take(words::IMAGE, &format!("\"{name}\""), 1, claim.size);
    ImagePlan { file: String::from(name), load_ipa, size: claim.size, entry_ipa: load_ipa }
}

fn claim_of(faults: &Faults, files: &dyn Files, vm: Node<'_>, name: &str) -> Option<Claim> {
    let size = size_of(faults, files, vm, words::IMAGE, name)?;
    match claim(files.head(name).unwrap_or_default(), size) {
        Ok(claim) => Some(claim),
        Err((problem, remedy)) => {
            faults.property(vm, words::IMAGE, format!("\"{name}\" {problem}"), remedy);
            None
        }
    }
}

fn size_of(
    faults: &Faults,
    files: &dyn Files,
    vm: Node<'_>,
    property: &str,
    name: &str,
) -> Option<u64> {
    let (problem, remedy) = match files.size_of(name) {
        Some(0) => ("is empty", "put the right file there"),
        Some(size) => return Some(size),
        None => ("is not in the bundle", "correct the name, or put the file there"),
    };
    faults.property(vm, property, format!("\"{name}\" {problem}"), remedy);
    None
}

impl Room<'_, '_> {
    /// Takes `size` bytes; says so if they are not there.
    fn take(&mut self, property: &str, what: &str, alignment: u64, size: u64) -> u64 {
        let Some(memory) = self.memory else { return 0 };
        let start = self.next.checked_next_multiple_of(alignment);
        let end = start.and_then(|start| start.checked_add(size));
        let limit = memory.ipa.saturating_add(memory.size);
        match start.zip(end) {
            Some((start, end)) if end <= limit => {
                self.next = end;
                start
            }
            _ => {
                let short = end.unwrap_or(u64::MAX).saturating_sub(limit);
                let message = format!("{what} ends {} past the end of memory", mebibytes(short));
                let remedy = format!("enlarge {}", memory.path);
                self.faults.property(self.vm, property, message, remedy);
                // What follows is placed as if this had nothing to it: one
                // fault is told once.
                self.next
            }
        }
    }
}

/// What the first bytes of an image say (Linux, arm64/booting.rst).
fn claim(head: &[u8], file: u64) -> Result<Claim, (&'static str, &'static str)> {
    const UNPACK: &str = "unpack it first";
    let number = |offset: usize| {
        let bytes = head.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    match head {
        [0x7f, b'E', b'L', b'F', ..] => {
            return Err(("is an ELF file", "turn it into a raw image with objcopy -O binary"));
        }
        [0x1f, 0x8b, ..] => return Err(("is compressed with gzip", UNPACK)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Err(("is compressed with zstd", UNPACK)),
        [_, ..] if head.get(56..60) != Some(b"ARM\x64") => {
            return Ok(Claim { text_offset: 0, size: file });
        }
        _ => {}
    }
    if number(24) & 1 != 0 {
        return Err(("is a big-endian kernel", "build it little-endian"));
    }
    match number(16) {
        0 => Ok(Claim { text_offset: OLD_TEXT_OFFSET, size: file }),
        size => Ok(Claim { text_offset: number(8), size: size.max(file) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text_offset: u64, size: u64, flags: u64) -> [u8; 64] {
        let mut head = [0; 64];
        head[8..16].copy_from_slice(&text_offset.to_le_bytes());
        head[16..24].copy_from_slice(&size.to_le_bytes());
        head[24..32].copy_from_slice(&flags.to_le_bytes());
        head[56..60].copy_from_slice(b"ARM\x64");
        head
    }

    #[test]
    fn headers_of_every_kind() {
        let claimed = |text_offset, size| Ok(Claim { text_offset, size });
        assert_eq!(claim(&header(0x1000, 0x9000, 0xa), 0x8000), claimed(0x1000, 0x9000));
        assert_eq!(claim(&header(0, 0x100, 0), 0x8000), claimed(0, 0x8000));
        assert_eq!(claim(&header(0, 0, 0), 0x8000), claimed(OLD_TEXT_OFFSET, 0x8000));
        assert!(claim(&header(0, 0x9000, 1), 0x8000).is_err());
        assert_eq!(claim(b"raw", 3), claimed(0, 3));
        assert!(claim(b"\x7fELF", 4).is_err());
        assert!(claim(&[0x1f, 0x8b], 4).is_err());
    }
}
