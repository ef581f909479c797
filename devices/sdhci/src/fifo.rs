//! The buffer behind the data port: one block, or what the card answered.

use crate::spec::{BUFFER, WORDS};
use evisor_contract::{Restore, RestoreError, Save, Width};

/// The FIFO. It is ready while the guest may read from it, or write to it.
#[derive(Debug)]
pub struct Fifo {
    words: [u32; WORDS],
    /// The byte that is next.
    place: usize,
    /// How many there are, or how many it takes; 0 while it is not ready.
    size: usize,
}

impl Fifo {
    pub const fn new() -> Self {
        Self { words: [0; WORDS], place: 0, size: 0 }
    }

    #[inline(always)]
    pub fn place(&self) -> usize {
        self.place
    }

    pub fn is_ready(&self) -> bool {
        self.size != 0
    }

    /// It is not ready any more.
    pub fn close(&mut self) {
        self.size = 0;
    }

    /// Below which place the next access may be of a word that is not the last.
    pub fn quick(&self) -> usize {
        if self.place.is_multiple_of(4) { self.size.saturating_sub(4) } else { 0 }
    }

    /// It is ready with `size` bytes, or for them, and holds what `words` puts there.
    pub fn open(&mut self, size: usize, words: impl FnOnce(&mut [u32; WORDS])) {
        words(&mut self.words);
        self.place = 0;
        self.size = size.min(BUFFER);
    }

    /// Its words.
    pub fn words(&self) -> &[u32; WORDS] {
        &self.words
    }

    /// The next word; who calls it has compared with [`quick`](Self::quick).
    #[inline(always)]
    pub fn take_word(&mut self) -> u32 {
        let word = self.words.get(self.place / 4).copied().unwrap_or(0);
        self.place += 4;
        word
    }

    /// Puts the next word; who calls it has compared with [`quick`](Self::quick).
    #[inline(always)]
    pub fn put_word(&mut self, word: u32) {
        if let Some(slot) = self.words.get_mut(self.place / 4) {
            *slot = word;
            self.place += 4;
        }
    }

    /// The next bytes of any width, and whether they were the last.
    pub fn take(&mut self, width: Width) -> (u32, bool) {
        let mut value = 0;
        for lane in 0..width.bytes().min(4) {
            if self.place < self.size {
                let word = self.words.get(self.place / 4).copied().unwrap_or(0);
                value |= (word >> (8 * (self.place % 4)) & 0xff) << (8 * lane);
                self.place += 1;
            }
        }
        (value, self.place == self.size)
    }

    /// Puts the next bytes of any width; whether they were the last.
    pub fn put(&mut self, width: Width, value: u32) -> bool {
        for lane in 0..width.bytes().min(4) {
            if self.place < self.size
                && let Some(word) = self.words.get_mut(self.place / 4)
            {
                let shift = 8 * (self.place % 4);
                *word = *word & !(0xff << shift) | (value >> (8 * lane) & 0xff) << shift;
                self.place += 1;
            }
        }
        self.place == self.size
    }

    pub fn save(&self, to: &mut Save) {
        to.word(self.place.try_into().unwrap_or(0));
        to.word(self.size.try_into().unwrap_or(0));
        self.words.iter().for_each(|word| to.word(*word));
    }

    pub fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        let (place, size) = (from.word()? as usize, from.word()? as usize);
        // One that is read to its end is closed or filled again.
        let sound = size <= BUFFER && place <= BUFFER && (size == 0 || place < size);
        if !sound {
            return Err(RestoreError::Impossible);
        }
        let mut new = Self { place, size, ..Self::new() };
        for word in &mut new.words {
            *word = from.word()?;
        }
        Ok(new)
    }
}
