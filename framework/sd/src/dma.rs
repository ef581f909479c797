//! Memory that the controller reaches by itself, and the table that leads it there
//! (ADMA2 with 32-bit addresses, HC §1.13).

use crate::spec::{BLOCK, BLOCK_WORDS, DESCRIPTOR};
use core::ops::Range;

/// Memory for the controller, which nobody else uses. The data of a transfer goes
/// through it: a caller's buffer would have to stay where it is, untouched, for as
/// long as the controller may write to it, and nothing could hold the caller to that.
pub trait DmaMemory {
    /// The memory, contiguous for the controller, starting at a multiple of 64 bytes.
    /// It is not asked for while the controller uses it.
    fn words(&mut self) -> &mut [u32];

    /// Where the controller finds the first word: a bus address, a multiple of 64.
    fn bus_address(&self) -> u32;

    /// Makes the controller see what was written to these words: cleans them from the
    /// caches, and waits for it.
    fn clean(&mut self, words: Range<usize>);

    /// Makes the next reads of these words see what the controller wrote: drops them
    /// from the caches.
    fn invalidate(&mut self, words: Range<usize>);
}

/// No such memory: each word goes through the core.
#[derive(Clone, Copy, Debug)]
pub enum NoDma {}

impl DmaMemory for NoDma {
    fn words(&mut self) -> &mut [u32] {
        match *self {}
    }

    fn bus_address(&self) -> u32 {
        match *self {}
    }

    fn clean(&mut self, _: Range<usize>) {
        match *self {}
    }

    fn invalidate(&mut self, _: Range<usize>) {
        match *self {}
    }
}

/// The words that the table has; the data follows. A cache line, so that cleaning one
/// does not touch the other.
const TABLE: usize = 16;
/// Blocks of one descriptor: its length has 16 bits.
const DESCRIBED: usize = 64;
/// What the table can describe: a descriptor is two words.
const MOST: usize = TABLE / 2 * DESCRIBED;

/// The blocks that fit.
pub fn capacity<D: DmaMemory>(memory: &mut D) -> u32 {
    let blocks = memory.words().len().saturating_sub(TABLE) / BLOCK_WORDS;
    blocks.min(MOST) as u32
}

fn data(blocks: u32) -> Range<usize> {
    TABLE..TABLE + blocks as usize * BLOCK_WORDS
}

/// Makes a transfer of so many blocks ready, and says where its table is. What is to
/// be written to the card comes from `buffer`.
pub fn prepare<D: DmaMemory>(memory: &mut D, blocks: u32, buffer: Option<&[u32]>) -> u32 {
    let start = memory.bus_address();
    describe(memory.words(), start, blocks);
    if let Some(buffer) = buffer
        && let Some(words) = memory.words().get_mut(data(blocks))
        && words.len() == buffer.len()
    {
        words.copy_from_slice(buffer);
    }
    // Also of what is read: a line that is dirty would be written back over it.
    memory.clean(0..data(blocks).end);
    start
}

/// Takes what the controller has read from the card.
pub fn take<D: DmaMemory>(memory: &mut D, blocks: u32, buffer: &mut [u32]) {
    memory.invalidate(data(blocks));
    if let Some(words) = memory.words().get(data(blocks))
        && words.len() == buffer.len()
    {
        buffer.copy_from_slice(words);
    }
}

/// Writes the table of descriptors.
fn describe(words: &mut [u32], start: u32, blocks: u32) {
    let mut left = blocks as usize;
    let mut address = start.wrapping_add(4 * TABLE as u32);
    for entry in words.chunks_exact_mut(2).take(TABLE / 2) {
        let now = left.min(DESCRIBED);
        left -= now;
        let length = (now * BLOCK) as u32;
        let end = if left == 0 { DESCRIPTOR::END::SET } else { DESCRIPTOR::END::CLEAR };
        let attributes = DESCRIPTOR::LENGTH.val(length)
            + DESCRIPTOR::ACT::Transfer
            + DESCRIPTOR::VALID::SET
            + end;
        entry.copy_from_slice(&[attributes.value, address]);
        address = address.wrapping_add(length);
        if left == 0 {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HC §1.13: attribute in the lowest half word (valid 1, end 2, transfer 0x20),
    /// length above it, address in the second word.
    #[test]
    fn tables() {
        let mut words = [0; TABLE];
        describe(&mut words, 0xc000_0000, 1);
        assert_eq!(words[..4], [0x0200_0023, 0xc000_0040, 0, 0]);
        describe(&mut words, 0xc000_0000, 64);
        assert_eq!(words[..2], [0x8000_0023, 0xc000_0040]);
        describe(&mut words, 0xc000_0000, 130);
        assert_eq!(words[..4], [0x8000_0021, 0xc000_0040, 0x8000_0021, 0xc000_8040]);
        assert_eq!(words[4..6], [0x0400_0023, 0xc001_0040]);
        describe(&mut words, 0, MOST as u32);
        let last = words[14];
        assert_eq!(last, 0x8000_0023);
        assert!(words.chunks(2).take(7).all(|entry| entry[0] == 0x8000_0021));
    }
}
