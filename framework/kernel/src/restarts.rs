//! How often a VM restarts.

use alloc::vec::Vec;
use evisor_manifest::RestartLimit;

/// The restarts that count against a limit.
pub struct Restarts {
    limit: Option<RestartLimit>,
    /// When the last ones were, as many as the limit allows: a ring.
    times: Vec<u64>,
    /// The oldest, once there are that many.
    oldest: usize,
}

impl Restarts {
    /// None yet. All that it will ever need is allocated here.
    pub fn new(limit: Option<RestartLimit>) -> Self {
        let most = limit.map_or(0, |limit| limit.restarts as usize);
        Self { limit, times: Vec::with_capacity(most), oldest: 0 }
    }

    /// Whether there may be one at `now`, a count of `frequency` a second; if so, it
    /// counts from now on. `now` never runs backwards.
    pub fn allow(&mut self, now: u64, frequency: u64) -> bool {
        let Some(limit) = self.limit else { return true };
        if self.times.len() < limit.restarts as usize {
            self.times.push(now);
            return true;
        }
        let window = u64::from(limit.seconds).saturating_mul(frequency);
        match self.times.get_mut(self.oldest) {
            Some(time) if now.saturating_sub(*time) >= window => {
                *time = now;
                self.oldest = (self.oldest + 1) % self.times.len();
                true
            }
            _ => false,
        }
    }
}
