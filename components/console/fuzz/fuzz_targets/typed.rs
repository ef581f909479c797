//! Anything is typed, in pieces and with time between, while two VMs speak. The console
//! comes back to where it was each time, as what is built lives for ever.

#![no_main]

use console as _;
use evisor_contract::frames::{Control, VERSION};
use evisor_contract::tag;
use evisor_testkit::Rig;
use std::cell::RefCell;

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new(built());
}

fn built() -> Rig {
    let mut rig = Rig::new("evisor,console");
    rig.connect_of(0, Some("first"));
    rig.connect_of(1, Some("second"));
    rig.connect_of(2, None);
    rig
}

fn type_in(rig: &mut Rig, bytes: &[u8]) {
    rig.serial().type_in(bytes);
    let mut turns = bytes.len() + 1;
    while rig.serial().unread() != 0 {
        let _ = rig.notify(tag::HOST_INTERRUPT, 0);
        turns -= 1;
        assert!(turns > 0, "what is typed is not read");
    }
}

fn control(rig: &mut Rig, control: Control<'_>) {
    let mut line = Vec::new();
    control.write(&mut |byte| line.push(byte));
    type_in(rig, &line);
}

libfuzzer_sys::fuzz_target!(|input: (Vec<(Vec<u8>, u8)>, u16)| {
    let (pieces, room) = input;
    RIG.with_borrow_mut(|rig| {
        rig.serial().set_room(usize::from(room));
        for (typed, other) in &pieces {
            type_in(rig, typed);
            match other % 4 {
                0 => rig.advance(u64::from(*other) * 1000),
                1 => rig.messages().say("evisor: own"),
                port => _ = rig.notify_with(u32::from(port - 2), 0, typed),
            }
        }
        rig.serial().set_room(usize::MAX);
        rig.advance(300_000);
        control(rig, Control::Ask(VERSION));
        control(rig, Control::Plain);
        type_in(rig, b"\x141");
        let mut turns = 10_000;
        while rig.serial().interrupts_when_writable() || rig.deadline().is_some() {
            let _ = rig.notify(tag::HOST_INTERRUPT, 0);
            rig.advance(300_000);
            turns -= 1;
            assert!(turns > 0, "what was said does not come to an end");
        }
        rig.serial().take_sent();
        rig.events();
    });
});
