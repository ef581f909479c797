//! Calls by handles (`framework/abi`).

use evisor_abi::{DEPTH, Held, Kind, Narrow, function};
use evisor_guest::handles::OWN;

use crate::{access, interrupt};

/// What the manifest calls them.
const ITSELF: u64 = 1;
const BELL: u64 = 2;

/// What a call's loop executes beside the call and what the empty loop does.
pub const CALL_OWN: u64 = 3;

/// How many are revoked at once: more than are swept in a slice.
const MANY: usize = 40;

/// What the manifest gave.
pub struct Given {
    itself: u64,
    bell: u64,
}

impl Given {
    /// `None` if it did not.
    pub fn find() -> Option<Self> {
        let named = |Held { handle, .. }| handle;
        let (itself, bell) = (OWN.find(Kind::Vm, ITSELF), OWN.find(Kind::Doorbell, BELL));
        Some(Self { itself: itself.map(named)?, bell: bell.map(named)? })
    }

    /// Looks at a VM, so often.
    pub fn look(&self, number: u64) -> u64 {
        calls(function::INVOKE, number, self.itself)
    }

    /// The same by a name for nothing.
    pub fn miss(&self, number: u64) -> u64 {
        calls(function::INVOKE, number, !self.itself)
    }

    /// Rings its own core, and handles each.
    pub fn ring(&self, number: u64) -> u64 {
        interrupt::bell_to_self(number, self.bell)
    }

    /// Rings its other core: the sum of the counts until that handles it.
    pub fn ring_other(&self, number: u64) -> Option<u64> {
        interrupt::bell_to_other(number, self.bell)
    }

    /// Revokes nothing; then what is as deep as can be, and more than is swept at once.
    pub fn revoke(&self) -> Option<[u64; 2]> {
        let revoke = || calls(function::REVOKE, 1, self.itself);
        let nothing = revoke();
        let derive = |from| OWN.derive(from, Narrow::nothing(0)).ok();
        let deepest = (2..DEPTH).try_fold(derive(self.itself)?, |from, _| derive(from))?;
        (0..MANY).try_for_each(|_| derive(deepest).map(drop))?;
        Some([nothing, revoke()])
    }
}

fn calls(function: u32, number: u64, handle: u64) -> u64 {
    let function = u64::from(function);
    access::invoke(number, function, handle) - access::nothing(number, function, handle)
}
