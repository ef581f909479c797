//! What was revoked is given back, some at a time.

use super::lists::List;
use super::{Derivations, Link, NONE, Node, Retiring, State, Vm};
use evisor_contract::abi::DEPTH;

/// How many nodes are swept at once: for each a walk of [`DEPTH`] at most, which makes some
/// 600 instructions each.
pub const SLICE: usize = 8;
/// How many beside something else.
pub(super) const BESIDES: usize = 4;

impl Derivations {
    pub(super) fn revoke_node(&mut self, at: Link) {
        if self.node(at).children.first != NONE {
            let node = self.node_mut(at);
            node.revoked = node.revoked.wrapping_add(1);
            self.await_sweep(at);
        }
    }

    fn is_given(&self, at: Link) -> bool {
        self.node(at).parent == NONE
    }

    /// Frees a node that no handle names and nothing was derived from; and what it was
    /// derived from, if that is such a one then.
    pub(super) fn free_if_unused(&mut self, mut at: Link) {
        for _ in 0..=DEPTH {
            let Node { state, children, parent, .. } = *self.node(at);
            if state != State::Dropped || children.first != NONE || self.is_given(at) {
                return;
            }
            self.free(at);
            at = parent;
        }
    }

    /// Frees one that nothing was derived from and that was derived itself.
    fn free(&mut self, at: Link) {
        self.unlist(at);
        self.await_no_sweep(at);
        let parent = core::mem::replace(&mut self.node_mut(at).parent, NONE);
        let mut children = self.node(parent).children;
        self.unlink(&mut children, List::Siblings, at);
        self.node_mut(parent).children = children;
        self.set_free(at);
    }

    /// It is gone, and what was derived from it.
    fn kill(&mut self, at: Link) {
        self.unlist(at);
        self.node_mut(at).dead = true;
        self.await_sweep(at);
    }

    /// Gives `most` nodes back that were revoked, at most. True if there are more.
    pub fn sweep(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let at = self.waiting.first;
            if at == NONE {
                return false;
            }
            let node = self.node(at);
            let child = node.children.first;
            // What was derived since stands behind what was revoked.
            let stale = child != NONE && (node.dead || self.node(child).born != node.revoked);
            match (stale, node.dead) {
                (true, _) => self.free_leaf(child),
                (false, true) => self.free_leaf(at),
                (false, false) => self.await_no_sweep(at),
            }
        }
        self.waiting.first != NONE
    }

    /// Frees the first leaf below `at`, or `at`.
    fn free_leaf(&mut self, mut at: Link) {
        for _ in 0..=DEPTH {
            match self.node(at).children.first {
                NONE => break,
                child => at = child,
            }
        }
        let parent = self.node(at).parent;
        self.free(at);
        if !self.node(parent).dead {
            self.free_if_unused(parent);
        }
    }

    /// `vm` goes off, or starts anew: it gives up all that it was handed, and all that it
    /// derived, whoever has that, is revoked; then it holds what the manifest gave it. True
    /// if there is more of that to do: then this is to be called again.
    pub fn retire(&mut self, vm: u16) -> bool {
        let total = self.nodes.len();
        let Some(own) = self.vm(vm) else { return false };
        let Vm { start, derivations, end, retiring, .. } = *own;
        let mut state = retiring.unwrap_or(Retiring { at: start, sweeps: total });
        let mut left = SLICE;
        while left > 0 && state.at < end {
            self.retire_own(vm, state.at as Link, state.at < derivations);
            state.at += 1;
            left -= 1;
        }
        let mut marked = state.at == end;
        while left > 0 && marked {
            let Some(at) = self.handed(vm) else { break };
            self.kill(at);
            left -= 1;
        }
        marked = marked && self.handed(vm).is_none();
        let swept = self.waiting.first == NONE || state.sweeps == 0;
        if marked && !swept {
            self.sweep(SLICE);
            state.sweeps = state.sweeps.saturating_sub(SLICE);
        }
        let more = !marked || !swept;
        if let Some(own) = self.vm(vm) {
            own.retiring = more.then_some(state);
        }
        more
    }

    /// A node of `vm`'s own: the manifest's are its again.
    fn retire_own(&mut self, vm: u16, at: Link, given: bool) {
        match (given, self.node(at).state) {
            (true, state) => {
                self.revoke_node(at);
                if state == State::Dropped {
                    self.list(at, vm);
                }
            }
            (false, State::Free) => {}
            (false, _) => self.kill(at),
        }
    }

    /// The first that `vm` holds and the manifest did not give it.
    fn handed(&self, vm: u16) -> Option<Link> {
        let mut at = self.vms.get(usize::from(vm))?.held.first;
        while at != NONE && self.is_given(at) {
            at = self.node(at).listed.behind;
        }
        (at != NONE).then_some(at)
    }
}
