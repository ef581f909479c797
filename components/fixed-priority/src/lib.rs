//! The vCPUs of a core by priority: first those that were promised a budget, each for no
//! longer than that in its period; in what is left, the others, by turns where they are
//! equal.
//!
//! Whoever has used its budget waits for the next part of it, even where the core has
//! nothing else to do. There is a tick only where somebody waits for a part of a budget
//! or for the end of an equal's slice.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod admission;
mod server;
#[cfg(test)]
mod tests;

use alloc::format;
use alloc::vec::Vec;
use core::cmp::Reverse;
use evisor_contract::{
    BuildError, Choice, Grants, Needs, Node, Object, Parts, Scheduler, Share, component, time_slice,
};
use server::Server;

component! {
    compatible: ["evisor,fixed-priority"],
    needs: Needs {
        root: true,
        cores: true,
        shares: &["evisor,priority", "evisor,budget", "evisor,period"],
        ..Needs::NONE
    },
    properties: ["evisor,slice"],
    build: |node, grants| Ok(Parts::new(build(node, grants)?).scheduler().done()),
    describe: |_node, _guest| Ok(()),
}

/// So many are looked through in bounded time.
const MOST: usize = 64;

/// A vCPU.
struct Member {
    awake: bool,
    priority: u8,
    /// Its budget; or it has what is left, by turns.
    server: Option<Server>,
    /// Of equals without a budget, the one with the lowest goes first.
    turn: u64,
    /// How much of its slice is over, in counts.
    spent: u64,
}

struct FixedPriority {
    members: Vec<Member>,
    /// In counts.
    slice: u64,
    /// The turn that nobody has yet.
    next: u64,
    chosen: Option<usize>,
    /// An equal waits for the end of its slice.
    contended: bool,
    /// Up to when all time is charged.
    charged: u64,
}

fn build(node: &Node<'_>, grants: &dyn Grants) -> Result<FixedPriority, BuildError> {
    let slice = time_slice(node, grants.clock())?;
    let shares = grants.members();
    if shares.len() > MOST {
        let problem = format!("a core of it has {} vCPUs, and can have {MOST}", shares.len());
        return Err(BuildError::property("evisor,cores", problem, "spread them over more cores"));
    }
    admission::check(shares)?;
    let frequency = grants.clock().frequency();
    let counts = |micros: u32| u64::from(micros).saturating_mul(frequency);
    // Rounded so that nobody gets more than it was promised.
    let member = |share: &Share| {
        let budget = (counts(share.budget) / 1_000_000).max(1);
        let period = counts(share.period).div_ceil(1_000_000);
        let server = (share.budget > 0).then(|| Server::new(budget, period));
        Member { awake: false, priority: share.priority, server, turn: 0, spent: 0 }
    };
    Ok(FixedPriority {
        members: shares.iter().map(member).collect(),
        slice,
        next: 0,
        chosen: None,
        contended: false,
        charged: 0,
    })
}

impl Object for FixedPriority {
    fn reset(&mut self) {
        for member in &mut self.members {
            (member.awake, member.turn, member.spent) = (false, 0, 0);
            member.server.iter_mut().for_each(Server::reset);
        }
        (self.next, self.chosen, self.contended, self.charged) = (0, None, false, 0);
    }
}

impl Scheduler for FixedPriority {
    fn wake(&mut self, member: usize, now: u64) {
        self.charge(now);
        let Some(member) = self.members.get_mut(member).filter(|member| !member.awake) else {
            return;
        };
        member.awake = true;
        match &mut member.server {
            Some(server) => server.wakes(now),
            None => member.queue(&mut self.next),
        }
    }

    fn sleep(&mut self, member: usize, now: u64) {
        self.charge(now);
        if let Some(member) = self.members.get_mut(member) {
            (member.awake, member.spent) = (false, 0);
            member.server.iter_mut().for_each(Server::sleeps);
        }
    }

    fn give_way(&mut self, member: usize, now: u64) {
        self.charge(now);
        let chosen = self.chosen == Some(member);
        if let Some(member) = self.members.get_mut(member).filter(|_| chosen && self.contended) {
            member.queue(&mut self.next);
        }
    }

    fn choose(&mut self, now: u64) -> Choice {
        self.charge(now);
        self.end_slice();
        let chosen = self.first(now);
        self.chosen = chosen;
        self.contended = false;
        let Some(member) = chosen.and_then(|index| self.members.get(index)) else {
            return Choice::nobody(self.next_part(now, None));
        };
        if let Some(server) = &member.server {
            let until = now.saturating_add(server.left());
            let above = self.next_part(now, Some(member.priority));
            return Choice { member: chosen, until: until.min(above), contended: false };
        }
        let until = self.slice_end(now, member.priority);
        let until = until.min(self.next_part(now, None));
        Choice { member: chosen, until, contended: self.contended }
    }
}

impl Member {
    /// All equals go before it, and it has a whole slice.
    fn queue(&mut self, next: &mut u64) {
        (self.turn, self.spent) = (*next, 0);
        *next += 1;
    }
}

impl FixedPriority {
    /// The time up to `now` is the chosen member's.
    fn charge(&mut self, now: u64) {
        let time = now.saturating_sub(self.charged);
        self.charged = self.charged.max(now);
        let Some(member) = self.chosen.and_then(|chosen| self.members.get_mut(chosen)) else {
            return;
        };
        match &mut member.server {
            Some(server) => {
                server.charge(time);
                if !member.awake {
                    server.sleeps();
                }
            }
            None if self.contended => member.spent = member.spent.saturating_add(time),
            None => {}
        }
    }

    /// Who has had its slice goes behind its equals.
    fn end_slice(&mut self) {
        let chosen = self.chosen.and_then(|chosen| self.members.get_mut(chosen));
        if let Some(member) = chosen.filter(|member| member.awake && member.spent >= self.slice) {
            member.queue(&mut self.next);
        }
    }

    fn awake(&self) -> impl Iterator<Item = (usize, &Member)> {
        self.members.iter().enumerate().filter(|(_, member)| member.awake)
    }

    /// Who runs from `now` on.
    fn first(&self, now: u64) -> Option<usize> {
        let rank = |(index, member): (usize, &Member)| match &member.server {
            Some(server) if server.ready() > now => None,
            Some(server) => Some((true, member.priority, Reverse(server.ready()), Reverse(index))),
            None => Some((false, member.priority, Reverse(member.turn), Reverse(index))),
        };
        self.awake().filter_map(rank).max().map(|(_, _, _, Reverse(index))| index)
    }

    /// When the next part of a budget comes back for which somebody waits who goes before
    /// `priority`, or before all without a budget.
    fn next_part(&self, now: u64, priority: Option<u8>) -> u64 {
        let above = |member: &&Member| priority.is_none_or(|priority| member.priority > priority);
        let waiting = self.awake().map(|(_, member)| member).filter(above);
        let times = waiting.filter_map(|member| member.server.as_ref()).map(Server::ready);
        times.filter(|time| *time > now).min().unwrap_or(u64::MAX)
    }

    /// When the slice of the chosen member, which has no budget, ends.
    fn slice_end(&mut self, now: u64, priority: u8) -> u64 {
        let equal = |member: &Member| member.server.is_none() && member.priority == priority;
        let contended = self.awake().filter(|(_, member)| equal(member)).nth(1).is_some();
        let slice = self.slice;
        self.contended = contended;
        let Some(member) = self.chosen.and_then(|chosen| self.members.get_mut(chosen)) else {
            return u64::MAX;
        };
        if contended {
            return now.saturating_add(slice.saturating_sub(member.spent));
        }
        member.spent = 0;
        u64::MAX
    }
}
