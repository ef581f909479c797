//! A device of the board: registers that hold what is written to them.

use crate::fake::lock;
use evisor_contract::{HostRegisters, Width};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The device's end of a window onto it.
#[derive(Clone, Debug, Default)]
pub struct DeviceEnd(Arc<Mutex<DeviceState>>);

#[derive(Debug, Default)]
struct DeviceState {
    bytes: BTreeMap<u64, u8>,
    written: Vec<(u64, Width, u64)>,
    broken: bool,
}

impl DeviceEnd {
    /// What was written since this was last asked: offset, width and value.
    pub fn written(&self) -> Vec<(u64, Width, u64)> {
        core::mem::take(&mut lock(&self.0).written)
    }

    /// Whether it answers every access with an error from now on.
    pub fn set_broken(&self, broken: bool) {
        lock(&self.0).broken = broken;
    }
}

impl HostRegisters for DeviceEnd {
    fn read(&mut self, offset: u64, width: Width) -> Option<u64> {
        let state = lock(&self.0);
        let byte = |at: u64| u64::from(state.bytes.get(&at).copied().unwrap_or(0));
        let all = (offset..offset + width.bytes()).rev();
        (!state.broken).then(|| all.fold(0, |value, at| value << 8 | byte(at)))
    }

    fn write(&mut self, offset: u64, width: Width, value: u64) -> bool {
        let mut state = lock(&self.0);
        if state.broken {
            return false;
        }
        state.written.push((offset, width, value));
        let bytes = (offset..offset + width.bytes()).zip(value.to_le_bytes());
        state.bytes.extend(bytes);
        true
    }
}
