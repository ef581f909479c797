//! Memory that two VMs share: it is neither's, and is zeroed when both are gone.

use crate::fill::Progress;
use crate::report::{Refused, refuse_for};
use evisor_aarch64::Ram;
use spin::Mutex;

/// What the two ends of a channel share.
pub(crate) struct SharedRam(Mutex<State>);

struct State {
    ram: Ram,
    /// Which of the ends may have something there.
    up: [bool; 2],
    /// How much of it, from its start on, is still to be zeroed.
    left: u64,
}

impl SharedRam {
    /// Nobody has been there since the board came up: what lies there is to go.
    pub fn new(ram: Ram) -> Self {
        let left = ram.size();
        Self(Mutex::new(State { ram, up: [false; 2], left }))
    }

    /// `end` is gone: its VM is parked, and starts anew or not at all.
    pub fn gone(&self, end: u32) {
        let mut state = self.0.lock();
        let was = state.up.get_mut(end as usize).is_some_and(core::mem::take);
        if was && state.up == [false; 2] {
            state.left = state.ram.size();
        }
    }

    /// Zeroes what is still to be zeroed, for at most `bytes`, if nobody is there.
    pub fn step(&self, bytes: u64) -> Result<Progress, Refused> {
        let mut state = self.0.lock();
        state.zero(bytes)?;
        Ok(if state.left > 0 { Progress::More } else { Progress::Done })
    }

    /// `end` comes. What is still to be zeroed is zeroed now: the other end may have gone
    /// a moment ago, on a core of its own.
    pub fn comes(&self, end: u32) -> Result<(), Refused> {
        let mut state = self.0.lock();
        state.zero(u64::MAX)?;
        if let Some(up) = state.up.get_mut(end as usize) {
            *up = true;
        }
        Ok(())
    }
}

impl State {
    fn zero(&mut self, bytes: u64) -> Result<(), Refused> {
        let now = self.left.min(bytes);
        if now > 0 {
            self.ram.zero(self.left - now, now).map_err(|error| refuse_for(&error))?;
            self.left -= now;
        }
        Ok(())
    }
}
