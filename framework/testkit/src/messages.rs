//! What eVisor says of its own.

use crate::fake::lock;
use evisor_contract::{Bytes, Level, Messages};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// eVisor's own lines, of which a test says what they are.
#[derive(Debug, Default)]
pub struct FakeMessages {
    kept: AtomicBool,
    level: Mutex<Option<Level>>,
    bytes: Mutex<VecDeque<u8>>,
}

impl FakeMessages {
    /// eVisor says something; the component is notified by the test.
    pub fn say(&self, line: &str) {
        lock(&self.bytes).extend(line.bytes().chain([b'\n']));
    }

    /// Whether they wait for the component to show them.
    pub fn are_kept(&self) -> bool {
        self.kept.load(Ordering::Relaxed)
    }
}

impl Messages for FakeMessages {
    fn keep(&self) {
        self.kept.store(true, Ordering::Relaxed);
    }
    fn next(&self) -> Bytes {
        let mut waiting = lock(&self.bytes);
        let mut bytes = Bytes::NONE;
        while (bytes.count() as usize) < Bytes::MOST {
            let Some(byte) = waiting.pop_front() else { break };
            bytes.push(byte);
            if byte == b'\n' {
                break;
            }
        }
        bytes
    }
    fn level(&self) -> Level {
        lock(&self.level).unwrap_or(Level::Info)
    }
    fn set_level(&self, level: Level) {
        *lock(&self.level) = Some(level);
    }
}
