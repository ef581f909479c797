//! Checked against BCM2711 ARM Peripherals (2022-01-18); section numbers are its. The
//! clock here counts microseconds.

use crate::spec::offset::*;
use evisor_contract::{LineState, Status, tag};
use evisor_testkit::{Event, Rig, Setup, describe, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "brcm,bcm2835-system-timer";
const ROUND: u64 = 1 << 32;

fn rig() -> Rig {
    Rig::new(COMPATIBLE)
}

fn compare(channel: u64) -> u64 {
    C0 + 4 * channel
}

/// §10.2: offset, value after reset, what ones leave.
#[test]
fn registers_reset_and_hold_what_the_data_sheet_says() {
    let table = [
        (CS, 0, 0),
        (CLO, 0, 0),
        (CHI, 0, 0),
        (C0, 0, 0xffff_ffff),
        (C0 + 4, 0, 0xffff_ffff),
        (C0 + 8, 0, 0xffff_ffff),
        (C3, 0, 0xffff_ffff),
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

#[test]
fn reserved_offsets_read_as_zero_and_ignore_writes() {
    let mut rig = rig();
    let before = rig.save();
    for offset in (0x1c..0x1000).step_by(4) {
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), 0, "{offset:#x}");
    }
    assert_eq!(rig.save(), before);
}

/// §10.1: a count of 64 bits.
#[test]
fn counts_microseconds() {
    let mut rig = rig();
    assert_eq!(rig.frequency(), 1_000_000);
    rig.advance(5 * ROUND + 7);
    assert_eq!((rig.read32(CHI), rig.read32(CLO)), (5, 7));
    rig.reset();
    assert_eq!((rig.read32(CHI), rig.read32(CLO)), (5, 7), "it runs freely");
}

/// §10.1, §10.2: each channel has its bit of CS and its interrupt, till CS is written.
#[test]
fn each_match_interrupts() {
    for channel in 0..4u32 {
        let mut rig = rig();
        rig.write32(compare(channel.into()), 100);
        rig.events();
        rig.advance(99);
        assert_eq!((rig.events(), rig.read32(CS)), (Vec::new(), 0));
        rig.advance(1);
        let line = |state| Event::Line { index: channel, state };
        assert_eq!(rig.events()[0], line(LineState::High));
        assert_eq!(rig.read32(CS), 1 << channel);
        rig.write32(CS, u64::from(!(1u32 << channel)));
        assert!(rig.line(channel), "another's bit");
        rig.events();
        rig.write32(CS, 1 << channel);
        assert_eq!(rig.events()[0], line(LineState::Low));
        assert_eq!(rig.read32(CS), 0);
    }
}

/// §10.1: the lower half is compared, so it matches once a round.
#[test]
fn a_match_comes_again_after_a_round() {
    let mut rig = rig();
    rig.advance(3 * ROUND + 50);
    rig.write32(CS, 0xf);
    rig.write32(C0 + 4, 40);
    rig.advance(ROUND - 11);
    assert!(!rig.line(1), "40 was over when it was written");
    rig.advance(1);
    assert!(rig.line(1));
    rig.write32(CS, 0b0010);
    rig.advance(ROUND - 1);
    assert!(!rig.line(1));
    rig.advance(1);
    assert!(rig.line(1));
}

#[test]
fn a_match_with_the_present_is_a_match() {
    let mut rig = rig();
    rig.advance(500);
    rig.write32(C3, 500);
    assert!(rig.line(3));
    rig.write32(CS, 0b1000);
    assert!(!rig.line(3));
}

/// A channel that has matched stays so whatever is written to its register: only CS
/// clears it.
#[test]
fn a_new_value_does_not_clear_the_match() {
    let mut rig = rig();
    rig.write32(C0 + 4, 10);
    rig.advance(10);
    rig.write32(C0 + 4, 20);
    assert!(rig.line(1));
    rig.advance(5);
    rig.write32(CS, 0b0010);
    assert!(!rig.line(1));
    rig.advance(5);
    assert!(rig.line(1));
}

#[test]
fn the_deadline_is_the_next_match() {
    let mut rig = rig();
    rig.write32(C0 + 4, 1000);
    assert_eq!(rig.deadline(), Some(1000));
    rig.write32(C3, 300);
    assert_eq!(rig.deadline(), Some(300));
    rig.advance(300);
    assert_eq!((rig.line(3), rig.line(1), rig.deadline()), (true, false, Some(1000)));
    rig.advance(700);
    assert_eq!(rig.deadline(), Some(ROUND), "C0 and C2 match with 0");
    rig.write32(C3, 5000);
    rig.write32(CS, 0b1000);
    assert_eq!(rig.deadline(), Some(5000));
    rig.events();
    let _ = rig.notify(tag::DEADLINE, 0);
    assert_eq!(rig.events(), [Event::Deadline(Some(5000))], "early: asked for again");
    assert_eq!(rig.notify(tag::CONSOLE_INPUT, 0).status, Status::Absent);
}

/// A channel without an interrupt is only looked at.
#[test]
fn lines_are_optional() {
    let mut rig = Rig::with(COMPATIBLE, &Setup { lines: Some(2), ..Setup::default() });
    rig.write32(C3, 100);
    assert_eq!(rig.deadline(), Some(ROUND), "of C0 and C1");
    rig.advance(100);
    assert_eq!(rig.read32(CS), 0b1000);
    let mut rig = Rig::with(COMPATIBLE, &Setup { lines: Some(0), ..Setup::default() });
    rig.write32(C0, 100);
    assert_eq!(rig.deadline(), None);
    rig.advance(ROUND);
    assert_eq!(rig.read32(CS), 0xf);
}

/// Who waits on the count finds CS set when it has come.
#[test]
fn the_status_does_not_lag_behind_the_count() {
    let mut rig = rig();
    rig.write32(C0, 100);
    rig.advance(99);
    assert_eq!((rig.read32(CLO), rig.read32(CS)), (99, 0));
    rig.advance(1);
    assert_eq!((rig.read32(CLO), rig.read32(CS)), (100, 1));
}

#[test]
fn save_and_restore_go_on_alike() {
    for lines in [4, 1, 0] {
        let setup = Setup { lines: Some(lines), ..Setup::default() };
        save_and_restore(COMPATIBLE, &setup);
        refuses_foreign_state(COMPATIBLE, &setup);
    }
}

#[test]
fn impossible_states_are_refused() {
    let mut rig = rig();
    let state = rig.save();
    let mut bent = state.clone();
    bent[28] = 0x10;
    assert!(rig.restore(&bent).is_err(), "CS has 4 bits");
    let mut bent = state.clone();
    bent[32..40].fill(0xff);
    assert_eq!(rig.restore(&bent), Ok(()));
    assert_eq!(rig.save(), state, "what was seen in the future was seen now");
}

/// The binding wants the frequency.
#[test]
fn guest_node() {
    assert_eq!(describe(rig().declaration(), &[]), "clock-frequency = <0xf4240>");
}
