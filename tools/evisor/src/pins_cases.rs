//! Pins of the board in guests' hands.

use crate::cases::Case;

pub const ON_A_PI: &[Case] = &[Case {
    name: "two VMs have pins of the same registers",
    arguments: &["tools/evisor/tests/guests/pins.dts", "--board", "raspi4", "--timeout", "120"],
    status: 0,
    shows: &["evisor: first: off, verdict 0", "evisor: second: off, verdict 0"],
}];
