//! A block of memory, what is written to it, and what it is known by.

use core::sync::atomic::{AtomicU32, Ordering};

/// 8 KiB.
const WORDS: usize = 2048;

#[derive(Debug)]
pub struct Block([AtomicU32; WORDS]);

impl Block {
    /// All zeros.
    pub const fn new() -> Self {
        Self([const { AtomicU32::new(0) }; WORDS])
    }

    /// Numbers that follow from `seed`, which is not 0 (Marsaglia, "Xorshift RNGs", 2003).
    pub fn fill(&self, seed: u32) {
        let mut number = seed;
        for word in &self.0 {
            number ^= number << 13;
            number ^= number >> 17;
            number ^= number << 5;
            word.store(number, Ordering::Relaxed);
        }
    }

    /// CRC-32 of its bytes (ISO/IEC 3309), the words' lowest first.
    pub fn crc(&self) -> u32 {
        let words = self.0.iter().map(|word| word.load(Ordering::Relaxed));
        !words.fold(!0, |crc, word| (0..32).fold(crc ^ word, |crc, _| step(crc)))
    }
}

fn step(crc: u32) -> u32 {
    crc >> 1 ^ if crc & 1 == 0 { 0 } else { 0xedb8_8320 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_that_of_others() {
        // Of 8192 zeros, and of one bit among them: as zlib computes it.
        let block = Block::new();
        assert_eq!(block.crc(), 0xd8f4_9994);
        block.0[7].store(1, Ordering::Relaxed);
        assert_eq!(block.crc(), 0x1c65_6233);
        block.fill(0x1_0001);
        assert_eq!(block.crc(), 0xef9c_7a8d);
    }
}
