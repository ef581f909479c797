//! Checked against what Linux's `iproc-rng200.c` does.

use evisor_testkit::{Rig, Setup, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "brcm,bcm2711-rng200";

const CTRL: u64 = 0x00;
const SOFT_RESET: u64 = 0x04;
const RBG_SOFT_RESET: u64 = 0x08;
const BIT_COUNT: u64 = 0x0c;
const THRESHOLD: u64 = 0x10;
const INT_STATUS: u64 = 0x18;
const INT_ENABLE: u64 = 0x1c;
const FIFO_DATA: u64 = 0x20;
const FIFO_COUNT: u64 = 0x24;

fn setup(entropy: Option<Vec<u64>>) -> Setup {
    Setup { entropy, ..Setup::default() }
}

/// On a machine that gives `entropy`.
fn rig(entropy: &[u64]) -> Rig {
    Rig::with(COMPATIBLE, &setup(Some(entropy.to_vec())))
}

/// Offset, what is kept of ones. After a reset all are 0.
#[test]
fn registers_reset_and_hold() {
    let table = [
        (CTRL, 0x1f_ffff),
        (SOFT_RESET, 1),
        (RBG_SOFT_RESET, 1),
        (BIT_COUNT, 0),
        (THRESHOLD, 0xffff_ffff),
        (0x14, 0),
        (INT_STATUS, 0),
        (INT_ENABLE, 0x8002_0021),
        (FIFO_DATA, 0),
        (FIFO_COUNT, 0xff00),
    ];
    for (offset, ones) in table {
        let mut rig = Rig::new(COMPATIBLE);
        assert_eq!(rig.read32(offset), 0, "reset of {offset:#x}");
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), ones, "ones in {offset:#x}");
        rig.reset();
        assert_eq!(rig.read32(offset), 0, "reset again of {offset:#x}");
    }
}

/// `iproc_rng200_enable_set`, `iproc_rng200_read`.
#[test]
fn what_runs_gives_the_machines_words() {
    let mut rig = rig(&[0xaaaa_aaaa_1111_1111, 0x2222_2222]);
    assert_eq!((rig.read32(FIFO_COUNT), rig.read32(FIFO_DATA)), (0, 0), "it does not run");
    rig.write32(CTRL, 1);
    assert_eq!((rig.read32(FIFO_COUNT), rig.read32(FIFO_DATA)), (1, 0x1111_1111));
    assert_eq!((rig.read32(FIFO_COUNT), rig.read32(FIFO_DATA)), (1, 0x2222_2222));
    assert_eq!((rig.read32(FIFO_COUNT), rig.read32(FIFO_DATA)), (0, 0), "no more come");
}

/// Nothing is made up where the machine has no numbers.
#[test]
fn without_entropy_the_fifo_stays_empty() {
    let mut rig = Rig::with(COMPATIBLE, &setup(None));
    rig.write32(CTRL, 0x1fff);
    let read = [FIFO_COUNT, FIFO_DATA, BIT_COUNT, INT_STATUS].map(|offset| rig.read32(offset));
    assert_eq!(read, [0; 4]);
}

/// The Raspberry Pi's `bcm2711_rng200_init` and `_read`: 0x40000 bits are thrown away,
/// and the FIFO is looked at when 16 were made.
#[test]
fn the_start_is_counted() {
    let mut rig = rig(&[7, 8]);
    rig.write32(THRESHOLD, 0x4_0000);
    rig.write32(FIFO_COUNT, 2 << 8);
    rig.write32(CTRL, 3 << 13 | 0x1fff);
    assert_eq!(rig.read32(BIT_COUNT), 0x4_0020);
    assert_eq!((rig.read32(FIFO_COUNT), rig.read32(FIFO_DATA)), (0x201, 7));
    assert_eq!((rig.read32(FIFO_COUNT), rig.read32(BIT_COUNT)), (0x201, 0x4_0040));
}

/// `iproc_rng200_restart`.
#[test]
fn either_soft_reset_empties_it_and_holds_it() {
    for reset in [SOFT_RESET, RBG_SOFT_RESET] {
        let mut rig = rig(&[7, 8]);
        rig.write32(CTRL, 1);
        assert_eq!(rig.read32(FIFO_COUNT), 1);
        rig.write32(reset, 1);
        let held = (rig.read32(FIFO_COUNT), rig.read32(BIT_COUNT), rig.read32(FIFO_DATA));
        assert_eq!(held, (0, 0, 0), "{reset:#x}");
        rig.write32(reset, 0);
        assert_eq!((rig.read32(FIFO_COUNT), rig.read32(FIFO_DATA)), (1, 8), "{reset:#x}");
    }
}

#[test]
fn save_and_restore_go_on_alike() {
    for entropy in [None, Some(vec![0xfedc_ba98_7654_3210; 4000])] {
        save_and_restore(COMPATIBLE, &setup(entropy.clone()));
        refuses_foreign_state(COMPATIBLE, &setup(entropy));
    }
}

#[test]
fn a_state_with_bits_that_are_never_set_is_refused() {
    let mut rig = rig(&[]);
    let state = rig.save();
    // Behind tag and version: RNG_CTRL and the two resets.
    for at in [15, 17, 20] {
        let mut broken = state.clone();
        broken[at] = 0x80;
        assert!(rig.restore(&broken).is_err(), "byte {at}");
    }
}
