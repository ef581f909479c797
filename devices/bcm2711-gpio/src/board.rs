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
    let Some(list) = node.bytes(PROPERTY) else { return Ok(None) };
    grants.host_pins(listed(list)?).map(Some)
}

/// A bit for each pin in a list of cells.
pub(crate) fn listed(list: &[u8]) -> Result<u64, BuildError> {
    let error = |problem, remedy| BuildError::property(PROPERTY, problem, remedy);
    let (cells, rest) = list.as_chunks();
    if cells.is_empty() || !rest.is_empty() {
        return Err(error("is not a list of pins", "write it as in <17 27>"));
    }
    let mut pins = 0;
    for pin in cells.iter().copied().map(u32::from_be_bytes) {
        if pin >= PINS || pins >> pin & 1 != 0 {
            let problem = "names a pin twice, or one that is not there";
            return Err(error(problem, "list each of 0 to 57 once at most"));
        }
        pins |= 1 << pin;
    }
    Ok(pins)
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
        self.drive(ALL);
        self.show_pulls(ALL);
        self.show_functions(ALL);
    }

    /// Inputs and outputs. An alternate function would lead to a device of the board, which
    /// is not the guest's: such a pin is an input.
    fn show_functions(&self, pins: u64) {
        let Some(board) = &self.board else { return };
        board.set_outputs(pins, self.outputs);
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
