//! The bytes on their way to the guest.

use evisor_contract::{Restore, RestoreError, Save};

/// How many bytes wait at most: those in the receive FIFO, and those behind it
/// on the line. An index of 8 bits wraps around by itself.
pub const CAPACITY: usize = 256;

/// A ring of bytes.
#[derive(Debug)]
pub struct Queue {
    bytes: [u8; CAPACITY],
    first: u8,
    count: u16,
}

impl Queue {
    pub const fn new() -> Self {
        Self { bytes: [0; CAPACITY], first: 0, count: 0 }
    }

    pub fn len(&self) -> usize {
        usize::from(self.count)
    }

    /// Appends a byte, which is lost if there is no room.
    pub fn push(&mut self, byte: u8) {
        let count = self.len();
        let end = (usize::from(self.first) + count) % CAPACITY;
        if let Some(slot) = self.bytes.get_mut(end)
            && count < CAPACITY
        {
            *slot = byte;
            self.count += 1;
        }
    }

    pub fn pop(&mut self) -> Option<u8> {
        self.count = self.count.checked_sub(1)?;
        let byte = self.bytes.get(usize::from(self.first)).copied();
        self.first = self.first.wrapping_add(1);
        byte
    }

    /// Drops the first `count`.
    pub fn discard(&mut self, count: usize) {
        for _ in 0..count.min(self.len()) {
            self.pop();
        }
    }

    fn iter(&self) -> impl Iterator<Item = u8> {
        self.bytes.iter().cycle().skip(usize::from(self.first)).take(self.len()).copied()
    }

    pub fn save(&self, to: &mut Save) {
        to.word(u32::from(self.count));
        self.iter().for_each(|byte| to.raw(&[byte]));
    }

    pub fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        let mut queue = Self::new();
        let count = usize::try_from(from.word()?).unwrap_or(usize::MAX);
        let bytes = queue.bytes.get_mut(..count).ok_or(RestoreError::Impossible)?;
        from.raw(bytes)?;
        queue.count = u16::try_from(count).map_err(|_| RestoreError::Impossible)?;
        Ok(queue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_around_and_stops_when_full() {
        let mut queue = Queue::new();
        (0..200).for_each(|byte| queue.push(byte));
        queue.discard(150);
        (0..=255).for_each(|byte| queue.push(byte));
        assert_eq!(queue.len(), CAPACITY);
        assert!(queue.iter().take(52).eq((150..200).chain(0..2)));
        assert_eq!(queue.pop(), Some(150));
        queue.discard(1000);
        assert_eq!(queue.pop(), None);
    }
}
