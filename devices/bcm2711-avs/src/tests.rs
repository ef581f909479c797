//! Checked against what Linux's `bcm2711_thermal.c` does.

use evisor_testkit::{Rig, Setup, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "brcm,bcm2711-avs-monitor";

/// `bcm2711_get_temp`, with the coefficients of a Pi's tree.
#[test]
fn it_is_forty_degrees() {
    let status = Rig::new(COMPATIBLE).read32(0x200);
    assert_ne!(status & (1 << 16 | 1 << 10), 0, "valid");
    let thousandths = 410_040 - 487 * (status & 0x3ff).cast_signed();
    assert!((40_000 - thousandths).abs() <= 487 / 2, "{thousandths}");
}

#[test]
fn the_rest_is_zero_and_nothing_changes_it() {
    let mut rig = Rig::new(COMPATIBLE);
    for offset in (0..0xf00).step_by(4) {
        let before = rig.read32(offset);
        rig.write32(offset, !before & 0xffff_ffff);
        assert_eq!(rig.read32(offset), before, "{offset:#x}");
        assert!(before == 0 || offset == 0x200, "{offset:#x}");
    }
    assert_eq!(rig.events(), []);
}

#[test]
fn save_and_restore_go_on_alike() {
    save_and_restore(COMPATIBLE, &Setup::default());
    refuses_foreign_state(COMPATIBLE, &Setup::default());
}
