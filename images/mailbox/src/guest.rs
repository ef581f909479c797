//! One tag a message, and then all in one.

use core::hint::spin_loop;
use evisor_guest::timer::wait_until;
use evisor_guest::{mmio, print, println};

evisor_guest::entry!(main);

/// Mailbox 0: read and status; mailbox 1: write.
const MAILBOX: usize = 0xfe00_b880;
const READ: usize = MAILBOX;
const STATUS: usize = MAILBOX + 0x18;
const WRITE: usize = MAILBOX + 0x20;
const EMPTY: u32 = 1 << 30;
/// The property channel.
const PROPERTY: u32 = 8;

/// Somewhere in the VM's memory.
const BUFFER: usize = 0x4100_0000;
/// Bytes that each tag has for its value, and what is in them at first.
const SIZE: u32 = 8;
const VALUE: [u32; 2] = [0, 0x5555_5555];
const RESPONSE: u32 = 1 << 31;

/// How long an answer takes at most, in microseconds.
const PATIENCE: u64 = 2_000_000;

const TAGS: [(u32, &str); 6] = [
    (0x0001_0002, "board revision"),
    (0x0001_0003, "MAC address"),
    (0x0001_0005, "ARM memory"),
    (0x0003_0002, "clock rate"),
    (0x0003_0006, "temperature"),
    (0x0003_0010, "execute code"),
];

fn main() -> u8 {
    let mut kept = true;
    for (number, name) in TAGS {
        start();
        put_tag(0, number);
        let code = ask(1);
        print!("{name}: {code:#010x}, ");
        kept &= show_tag(0);
    }
    start();
    for (index, (number, _)) in TAGS.iter().enumerate() {
        put_tag(index, *number);
    }
    println!("all at once: {:#010x}", ask(TAGS.len()));
    for index in 0..TAGS.len() {
        print!("  ");
        kept &= show_tag(index);
    }
    println!("mailbox: done");
    u8::from(!kept)
}

fn word(index: usize) -> u32 {
    mmio::load32(BUFFER + 4 * index)
}

fn put(index: usize, value: u32) {
    mmio::store32(BUFFER + 4 * index, value);
}

/// Where a tag is, in words.
const fn place(tag: usize) -> usize {
    2 + 5 * tag
}

fn start() {
    for index in 0..64 {
        put(index, 0);
    }
}

fn put_tag(tag: usize, number: u32) {
    let words = [number, SIZE, 0, VALUE[0], VALUE[1]];
    for (index, value) in words.into_iter().enumerate() {
        put(place(tag) + index, value);
    }
}

/// Sends a buffer of so many tags, and gives its code.
#[expect(clippy::cast_possible_truncation, reason = "all is below 4 GiB")]
fn ask(tags: usize) -> u32 {
    put(0, 4 * (place(tags) + 1) as u32);
    let message = BUFFER as u32 | PROPERTY;
    mmio::store32(WRITE, message);
    let came = wait_until(PATIENCE, || {
        spin_loop();
        mmio::load32(STATUS) & EMPTY == 0
    });
    match came.then(|| mmio::load32(READ)) {
        Some(answer) if answer == message => word(1),
        _ => 0,
    }
}

/// Prints what a tag was answered; whether it keeps the rules.
fn show_tag(tag: usize) -> bool {
    let [code, first, second] = [2, 3, 4].map(|index| word(place(tag) + index));
    if code & RESPONSE == 0 {
        println!("no answer");
        return code == 0 && [first, second] == VALUE;
    }
    let length = code & !RESPONSE;
    println!("{length} bytes, {first:#010x} {second:#010x}");
    length <= SIZE
}
