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
use alloc::vec::Vec;
use evisor_contract::{
    BuildError, Choice, Grants, Needs, Node, Object, Parts, Scheduler, component,
};

component! {
    compatible: ["evisor,round-robin"],
    needs: Needs { root: true, cores: true, ..Needs::NONE },
    properties: ["evisor,slice"],
    build: |node, grants| Ok(Parts::new(build(node, grants)?).scheduler().done()),
    describe: |_node, _guest| Ok(()),
}

const SLICE: &str = "evisor,slice";
/// How long a slice is if nothing is said, in microseconds.
const USUAL: u32 = 10_000;
/// Less would go into changing vCPUs.
const LEAST: u32 = 100;
/// So many are looked through in bounded time.
const MOST: usize = 64;

/// A vCPU.
#[derive(Clone, Copy, Default)]
struct Member {
    awake: bool,
    /// Of those awake, the one with the lowest goes first.
    turn: u64,
}

struct RoundRobin {
    members: Vec<Member>,
    /// In counts.
    slice: u64,
    /// The turn that nobody has yet.
    next: u64,
    chosen: Option<usize>,
    /// Since when it runs with another one waiting.
    began: Option<u64>,
}

fn build(node: &Node<'_>, grants: &dyn Grants) -> Result<RoundRobin, BuildError> {
    let micros = node.cell(SLICE)?.unwrap_or(USUAL);
    if micros < LEAST {
        let problem = format!("{micros} us are less than {LEAST}");
        return Err(BuildError::property(SLICE, problem, "write microseconds, as in <10000>"));
    }
    let count = grants.members().len();
    if count > MOST {
        let problem = format!("a core of it has {count} vCPUs, and can have {MOST}");
        return Err(BuildError::property("evisor,cores", problem, "spread them over more cores"));
    }
    let slice = u64::from(micros).saturating_mul(grants.clock().frequency()) / 1_000_000;
    let members = (0..count).map(|_| Member::default()).collect();
    Ok(RoundRobin { members, slice: slice.max(1), next: 0, chosen: None, began: None })
}

impl Object for RoundRobin {
    fn reset(&mut self) {
        self.members.fill(Member::default());
        (self.next, self.chosen, self.began) = (0, None, None);
    }
}

impl Scheduler for RoundRobin {
    fn wake(&mut self, member: usize, _now: u64) {
        if self.members.get(member).is_some_and(|member| !member.awake) {
            self.queue(member);
        }
    }

    fn sleep(&mut self, member: usize, _now: u64) {
        if let Some(member) = self.members.get_mut(member) {
            member.awake = false;
        }
    }

    fn choose(&mut self, now: u64) -> Choice {
        let end = self.began.map(|began| began.saturating_add(self.slice));
        if let Some(chosen) = self.chosen.filter(|_| end.is_some_and(|end| end <= now)) {
            if self.members.get(chosen).is_some_and(|member| member.awake) {
                self.queue(chosen);
            }
            self.began = None;
        }
        let awake = || self.members.iter().enumerate().filter(|(_, member)| member.awake);
        let first = awake().min_by_key(|(_, member)| member.turn).map(|(index, _)| index);
        let alone = awake().nth(1).is_none();
        let goes_on = first == self.chosen;
        self.began = self.began.filter(|_| goes_on).or(Some(now)).filter(|_| !alone);
        self.chosen = first;
        let until = self.began.map_or(u64::MAX, |began| began.saturating_add(self.slice));
        Choice { member: first, until }
    }
}

impl RoundRobin {
    /// `member` is awake, and all others go before it.
    fn queue(&mut self, member: usize) {
        if let Some(member) = self.members.get_mut(member) {
            *member = Member { awake: true, turn: self.next };
            self.next += 1;
        }
    }
}
