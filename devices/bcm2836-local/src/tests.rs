//! Checked against QA7, chapter 4.

use evisor_testkit::{Rig, Setup, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "brcm,bcm2836-l1-intc";

const MONITOR_SET: u64 = 0x10;
const MONITOR_CLEAR: u64 = 0x14;
const COUNT_LOW: u64 = 0x1c;
const COUNT_HIGH: u64 = 0x20;
const MAILBOX_SET: u64 = 0x80;
const MAILBOX_CLEAR: u64 = 0xc0;

/// Chapter 4: offset, value after reset (and a Pi's firmware), what is kept of ones.
#[test]
fn registers_reset_and_hold() {
    let table = [
        (0x00, 0, 0x1c0),
        (0x04, 0, 0),
        (0x08, 0x8000_0000, 0xffff_ffff),
        (0x0c, 0, 0xf),
        (MONITOR_SET, 0, 0xff),
        (MONITOR_CLEAR, 0, 0),
        (0x18, 0, 0),
        (COUNT_LOW, 0, 0),
        (COUNT_HIGH, 0, 0),
        (0x24, 0, 7),
        (0x28, 0, 0),
        (0x2c, 0, 0),
        (0x30, 0, 0x1f_ffff),
        (0x34, 0, 0x3fff_ffff),
        (0x38, 0, 0),
        (0x3c, 0, 0),
    ];
    let of_cores = (0x40..0x60).step_by(4).map(|offset| (offset, 0, 0xff));
    let others = (0x60..0x100).step_by(4).map(|offset| (offset, 0, 0));
    for (offset, reset, ones) in table.into_iter().chain(of_cores).chain(others) {
        let mut rig = Rig::new(COMPATIBLE);
        assert_eq!(rig.read32(offset), reset, "reset of {offset:#x}");
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), ones, "ones in {offset:#x}");
        rig.reset();
        assert_eq!(rig.read32(offset), reset, "reset again of {offset:#x}");
    }
}

/// Chapter 4: performance monitor interrupts are routed, and not, by ones.
#[test]
fn monitors_are_routed_bit_by_bit() {
    let mut rig = Rig::new(COMPATIBLE);
    rig.write32(MONITOR_SET, 0x11);
    rig.write32(MONITOR_SET, 0x02);
    assert_eq!(rig.read32(MONITOR_SET), 0x13);
    rig.write32(MONITOR_CLEAR, 0x01);
    assert_eq!(rig.read32(MONITOR_SET), 0x12);
}

/// §3.3: what is set is there until it is cleared, in each mailbox for itself.
#[test]
fn mailboxes_keep_bits() {
    let mut rig = Rig::new(COMPATIBLE);
    for mailbox in 0..16 {
        rig.write32(MAILBOX_SET + 4 * mailbox, 0xf0 | mailbox);
        rig.write32(MAILBOX_SET + 4 * mailbox, 0x8000_0000);
    }
    for mailbox in 0..16 {
        let clear = MAILBOX_CLEAR + 4 * mailbox;
        assert_eq!(rig.read32(clear), 0x8000_00f0 | mailbox);
        rig.write32(clear, 0x8000_0030);
        assert_eq!(rig.read32(clear), 0xc0 | mailbox);
    }
    let sources = (0x60..0x80).step_by(4).map(|offset| rig.read32(offset)).sum::<u64>();
    assert_eq!((sources, rig.events()), (0, vec![]), "and interrupt nobody");
}

/// §3.1.2: the upper half is what it was with the lower one.
#[test]
fn the_count_is_read_in_halves() {
    let mut rig = Rig::new(COMPATIBLE);
    rig.advance(0x7_ffff_ffff);
    assert_eq!(rig.read32(COUNT_LOW), 0xffff_ffff);
    rig.advance(1);
    assert_eq!(rig.read32(COUNT_HIGH), 7);
    assert_eq!((rig.read32(COUNT_LOW), rig.read32(COUNT_HIGH)), (0, 8));
    rig.write32(COUNT_LOW, 1);
    rig.write32(COUNT_HIGH, 1);
    assert_eq!((rig.read32(COUNT_LOW), rig.read32(COUNT_HIGH)), (0, 8), "not to be set");
}

#[test]
fn save_and_restore_go_on_alike() {
    save_and_restore(COMPATIBLE, &Setup::default());
    refuses_foreign_state(COMPATIBLE, &Setup::default());
}

#[test]
fn a_state_with_bits_that_are_never_set_is_refused() {
    let mut rig = Rig::new(COMPATIBLE);
    let state = rig.save();
    // Behind tag and version: control, the prescaler's neighbour, the monitors.
    for at in [12, 12 + 4, 12 + 4 * (24 + 16) + 1] {
        let mut broken = state.clone();
        broken[at] |= 1;
        assert!(rig.restore(&broken).is_err(), "byte {at}");
    }
    assert_eq!(rig.restore(&state), Ok(()));
}
