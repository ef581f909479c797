//! Any operation with any words through any window: a line of the window pulses, or none.

#![no_main]

use std::cell::RefCell;

use doorbell as _;
use evisor_contract::abi::doorbell::RING;
use evisor_contract::{LineState, Rights, Through};
use evisor_testkit::{Event, Rig, Setup};

const LINES: usize = 4;

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new(Rig::with(
        "evisor,doorbell",
        &Setup { lines: Some(LINES), ..Setup::default() },
    ));
}

/// One of those that mean something, more often than not.
fn near((word, is_near): (u64, bool)) -> u64 {
    if is_near { word % 8 } else { word }
}

type Number = (u64, bool);

libfuzzer_sys::fuzz_target!(|input: (Number, Number, [u64; 4], u32, Number, Number)| {
    let (operation, index, [x2, x3, x4, x5], rights, first, count) = input;
    let [operation, index, first, count] = [operation, index, first, count].map(near);
    let (operation, words) = (operation as u32, [index, x2, x3, x4, x5]);
    let through = Through { rights: Rights::from_bits_truncate(rights), first, count };
    RIG.with_borrow_mut(|rig| {
        let rung = rig.invoke(operation, words, &through).is_ok();
        let line = u128::from(first) + u128::from(index);
        let may = operation == RING && through.rights.contains(Rights::CALL);
        assert_eq!(rung, may && index < count && line < LINES as u128);
        let pulse = Event::Line { index: line as u32, state: LineState::Pulse };
        let pulses = if rung { vec![pulse] } else { Vec::new() };
        assert_eq!(rig.events(), pulses);
    });
});
