//! A console's bytes on their way to a guest.

use crate::state::{Restore, RestoreError, Save};
use heapless::Deque;

/// What a guest has not read yet: the bytes in its device's receive FIFO, and those behind
/// it on the line, as if the sender were slow.
#[derive(Debug, Default)]
pub struct Backlog(Deque<u8, { Self::MOST }>);

impl Backlog {
    /// How many wait at most.
    pub const MOST: usize = 256;

    /// Adds one behind the others. False: there is no room, and it is lost.
    pub fn push(&mut self, byte: u8) -> bool {
        self.0.push_back(byte).is_ok()
    }

    /// Takes the first.
    pub fn pop(&mut self) -> Option<u8> {
        self.0.pop_front()
    }

    /// How many there are.
    #[inline(always)]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes the first `count` away, or all.
    pub fn discard(&mut self, count: usize) {
        for _ in 0..count.min(self.len()) {
            self.pop();
        }
    }

    /// Writes their number, and them.
    pub fn save(&self, to: &mut Save) {
        to.word(u32::try_from(self.len()).unwrap_or(u32::MAX));
        let (first, wrapped) = self.0.as_slices();
        to.raw(first);
        to.raw(wrapped);
    }

    /// What was saved.
    ///
    /// # Errors
    /// [`RestoreError::Truncated`]; [`RestoreError::Impossible`] if they are too many.
    pub fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        let (mut backlog, mut bytes) = (Self::default(), [0; Self::MOST]);
        let count = usize::try_from(from.word()?).unwrap_or(usize::MAX);
        let bytes = bytes.get_mut(..count).ok_or(RestoreError::Impossible)?;
        from.raw(bytes)?;
        bytes.iter().for_each(|byte| _ = backlog.push(*byte));
        Ok(backlog)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    fn saved(backlog: &Backlog) -> Vec<u8> {
        let mut to = Save::default();
        backlog.save(&mut to);
        to.into_bytes()
    }

    #[test]
    fn what_has_wrapped_around_is_saved_from_its_first_byte() {
        let mut backlog = Backlog::default();
        assert!((0..200).all(|byte| backlog.push(byte)));
        backlog.discard(150);
        assert!((0..100).all(|byte| backlog.push(byte)));
        let bytes: Vec<u8> = [150, 0, 0, 0].into_iter().chain(150..200).chain(0..100).collect();
        assert_eq!(saved(&backlog), bytes);
        let mut restored = Backlog::restore(&mut Restore::new(&bytes)).unwrap_or_default();
        assert_eq!((restored.len(), restored.pop()), (150, Some(150)));
        assert_eq!(saved(&backlog).get(5..), saved(&restored).get(4..));
        backlog.discard(1000);
        assert!(backlog.is_empty());
    }

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        let mut backlog = Backlog::default();
        assert!((0..256).all(|_| backlog.push(7)) && !backlog.push(8));
        let mut bytes = saved(&backlog);
        assert!(Backlog::restore(&mut Restore::new(&bytes)).is_ok());
        bytes.splice(..4, [0x01, 0x01, 0, 0]);
        bytes.push(7);
        let restored = Backlog::restore(&mut Restore::new(&bytes));
        assert_eq!(restored.err(), Some(RestoreError::Impossible));
    }
}
