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
    /// A ring, by time; the amounts make up the budget, and none is 0.
    parts: [Part; PARTS],
    /// Where in it the first is.
    start: usize,
    count: usize,
    /// How much of the first is used: less than all of it.
    used: u64,
}

#[expect(clippy::indexing_slicing, reason = "reduced to the length of the ring")]
impl Server {
    /// With a budget, which is not 0, in each period.
    pub fn new(budget: u64, period: u64) -> Self {
        let parts = [Part::default(); PARTS];
        let mut server = Self { budget, period, parts, start: 0, count: 0, used: 0 };
        server.reset();
        server
    }

    /// All of the budget can be used.
    pub fn reset(&mut self) {
        self.parts = [Part { time: 0, amount: self.budget }; PARTS];
        (self.start, self.count, self.used) = (0, 1, 0);
    }

    fn first(&self) -> Part {
        self.parts[self.start % PARTS]
    }

    /// The one behind so many others.
    fn part(&mut self, behind: usize) -> &mut Part {
        &mut self.parts[(self.start + behind) % PARTS]
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
            let first = self.part(0);
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
            self.start = (self.start + PARTS - 1) % PARTS;
            *self.part(0) = Part { time: now, amount };
            self.count += 1;
        }
    }

    fn take_first(&mut self) -> Part {
        let part = self.first();
        self.start = (self.start + 1) % PARTS;
        self.count -= 1;
        part
    }

    /// `part` was used and comes back after a period. Where there are too many parts it
    /// takes the last one with it, which is late then: who sleeps so often has himself
    /// to thank, and nobody else pays.
    fn returns(&mut self, part: Part) {
        let part = Part { time: part.time.saturating_add(self.period), ..part };
        let full = self.count == PARTS;
        let last = self.count.checked_sub(1).map(|last| self.part(last));
        match last.filter(|last| last.time == part.time || full) {
            Some(last) => *last = Part { time: part.time, amount: last.amount + part.amount },
            None => {
                *self.part(self.count) = part;
                self.count += 1;
            }
        }
    }
}
