//! VMs derive, hand on, revoke and drop what they hold by handles, in any order, and what
//! was revoked is swept meanwhile: as the model of the tests says.

#![no_main]

#[path = "../../tests/model/mod.rs"]
mod model;

use evisor_contract::abi::rights;
use model::{COUNT, DERIVATIONS, Pair, Step, VMS};

/// More would only be slower: the model looks at all that there ever was.
const STEPS: usize = 100;

fn step(bytes: [u8; 6]) -> Step {
    let [kind, vm, handle, rights, window, holder] = bytes;
    let (vm, holder, handle) = (u16::from(vm) % VMS, u16::from(holder) % VMS, usize::from(handle));
    match kind % 8 {
        0..4 => {
            let rights = u32::from(rights) & rights::ALL;
            let (first, count) = (u64::from(window) % (COUNT + 2), u64::from(window) / 16);
            Step::Derive { vm, handle, rights, first, count, holder }
        }
        4 => Step::Revoke { vm, handle },
        5 => Step::Drop { vm, handle },
        6 => Step::Retire { vm },
        _ => Step::Sweep { most: handle % 3 },
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut pair = Pair::new();
    for bytes in bytes.as_chunks().0.iter().take(STEPS) {
        pair.step(&step(*bytes));
        pair.compare();
    }
    pair.settle();
    (0..VMS).for_each(|vm| pair.retire(vm));
    pair.settle();
    for vm in 0..VMS {
        assert_eq!(pair.real.quota(vm), (DERIVATIONS, DERIVATIONS));
    }
});
