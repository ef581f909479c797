//! An end between its guest and a test.

use crate::registers::{
    EVISOR_CHANNEL, IDENTITY, NUMBER, OTHER, OTHER_STARTS, RING, SIZE, STARTS, THIS_VERSION,
    VERSION,
};
use evisor_contract::{Status, Width, components};
use evisor_testkit::{Event, Random, Rig, Setup, describe, drive};

const END: &str = "evisor,channel-end";

fn rig() -> Rig {
    Rig::with(END, &Setup { window: 0x1_0000, ..Setup::default() })
}

#[test]
fn what_it_is_stands_in_its_registers() {
    let mut rig = rig();
    rig.reset();
    let table = [
        (IDENTITY, EVISOR_CHANNEL),
        (VERSION, THIS_VERSION),
        (NUMBER, 0),
        (SIZE, 0x1_0000),
        (STARTS, 1),
        (OTHER, 0),
        (OTHER_STARTS, 0),
        (RING, 0),
    ];
    for (offset, value) in table {
        assert_eq!(rig.read32(offset), u64::from(value), "{offset:#x}");
    }
}

#[test]
fn each_start_is_another_number() {
    let mut rig = rig();
    for start in 1..4 {
        rig.reset();
        assert_eq!(rig.read32(STARTS), start);
    }
}

/// A roll back resets and restores.
#[test]
fn a_restored_state_is_another_start() {
    let mut rig = rig();
    rig.reset();
    let kept = rig.save();
    rig.reset();
    rig.restore(&kept).expect("its own");
    assert_eq!(rig.read32(STARTS), 2);
}

#[test]
fn the_other_end_is_seen_to_come_and_go() {
    let mut rig = rig();
    for (starts, up) in [(1, true), (1, false), (2, true)] {
        rig.end().set_other(starts, up);
        assert_eq!((rig.read32(OTHER_STARTS), rig.read32(OTHER)), (starts.into(), up.into()));
    }
}

#[test]
fn whatever_is_written_rings_once() {
    let mut rig = rig();
    for value in [0, 1, u64::MAX] {
        rig.write32(RING, value);
        assert_eq!(rig.events(), [Event::Rings]);
    }
}

#[test]
fn nothing_else_is_there() {
    let mut rig = rig();
    for offset in (0..0x1000).step_by(4) {
        let writable = offset == RING;
        let written = rig.write(offset, Width::Word, 1).status;
        assert_eq!(written == Status::Done, writable, "{offset:#x}");
        let readable = rig.read(offset, Width::Word).status == Status::Done;
        assert_eq!(readable, offset <= RING && offset != 0x1c, "{offset:#x}");
    }
}

#[test]
fn the_guest_finds_it_by_a_name_of_its_own() {
    let described = describe(rig().declaration(), &[]);
    assert_eq!(described, "compatible = \"evisor-channel\"");
}

#[test]
fn what_is_shared_has_no_names() {
    let all = components().expect("no two of one name");
    let channel = all.iter().find(|one| one.compatible.contains(&"evisor,channel"));
    let needs = &channel.expect("it is declared").needs;
    assert!(needs.root && needs.shared && needs.windows.is_empty());
}

#[test]
fn goes_on_after_a_restore() {
    evisor_testkit::save_and_restore(END, &Setup { window: 0x1_0000, ..Setup::default() });
    evisor_testkit::refuses_foreign_state(END, &Setup::default());
}

#[test]
fn any_bytes_are_survived() {
    let mut random = Random::new(1);
    let bytes: Vec<u8> = (0..40_000).map(|_| random.number().to_le_bytes()[0]).collect();
    drive(END, &bytes);
}
