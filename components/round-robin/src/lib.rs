//! The vCPUs of a core run one after the other, each for a slice of time or until it
//! has nothing to do.
//!
//! There is a tick only while a second one waits: who is alone runs without an end to
//! its slice, which begins when another wakes.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod tests;

use alloc::format;
use evisor_contract::{
    BuildError, Choice, Grants, Needs, Node, Object, Parts, Scheduler, component, time_slice,
};

component! {
    compatible: ["evisor,round-robin"],
    needs: Needs { root: true, cores: true, ..Needs::NONE },
    properties: ["evisor,slice"],
    build: |node, grants| Ok(Parts::new(build(node, grants)?).scheduler().done()),
    describe: |_node, _guest| Ok(()),
}

/// So many are looked through in bounded time.
const MOST: usize = 64;

struct RoundRobin {
    /// Bit n: member n is awake.
    awake: u64,
    /// Who was chosen last.
    last: u32,
    /// When its slice ends; `u64::MAX` while nobody else waits.
    end: u64,
    /// How long a slice is, in counts.
    slice: u64,
}

/// Behind this one comes the first.
const LAST: u32 = MOST as u32 - 1;

fn build(node: &Node<'_>, grants: &dyn Grants) -> Result<RoundRobin, BuildError> {
    let slice = time_slice(node, grants.clock())?;
    let count = grants.members().len();
    if count > MOST {
        let problem = format!("a core of it has {count} vCPUs, and can have {MOST}");
        return Err(BuildError::property("evisor,cores", problem, "spread them over more cores"));
    }
    Ok(RoundRobin { awake: 0, last: LAST, end: u64::MAX, slice })
}

impl Object for RoundRobin {
    fn reset(&mut self) {
        *self = Self { awake: 0, last: LAST, end: u64::MAX, slice: self.slice };
    }
}

impl Scheduler for RoundRobin {
    fn wake(&mut self, member: usize, _now: u64) {
        self.awake |= bit(member);
    }

    fn sleep(&mut self, member: usize, _now: u64) {
        self.awake &= !bit(member);
    }

    fn give_way(&mut self, member: usize, _now: u64) {
        if self.last as usize == member {
            self.end = 0;
        }
    }

    fn choose(&mut self, now: u64) -> Choice {
        if self.awake == 0 {
            self.end = u64::MAX;
            return Choice::nobody(u64::MAX);
        }
        if self.awake >> self.last & 1 == 0 || self.end <= now {
            let next = (self.last + 1) % MOST as u32;
            let behind = self.awake.rotate_right(next).trailing_zeros();
            self.last = (next + behind) % MOST as u32;
            self.end = u64::MAX;
        }
        let contended = !self.awake.is_power_of_two();
        if !contended {
            self.end = u64::MAX;
        } else if self.end == u64::MAX {
            self.end = now.saturating_add(self.slice);
        }
        Choice { member: Some(self.last as usize), until: self.end, contended }
    }
}

/// The bit of `member`: of none, if there is no such.
fn bit(member: usize) -> u64 {
    1u64.checked_shl(member as u32).unwrap_or(0)
}
