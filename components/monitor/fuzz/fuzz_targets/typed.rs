//! Anything is typed, in pieces, to a console that is full at times. The monitor comes
//! back to its prompt each time, as what is built lives for ever.

#![no_main]

use evisor_contract::tag;
use evisor_testkit::{Event, Rig};
use monitor as _;
use std::cell::RefCell;

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new(Rig::new("evisor,monitor"));
}

/// The last that it says before it waits for a key.
fn settle(rig: &mut Rig) -> Vec<u8> {
    let mut said = Vec::new();
    let mut turns = 10_000;
    loop {
        for event in rig.events() {
            if let Event::Console(bytes) = event {
                said.extend(bytes);
            }
        }
        if rig.deadline().is_none() {
            return said;
        }
        rig.advance(1000);
        turns -= 1;
        assert!(turns > 0, "what it says does not come to an end");
    }
}

libfuzzer_sys::fuzz_target!(|pieces: Vec<(Vec<u8>, u8)>| {
    RIG.with_borrow_mut(|rig| {
        for (typed, other) in &pieces {
            for piece in typed.chunks(32) {
                let _ = rig.notify_with(tag::CONSOLE_INPUT, 0, piece);
            }
            match other % 3 {
                0 => rig.advance(u64::from(*other)),
                1 => _ = rig.notify(tag::CONSOLE_FULL, 0),
                _ => _ = rig.notify(tag::CONSOLE_READY, 0),
            }
        }
        let _ = rig.notify(tag::CONSOLE_READY, 0);
        settle(rig);
        let _ = rig.notify_with(tag::CONSOLE_INPUT, 0, b"\x03\x03stop lab\r");
        assert!(settle(rig).ends_with(b"\r\nlab is off\r\n> "));
    });
});
