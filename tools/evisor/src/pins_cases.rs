//! Pins of the board in guests' hands.

use crate::cases::Case;

const PINS: &str = "tools/evisor/tests/guests/pins.dts";

pub const CASES: &[Case] = &[Case {
    name: "a board without pins gives none",
    arguments: &[PINS, "--timeout", "60"],
    status: 1,
    shows: &["/first/gpio@9030000: evisor,pins: the board has no pins to give"],
}];

pub const ON_A_PI: &[Case] = &[Case {
    name: "two VMs have pins of the same registers",
    arguments: &[PINS, "--board", "raspi4", "--timeout", "120"],
    status: 0,
    shows: &["evisor: first: off, verdict 0", "evisor: second: off, verdict 0"],
}];
