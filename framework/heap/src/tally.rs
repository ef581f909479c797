//! What a heap that starts empty has given out at the end of a sequence.

use crate::{PAGE, SIZES, Size};

/// Counts as the heap does, and has no memory. It never cuts a block that waits, which the
/// heap does as its last resort: it comes to no less than the heap's.
pub struct Tally {
    /// How many blocks of each size wait, by its number.
    waiting: [usize; SIZES],
    /// Bytes that small blocks took of the region's start, and larger ones of its end.
    small: usize,
    large: usize,
}

impl Tally {
    /// Of nothing.
    pub const fn new() -> Self {
        Self { waiting: [0; SIZES], small: 0, large: 0 }
    }

    /// A block is given out.
    pub fn take(&mut self, size: Size) {
        match self.waiting.get_mut(size.list) {
            Some(waiting) if *waiting > 0 => *waiting -= 1,
            _ if size.bytes >= PAGE => self.large += size.bytes,
            _ => self.small = self.small.next_multiple_of(size.bytes) + size.bytes,
        }
    }

    /// And given back.
    pub fn give_back(&mut self, size: Size) {
        if let Some(waiting) = self.waiting.get_mut(size.list) {
            *waiting += 1;
        }
    }

    /// How many bytes a heap needs for this.
    pub fn bytes(&self) -> usize {
        self.small.next_multiple_of(PAGE) + self.large
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::alloc::Layout;

    fn size(bytes: usize) -> Size {
        Size::of(Layout::from_size_align(bytes, 8).unwrap()).unwrap()
    }

    #[test]
    fn blocks_have_powers_of_two_and_then_quarters_between() {
        let bytes = [1, 16, 17, 4096, 4097, 20_480, 36_865].map(|bytes| size(bytes).bytes);
        assert_eq!(bytes, [16, 16, 32, 4096, 8192, 20_480, 40_960]);
    }

    #[test]
    fn what_was_given_back_is_given_out_again_and_to_nothing_else() {
        let mut tally = Tally::new();
        tally.take(size(8192));
        tally.give_back(size(8192));
        tally.take(size(8000));
        assert_eq!(tally.bytes(), 8192);
        tally.take(size(4096));
        assert_eq!(tally.bytes(), 8192 + 4096);
    }

    #[test]
    fn small_blocks_are_aligned_to_their_size() {
        let mut tally = Tally::new();
        for bytes in [16, 2048, 2048] {
            tally.take(size(bytes));
        }
        assert_eq!(tally.bytes(), 2 * PAGE);
    }
}
