//! Where what is booted goes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use evisor_fdt::Tree;
use evisor_manifest::{PartPlan, TreePlan, VmPlan, guest_tree, read};
use std::path::Path;
use support::{around, board, compile, tests};

/// What the sound manifest comes to with these properties in its VM.
fn placed(name: &str, properties: &str) -> Result<VmPlan, String> {
    let sound = tests().join("broken/sound.dtsi");
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.dts"));
    let source = format!("/include/ \"{}\"\n&vm {{ {properties} }};\n", sound.display());
    std::fs::write(&file, source).unwrap();
    let bytes = compile(&file).unwrap();
    let tree = Tree::new(bytes.bytes()).unwrap();
    let board = board();
    let all = |errors: Vec<_>| errors.iter().map(ToString::to_string).collect::<Vec<_>>();
    let deployment = read(&tree, &around(&board)).map_err(|errors| all(errors).join("\n"))?;
    guest_tree(&tree, &deployment.vms[0], None).map_err(|error| error.to_string())?;
    Ok(deployment.vms[0].clone())
}

const ALONE: &str = "/delete-property/ evisor,initrd;";
const SPACE: u64 = 2 << 20;

fn tree(vm: &VmPlan) -> Option<(u64, u64)> {
    vm.device_tree.map(|TreePlan { ipa, space }| (ipa, space))
}

#[test]
fn a_raw_image_without_an_address_goes_to_the_start() {
    let vm = placed("raw", "evisor,image = \"raw\";").unwrap();
    let part = PartPlan { offset: 0, bytes: 0x1001, ipa: 0x4000_0000, zeros: 0 };
    assert_eq!((vm.image.parts, vm.image.entry_ipa), (vec![part], 0x4000_0000));
    assert_eq!(vm.initrd.unwrap().ipa, 0x4040_0000);
}

#[test]
fn a_raw_image_goes_to_its_address() {
    for (address, at) in [("<0x40280000>", 0x4028_0000), ("<0 0x40280000>", 0x4028_0000)] {
        let words = format!("evisor,image = \"raw\"; evisor,load-address = {address};");
        let vm = placed("load", &words).unwrap();
        let part = PartPlan { offset: 0, bytes: 0x1001, ipa: at, zeros: 0 };
        assert_eq!((vm.image.parts.as_slice(), vm.image.entry_ipa), (&[part][..], at));
        assert_eq!(tree(&vm), Some((0x4040_0000, SPACE)));
    }
    let words = "evisor,image = \"debian:linux\"; evisor,load-address = <0x40000000>;
        evisor,entry-address = <0x40000040>;";
    let vm = placed("entry", words).unwrap();
    assert_eq!((vm.image.parts[0].ipa, vm.image.entry_ipa), (0x4000_0000, 0x4000_0040));
}

/// As on a Raspberry Pi, whose other cores wait in the first page.
#[test]
fn what_has_no_address_keeps_out_of_reserved_memory() {
    let reserved = "reserved-memory { #address-cells = <2>; #size-cells = <2>; ranges;
        first@40000000 { reg = <0 0x40000000 0 0x1000>; };
        second@40400000 { reg = <0 0x40400000 0 0x1000>; }; };";
    let vm = placed("reserved", &format!("evisor,image = \"raw\"; {reserved}")).unwrap();
    assert_eq!(vm.image.entry_ipa, 0x4020_0000);
    assert_eq!(tree(&vm), Some((0x4060_0000, SPACE)));
    let words = "evisor,image = \"raw\"; evisor,load-address = <0x40000000>;";
    let vm = placed("told", &format!("{words} {reserved}")).unwrap();
    assert_eq!(vm.image.entry_ipa, 0x4000_0000, "what is told to goes there");
}

#[test]
fn an_image_can_lie_in_read_only_memory() {
    let rom = "memory@0 { device_type = \"memory\"; reg = <0 0 0 0x4000>; evisor,read-only; };";
    let words = format!("{ALONE} evisor,image = \"raw\"; evisor,load-address = <0>; {rom}");
    let vm = placed("rom", &words).unwrap();
    assert_eq!((vm.image.parts[0].ipa, vm.image.entry_ipa), (0, 0));
    assert_eq!(tree(&vm), Some((0x4000_0000, SPACE)));
}

const FLASH: &str = "flash@0 { compatible = \"cfi-flash\"; reg = <0 0 0 0x400000>;
    evisor,image = \"raw\"; };";

#[test]
fn a_vm_can_start_from_what_a_device_holds() {
    let words = format!("/delete-property/ evisor,image; evisor,entry-address = <0x40>; {FLASH}");
    let vm = placed("held", &words).unwrap();
    assert!(vm.image.parts.is_empty());
    assert_eq!((vm.image.file.as_str(), vm.image.entry_ipa), ("", 0x40));
    let flash = vm.objects.iter().find(|object| object.name == "flash@0").unwrap();
    assert_eq!(flash.image.as_deref(), Some("raw"));
    assert_eq!((flash.windows[0].ipa, flash.windows[0].size), (0, 0x40_0000));
    assert_eq!(tree(&vm), Some((0x4000_0000, SPACE)));
}

#[test]
fn further_files_go_to_their_addresses() {
    let words = "evisor,image = \"guest\"; memory@40000000 { evisor,file = \"raw\", \"elf\";
        evisor,load-address = <0 0x48000000 0 0x40000000>; };";
    let vm = placed("files", words).unwrap();
    let places: Vec<_> = vm.files.iter().map(|f| (f.file.as_str(), f.ipa, f.size)).collect();
    assert_eq!(places, [("raw", 0x4800_0000, 0x1001), ("elf", 0x4000_0000, 0x80)]);
}

#[test]
fn an_elf_file_goes_where_its_segments_say() {
    let vm = placed("elf", "evisor,image = \"elf\";").unwrap();
    let part = PartPlan { offset: 0x40, bytes: 0x40, ipa: 0x4000_0000, zeros: 0xffc0 };
    assert_eq!((vm.image.parts, vm.image.entry_ipa), (vec![part], 0x4000_0010));
    assert_eq!(vm.device_tree.unwrap().ipa, 0x4020_0000);
    // At an address of the manifest's it is raw.
    let words = format!("{ALONE} evisor,image = \"elf\"; evisor,load-address = <0x40000000>;");
    assert_eq!(placed("raw-elf", &words).unwrap().image.parts[0].bytes, 0x80);
}

#[test]
fn a_compressed_image_is_as_long_as_it_says() {
    let vm = placed("gzip", "evisor,image = \"gzip\"; evisor,load-address = <0x40000000>;");
    let image = vm.unwrap().image;
    assert_eq!((image.packed, image.parts[0].bytes), (true, 9));
}

#[test]
fn the_device_tree_goes_to_its_address() {
    let at = |image: &str, address: &str| {
        let words = format!(
            "{ALONE} evisor,image = \"{image}\"; evisor,device-tree-address = <{address}>;"
        );
        placed("tree", &words)
    };
    assert_eq!(tree(&at("guest", "0x40000000").unwrap()), Some((0x4000_0000, SPACE)));
    assert_eq!(tree(&at("guest", "0x4ffff000").unwrap()), Some((0x4fff_f000, 0x1000)));
    // Up to the image, which begins at 0x40200000, the room is the tree's.
    assert_eq!(tree(&at("guest", "0x401ff000").unwrap()), Some((0x401f_f000, 0x1000)));
    let error = at("guest", "0x401fff00").unwrap_err();
    assert!(error.contains("bytes, and 256 are free; make room for it"), "{error}");
}

#[test]
fn what_has_no_address_keeps_clear_of_what_has() {
    let words = "evisor,image = \"guest\"; evisor,device-tree-address = <0x40218000>;";
    let vm = placed("clear", words).unwrap();
    assert_eq!(vm.initrd.unwrap().ipa, 0x4041_8000);
}

#[test]
fn a_vm_can_do_without_a_device_tree() {
    let words = format!("{ALONE} evisor,image = \"raw\"; evisor,no-device-tree;");
    let vm = placed("none", &words).unwrap();
    assert_eq!(vm.device_tree, None);
}
