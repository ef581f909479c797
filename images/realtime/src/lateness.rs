//! How late the periods were: how many of each, in counts of the timer.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// As many counts are told from each other; what is later counts as that, but for the
/// most.
const KINDS: usize = 4096;

/// All periods so far.
#[derive(Debug)]
pub struct Lateness {
    times: [AtomicU32; KINDS],
    periods: AtomicU64,
    least: AtomicU64,
    most: AtomicU64,
    sum: AtomicU64,
}

/// What is reported of them, in counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    pub periods: u64,
    pub least: u64,
    pub mean: u64,
    pub most: u64,
}

impl Lateness {
    /// None yet.
    pub const fn new() -> Self {
        Self {
            times: [const { AtomicU32::new(0) }; KINDS],
            periods: AtomicU64::new(0),
            least: AtomicU64::new(u64::MAX),
            most: AtomicU64::new(0),
            sum: AtomicU64::new(0),
        }
    }

    /// One period was so late. Gives how many there were.
    pub fn note(&self, counts: u64) -> u64 {
        if let Some(times) = self.times.get((counts as usize).min(KINDS - 1)) {
            times.fetch_add(1, Ordering::Relaxed);
        }
        self.least.fetch_min(counts, Ordering::Relaxed);
        self.most.fetch_max(counts, Ordering::Relaxed);
        self.sum.fetch_add(counts, Ordering::Relaxed);
        self.periods.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// How many there were.
    pub fn periods(&self) -> u64 {
        self.periods.load(Ordering::Relaxed)
    }

    /// Nothing, if there were none.
    pub fn summary(&self) -> Option<Summary> {
        let periods = self.periods();
        let mean = self.sum.load(Ordering::Relaxed).checked_div(periods)?;
        let [least, most] = [&self.least, &self.most].map(|value| value.load(Ordering::Relaxed));
        Some(Summary { periods, least, mean, most })
    }

    /// Each lateness that there was, and how often, the least first.
    pub fn each(&self) -> impl Iterator<Item = (u64, u32)> {
        let times = self.times.iter().map(|times| times.load(Ordering::Relaxed));
        (0..).zip(times).filter(|(_, times)| *times != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_counted_by_how_late_they_were() {
        let lateness = Lateness::new();
        assert_eq!(lateness.summary(), None);
        for counts in [7, 5, 7, 100_001] {
            lateness.note(counts);
        }
        let summary = Summary { periods: 4, least: 5, mean: 25_005, most: 100_001 };
        assert_eq!(lateness.summary(), Some(summary));
        let each: Vec<_> = lateness.each().collect();
        assert_eq!(each, [(5, 1), (7, 2), (KINDS as u64 - 1, 1)]);
    }
}
