//! The lists that nodes are in.

use super::{Derivations, LAST_USE, Link, NONE, Node, State};

/// Where one starts and ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) first: Link,
    pub(super) last: Link,
}

impl Ends {
    pub(super) const NONE: Self = Self { first: NONE, last: NONE };
}

/// A node's neighbours in one: they are doubly linked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Links {
    pub(super) before: Link,
    pub(super) behind: Link,
}

impl Links {
    pub(super) const NONE: Self = Self { before: NONE, behind: NONE };
}

/// A list that a node can be in.
#[derive(Clone, Copy)]
pub(super) enum List {
    /// A holder's, or an owner's of free ones.
    Listed,
    Waiting,
    Siblings,
}

impl Derivations {
    pub(super) fn push(&mut self, ends: &mut Ends, list: List, at: Link) {
        *self.node_mut(at).links(list) = Links { before: ends.last, behind: NONE };
        match ends.last {
            NONE => ends.first = at,
            last => self.node_mut(last).links(list).behind = at,
        }
        ends.last = at;
    }

    pub(super) fn unlink(&mut self, ends: &mut Ends, list: List, at: Link) {
        let links = self.node_mut(at).links(list);
        let Links { before, behind } = core::mem::replace(links, Links::NONE);
        match before {
            NONE => ends.first = behind,
            before => self.node_mut(before).links(list).behind = behind,
        }
        match behind {
            NONE => ends.last = before,
            behind => self.node_mut(behind).links(list).before = before,
        }
    }

    /// A handle of `holder`'s names it.
    pub(super) fn list(&mut self, at: Link, holder: u16) {
        let Some(mut held) = self.vm(holder).map(|vm| vm.held) else { return };
        self.push(&mut held, List::Listed, at);
        self.node_mut(at).state = State::Named;
        if let Some(vm) = self.vm(holder) {
            vm.held = held;
        }
    }

    /// No handle names it any more.
    pub(super) fn unlist(&mut self, at: Link) {
        let Node { state: State::Named, holder, .. } = *self.node(at) else { return };
        let Some(mut held) = self.vm(holder).map(|vm| vm.held) else { return };
        self.unlink(&mut held, List::Listed, at);
        let node = self.node_mut(at);
        node.state = State::Dropped;
        node.uses += 1;
        if let Some(vm) = self.vm(holder) {
            vm.held = held;
        }
    }

    /// Its owner may use it; unless all numbers of its uses are.
    pub(super) fn set_free(&mut self, at: Link) {
        let node = self.node_mut(at);
        (node.state, node.dead) = (State::Free, false);
        let (owner, used_up) = (node.owner, node.uses >= LAST_USE);
        let Some(mut free) = self.vm(owner).map(|vm| vm.free).filter(|_| !used_up) else { return };
        self.push(&mut free, List::Listed, at);
        if let Some(vm) = self.vm(owner) {
            vm.free = free;
            vm.left += 1;
        }
    }

    pub(super) fn take_free(&mut self, vm: u16) -> Option<Link> {
        let mut free = self.vm(vm)?.free;
        let at = Some(free.first).filter(|first| *first != NONE)?;
        self.unlink(&mut free, List::Listed, at);
        let vm = self.vm(vm)?;
        vm.free = free;
        vm.left -= 1;
        Some(at)
    }

    /// It has something to be swept below it.
    pub(super) fn await_sweep(&mut self, at: Link) {
        if !core::mem::replace(&mut self.node_mut(at).waits, true) {
            let mut waiting = self.waiting;
            self.push(&mut waiting, List::Waiting, at);
            self.waiting = waiting;
        }
    }

    pub(super) fn await_no_sweep(&mut self, at: Link) {
        if core::mem::replace(&mut self.node_mut(at).waits, false) {
            let mut waiting = self.waiting;
            self.unlink(&mut waiting, List::Waiting, at);
            self.waiting = waiting;
        }
    }
}
