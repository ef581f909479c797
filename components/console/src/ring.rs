//! Bytes for the serial line that it has not taken yet.

use alloc::boxed::Box;

/// How many bytes it holds.
pub const CAPACITY: usize = 4096;

/// A ring of bytes.
pub struct Ring {
    bytes: Box<[u8]>,
    first: usize,
    count: usize,
}

impl Ring {
    pub fn new() -> Self {
        Self { bytes: alloc::vec![0; CAPACITY].into_boxed_slice(), first: 0, count: 0 }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Appends a byte. False: there is no room.
    pub fn push(&mut self, byte: u8) -> bool {
        if self.count == CAPACITY {
            return false;
        }
        let end = (self.first + self.count) % CAPACITY;
        let Some(slot) = self.bytes.get_mut(end) else {
            return false;
        };
        *slot = byte;
        self.count += 1;
        true
    }

    /// Appends bytes, as many as there is room for; how many that is.
    pub fn extend(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(CAPACITY - self.count);
        let end = (self.first + self.count) % CAPACITY;
        let (first, rest) =
            bytes.get(..count).unwrap_or_default().split_at(count.min(CAPACITY - end));
        self.place(end, first);
        self.place(0, rest);
        self.count += count;
        count
    }

    fn place(&mut self, at: usize, bytes: &[u8]) {
        if let Some(room) = self.bytes.get_mut(at..at + bytes.len()) {
            room.copy_from_slice(bytes);
        }
    }

    /// The oldest bytes, up to `most`; fewer where the ring wraps around.
    pub fn oldest(&self, most: usize) -> &[u8] {
        let count = self.count.min(most).min(CAPACITY - self.first);
        self.bytes.get(self.first..self.first + count).unwrap_or_default()
    }

    /// Forgets the `count` oldest bytes.
    pub fn skip(&mut self, count: usize) {
        let count = count.min(self.count);
        self.first = (self.first + count) % CAPACITY;
        self.count -= count;
    }
}
