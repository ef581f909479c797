//! Checked against what `spec` cites, and the page tag by tag.

mod forwarding;
mod properties;
mod registers;

use crate::spec::{code, offset};
use evisor_contract::tag;
use evisor_testkit::{Rig, Setup};

const COMPATIBLE: &str = "brcm,bcm2835-mbox";
/// Where the tests have their buffers: guest-physical.
const BUFFER: u64 = 0x4000_1000;

fn rig() -> Rig {
    Rig::new(COMPATIBLE)
}

fn cells(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A rig whose node has these properties, on a board with a firmware or without.
fn rig_with(properties: &[(&'static str, Vec<u8>)], mailbox: bool) -> Rig {
    let setup = Setup { properties: properties.to_vec(), mailbox, ..Setup::default() };
    Rig::with(COMPATIBLE, &setup)
}

/// A buffer of tags: number, bytes of the value buffer, and what is in it first.
fn buffer(tags: &[(u32, u32, &[u32])]) -> Vec<u32> {
    let mut words = vec![0, code::REQUEST];
    for (number, size, values) in tags {
        words.extend([*number, *size, 0]);
        let mut value = values.to_vec();
        value.resize(size.div_ceil(4) as usize, 0x5555_5555);
        words.extend(value);
    }
    words.push(0);
    words[0] = u32::try_from(words.len() * 4).expect("short");
    words
}

fn put(rig: &Rig, address: u64, words: &[u32]) {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    rig.guest_memory().put(address, &bytes);
}

fn words(rig: &Rig, address: u64, count: usize) -> Vec<u32> {
    let bytes = rig.guest_memory().bytes(address, count * 4);
    bytes.chunks(4).map(|word| u32::from_le_bytes(word.try_into().expect("four"))).collect()
}

fn is_empty(rig: &mut Rig) -> bool {
    rig.read32(offset::STATUS) & 1 << 30 != 0
}

/// Sends what is at [`BUFFER`] and waits for the answer.
fn send(rig: &mut Rig) {
    let message = BUFFER | 8;
    rig.write32(offset::WRITE, message);
    for _ in 0..1000 {
        if !is_empty(rig) {
            break;
        }
        let due = rig.deadline().expect("something to wait for");
        assert_eq!(rig.notify(tag::DEADLINE, due).value, 0);
    }
    assert_eq!(rig.read32(offset::READ), message);
    assert!(is_empty(rig));
}

/// Asks, and gives the buffer with the answer in it.
fn ask(rig: &mut Rig, request: &[u32]) -> Vec<u32> {
    put(rig, BUFFER, request);
    send(rig);
    words(rig, BUFFER, request.len())
}
