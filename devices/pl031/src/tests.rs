//! Checked against DDI 0224; section numbers are its.

use crate::spec::offset::*;
use evisor_contract::{LineState, Status, Width, tag};
use evisor_testkit::{Event, Rig, Setup, describe, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "arm,pl031";

/// At noon of some day in 2026.
const NOON: u64 = 1_780_315_200;

fn rig() -> Rig {
    let mut rig = Rig::new(COMPATIBLE);
    rig.set_unix_seconds(NOON);
    rig.reset();
    rig
}

fn pass(rig: &mut Rig, seconds: u64) {
    rig.advance(seconds * rig.frequency());
}

/// §3.2: offset, value after reset, writable bits. RTCDR has a test of its own.
#[test]
fn registers_reset_and_hold_what_the_data_sheet_says() {
    let table = [
        (MR, 0, 0xffff_ffff),
        (LR, 0, 0xffff_ffff),
        (CR, 1, 1),
        (IMSC, 0, 1),
        (RIS, 0, 0),
        (MIS, 0, 0),
        (ICR, 0, 0),
    ];
    for (offset, reset, ones) in table {
        let mut rig = rig();
        assert_eq!(rig.read32(offset), reset, "reset of {offset:#x}");
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), ones, "ones in {offset:#x}");
        rig.reset();
        assert_eq!(rig.read32(offset), reset, "reset again of {offset:#x}");
    }
}

/// §3.3.9, §3.3.10.
#[test]
fn identification() {
    let expected = [0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1];
    let mut rig = rig();
    for (index, value) in expected.into_iter().enumerate() {
        assert_eq!(rig.read32(PERIPH_ID0 + 4 * index as u64), value, "{index}");
    }
}

#[test]
fn reserved_offsets_read_as_zero_and_ignore_writes() {
    let mut rig = rig();
    let before = rig.save();
    for offset in (0x020..0xfe0).step_by(4) {
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), 0, "{offset:#x}");
    }
    assert_eq!(rig.save(), before);
}

/// §3.3.1, §3.3.3.
#[test]
fn counts_seconds_from_the_calendar_or_from_what_is_loaded() {
    let mut rig = rig();
    assert_eq!(rig.read32(DR), NOON);
    pass(&mut rig, 5);
    assert_eq!(rig.read32(DR), NOON + 5);
    rig.write32(DR, 7);
    assert_eq!(rig.read32(DR), NOON + 5, "read-only");
    rig.write32(LR, 1000);
    assert_eq!((rig.read32(DR), rig.read32(LR)), (1000, 1000));
    pass(&mut rig, 5);
    assert_eq!((rig.read32(DR), rig.read32(LR)), (1005, 1000));
    rig.write32(LR, 0xffff_ffff);
    pass(&mut rig, 1);
    assert_eq!(rig.read32(DR), 0, "the count comes round");
    rig.reset();
    assert_eq!(rig.read32(DR), NOON + 11);
    assert_eq!(rig.read(DR, Width::Byte).value, (NOON + 11) & 0xff);
    assert_eq!(rig.read(DR + 2, Width::Halfword).value, (NOON + 11) >> 16);
}

/// §3.3.2, §3.3.5 to §3.3.8.
#[test]
fn the_match_interrupts() {
    let mut rig = rig();
    rig.write32(IMSC, 1);
    rig.write32(MR, NOON + 10);
    pass(&mut rig, 9);
    assert_eq!((rig.line(0), rig.read32(RIS)), (false, 0));
    rig.events();
    pass(&mut rig, 1);
    assert_eq!(rig.events(), [Event::Line { index: 0, state: LineState::High }]);
    assert_eq!((rig.read32(RIS), rig.read32(MIS)), (1, 1));
    rig.write32(ICR, 0);
    assert!(rig.line(0), "only ones clear");
    rig.write32(ICR, 1);
    assert_eq!((rig.line(0), rig.read32(RIS)), (false, 0));
    pass(&mut rig, 1000);
    assert!(!rig.line(0), "it matches once a round");
}

/// §3.3.6, §3.3.7: the mask hides the interrupt, it does not prevent it.
#[test]
fn a_masked_match_asks_for_no_deadline_and_is_seen() {
    let mut rig = rig();
    rig.write32(MR, NOON + 10);
    assert_eq!(rig.events(), []);
    pass(&mut rig, 20);
    assert_eq!((rig.read32(RIS), rig.read32(MIS)), (1, 0));
    rig.write32(IMSC, 1);
    assert!(rig.line(0));
    rig.write32(IMSC, 0);
    assert!(!rig.line(0));
}

#[test]
fn a_match_with_the_present_is_a_match() {
    let mut rig = rig();
    rig.write32(IMSC, 1);
    rig.write32(MR, NOON);
    assert!(rig.line(0));
    rig.write32(ICR, 1);
    rig.write32(LR, NOON - 1);
    assert!(!rig.line(0));
    pass(&mut rig, 1);
    assert!(rig.line(0), "and so it is by loading the count");
}

#[test]
fn the_deadline_follows_what_the_guest_wants() {
    let mut rig = rig();
    let second = rig.frequency();
    rig.write32(IMSC, 1);
    rig.write32(MR, NOON + 10);
    assert_eq!(rig.deadline(), Some(10 * second));
    rig.write32(MR, NOON + 4);
    assert_eq!(rig.deadline(), Some(4 * second));
    rig.write32(LR, NOON + 1);
    assert_eq!(rig.deadline(), Some(3 * second));
    rig.write32(IMSC, 0);
    assert_eq!(rig.deadline(), None);
    rig.write32(IMSC, 1);
    rig.events();
    let _ = rig.notify(tag::DEADLINE, 0);
    assert_eq!(rig.events(), [Event::Deadline(Some(3 * second))], "early: asked for again");
    assert_eq!(rig.notify(tag::CONSOLE_INPUT, 0).status, Status::Absent);
}

/// After a pause the calendar is ahead of the count, and the device is told to look.
#[test]
fn the_calendar_goes_on_in_a_pause() {
    let mut rig = rig();
    let second = rig.frequency();
    rig.write32(IMSC, 1);
    rig.write32(MR, NOON + 10);
    rig.set_unix_seconds(NOON + 7);
    let _ = rig.notify(tag::DEADLINE, 0);
    assert_eq!((rig.read32(DR), rig.line(0)), (NOON + 7, false));
    assert_eq!(rig.deadline(), Some(3 * second), "sooner, by as much as the pause took");
    rig.set_unix_seconds(NOON + 12);
    let _ = rig.notify(tag::DEADLINE, 0);
    assert_eq!((rig.read32(DR), rig.line(0)), (NOON + 12, true), "it was due in the pause");
}

/// What a guest reads never contradicts: at the match, the status is set.
#[test]
fn the_count_does_not_pass_the_match_unseen() {
    let mut rig = rig();
    rig.advance(rig.frequency() * 3 / 4);
    rig.write32(IMSC, 1);
    rig.write32(MR, NOON + 1);
    rig.advance(rig.frequency() / 2);
    assert_eq!(rig.read32(DR), NOON + 1);
    assert!(rig.line(0));
}

#[test]
fn save_and_restore_go_on_alike() {
    save_and_restore(COMPATIBLE, &Setup::default());
    refuses_foreign_state(COMPATIBLE, &Setup::default());
}

/// The binding: arm,pl031 is a PrimeCell with the bus's clock.
#[test]
fn guest_node() {
    let expected = "\
clock-names = \"apb_pclk\"
clocks = <0x1>
compatible = \"arm,pl031\", \"arm,primecell\"
clock 1 = 24000000 Hz";
    assert_eq!(describe(rig().declaration(), &[]), expected);
}
