//! Reading sound trees, and refusing unsound ones.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod compile;

use compile::compile;
use evisor_fdt::{Aligned, Draft, FdtError, RegError, Region, Tree};

fn board() -> Aligned {
    Aligned::copy(&compile("board"))
}

fn region(address: u64, size: u64) -> Region {
    Region { address, size }
}

#[test]
fn nodes_are_found_by_path_alias_phandle_and_compatible() {
    let bytes = board();
    let tree = Tree::new(bytes.bytes()).unwrap();
    let uart = tree.find("/soc/serial@7e201000").unwrap();
    assert_eq!(uart.path(), "/soc/serial@7e201000");
    assert_eq!(tree.root().path(), "/");
    assert_eq!(tree.find("/soc/serial"), Some(uart));
    assert_eq!(tree.find("serial0"), Some(uart));
    assert_eq!(tree.find("short/serial"), Some(uart));
    let stdout = tree.find("/chosen").unwrap().string("stdout-path").unwrap();
    assert_eq!(tree.find(stdout), Some(uart));
    assert_eq!(tree.find("/"), Some(tree.root()));
    assert_eq!(tree.find("/soc/nothing"), None);
    assert_eq!(tree.find("serial1"), None);
    assert_eq!(tree.compatible("arm,primecell").collect::<Vec<_>>(), [uart]);
    let gic = uart.interrupt_parent().unwrap();
    assert_eq!(gic.short_name(), "interrupt-controller");
    assert_eq!(gic.unit_address(), Some("40041000"));
    assert_eq!(tree.by_phandle(gic.phandle().unwrap()), Some(gic));
    assert!(tree.find("/soc").unwrap().contains(gic) && !gic.contains(uart));
}

#[test]
fn children_and_descendants_are_in_order() {
    let bytes = board();
    let tree = Tree::new(bytes.bytes()).unwrap();
    let names: Vec<_> = tree.root().children().map(|node| node.name()).collect();
    let expected = ["aliases", "chosen", "memory@40000000", "cpus", "soc", "pcie@600000000"];
    assert_eq!(names, expected);
    assert_eq!(tree.find("/cpus").unwrap().descendants().count(), 4);
    assert_eq!(tree.nodes().count(), 1 + tree.root().descendants().count());
    assert_eq!(tree.reserved(), [(0x4000_0000, 0x1000), (0x7ff0_0000, 0x10_0000)]);
}

#[test]
fn addresses_are_translated_through_each_bus() {
    let bytes = board();
    let tree = Tree::new(bytes.bytes()).unwrap();
    let reg = |path: &str| tree.find(path).unwrap().reg_of_cpu();
    assert_eq!(reg("serial0"), Ok(vec![region(0xfe20_1000, 0x200)]));
    let gic = vec![region(0xff84_1000, 0x1000), region(0xff84_2000, 0x2000)];
    assert_eq!(reg("/soc/interrupt-controller"), Ok(gic));
    let memory = vec![region(0x4000_0000, 0x4000_0000), region(0x1_0000_0000, 0x1000)];
    assert_eq!(reg("/memory"), Ok(memory));
    assert_eq!(reg("/soc/lost"), Err(RegError::NotOnTheBus));
    assert_eq!(reg("/soc/inner/dead-end/device"), Err(RegError::NotOnTheBus));
    assert_eq!(reg("/pcie/device"), Err(RegError::Cells));
    let long = "/soc/inner/a-name-of-31-characters-exactly@7e300000";
    assert_eq!(reg(long), Ok(vec![region(0xfe30_0000, 0x10)]));
    let uart = tree.find("serial0").unwrap();
    let soc = tree.find("/soc").unwrap();
    assert_eq!(uart.reg_within(soc), Ok(vec![region(0x7e20_1000, 0x200)]));
    assert!(uart.is_enabled() && !tree.find("/soc/lost").unwrap().is_enabled());
}

#[test]
fn interrupts_and_cores_are_told() {
    let bytes = board();
    let tree = Tree::new(bytes.bytes()).unwrap();
    let uart = tree.find("serial0").unwrap();
    assert_eq!([0, 1].map(|index| uart.gic_interrupt(index)), [Some(153), None]);
    let odd = tree.find("/soc/lost").unwrap();
    let told = [0, 1, 2, 3].map(|index| odd.gic_interrupt(index));
    assert_eq!(told, [Some(25), None, None, None]);
    assert_eq!(tree.find("/soc").unwrap().gic_interrupt(0), None);
    let cores: Vec<_> = tree.cores().map(|core| core.name()).collect();
    assert_eq!(cores, ["cpu@0", "cpu@1"]);
}

#[test]
fn a_tree_of_nothing_is_a_tree() {
    let bytes = Aligned::copy(&compile("empty"));
    let tree = Tree::new(bytes.bytes()).unwrap();
    assert_eq!(tree.nodes().count(), 1);
    assert_eq!(tree.root().properties().count(), 0);
}

#[test]
fn what_is_written_reads_back() {
    let bytes = board();
    let tree = Tree::new(bytes.bytes()).unwrap();
    let draft = Draft::copy_all(tree.root());
    let written = Aligned::copy(&draft.to_bytes().unwrap());
    let again = Tree::new(written.bytes()).unwrap();
    assert_eq!(Draft::copy_all(again.root()), draft);
}

#[test]
fn drafts_are_edited_in_place() {
    let mut draft = Draft::new("");
    draft.set_strings("compatible", &["a", "b"]);
    draft.child_mut("chosen").set_number("linux,initrd-start", 0x1_0000_0000);
    draft.child_mut("chosen").set_cells("x", &[1]);
    draft.child_mut("chosen").set_cells("x", &[2]);
    assert_eq!(draft.children().len(), 1);
    let bytes = Aligned::copy(&draft.to_bytes().unwrap());
    let tree = Tree::new(bytes.bytes()).unwrap();
    let chosen = tree.find("/chosen").unwrap();
    assert_eq!(chosen.property("linux,initrd-start").unwrap().number(), Some(1 << 32));
    assert_eq!(chosen.cell("x"), Some(2));
    let without = Draft::copy_of(chosen, |name| name != "x");
    assert!(without.get("x").is_none() && without.get("linux,initrd-start").is_some());
    draft.child_mut("no name@");
    assert!(draft.to_bytes().is_err());
}

/// The board's tree with the header's word `index` set.
fn refused(index: usize, value: u32) -> FdtError {
    let mut bytes = compile("board");
    bytes[index * 4..index * 4 + 4].copy_from_slice(&value.to_be_bytes());
    Tree::new(Aligned::copy(&bytes).bytes()).unwrap_err()
}

#[test]
fn broken_headers_are_refused() {
    assert_eq!(refused(0, 0xd00d_fee0), FdtError::NotADeviceTree);
    assert!(matches!(refused(1, u32::MAX), FdtError::Truncated { .. }));
    assert_eq!(refused(1, 0), FdtError::Misplaced("structure"));
    assert_eq!(refused(2, 0x3a), FdtError::Misplaced("structure"));
    assert_eq!(refused(2, u32::MAX), FdtError::Misplaced("structure"));
    assert_eq!(refused(3, 0), FdtError::Misplaced("strings"));
    assert_eq!(refused(4, 0x2c), FdtError::Misplaced("memory reservation"));
    assert_eq!(refused(5, 18), FdtError::UnknownVersion(18));
    assert_eq!(refused(6, 17), FdtError::UnknownVersion(17));
    assert_eq!(refused(8, u32::MAX), FdtError::Misplaced("strings"));
    assert!(matches!(refused(9, 8), FdtError::Broken { .. }));
}

#[test]
fn every_cut_and_every_shift_is_refused() {
    let bytes = compile("board");
    for len in 0..bytes.len() {
        assert!(Tree::new(Aligned::copy(&bytes[..len]).bytes()).is_err(), "{len}");
    }
    let mut shifted = vec![0];
    shifted.extend_from_slice(&bytes);
    let copy = Aligned::copy(&shifted);
    assert_eq!(Tree::new(&copy.bytes()[1..]).unwrap_err(), FdtError::Unaligned);
}

#[test]
fn reservations_that_do_not_end_are_refused() {
    // The block moved to the last 16 bytes of the tree, which are not zero.
    let mut bytes = compile("board");
    let at = (bytes.len() - 16) & !7;
    bytes[16..20].copy_from_slice(&(at as u32).to_be_bytes());
    bytes[at..].fill(1);
    let error = Tree::new(Aligned::copy(&bytes).bytes()).unwrap_err();
    assert_eq!(error, FdtError::BadReservation);
}
