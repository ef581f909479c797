//! What a VM boots, and where in its memory that goes.
//!
//! A Linux image goes where booting.rst for arm64 says: `text_offset` bytes behind
//! a 2 MiB boundary of the first memory. An ELF file goes to the physical addresses
//! of its segments, a raw one to `evisor,load-address`, or else to the boundary.
//! Behind the image, at the next 2 MiB boundary, comes the device tree with 2 MiB
//! of its own, and then the initial RAM disk. A memory node can name more files and
//! their addresses, and a device a file that it holds, which the VM may start from.
//! Nothing goes where the guest's tree reserves memory.
//! `README.md` has the whole.

use crate::error::Faults;
use crate::objects::Found;
use crate::plan::{FilePlan, ImagePlan, MemoryPlan, ObjectPlan, PartPlan, TreePlan};
use crate::room::Room;
use crate::space::PAGE;
use crate::surroundings::Files;
use crate::{DEVICE_TREE_SPACE, words};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use evisor_fdt::Node;
use evisor_image::{Kind, Refusal, Segment};

const BLOCK: u64 = 2 << 20;
/// What a device tree starts at a multiple of (Devicetree Specification §5.6).
const TREE_ALIGNMENT: u64 = 8;
const INSTRUCTION: u64 = 4;
const TREE: &str = "the guest's device tree";

/// What is booted, placed.
pub(crate) struct Boot {
    pub image: ImagePlan,
    pub initrd: Option<FilePlan>,
    pub files: Vec<FilePlan>,
    pub device_tree: Option<TreePlan>,
}

/// Finds the files and places them: first what has an address of its own.
pub(crate) fn place(
    faults: &Faults,
    files: &dyn Files,
    vm: Node<'_>,
    memory: &[MemoryPlan],
    nodes: &[Node<'_>],
    objects: &[ObjectPlan],
) -> Boot {
    let mut room = Room::new(faults, vm, memory);
    room.reserve(vm);
    let image = match held_entry(faults, vm, memory, objects) {
        Some(entry_ipa) => {
            ImagePlan { file: String::new(), packed: false, parts: Vec::new(), entry_ipa }
        }
        None => image(faults, files, vm, &mut room),
    };
    let mut named = Vec::new();
    for node in nodes {
        further(faults, files, *node, &mut room, &mut named);
    }
    let device_tree = device_tree(faults, vm, &mut room);
    let initrd = words::string(faults, vm, words::INITRD).and_then(|name| {
        let size = bytes_of(faults, files, vm, words::INITRD, name)?.len() as u64;
        let ipa = room.find(words::INITRD, &quoted(name), PAGE, size);
        Some(FilePlan { file: name.to_string(), ipa, size })
    });
    Boot { image, initrd, files: named, device_tree }
}

/// Where a VM starts that has no image of its own: in memory that a device holds.
fn held_entry(
    faults: &Faults,
    vm: Node<'_>,
    memory: &[MemoryPlan],
    objects: &[ObjectPlan],
) -> Option<u64> {
    if vm.has(words::IMAGE) {
        return None;
    }
    let entry = words::address(faults, vm, words::ENTRY_ADDRESS)?;
    let backed = objects.iter().filter(|object| object.declaration.needs.backing);
    let backed = backed.flat_map(|object| &object.windows).map(|window| (window.ipa, window.size));
    let holds = |(ipa, size)| entry.checked_sub(ipa).is_some_and(|distance| distance < size);
    let mut places = memory.iter().map(|memory| (memory.ipa, memory.size)).chain(backed);
    if !places.any(holds) || !entry.is_multiple_of(INSTRUCTION) {
        let message = format!("{entry:#x} is no instruction in memory or flash");
        faults.property(vm, words::ENTRY_ADDRESS, message, "correct it");
    }
    Some(entry)
}

/// The files that a memory node puts into memory.
fn further(
    faults: &Faults,
    files: &dyn Files,
    node: Node<'_>,
    room: &mut Room<'_, '_>,
    placed: &mut Vec<FilePlan>,
) {
    let names = node.property(words::FILE).and_then(|property| property.strings());
    let mut cells = node.property(words::LOAD_ADDRESS).and_then(|property| property.cells());
    let mismatch = || {
        let remedy = "write one as <0 0x48000000> for each file of evisor,file, in order";
        let message = "does not list an address for each file";
        faults.property(node, words::LOAD_ADDRESS, message, remedy);
    };
    for name in names.into_iter().flatten() {
        let Some(ipa) = cells.as_mut().and_then(|cells| cells.number(2)) else {
            return mismatch();
        };
        let Some(bytes) = bytes_of(faults, files, node, words::FILE, name) else { continue };
        let size = bytes.len() as u64;
        room.take_for(node, words::LOAD_ADDRESS, &quoted(name), ipa, size);
        placed.push(FilePlan { file: name.to_string(), ipa, size });
    }
    if cells.is_some_and(|cells| cells.count_left() > 0) {
        mismatch();
    }
}

/// The file that is in the memory behind an object's first window.
pub(crate) fn behind(
    faults: &Faults,
    files: &dyn Files,
    object: &Found<'_>,
    plan: &ObjectPlan,
) -> Option<String> {
    if !object.declaration.needs.backing {
        return None;
    }
    let name = words::string(faults, object.node, words::IMAGE)?;
    let size = bytes_of(faults, files, object.node, words::IMAGE, name)?.len() as u64;
    let room = plan.windows.first().map_or(0, |window| window.size);
    if size > room {
        let message = format!("{} is {size:#x} bytes, and reg has {room:#x}", quoted(name));
        faults.property(object.node, words::IMAGE, message, "enlarge reg");
    }
    Some(name.to_string())
}

fn image(faults: &Faults, files: &dyn Files, vm: Node<'_>, room: &mut Room<'_, '_>) -> ImagePlan {
    if !vm.has(words::IMAGE) {
        faults.property(vm, words::IMAGE, "is missing", "name the file that the VM boots");
    }
    let load = words::address(faults, vm, words::LOAD_ADDRESS);
    let name = words::string(faults, vm, words::IMAGE);
    let image = name.and_then(|name| inspect(faults, files, vm, name, load.is_some()));
    let file = String::from(name.unwrap_or_default());
    let what = quoted(&file);
    let Some(image) = image else {
        return ImagePlan { file, packed: false, parts: Vec::new(), entry_ipa: 0 };
    };
    let whole = |ipa| vec![PartPlan { offset: 0, bytes: image.length, ipa, zeros: 0 }];
    let (parts, entry_ipa) = match (load, image.kind) {
        (Some(load), _) => {
            room.take(words::LOAD_ADDRESS, &what, load, image.length);
            (whole(load), entry(faults, vm, load, image.length))
        }
        (None, Kind::Raw) => {
            let ipa = room.find(words::IMAGE, &what, BLOCK, image.length);
            (whole(ipa), ipa)
        }
        (None, Kind::Linux { text_offset, size }) => {
            let ipa = room.find_behind(words::IMAGE, &what, (BLOCK, text_offset), size);
            (whole(ipa), ipa)
        }
        (None, Kind::Elf { segments, entry }) => (parts(room, &what, &segments), entry),
    };
    if load.is_none() && vm.has(words::ENTRY_ADDRESS) {
        let remedy = "add evisor,load-address to place a raw image, or remove it";
        faults.property(vm, words::ENTRY_ADDRESS, "is for a raw image at an address", remedy);
    }
    ImagePlan { file, packed: image.packed, parts, entry_ipa }
}

fn inspect(
    faults: &Faults,
    files: &dyn Files,
    vm: Node<'_>,
    name: &str,
    raw: bool,
) -> Option<evisor_image::Image> {
    let bytes = bytes_of(faults, files, vm, words::IMAGE, name)?;
    let inspected = evisor_image::inspect(bytes, raw);
    inspected.inspect_err(|refusal| refused(faults, vm, words::IMAGE, name, *refusal)).ok()
}

fn parts(room: &mut Room<'_, '_>, what: &str, segments: &[Segment]) -> Vec<PartPlan> {
    let part = |segment: &Segment| {
        let Segment { offset, bytes, address: ipa, size } = *segment;
        room.take(words::IMAGE, &format!("a segment of {what}"), ipa, size);
        PartPlan { offset, bytes, ipa, zeros: size - bytes }
    };
    segments.iter().map(part).collect()
}

/// Where a raw image of `size` bytes at `load` is entered.
fn entry(faults: &Faults, vm: Node<'_>, load: u64, size: u64) -> u64 {
    let (property, entry) = match words::address(faults, vm, words::ENTRY_ADDRESS) {
        Some(entry) => (words::ENTRY_ADDRESS, entry),
        None => (words::LOAD_ADDRESS, load),
    };
    let inside = entry.checked_sub(load).is_some_and(|distance| distance < size);
    if !inside || !entry.is_multiple_of(INSTRUCTION) {
        let message = format!("{entry:#x} is no instruction of the image");
        let remedy = "name an address inside of it, a multiple of four";
        faults.property(vm, property, message, remedy);
    }
    entry
}

fn device_tree(faults: &Faults, vm: Node<'_>, room: &mut Room<'_, '_>) -> Option<TreePlan> {
    let fixed = words::address(faults, vm, words::DEVICE_TREE_ADDRESS);
    if vm.has(words::NO_DEVICE_TREE) {
        if vm.has(words::DEVICE_TREE_ADDRESS) {
            let remedy = "keep one of the two";
            faults.property(vm, words::NO_DEVICE_TREE, "contradicts its address", remedy);
        }
        return None;
    }
    let Some(ipa) = fixed else {
        let ipa = room.find(words::IMAGE, TREE, BLOCK, DEVICE_TREE_SPACE);
        return Some(TreePlan { ipa, space: DEVICE_TREE_SPACE });
    };
    if !ipa.is_multiple_of(TREE_ALIGNMENT) {
        let message = format!("{ipa:#x} is not a multiple of {TREE_ALIGNMENT}");
        faults.property(vm, words::DEVICE_TREE_ADDRESS, message, "move it");
    }
    let space = room.free(ipa, DEVICE_TREE_SPACE);
    room.take(words::DEVICE_TREE_ADDRESS, TREE, ipa, space);
    Some(TreePlan { ipa, space })
}

pub(crate) fn bytes_of<'f>(
    faults: &Faults,
    files: &'f dyn Files,
    vm: Node<'_>,
    property: &str,
    name: &str,
) -> Option<&'f [u8]> {
    let refusal = match files.bytes_of(name) {
        Some([]) => Refusal { problem: "is empty", remedy: "put the right file there" },
        Some(bytes) => return Some(bytes),
        None => Refusal {
            problem: "is not in the bundle",
            remedy: "correct the name, or put the file there",
        },
    };
    refused(faults, vm, property, name, refusal);
    None
}

fn refused(faults: &Faults, vm: Node<'_>, property: &str, name: &str, refusal: Refusal) {
    let message = format!("{} {}", quoted(name), refusal.problem);
    faults.property(vm, property, message, refusal.remedy);
}

fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
