//! The pins of the board that a VM was given.

use crate::spec::{ALL, PINS, PULL_DOWN, Register};
use crate::{Gpio, pins_with};
use evisor_contract::{BuildError, Grants, HostPins, Node};

const PROPERTY: &str = "evisor,pins";

/// Those that the node lists.
pub(crate) fn pins(
    node: &Node<'_>,
    grants: &mut dyn Grants,
) -> Result<Option<HostPins>, BuildError> {
    let Some(bytes) = node.bytes(PROPERTY) else { return Ok(None) };
    let (cells, rest) = bytes.as_chunks();
    if cells.is_empty() || !rest.is_empty() {
        let remedy = "write them as in <17 27>";
        return Err(BuildError::property(PROPERTY, "is not a list of pins", remedy));
    }
    let pins = cells.iter().try_fold(0, |pins, cell| {
        let bit = Some(u32::from_be_bytes(*cell)).filter(|pin| *pin < PINS).map(|pin| 1 << pin);
        bit.filter(|bit| pins & bit == 0).map(|bit| pins | bit)
    });
    let pins = pins.ok_or_else(|| {
        let problem = "names a pin twice, or one that is not there";
        BuildError::property(PROPERTY, problem, "list each of 0 to 57 once at most")
    })?;
    grants.host_pins(pins).map(Some)
}

impl Gpio {
    /// The pins that are the board's.
    pub(crate) fn given(&self) -> u64 {
        self.board.as_ref().map_or(0, HostPins::pins)
    }

    /// GPLEV: what the pins are, the board's in truth.
    pub(crate) fn seen(&self) -> u64 {
        let board = self.board.as_ref().map_or(0, HostPins::levels);
        self.levels() & !self.given() | board
    }

    /// Has the board's pins be as `register`, which was written, says.
    pub(crate) fn pass_on(&self, register: Register) {
        match register {
            Register::Function(index) => self.show_functions(part(index, 10)),
            Register::Pull(index) => self.show_pulls(part(index, 16)),
            Register::Set(first) | Register::Clear(first) => {
                self.drive(ALL & u64::from(u32::MAX) << first);
            }
            _ => {}
        }
    }

    /// Has all of them be as they are here.
    pub(crate) fn show(&self) {
        self.show_pulls(ALL);
        self.show_functions(ALL);
    }

    /// Inputs and outputs. An alternate function would lead to a device of the board, which
    /// is not the guest's: such a pin is an input.
    fn show_functions(&self, pins: u64) {
        let Some(board) = &self.board else { return };
        // Silicon keeps what an output will be, and QEMU does not.
        self.drive(pins);
        board.set_outputs(pins, self.outputs);
        self.drive(pins);
    }

    fn show_pulls(&self, pins: u64) {
        let Some(board) = &self.board else { return };
        board.set_pulls(pins, self.pulled_up, pins_with(&self.pulls, 2, PULL_DOWN));
    }

    fn drive(&self, pins: u64) {
        if let Some(board) = &self.board {
            board.drive(self.set & pins, !self.set & pins);
        }
    }
}

/// The pins of register `index` of those that have `pins` each.
fn part(index: usize, pins: usize) -> u64 {
    let all = (1 << pins) - 1;
    u32::try_from(index * pins).ok().and_then(|first| u64::checked_shl(all, first)).unwrap_or(0)
}
