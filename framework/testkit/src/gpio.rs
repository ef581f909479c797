//! The board's pins.

use crate::fake::lock;
use evisor_contract::HostGpio;
use std::sync::{Arc, Mutex};

/// The board's end of its pins, a bit each.
#[derive(Clone, Debug, Default)]
pub struct GpioEnd(Arc<Mutex<GpioState>>);

/// What was made of the pins, and what they are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpioState {
    /// Those that are outputs.
    pub outputs: u64,
    /// What outputs are, or will be.
    pub driven: u64,
    /// Those that are pulled up.
    pub up: u64,
    /// Those that are pulled down.
    pub down: u64,
    /// What comes in from outside where nothing is driven.
    pub inputs: u64,
    /// All that any call has named.
    pub touched: u64,
}

impl GpioEnd {
    /// Everything.
    pub fn state(&self) -> GpioState {
        *lock(&self.0)
    }

    /// Somebody outside makes inputs high, and all others low.
    pub fn set_inputs(&self, high: u64) {
        lock(&self.0).inputs = high;
    }
}

impl HostGpio for GpioEnd {
    fn free(&self) -> u64 {
        u64::MAX
    }

    fn set_outputs(&self, pins: u64, outputs: u64) {
        let mut state = lock(&self.0);
        state.outputs = state.outputs & !pins | outputs & pins;
        state.touched |= pins;
    }

    fn set_pulls(&self, pins: u64, up: u64, down: u64) {
        let mut state = lock(&self.0);
        state.up = state.up & !pins | up & pins;
        state.down = state.down & !pins | down & pins;
        state.touched |= pins;
    }

    fn drive(&self, high: u64, low: u64) {
        let mut state = lock(&self.0);
        state.driven = (state.driven | high) & !low;
        state.touched |= high | low;
    }

    fn levels(&self) -> u64 {
        let state = lock(&self.0);
        state.driven & state.outputs | state.inputs & !state.outputs
    }
}
