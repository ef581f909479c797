//! Numbers at random, the same from the same seed.

/// SplitMix64: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    /// From `seed` on.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next one.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// One below `bound`, or 0.
    pub fn below(&mut self, bound: usize) -> usize {
        let bound = bound.max(1) as u64;
        (self.number() % bound) as usize
    }

    /// True one time in this many.
    pub fn one_in(&mut self, number: usize) -> bool {
        self.below(number) == 0
    }

    /// A field of this many bits, as an instruction has them.
    pub fn bits(&mut self, number: u32) -> u32 {
        (self.number() >> (64 - number)) as u32
    }

    /// One of `these`.
    pub fn one_of<T: Copy>(&mut self, these: &[T]) -> Option<T> {
        these.get(self.below(these.len())).copied()
    }

    /// Often a number that programs trip over.
    pub fn value(&mut self) -> u64 {
        const SPECIAL: [u64; 8] =
            [0, 1, u64::MAX, 0x8000_0000, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, 1 << 63, 0x1000];
        let any = self.number();
        if self.one_in(2) { self.one_of(&SPECIAL).unwrap_or(any) } else { any }
    }
}
