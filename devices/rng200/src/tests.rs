//! Checked against what Linux's `iproc-rng200.c` does.

use evisor_testkit::Rig;

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
