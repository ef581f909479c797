//! Memory that a component's window leads to.

use crate::fake::lock;
use evisor_contract::{Backing, Width};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

/// Memory behind a window: 0xff where nothing was written.
#[derive(Debug)]
pub struct FakeMemory {
    size: u64,
    /// By the address of the doubleword; what is not here is all ones.
    words: Mutex<BTreeMap<u64, u64>>,
    shown: AtomicBool,
}

impl FakeMemory {
    pub(crate) fn new(size: u64) -> Self {
        Self { size, words: Mutex::default(), shown: AtomicBool::new(false) }
    }

    /// Whether the guest's loads go to it.
    pub fn is_shown(&self) -> bool {
        self.shown.load(Ordering::Relaxed)
    }

    /// What lies at `offset`.
    pub fn byte(&self, offset: u64) -> u8 {
        self.read(offset, Width::Byte).to_le_bytes()[0]
    }

    pub(crate) fn copy(&self, other: &Self) {
        *lock(&self.words) = lock(&other.words).clone();
    }

    fn check(&self, offset: u64, width: Width) {
        let inside = offset.checked_add(width.bytes()).is_some_and(|end| end <= self.size);
        assert!(inside, "{offset:#x} is outside of the window");
        assert!(offset.is_multiple_of(width.bytes()), "{offset:#x} is not aligned");
    }
}

impl Backing for FakeMemory {
    fn read(&self, offset: u64, width: Width) -> u64 {
        self.check(offset, width);
        let word = lock(&self.words).get(&(offset / 8)).copied().unwrap_or(u64::MAX);
        word >> (offset % 8 * 8) & width.mask()
    }

    fn write(&self, offset: u64, width: Width, value: u64) {
        self.check(offset, width);
        let mut words = lock(&self.words);
        let shift = offset % 8 * 8;
        let word = words.get(&(offset / 8)).copied().unwrap_or(u64::MAX);
        match word & !(width.mask() << shift) | (value & width.mask()) << shift {
            u64::MAX => words.remove(&(offset / 8)),
            word => words.insert(offset / 8, word),
        };
    }

    fn write_words(&self, offset: u64, words: &[u64]) {
        for (offset, word) in (offset..).step_by(8).zip(words) {
            self.write(offset, Width::Doubleword, *word);
        }
    }

    fn clear_bits(&self, offset: u64, words: &[u64]) {
        for (offset, word) in (offset..).step_by(8).zip(words) {
            self.write(offset, Width::Doubleword, word & self.read(offset, Width::Doubleword));
        }
    }

    fn show(&self, on: bool) {
        self.shown.store(on, Ordering::Relaxed);
    }
}
