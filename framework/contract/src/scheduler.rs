//! Schedulers: which of its vCPUs a core runs.
//!
//! A scheduler is built once for each core that its node lists, and is told and
//! asked by that core alone, so that its lock is never waited for. It is a state
//! machine like every object: it sees counts that it is given, sets no timer and
//! knows no vCPU but by the number that it has among the core's *members*.

use crate::leaf::Clock;
use crate::node::{BuildError, Node};
use crate::object::Object;
use alloc::format;

/// What a vCPU was promised of its core's time: its node says so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Of two, the one with the higher number goes first.
    pub priority: u8,
    /// How long it may run in a period, in microseconds; 0 if nothing is said.
    pub budget: u32,
    /// How long the period is, in microseconds; 0 if nothing is said.
    pub period: u32,
}

/// What a core does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The member that runs; `None` if none can.
    pub member: Option<usize>,
    /// The host's count at which to choose again, whatever happens; `u64::MAX` if only
    /// a member that wakes or sleeps changes anything. The core's timer is set for no
    /// other reason.
    pub until: u64,
    /// Another could have the core at once if the member gave way: only then is it told
    /// that the member does.
    pub contended: bool,
}

impl Choice {
    /// Nobody runs, and somebody may from `until` on.
    pub const fn nobody(until: u64) -> Self {
        Self { member: None, until, contended: false }
    }

    /// `member` runs up to `until`, and nobody is kept waiting by it who could have its place.
    pub const fn alone(member: usize, until: u64) -> Self {
        Self { member: Some(member), until, contended: false }
    }
}

/// How long a time slice is, in counts of `clock`: what `evisor,slice` of the scheduler's
/// node says, in microseconds, or 10 ms.
///
/// # Errors
/// It is no cell, or less than 100 µs: that would go into changing vCPUs.
pub fn time_slice(node: &Node<'_>, clock: &dyn Clock) -> Result<u64, BuildError> {
    const SLICE: &str = "evisor,slice";
    const USUAL: u32 = 10_000;
    const LEAST: u32 = 100;
    let micros = node.cell(SLICE)?.unwrap_or(USUAL);
    if micros < LEAST {
        let problem = format!("{micros} us are less than {LEAST}");
        return Err(BuildError::property(SLICE, problem, "write microseconds, as in <10000>"));
    }
    let counts = u64::from(micros).saturating_mul(clock.frequency()) / 1_000_000;
    Ok(counts.max(1))
}

/// The facet of a scheduler. All its members sleep at first.
///
/// A member *wakes* when it starts, or has an interrupt or a deadline of its own timer;
/// it *sleeps* while it is off, or waits in WFI. Either may be said again of one that is
/// awake or asleep already. It *gives way* when it waits in WFE, for a lock that another
/// holds say. `now` is the host's count, and never runs backwards.
pub trait Scheduler: Object {
    /// `member` can run.
    fn wake(&mut self, member: usize, now: u64);

    /// `member` has nothing to run until it wakes.
    fn sleep(&mut self, member: usize, now: u64);

    /// `member`, which was chosen last and stays awake, waits for what others do: it goes
    /// behind those that are its equals, as if its slice were over. Where it has none that
    /// is awake nothing changes. Nobody gains by it: who gives way loses what was left of
    /// its slice.
    fn give_way(&mut self, member: usize, now: u64);

    /// Decides what the core does from `now` on. The time since the last choice is the
    /// chosen member's; what [`wake`](Self::wake) and [`sleep`](Self::sleep) said since
    /// is no part of a choice until then.
    fn choose(&mut self, now: u64) -> Choice;
}
