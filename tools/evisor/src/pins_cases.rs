//! Pins of the board in guests' hands.

use crate::case::Case;

pub const ON_A_PI: &[Case] =
    &[Case::new("two VMs have pins of the same registers", "tools/evisor/tests/guests/pins.dts")
        .seconds(120)
        .shows(&["evisor: first: off, verdict 0", "evisor: second: off, verdict 0"])];
