//! Any property buffer, at any address: an answer comes, and only the buffer changes.

#![no_main]

use evisor_testkit::{MEMORY, Rig, Setup};
use mailbox as _;
use std::cell::RefCell;

/// Tags that the board answers.
const WINDOW: [u32; 3] = [0x0001_0003, 0x0003_0006, 0x0003_0020];
const AROUND: u64 = 64;
const BUFFER: u64 = *MEMORY.start() + 0x1000;

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new(rig());
}

fn rig() -> Rig {
    let window = WINDOW.iter().flat_map(|tag| tag.to_be_bytes()).collect();
    let properties = vec![("evisor,firmware-tags", window)];
    let rig =
        Rig::with("brcm,bcm2835-mbox", &Setup { properties, mailbox: true, ..Setup::default() });
    rig.mailbox().answer(WINDOW[0], &[1, 2]);
    rig.mailbox().answer(WINDOW[1], &[0; 34]);
    rig
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| RIG.with_borrow_mut(|rig| {
    rig.reset();
    rig.mailbox().lose();
    let bytes = &bytes[..bytes.len().min(4096)];
    rig.guest_memory().put(BUFFER - AROUND, &[0xa5; 8192]);
    rig.guest_memory().put(BUFFER, bytes);
    let size = rig.guest_memory().bytes(BUFFER, 4);
    let size = u64::from(u32::from_le_bytes(size.try_into().expect("four")));
    let size = if (8..=2048).contains(&size) { size } else { 8 };
    let behind = rig.guest_memory().bytes(BUFFER + size, 4096);
    rig.write32(0x20, BUFFER | 8);
    // 170 tags at most, by 4; and those that the board is asked for.
    for _ in 0..64 {
        rig.advance(rig.frequency() / 10_000);
    }
    assert_eq!(rig.read32(0), BUFFER | 8);
    assert!(rig.guest_memory().bytes(BUFFER + size, 4096) == behind, "behind the buffer");
    assert_eq!(rig.guest_memory().bytes(BUFFER - AROUND, 64), [0xa5; 64], "in front of it");
    let code = rig.guest_memory().bytes(BUFFER + 4, 4);
    assert!([[0, 0, 0, 0x80], [1, 0, 0, 0x80]].contains(&code[..].try_into().expect("four")));
    rig.mailbox().asked();
    rig.events();
}));
