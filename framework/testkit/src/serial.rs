//! The board's serial line, at whose other end a test is.

use crate::fake::lock;
use evisor_contract::HostSerial;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// The other end of the board's serial line.
#[derive(Clone, Debug)]
pub struct SerialEnd(Arc<Mutex<SerialState>>);

#[derive(Debug)]
struct SerialState {
    room: usize,
    sent: Vec<u8>,
    waiting: VecDeque<u8>,
    interrupt_when_writable: bool,
}

impl SerialEnd {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Mutex::new(SerialState {
            room: usize::MAX,
            sent: Vec::new(),
            waiting: VecDeque::new(),
            interrupt_when_writable: false,
        })))
    }

    /// Lets the transmitter take `bytes` more, and then no more.
    pub fn set_room(&self, bytes: usize) {
        lock(&self.0).room = bytes;
    }

    /// What was sent since this was last asked.
    pub fn take_sent(&self) -> Vec<u8> {
        core::mem::take(&mut lock(&self.0).sent)
    }

    /// Someone types.
    pub fn type_in(&self, bytes: &[u8]) {
        lock(&self.0).waiting.extend(bytes);
    }

    /// How many typed bytes nobody has read.
    pub fn unread(&self) -> usize {
        lock(&self.0).waiting.len()
    }

    /// Whether the component wants to know when there is room.
    pub fn interrupts_when_writable(&self) -> bool {
        lock(&self.0).interrupt_when_writable
    }
}

impl HostSerial for SerialEnd {
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut state = lock(&self.0);
        let count = bytes.len().min(state.room);
        state.room -= count;
        state.sent.extend(bytes.iter().take(count));
        count
    }
    fn try_read(&mut self) -> Option<u8> {
        lock(&self.0).waiting.pop_front()
    }
    fn interrupt_when_writable(&mut self, on: bool) {
        lock(&self.0).interrupt_when_writable = on;
    }
    fn acknowledge(&mut self) {}
}
