//! Memory behind a component's window: granted when it is bound, placed when its VM
//! is.

use alloc::string::String;
use evisor_contract::{Backing, Width};
use spin::Once;

/// A window that memory stands behind.
pub struct Behind {
    /// The path of the node that it belongs to.
    pub path: String,
    /// Where the guest sees it.
    pub ipa: u64,
    /// How long it is.
    pub size: u64,
    /// The file of the bundle that is there first.
    pub image: Option<String>,
    /// Where the component finds the memory.
    pub slot: &'static Slot,
}

/// A place for memory that comes later. Until then there is none: it reads as
/// zero.
#[derive(Default)]
pub struct Slot(Once<&'static dyn Backing>);

impl Slot {
    /// Here it is.
    pub fn fill(&self, memory: &'static dyn Backing) {
        self.0.call_once(|| memory);
    }
}

impl Backing for Slot {
    fn read(&self, offset: u64, width: Width) -> u64 {
        self.0.get().map_or(0, |memory| memory.read(offset, width))
    }

    fn write(&self, offset: u64, width: Width, value: u64) {
        if let Some(memory) = self.0.get() {
            memory.write(offset, width, value);
        }
    }

    fn write_words(&self, offset: u64, words: &[u64]) {
        if let Some(memory) = self.0.get() {
            memory.write_words(offset, words);
        }
    }

    fn clear_bits(&self, offset: u64, words: &[u64]) {
        if let Some(memory) = self.0.get() {
            memory.clear_bits(offset, words);
        }
    }

    fn show(&self, on: bool) {
        if let Some(memory) = self.0.get() {
            memory.show(on);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;
    use core::sync::atomic::{AtomicU64, Ordering};

    /// One doubleword, whatever the offset; shown or hidden in its lowest bit.
    struct One(AtomicU64);

    impl Backing for One {
        fn read(&self, _: u64, width: Width) -> u64 {
            self.0.load(Ordering::Relaxed) & width.mask()
        }
        fn write(&self, _: u64, _: Width, value: u64) {
            self.0.store(value, Ordering::Relaxed);
        }
        fn write_words(&self, _: u64, words: &[u64]) {
            self.0.store(words[0], Ordering::Relaxed);
        }
        fn clear_bits(&self, _: u64, words: &[u64]) {
            self.0.fetch_and(words[0], Ordering::Relaxed);
        }
        fn show(&self, on: bool) {
            self.0.fetch_or(u64::from(on), Ordering::Relaxed);
        }
    }

    #[test]
    fn a_slot_is_empty_and_then_leads_to_the_memory() {
        let slot = Slot::default();
        slot.write(0, Width::Word, 7);
        slot.show(true);
        assert_eq!(slot.read(0, Width::Word), 0);
        slot.fill(Box::leak(Box::new(One(AtomicU64::new(0)))));
        slot.write(0, Width::Word, 6);
        slot.clear_bits(0, &[4]);
        slot.show(true);
        assert_eq!(slot.read(0, Width::Byte), 5);
        slot.write_words(0, &[0x1_0008]);
        assert_eq!(slot.read(0, Width::Halfword), 8);
    }
}
