//! Trees of sets, and what the real ones do beside them: for proptest and for the fuzzer.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use evisor_contract::abi::{DEPTH, Error};
use evisor_contract::{Rights, Through};
use evisor_router::{Allowance, Derivations, Given, Narrowing};
use std::collections::{BTreeMap, BTreeSet};

pub const VMS: u16 = 3;
pub const DERIVATIONS: usize = 6;
pub const GIVEN: u64 = 2;
pub const COUNT: u64 = 8;

pub fn allowances(derivations: usize) -> Vec<Allowance> {
    let given = |vm: u16| {
        let through = Through { rights: Rights::all(), first: 0, count: COUNT };
        (1..=GIVEN).map(move |label| Given { object: vm, through, label }).collect()
    };
    (0..VMS).map(|vm| Allowance { derivations, given: given(vm) }).collect()
}

/// A capability in the model.
#[derive(Clone, Debug)]
struct Known {
    owner: u16,
    holder: u16,
    parent: Option<usize>,
    rights: Rights,
    first: u64,
    count: u64,
    label: u64,
    depth: usize,
    named: bool,
    there: bool,
}

#[derive(Default)]
struct Model {
    known: Vec<Known>,
    /// Every handle that there ever was, whose, and what it named.
    handles: BTreeMap<(u16, u64), usize>,
}

impl Model {
    fn get(&self, vm: u16, handle: u64) -> Option<usize> {
        let at = *self.handles.get(&(vm, handle))?;
        let known = self.known.get(at)?;
        (known.there && known.named).then_some(at)
    }

    fn remove_below(&mut self, at: usize) {
        for child in 0..self.known.len() {
            if self.known[child].parent == Some(at) && self.known[child].there {
                self.known[child].there = false;
                self.remove_below(child);
            }
        }
    }

    fn remove(&mut self, at: usize) {
        self.known[at].there = false;
        self.remove_below(at);
    }

    /// Those that `vm` pays for: named, or something named was derived from them.
    fn used(&self, vm: u16) -> usize {
        let below = |at: usize| {
            (0..self.known.len()).any(|other| {
                let mut up = Some(other);
                while let Some(one) = up.filter(|one| *one != at) {
                    up = self.known[one].parent;
                }
                up == Some(at) && self.known[other].there && self.known[other].named
            })
        };
        let paid = |at: &usize| {
            let known = &self.known[*at];
            known.owner == vm && known.parent.is_some() && known.there
        };
        (0..self.known.len()).filter(paid).filter(|at| below(*at)).count()
    }
}

#[derive(Clone, Debug)]
pub enum Step {
    Derive { vm: u16, handle: usize, rights: u32, first: u64, count: u64, holder: u16 },
    Revoke { vm: u16, handle: usize },
    Drop { vm: u16, handle: usize },
    Retire { vm: u16 },
    Sweep { most: usize },
}

pub struct Pair {
    pub real: Derivations,
    model: Model,
}

impl Pair {
    pub fn new() -> Self {
        let real = Derivations::new(&allowances(DERIVATIONS)).unwrap();
        let mut new = Self { real, model: Model::default() };
        for vm in 0..VMS {
            for (handle, label) in new.held(vm).into_iter().zip(1..) {
                let at = new.model.known.len();
                new.model.known.push(Known {
                    owner: vm,
                    holder: vm,
                    parent: None,
                    rights: Rights::all(),
                    first: 0,
                    count: COUNT,
                    label,
                    depth: 0,
                    named: true,
                    there: true,
                });
                new.model.handles.insert((vm, handle), at);
            }
        }
        assert_eq!(new.model.known.len() as u64, u64::from(VMS) * GIVEN);
        new
    }

    /// What the real one lists and was not revoked.
    fn held(&self, vm: u16) -> BTreeSet<u64> {
        let (mut at, mut held) = (0, BTreeSet::new());
        while let Some((handle, named)) = self.real.next(vm, at).unwrap() {
            assert_eq!(named.is_some(), self.real.get(vm, handle).is_ok());
            if named.is_some() {
                assert!(held.insert(handle), "it is listed twice");
            }
            at = handle;
        }
        held
    }

    /// One of those that `vm` has or had, or that others have; or nonsense.
    fn handle(&self, number: usize) -> u64 {
        let all: Vec<_> = self.model.handles.keys().collect();
        all.get(number % (all.len() + 1)).map_or(number as u64 * 0x1_0001, |(_, handle)| *handle)
    }

    fn derive(&mut self, vm: u16, handle: u64, narrowing: &Narrowing, holder: u16) {
        let found = self.model.get(vm, handle);
        let real = self.real.derive(vm, handle, narrowing, holder);
        let Narrowing { rights, first, count, label } = *narrowing;
        let wanted = found.ok_or(Error::NoHandle).and_then(|at| {
            let from = self.model.known[at].clone();
            let inside = first < from.count && first + count <= from.count;
            if holder != vm && !from.rights.contains(Rights::GRANT) {
                return Err(Error::NoRight);
            }
            if from.depth == DEPTH {
                return Err(Error::TooDeep);
            }
            if !inside {
                return Err(Error::Outside);
            }
            Ok((at, from))
        });
        match (real, wanted) {
            (Ok(new), Ok((parent, from))) => {
                let count = if count == 0 { from.count - first } else { count };
                let known = Known {
                    owner: vm,
                    holder,
                    parent: Some(parent),
                    rights: from.rights & rights,
                    first: from.first + first,
                    count,
                    label,
                    depth: from.depth + 1,
                    named: true,
                    there: true,
                };
                self.model.known.push(known);
                let at = self.model.known.len() - 1;
                let before = self.model.handles.insert((holder, new), at);
                assert_eq!(before, None, "a handle names another capability");
            }
            (Err(Error::NoQuota), Ok(_)) => assert_eq!(self.model.used(vm), DERIVATIONS),
            // What was revoked and not swept takes room.
            (Err(Error::Busy), Ok(_)) => {
                assert!(self.real.sweep(0));
                assert!(self.model.used(vm) <= DERIVATIONS);
            }
            (real, wanted) => assert_eq!(real.err(), wanted.err()),
        }
    }

    pub fn step(&mut self, step: &Step) {
        match *step {
            Step::Derive { vm, handle, rights, first, count, holder } => {
                let rights = Rights::from_bits_truncate(rights);
                let label = self.model.known.len() as u64;
                let narrowing = Narrowing { rights, first, count, label };
                self.derive(vm, self.handle(handle), &narrowing, holder);
            }
            Step::Revoke { vm, handle } => {
                let handle = self.handle(handle);
                let found = self.model.get(vm, handle);
                assert_eq!(self.real.revoke(vm, handle).is_ok(), found.is_some());
                found.into_iter().for_each(|at| self.model.remove_below(at));
            }
            Step::Drop { vm, handle } => {
                let handle = self.handle(handle);
                let found = self.model.get(vm, handle);
                // What was revoked may be dropped until it is swept.
                let dropped = self.real.drop(vm, handle);
                assert!(dropped.is_ok() || found.is_none());
                found.into_iter().for_each(|at| self.model.known[at].named = false);
            }
            Step::Retire { vm } => self.retire(vm),
            Step::Sweep { most } => _ = self.real.sweep(most),
        }
    }

    pub fn retire(&mut self, vm: u16) {
        let mut calls = 0;
        while self.real.retire(vm) {
            calls += 1;
            assert!(calls < 8, "it does not end");
        }
        for at in 0..self.model.known.len() {
            let Known { owner, holder, parent, there, .. } = self.model.known[at];
            match parent {
                None if owner == vm => self.model.remove_below(at),
                Some(_) if there && (owner == vm || holder == vm) => self.model.remove(at),
                _ => {}
            }
        }
        // The manifest's that was dropped has another handle now.
        for handle in self.held(vm) {
            if !self.model.handles.contains_key(&(vm, handle)) {
                let label = self.real.get(vm, handle).unwrap().label;
                let known = self.model.known.iter_mut();
                let mine = |known: &(usize, &mut Known)| {
                    known.1.parent.is_none() && known.1.owner == vm && known.1.label == label
                };
                let (at, known) = known.enumerate().find(mine).unwrap();
                assert!(!known.named);
                known.named = true;
                self.model.handles.values_mut().filter(|old| **old == at).for_each(|old| {
                    *old = usize::MAX;
                });
                self.model.handles.insert((vm, handle), at);
            }
        }
    }

    pub fn compare(&self) {
        for vm in 0..VMS {
            let model = self.model.handles.keys().filter(|(holder, _)| *holder == vm);
            let model = model.filter(|(_, handle)| self.model.get(vm, *handle).is_some());
            let model: BTreeSet<u64> = model.map(|(_, handle)| *handle).collect();
            assert_eq!(self.held(vm), model);
            for (_, handle) in self.model.handles.keys() {
                let known = self.model.get(vm, *handle).map(|at| &self.model.known[at]);
                let real = self.real.get(vm, *handle).ok();
                let wanted = known.map(|known| {
                    let Known { rights, first, count, label, depth, .. } = *known;
                    (Through { rights, first, count }, label, depth)
                });
                let real = real.map(|real| (real.through, real.label, usize::from(real.depth)));
                assert_eq!(real, wanted);
            }
        }
    }

    /// Nothing is left over once all is swept.
    pub fn settle(&mut self) {
        let mut most = 1000;
        while self.real.sweep(1) {
            most -= 1;
            assert!(most > 0, "it does not end");
        }
        for vm in 0..VMS {
            let used = self.model.used(vm);
            assert_eq!(self.real.quota(vm), (DERIVATIONS, DERIVATIONS - used), "VM {vm}");
        }
    }
}
