//! Calls by handles (`framework/abi`).

use core::sync::atomic::AtomicU64;

use evisor_abi::{DEPTH, Held, Kind, Narrow, function, store};
use evisor_guest::handles::OWN;
use evisor_guest::timer;

use crate::{access, interrupt};

/// What the manifest calls them.
const ITSELF: u64 = 1;
const BELL: u64 = 2;
const DISK: u64 = 3;

/// What a call's loop executes beside the call and what the empty loop does.
pub const CALL_OWN: u64 = 3;

/// How many are revoked at once: more than are swept in a slice.
const MANY: usize = 40;

/// The blocks of a request, and their doublewords.
const BLOCKS: u64 = 8;
static BYTES: [AtomicU64; 512] = [const { AtomicU64::new(0) }; 512];

/// What the manifest gave.
pub struct Given {
    itself: u64,
    bell: u64,
    disk: u64,
}

impl Given {
    /// `None` if it did not.
    pub fn find() -> Option<Self> {
        let named = |Held { handle, .. }| handle;
        let (itself, bell) = (OWN.find(Kind::Vm, ITSELF), OWN.find(Kind::Doorbell, BELL));
        let disk = OWN.find(Kind::BlockStore, DISK);
        Some(Self { itself: itself.map(named)?, bell: bell.map(named)?, disk: disk.map(named)? })
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

    /// Writes blocks of a RAM disk, reads them, and fetches what was read: the sums of the
    /// counts of so many calls each, with what the guest does to make them.
    pub fn blocks(&self, number: u64) -> Option<[u64; 3]> {
        let address = BYTES.as_ptr() as u64;
        let mut sums = [0; 3];
        for _ in 0..number {
            let mut ticket = 0;
            let calls = [(store::WRITE, address), (store::READ, 0), (store::FINISH, address)];
            for (sum, (operation, last)) in sums.iter_mut().zip(calls) {
                let words = match operation {
                    store::FINISH => [ticket, last, 0, 0, 0],
                    _ => [0, BLOCKS, last, 0, 0],
                };
                let before = timer::count();
                let [answer, ..] = OWN.invoke(self.disk, operation, words).ok()?;
                *sum += timer::count() - before;
                ticket = answer;
            }
        }
        Some(sums)
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
