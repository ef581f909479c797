//! The bytes on their way to the guest: those in the receive FIFO, and those behind
//! it on the line.

use evisor_contract::{Restore, RestoreError, Save};
use heapless::Deque;

/// How many wait at most.
pub const CAPACITY: usize = 256;

pub type Queue = Deque<u8, CAPACITY>;

/// Drops the first `count`.
pub fn discard(queue: &mut Queue, count: usize) {
    for _ in 0..count.min(queue.len()) {
        queue.pop_front();
    }
}

pub fn save(queue: &Queue, to: &mut Save) {
    to.word(u32::try_from(queue.len()).unwrap_or(u32::MAX));
    let (first, wrapped) = queue.as_slices();
    to.raw(first);
    to.raw(wrapped);
}

pub fn restore(from: &mut Restore<'_>) -> Result<Queue, RestoreError> {
    let (mut queue, mut bytes) = (Queue::new(), [0; CAPACITY]);
    let count = usize::try_from(from.word()?).unwrap_or(usize::MAX);
    let bytes = bytes.get_mut(..count).ok_or(RestoreError::Impossible)?;
    from.raw(bytes)?;
    for byte in bytes {
        queue.push_back(*byte).map_err(|_| RestoreError::Impossible)?;
    }
    Ok(queue)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved(queue: &Queue) -> Vec<u8> {
        let mut to = Save::default();
        save(queue, &mut to);
        to.into_bytes()
    }

    #[test]
    fn what_has_wrapped_around_is_saved_from_its_first_byte() {
        let mut queue = Queue::new();
        (0..200).for_each(|byte| queue.push_back(byte).unwrap());
        discard(&mut queue, 150);
        (0..100).for_each(|byte| queue.push_back(byte).unwrap());
        let bytes: Vec<u8> = [150, 0, 0, 0].into_iter().chain(150..200).chain(0..100).collect();
        assert_eq!(saved(&queue), bytes);
        let restored = restore(&mut Restore::new(&bytes)).unwrap();
        assert!(restored.iter().eq(queue.iter()));
        discard(&mut queue, 1000);
        assert!(queue.is_empty());
    }

    #[test]
    fn more_than_there_is_room_for_is_refused() {
        let mut bytes = vec![0x01, 0x01, 0, 0];
        bytes.resize(4 + 257, 7);
        assert_eq!(restore(&mut Restore::new(&bytes)).err(), Some(RestoreError::Impossible));
    }
}
