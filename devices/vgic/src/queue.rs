//! The interrupts that wait for a vCPU, the first one first.
//!
//! Of each word the first is worked out once, from the bits of the priorities: one that
//! is taken costs a look at the words, however many interrupts wait.

use crate::state::{Slot, State, WORDS, Word, bits, word_of};

/// What a word has.
#[derive(Clone, Copy, Default)]
struct Line {
    /// Those that wait, as bits.
    left: u32,
    /// The first one's priority.
    priority: u8,
    /// The first one's bit.
    bit: u32,
}

/// Interrupts of one vCPU.
pub struct Queue {
    here: usize,
    /// The words that have some, as bits.
    words: u32,
    lines: [Line; WORDS],
}

impl Queue {
    /// Those that go to `here`, are in no list register, and that `which` says.
    pub fn new(state: &State, here: usize, which: impl Fn(&Word) -> u32) -> Self {
        let mut queue = Self { here, words: 0, lines: [Line::default(); _] };
        for n in 0..WORDS {
            let at = word_of(here, n);
            let word = state.word(at);
            let waiting = which(word) & !word.held;
            if waiting != 0 {
                queue.set(state, n, state.going_to(here, at, waiting));
            }
        }
        queue
    }

    /// Takes out the first: of the highest priority the lowest INTID.
    pub fn next(&mut self, state: &State) -> Option<Slot> {
        let n = bits(self.words).min_by_key(|n| self.line(*n as usize).priority)? as usize;
        let Line { left, bit, .. } = self.line(n);
        self.set(state, n, left & !(1 << bit));
        Some(Slot::in_word(word_of(self.here, n), bit))
    }

    /// In the word `n` those that wait are `left`.
    fn set(&mut self, state: &State, n: usize, left: u32) {
        if left == 0 {
            self.words &= !(1 << n);
            return;
        }
        let (priority, bit) = state.first(word_of(self.here, n), left);
        self.words |= 1 << n;
        *self.line_mut(n) = Line { left, priority, bit };
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    const fn line(&self, n: usize) -> Line {
        self.lines[n & (WORDS - 1)]
    }

    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    const fn line_mut(&mut self, n: usize) -> &mut Line {
        &mut self.lines[n & (WORDS - 1)]
    }
}
