//! A sporadic server: a budget, of which each part comes back a period after it could
//! first be used.
//!
//! The algorithm is of Sprunt, Sha and Lehoczky, "Aperiodic Task Scheduling for Hard
//! Real-Time Systems" (Real-Time Systems 1, 1989), with what Stanovich, Baker, Wang and
//! Harbour, "Defects of the POSIX Sporadic Server and How to Correct Them" (RTAS 2010),
//! put right in SCHED_SPORADIC of POSIX (IEEE 1003.1): time beyond the budget is owed
//! and not forgiven (budget amplification, §3.1), parts that could be used at different
//! times come back at different times (premature replenishment, §3.2), and what runs
//! is charged whatever its priority was (unreliable temporal isolation, §3.3).

/// In how many parts a budget can be.
pub(crate) const PARTS: usize = 16;

/// A part of the budget.
#[derive(Clone, Copy, Default)]
struct Part {
    /// Since when it can be used, or from when on.
    time: u64,
    amount: u64,
}

/// Times are counts.
#[derive(Clone)]
pub(crate) struct Server {
    budget: u64,
    period: u64,
    /// By time; the amounts make up the budget, and none is 0.
    parts: [Part; PARTS],
    count: usize,
    /// How much of the first is used: less than all of it.
    used: u64,
}

impl Server {
    /// With a budget, which is not 0, in each period.
    pub fn new(budget: u64, period: u64) -> Self {
        let mut server =
            Self { budget, period, parts: [Part::default(); PARTS], count: 0, used: 0 };
        server.reset();
        server
    }

    /// All of the budget can be used.
    pub fn reset(&mut self) {
        self.parts = [Part { time: 0, amount: self.budget }; PARTS];
        (self.count, self.used) = (1, 0);
    }

    fn first(&self) -> Part {
        let [first, ..] = self.parts;
        first
    }

    /// Since when it can run, or from when on.
    pub fn ready(&self) -> u64 {
        self.first().time
    }

    /// How long it can run from [`ready`](Self::ready) on; not 0.
    pub fn left(&self) -> u64 {
        self.first().amount.saturating_sub(self.used)
    }

    /// It ran for so long; if that was too long, it owes.
    pub fn charge(&mut self, time: u64) {
        self.used = self.used.saturating_add(time);
        // A full round leaves all as it is, but later.
        let rounds = self.used / self.budget;
        if rounds > 0 {
            self.used %= self.budget;
            let later = rounds.saturating_mul(self.period);
            self.parts.iter_mut().for_each(|part| part.time = part.time.saturating_add(later));
        }
        while self.used >= self.first().amount {
            let part = self.take_first();
            self.used -= part.amount;
            self.returns(part);
        }
    }

    /// Its vCPU has nothing to run: what is used comes back on its own, and the rest
    /// waits.
    pub fn sleeps(&mut self) {
        let used = core::mem::take(&mut self.used);
        if used > 0 {
            let [first, ..] = &mut self.parts;
            first.amount -= used;
            let part = Part { amount: used, ..*first };
            self.returns(part);
        }
    }

    /// Its vCPU has something to run: what could be used before is used from now on.
    pub fn wakes(&mut self, now: u64) {
        let mut amount = 0;
        while self.count > 0 && self.ready() <= now {
            amount += self.take_first().amount;
        }
        if amount > 0 {
            self.parts.copy_within(..PARTS - 1, 1);
            let [first, ..] = &mut self.parts;
            *first = Part { time: now, amount };
            self.count += 1;
        }
    }

    fn take_first(&mut self) -> Part {
        let part = self.first();
        self.parts.copy_within(1.., 0);
        self.count -= 1;
        part
    }

    /// `part` was used and comes back after a period. Where there are too many parts it
    /// takes the last one with it, which is late then: who sleeps so often has himself
    /// to thank, and nobody else pays.
    fn returns(&mut self, part: Part) {
        let part = Part { time: part.time.saturating_add(self.period), ..part };
        let last = self.count.checked_sub(1).and_then(|last| self.parts.get_mut(last));
        match last.filter(|last| last.time == part.time || self.count == PARTS) {
            Some(last) => *last = Part { time: part.time, amount: last.amount + part.amount },
            None => {
                if let Some(place) = self.parts.get_mut(self.count) {
                    *place = part;
                    self.count += 1;
                }
            }
        }
    }
}
