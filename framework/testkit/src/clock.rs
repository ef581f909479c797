//! The time, and random numbers, as a test says.

use crate::fake::lock;
use evisor_contract::{Clock, Entropy};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A clock that stands until a test moves it.
pub(crate) struct FakeClock {
    now: AtomicU64,
    pub(crate) unix: AtomicU64,
}

impl FakeClock {
    pub(crate) const FREQUENCY: u64 = 1_000_000;

    pub(crate) fn new() -> &'static Self {
        Box::leak(Box::new(Self { now: AtomicU64::new(0), unix: AtomicU64::new(0) }))
    }

    pub(crate) fn set(&self, count: u64) {
        self.now.store(count, Ordering::Relaxed);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }
    fn frequency(&self) -> u64 {
        Self::FREQUENCY
    }
    fn unix_seconds(&self) -> u64 {
        self.unix.load(Ordering::Relaxed) + self.now() / Self::FREQUENCY
    }
}

/// Gives what a test put in.
pub(crate) struct FakeEntropy(Mutex<VecDeque<u64>>);

impl FakeEntropy {
    pub(crate) fn new(words: Vec<u64>) -> &'static Self {
        Box::leak(Box::new(Self(Mutex::new(words.into()))))
    }
}

impl Entropy for FakeEntropy {
    fn word(&self) -> Option<u64> {
        lock(&self.0).pop_front()
    }
}
