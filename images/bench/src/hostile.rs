//! A driver of a virtio console that gives it all that it may at once: chains as long as
//! there are, of buffers that are small, empty and badly placed, in all queues before it
//! says so of one. It counts nothing: who counts EL2's instructions sees how long it is kept
//! busy.

use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU64, Ordering};

use aarch64_cpu::asm::barrier;
use evisor_guest::channel::Memory;
use evisor_guest::ring::Stream;
use evisor_guest::{mmio, timer};

use crate::port::{
    AREAS, DRIVER_FEATURES, DRIVER_FEATURES_SEL, QUEUE_NOTIFY, QUEUE_NUM, QUEUE_READY, QUEUE_SEL,
    STATUS, other_end,
};

const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const CONTROL_RECEIVE: usize = 2;
const CONTROL_TRANSMIT: usize = 3;

/// As many as the device has.
const ENTRIES: u16 = 64;
/// Descriptors of a long chain: more, and the queue is broken.
const LONG: u16 = 16;
/// Where a chain of one empty buffer begins; a long one begins at 0.
const EMPTY: u16 = LONG;
/// From one buffer to the next; each begins where its first seven bytes are no doubleword,
/// and has an end of a line in it.
const APART: usize = 128;
const AT: usize = 49;

/// Flags of a descriptor.
const NEXT: u64 = 1;
const WRITE: u64 = 2;

/// Events of control messages: DEVICE_READY, PORT_OPEN, PORT_READY with the value 1. What is
/// said last is said again in each round, and has the device tell two things.
const MESSAGES: [[u8; 8]; 3] = [[0; 8], [0, 0, 0, 0, 6, 0, 1, 0], [0, 0, 0, 0, 3, 0, 1, 0]];

const NEEDS_RESET: u32 = 64;

/// Descriptors, available and used ring, and the buffers of a long chain.
#[repr(C, align(4096))]
struct Queue {
    descriptors: [AtomicU64; 512],
    available: [AtomicU16; 2048],
    used: [AtomicU16; 2048],
    buffers: [AtomicU8; APART * LONG as usize],
}

static QUEUES: [Queue; 4] = [const { Queue::new() }; 4];

impl Queue {
    const fn new() -> Self {
        Self {
            descriptors: [const { AtomicU64::new(0) }; _],
            available: [const { AtomicU16::new(0) }; _],
            used: [const { AtomicU16::new(0) }; _],
            buffers: [const { AtomicU8::new(0) }; _],
        }
    }

    fn set_up(&self, number: usize) {
        mmio::store32(QUEUE_SEL, number as u32);
        mmio::store32(QUEUE_NUM, u32::from(ENTRIES));
        let areas = [
            self.descriptors.as_ptr() as u32,
            self.available.as_ptr() as u32,
            self.used.as_ptr() as u32,
        ];
        AREAS.into_iter().zip(areas).for_each(|(register, area)| mmio::store32(register, area));
        mmio::store32(QUEUE_READY, 1);
    }

    fn describe(&self, index: u16, address: usize, length: u64, flags: u64) {
        let rest = length | flags << 32 | u64::from(index + 1) << 48;
        let own = self.descriptors.iter().skip(2 * usize::from(index));
        for (word, value) in own.zip([address as u64, rest]) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// The long chain has buffers of so many bytes.
    fn lengthen(&self, number: usize, length: u64) {
        let writable = if matches!(number, RECEIVE | CONTROL_RECEIVE) { WRITE } else { 0 };
        for index in 0..LONG {
            let next = if index + 1 < LONG { NEXT } else { 0 };
            let at = self.buffers.as_ptr() as usize + usize::from(index) * APART + AT;
            self.describe(index, at, length, writable | next);
        }
        self.describe(EMPTY, self.buffers.as_ptr() as usize, 0, writable);
    }

    /// A message lies in the first buffers of one byte each.
    fn write(&self, message: [u8; 8]) {
        let places = self.buffers.iter().skip(AT).step_by(APART);
        places.zip(message).for_each(|(place, byte)| place.store(byte, Ordering::Relaxed));
    }

    /// Makes one more chain available.
    fn offer(&self, head: u16) {
        let [_, index, ring @ ..] = &self.available;
        let at = index.load(Ordering::Relaxed);
        if let Some(entry) = ring.get(usize::from(at % ENTRIES)) {
            entry.store(head, Ordering::Relaxed);
        }
        index.store(at.wrapping_add(1), Ordering::SeqCst);
    }

    /// All that were made available came back.
    fn is_done(&self) -> bool {
        let ([_, offered, ..], [_, used, ..]) = (&self.available, &self.used);
        offered.load(Ordering::SeqCst) == used.load(Ordering::SeqCst)
    }
}

fn notify(number: usize) {
    barrier::dsb(barrier::SY);
    mmio::store32(QUEUE_NOTIFY, number as u32);
}

/// False if the device does not do all of it.
pub fn run() -> bool {
    let Some(mut other) = open() else { return false };
    let [_, _, told, telling] = &QUEUES;
    telling.lengthen(CONTROL_TRANSMIT, 1);
    told.lengthen(CONTROL_RECEIVE, 1);
    // It is to say three things then, and has no room for one before the first round.
    for message in MESSAGES {
        telling.write(message);
        telling.offer(0);
        notify(CONTROL_TRANSMIT);
        if !timer::wait_until(1_000, || telling.is_done()) {
            return false;
        }
    }
    let each = |length| [0, 2, 3, 7].map(|empty| (length, empty));
    let mut rounds = [31, 20, 1, 0, 64].into_iter().flat_map(each);
    rounds.all(|(length, empty)| {
        [0, 3].into_iter().all(|messages| round(&mut other, length, empty, messages))
    })
}

fn open() -> Option<Stream<Memory>> {
    let features = [(DRIVER_FEATURES_SEL, 0), (DRIVER_FEATURES, 2)];
    let features = features.into_iter().chain([(DRIVER_FEATURES_SEL, 1), (DRIVER_FEATURES, 1)]);
    [(STATUS, 0), (STATUS, 0b11)].into_iter().chain(features).for_each(|(register, value)| {
        mmio::store32(register, value);
    });
    mmio::store32(STATUS, 0b1011);
    QUEUES.iter().enumerate().for_each(|(number, queue)| queue.set_up(number));
    mmio::store32(STATUS, 0b1111);
    other_end()
}

/// Chains in both queues, so many empty ones before the long ones, and so many messages; then
/// one notification.
fn round(other: &mut Stream<Memory>, length: u64, empty: u16, messages: u16) -> bool {
    let [receive, transmit, told, telling] = &QUEUES;
    for (number, queue) in [receive, transmit].into_iter().enumerate() {
        queue.lengthen(number, length);
        (0..empty).for_each(|_| queue.offer(EMPTY));
        (0..3).for_each(|_| queue.offer(0));
    }
    (0..messages).for_each(|_| [told, telling].into_iter().for_each(|queue| queue.offer(0)));
    let _ = other.send(&[0x5a; 3 * 64 * LONG as usize]);
    notify(TRANSMIT);
    let queues = [receive, transmit, telling];
    let done = timer::wait_until(10_000, || queues.iter().all(|queue| queue.is_done()));
    let mut bytes = [0; 64];
    while other.receive(&mut bytes).is_ok_and(|moved| moved.bytes > 0) {}
    done && mmio::load32(STATUS) & NEEDS_RESET == 0
}
