//! The order of what waits, against one that looks at each interrupt.

use crate::queue::Queue;
use crate::spec::CPUS;
use crate::state::{INTIDS, LISTS, NOWHERE, Slot, State, bits};
use crate::v2::Gich;
use alloc::boxed::Box;
use alloc::vec::Vec;
use proptest::collection::vec;
use proptest::prelude::*;

/// Who waits for `here`: of the highest priority first, and of the lowest INTID.
fn in_order(state: &State, here: usize) -> Vec<usize> {
    let waits = |intid: &usize| {
        let slot = Slot::new(here, *intid);
        let pending = state.word(slot.word()).latch & slot.bit() != 0;
        let free = state.interrupt(slot).place == NOWHERE;
        pending && free && state.target(slot) == Some(here)
    };
    let mut all: Vec<usize> = (0..INTIDS).filter(waits).collect();
    all.sort_by_key(|intid| state.interrupt(Slot::new(here, *intid)).priority);
    all
}

proptest! {
    #[test]
    fn the_first_comes_first(
        vcpus in 1..=CPUS,
        awake in any::<u8>(),
        interrupts in vec((0..INTIDS, any::<u8>(), any::<u8>(), any::<bool>()), 0..300),
    ) {
        let mut state = Box::new(State::new::<Gich>(vcpus, 1));
        for vcpu in bits(awake.into()) {
            state.bank_mut(vcpu as usize).awake = true;
        }
        let present = 0xff_u8 >> (CPUS - vcpus);
        for (intid, priority, targets, held) in interrupts {
            let slot = Slot::new(usize::from(targets) % vcpus, intid);
            state.word_mut(slot.word()).latch |= slot.bit();
            state.set_priority::<Gich>(slot, priority);
            state.set_targets(slot, targets & present);
            if held { state.hold(slot, 0, intid % LISTS) } else { state.free(slot) }
        }
        for here in 0..vcpus {
            let mut queue = Queue::new(&state, here, |word| word.latch);
            let given = core::iter::from_fn(|| queue.next(&state)).map(Slot::intid);
            prop_assert_eq!(given.collect::<Vec<_>>(), in_order(&state, here));
        }
    }

    #[test]
    fn who_is_targeted(vcpus in 1..=CPUS, awake in any::<u8>(), targets in any::<[u8; 32]>()) {
        let mut state = Box::new(State::new::<Gich>(vcpus, 1));
        for vcpu in bits(awake.into()) {
            state.bank_mut(vcpu as usize).awake = true;
        }
        let present = 0xff_u8 >> (CPUS - vcpus);
        let slots = (64..96).map(|intid| Slot::new(0, intid));
        let mut expected = 0;
        for (slot, targets) in slots.zip(targets) {
            state.set_targets(slot, targets & present);
            expected |= state.target(slot).map_or(0, |vcpu| 1 << vcpu);
        }
        prop_assert_eq!(state.targeted(CPUS | 2, !0), expected);
    }
}
