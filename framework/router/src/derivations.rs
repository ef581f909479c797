//! Who derived which capability from which, over all VMs.
//!
//! Each capability that handles name is a node. What a VM derives comes from nodes that
//! are set aside for it, so that nobody can use up another's, and nothing is allocated. A
//! handle is a node's number with how often the node was used: it never names another
//! capability later.
//!
//! To revoke takes no time, however much was derived: the node counts one on, and what
//! was derived before is of an earlier count ([`Derivations::is_live`] walks up, as far as
//! [`DEPTH`]). Then [`sweep`](Derivations::sweep) gives back the nodes, some at a time.
//!
//! A node whose handle was dropped stays while something is derived from it: revoking
//! what *it* was derived from still has to find that.

mod lists;
mod sweep;

pub use sweep::SLICE;

use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_contract::abi::{DEPTH, Error};
use evisor_contract::{Rights, Through};
use lists::{Ends, Links, List};
use sweep::BESIDES;

/// The number of a node.
type Link = u16;
const NONE: Link = Link::MAX;

/// How many nodes there can be.
pub const NODES: usize = NONE as usize;

/// A handle has the node's number in these bits, and its use above.
const NUMBER_BITS: u32 = Link::BITS;
/// A handle is never negative as an answer of a call, and never 0.
const LAST_USE: u64 = u64::MAX >> (NUMBER_BITS + 1);

/// What a node is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody's: in its owner's list of free ones.
    Free,
    /// A handle names it: in its holder's list.
    Named,
    /// Its handle was dropped.
    Dropped,
}

#[derive(Clone, Copy, Debug)]
struct Node {
    state: State,
    /// It is gone, with all that was derived from it; it waits to be swept.
    dead: bool,
    /// It waits in the list of those that are swept.
    waits: bool,
    /// How many derivations lie between it and the manifest's.
    depth: u8,
    /// Who derived it, or was given it by the manifest: whose node it is.
    owner: u16,
    holder: u16,
    object: u16,
    rights: Rights,
    first: u64,
    count: u64,
    label: u64,
    /// How often its number was used.
    uses: u64,
    /// How often what was derived from it was revoked; and what that was of the node that
    /// it was derived from, then.
    revoked: u32,
    born: u32,
    parent: Link,
    children: Ends,
    siblings: Links,
    /// In its holder's list, or its owner's of free ones.
    listed: Links,
    /// In the list of those that are swept.
    waiting: Links,
}

const EMPTY: Node = Node {
    state: State::Free,
    dead: false,
    waits: false,
    depth: 0,
    owner: 0,
    holder: 0,
    object: 0,
    rights: Rights::empty(),
    first: 0,
    count: 0,
    label: 0,
    uses: 1,
    revoked: 0,
    born: 0,
    parent: NONE,
    children: Ends::NONE,
    siblings: Links::NONE,
    listed: Links::NONE,
    waiting: Links::NONE,
};

/// A VM.
#[derive(Clone, Copy, Debug)]
struct Vm {
    /// Its nodes: first the manifest's, then those that it derives.
    start: usize,
    derivations: usize,
    end: usize,
    free: Ends,
    left: usize,
    held: Ends,
    /// How far it is with giving up all that it has, if it is at that.
    retiring: Option<Retiring>,
}

#[derive(Clone, Copy, Debug)]
struct Retiring {
    /// The next of its own nodes.
    at: usize,
    /// How many nodes may still be swept for its sake.
    sweeps: usize,
}

/// What a VM may derive, and what the manifest gave it.
#[derive(Clone, Debug, Default)]
pub struct Allowance {
    /// How many derivations.
    pub derivations: usize,
    /// The manifest's capabilities.
    pub given: Vec<Given>,
}

/// A capability that the manifest gave.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The object's number.
    pub object: u16,
    /// What may be done with it.
    pub through: Through,
    /// What it is called.
    pub label: u64,
}

/// What a handle names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named {
    /// The object's number.
    pub object: u16,
    /// What its holder may do with it.
    pub through: Through,
    /// What who gave it calls it.
    pub label: u64,
    /// How many derivations lie between it and the manifest's.
    pub depth: u8,
}

/// How a capability is narrowed.
#[derive(Clone, Copy, Debug)]
pub struct Narrowing {
    /// The rights that stay.
    pub rights: Rights,
    /// Where the window starts in the one that there is.
    pub first: u64,
    /// How long it is; 0 for the rest.
    pub count: u64,
    /// What it is called.
    pub label: u64,
}

/// All capabilities that handles name.
pub struct Derivations {
    nodes: Box<[Node]>,
    vms: Box<[Vm]>,
    /// Nodes with something to sweep below them.
    waiting: Ends,
    /// What a link leads to that leads nowhere: never looked at.
    nowhere: Node,
}

impl Node {
    fn links(&mut self, list: List) -> &mut Links {
        match list {
            List::Listed => &mut self.listed,
            List::Waiting => &mut self.waiting,
            List::Siblings => &mut self.siblings,
        }
    }

    fn named(&self) -> Named {
        let through = Through { rights: self.rights, first: self.first, count: self.count };
        Named { object: self.object, through, label: self.label, depth: self.depth }
    }
}

impl Derivations {
    /// With what the manifest gives to each VM. `None`: those are more than [`NODES`].
    #[must_use]
    pub fn new(allowances: &[Allowance]) -> Option<Self> {
        let count = |one: &Allowance| one.given.len() + one.derivations;
        let total: usize = allowances.iter().map(count).sum();
        if total > NODES || allowances.len() > usize::from(u16::MAX) {
            return None;
        }
        let mut new = Self {
            nodes: (0..total).map(|_| EMPTY).collect(),
            vms: Box::default(),
            waiting: Ends::NONE,
            nowhere: EMPTY,
        };
        let mut start = 0;
        let vms = allowances.iter().map(|one| {
            let derivations = start + one.given.len();
            let end = derivations + one.derivations;
            let (free, held, left) = (Ends::NONE, Ends::NONE, 0);
            let vm = Vm { start, derivations, end, free, left, held, retiring: None };
            start = end;
            vm
        });
        new.vms = vms.collect();
        for (vm, one) in (0..).zip(allowances) {
            new.furnish(vm, one);
        }
        Some(new)
    }

    fn furnish(&mut self, vm: u16, allowance: &Allowance) {
        let Some(Vm { start, derivations, end, .. }) = self.vm(vm).copied() else { return };
        for (number, given) in (start..).zip(&allowance.given) {
            let Given { object, through: Through { rights, first, count }, label } = *given;
            let node = self.node_mut(number as Link);
            *node = Node { owner: vm, holder: vm, object, rights, first, count, label, ..EMPTY };
            self.list(number as Link, vm);
        }
        for number in derivations..end {
            self.node_mut(number as Link).owner = vm;
            self.set_free(number as Link);
        }
    }

    fn vm(&mut self, vm: u16) -> Option<&mut Vm> {
        self.vms.get_mut(usize::from(vm))
    }

    fn node(&self, at: Link) -> &Node {
        self.nodes.get(usize::from(at)).unwrap_or(&EMPTY)
    }

    fn node_mut(&mut self, at: Link) -> &mut Node {
        self.nodes.get_mut(usize::from(at)).unwrap_or(&mut self.nowhere)
    }

    /// Whether nothing above it was revoked.
    fn is_live(&self, mut at: Link) -> bool {
        for _ in 0..=DEPTH {
            let node = self.node(at);
            if node.dead {
                return false;
            }
            if node.parent == NONE {
                return true;
            }
            let parent = self.node(node.parent);
            if parent.revoked != node.born {
                return false;
            }
            at = node.parent;
        }
        false
    }

    fn handle_of(&self, at: Link) -> u64 {
        self.node(at).uses << NUMBER_BITS | u64::from(at)
    }

    /// The node that `handle` of `vm`'s names.
    fn listed(&self, vm: u16, handle: u64) -> Result<Link, Error> {
        let at = handle as Link;
        let node = self.nodes.get(usize::from(at)).ok_or(Error::NoHandle)?;
        let named = node.state == State::Named && node.holder == vm;
        let same = named && handle >> NUMBER_BITS == node.uses;
        if same { Ok(at) } else { Err(Error::NoHandle) }
    }

    fn find(&self, vm: u16, handle: u64) -> Result<Link, Error> {
        let at = self.listed(vm, handle)?;
        if self.is_live(at) { Ok(at) } else { Err(Error::NoHandle) }
    }

    /// What `handle` of `vm`'s names.
    ///
    /// # Errors
    /// [`Error::NoHandle`].
    pub fn get(&self, vm: u16, handle: u64) -> Result<Named, Error> {
        self.find(vm, handle).map(|at| self.node(at).named())
    }

    /// The handle of `vm`'s behind `handle`, the first behind 0; with what it names, unless
    /// that was revoked. `None` at the end.
    ///
    /// # Errors
    /// [`Error::NoHandle`].
    pub fn next(&self, vm: u16, handle: u64) -> Result<Option<(u64, Option<Named>)>, Error> {
        let at = match handle {
            0 => self.vms.get(usize::from(vm)).map_or(NONE, |vm| vm.held.first),
            handle => self.node(self.listed(vm, handle)?).listed.behind,
        };
        let named = self.is_live(at).then(|| self.node(at).named());
        Ok((at != NONE).then(|| (self.handle_of(at), named)))
    }

    /// How many derivations `vm` may have, and has left.
    pub fn quota(&self, vm: u16) -> (usize, usize) {
        let vm = self.vms.get(usize::from(vm));
        vm.map_or((0, 0), |vm| (vm.end - vm.derivations, vm.left))
    }

    /// Derives from what `handle` of `vm`'s names, for `holder`. Gives the new handle.
    ///
    /// # Errors
    /// [`Error::NoHandle`], [`Error::TooDeep`], [`Error::Outside`]; [`Error::NoQuota`], or
    /// [`Error::Busy`] while something is to be swept; [`Error::NoRight`] without the right
    /// to grant, where `holder` is another.
    pub fn derive(
        &mut self,
        vm: u16,
        handle: u64,
        narrowing: &Narrowing,
        holder: u16,
    ) -> Result<u64, Error> {
        self.sweep(BESIDES);
        let from = self.find(vm, handle)?;
        let Node { object, revoked, mut children, rights: all, depth, .. } = *self.node(from);
        let Node { first: start, count: length, .. } = *self.node(from);
        if holder != vm && !all.contains(Rights::GRANT) {
            return Err(Error::NoRight);
        }
        if usize::from(depth) >= DEPTH {
            return Err(Error::TooDeep);
        }
        let Narrowing { rights, first, count, label } = *narrowing;
        let rest = length.checked_sub(first).filter(|rest| *rest > 0);
        let rest = rest.filter(|rest| count <= *rest).ok_or(Error::Outside)?;
        let count = if count == 0 { rest } else { count };
        let busy = self.waiting.first != NONE;
        let none = if busy { Error::Busy } else { Error::NoQuota };
        let at = self.take_free(vm).ok_or(none)?;
        let node = self.node_mut(at);
        *node = Node {
            owner: vm,
            holder,
            object,
            rights: all & rights,
            first: start + first,
            count,
            label,
            uses: node.uses,
            depth: depth + 1,
            born: revoked,
            parent: from,
            ..EMPTY
        };
        self.push(&mut children, List::Siblings, at);
        self.node_mut(from).children = children;
        self.list(at, holder);
        Ok(self.handle_of(at))
    }

    /// Takes away what was derived from what `handle` of `vm`'s names. True if some of it
    /// is left to be swept.
    ///
    /// # Errors
    /// [`Error::NoHandle`].
    pub fn revoke(&mut self, vm: u16, handle: u64) -> Result<bool, Error> {
        let at = self.find(vm, handle)?;
        self.revoke_node(at);
        Ok(self.sweep(SLICE))
    }

    /// Gives up `handle` of `vm`'s.
    ///
    /// # Errors
    /// [`Error::NoHandle`].
    pub fn drop(&mut self, vm: u16, handle: u64) -> Result<(), Error> {
        let at = self.listed(vm, handle)?;
        self.unlist(at);
        self.free_if_unused(at);
        Ok(())
    }
}
