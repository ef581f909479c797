//! The device between a driver made of tables and another end of the channel.

use crate::link::Shared;
use crate::spec::{CONTROL_RECEIVE, CONTROL_TRANSMIT, RECEIVE, TRANSMIT, event};
use crate::{BUFFER, CHAIN, ENOUGH, MOST};
use evisor_contract::ring::Stream;
use evisor_contract::{Width, tag};
use evisor_testkit::{Event, Random, Rig, Setup, describe, drive};

const CONSOLE: &str = "evisor,virtio-console";
const SIZE: u64 = 0x1000;
/// Where the driver has things: a page for each queue's parts and buffers.
const AT: u64 = 0x4000_0000;
const ENTRIES: u64 = 8;

const QUEUE_NOTIFY: u64 = 0x50;
const INTERRUPT_STATUS: u64 = 0x60;
const INTERRUPT_ACK: u64 = 0x64;
const STATUS: u64 = 0x70;

fn setup() -> Setup {
    Setup { window: SIZE, ..Setup::default() }
}

/// One whose port is a console's.
fn console() -> Setup {
    Setup { properties: vec![("evisor,console-port", Vec::new())], ..setup() }
}

fn area(queue: usize, part: u64) -> u64 {
    AT + queue as u64 * 0x1_0000 + part * 0x1000
}

/// Where a queue's buffer number `n` is.
fn buffer(queue: usize, n: u64) -> u64 {
    area(queue, 3) + n * 0x1000
}

/// A driver that has agreed on everything and set the queues up.
struct Driver {
    rig: Rig,
    /// How many chains were offered in each queue, and how many it has seen used.
    offered: [u16; 4],
    seen: [u16; 4],
}

impl Driver {
    fn start() -> Self {
        Self::with(&setup())
    }

    fn with(setup: &Setup) -> Self {
        let mut rig = Rig::with(CONSOLE, setup);
        rig.reset();
        for (offset, value) in
            [(STATUS, 3), (0x24, 1), (0x20, 1), (0x24, 0), (0x20, 2), (STATUS, 11)]
        {
            rig.write32(offset, value);
        }
        for queue in 0..4 {
            rig.write32(0x30, queue as u64);
            rig.write32(0x38, ENTRIES);
            for (offset, part) in [(0x80, 0), (0x90, 1), (0xa0, 2)] {
                rig.write32(offset, area(queue, part));
            }
            rig.write32(0x44, 1);
        }
        rig.write32(STATUS, 15);
        assert_eq!(rig.read32(STATUS), 15);
        assert!(rig.events().contains(&Event::Rings), "somebody is there now");
        Self { rig, offered: [0; 4], seen: [0; 4] }
    }

    /// Offers a chain of one buffer, to be read or written.
    fn offer(&mut self, queue: usize, length: usize, writable: bool) -> u64 {
        let n = u64::from(self.offered[queue]) % ENTRIES;
        let at = buffer(queue, n);
        let ram = self.rig.guest_memory();
        let descriptor = area(queue, 0) + 16 * n;
        ram.put(descriptor, &at.to_le_bytes());
        ram.put(descriptor + 8, &(length as u32).to_le_bytes());
        ram.put(descriptor + 12, &(2 * u16::from(writable)).to_le_bytes());
        ram.put(area(queue, 1) + 4 + 2 * n, &(n as u16).to_le_bytes());
        self.offered[queue] += 1;
        ram.put(area(queue, 1) + 2, &self.offered[queue].to_le_bytes());
        at
    }

    fn give(&mut self, queue: usize, bytes: &[u8]) {
        let at = self.offer(queue, bytes.len(), false);
        self.rig.guest_memory().put(at, bytes);
        self.rig.write32(QUEUE_NOTIFY, queue as u64);
    }

    /// What came back since this was last asked: the bytes of each buffer.
    fn used(&mut self, queue: usize) -> Vec<Vec<u8>> {
        let ram = self.rig.guest_memory();
        let index = ram.bytes(area(queue, 2) + 2, 2);
        let index = u16::from_le_bytes([index[0], index[1]]);
        let mut all = Vec::new();
        while self.seen[queue] != index {
            let entry = area(queue, 2) + 4 + 8 * (u64::from(self.seen[queue]) % ENTRIES);
            let entry = ram.bytes(entry, 8);
            let length = usize::from(u16::from_le_bytes([entry[4], entry[5]]));
            all.push(ram.bytes(buffer(queue, u64::from(entry[0])), length));
            self.seen[queue] += 1;
        }
        all
    }

    fn control(&mut self, event: u16, value: u16) {
        let message = (u64::from(event) << 32 | u64::from(value) << 48).to_le_bytes();
        self.give(CONTROL_TRANSMIT, &message);
    }

    /// The other end of the channel.
    fn other(&self) -> Stream<Shared> {
        let shared = Shared(self.rig.storage());
        Stream::open(shared, SIZE as usize, 1, 1).expect("large enough")
    }

    /// Lets what was put off happen.
    fn settle(&mut self) {
        while self.rig.deadline().is_some() {
            self.rig.advance(0);
        }
    }
}

fn message(event: u16, value: u16) -> Vec<u8> {
    (u64::from(event) << 32 | u64::from(value) << 48).to_le_bytes().to_vec()
}

#[test]
fn what_it_is() {
    let mut rig = Rig::with(CONSOLE, &setup());
    for (offset, value) in [(0, 0x7472_6976), (4, 2), (8, 3), (0x34, 64), (0x100, 0), (0x104, 1)] {
        assert_eq!(rig.read32(offset), value, "{offset:#x}");
    }
    assert_eq!(rig.read(0x104, Width::Halfword).value, 1);
    assert_eq!(rig.read(0x104, Width::Byte).value, 1);
    assert_eq!(rig.read(0x1ff, Width::Byte).value, 0);
    assert_eq!(describe(rig.declaration(), &[]), "compatible = \"virtio,mmio\"");
}

#[test]
fn the_driver_is_told_of_the_port_and_when_it_opens() {
    let mut driver = Driver::start();
    for _ in 0..4 {
        driver.offer(CONTROL_RECEIVE, 8, true);
    }
    driver.control(event::DEVICE_READY, 1);
    assert_eq!(driver.used(CONTROL_RECEIVE), [message(event::DEVICE_ADD, 1)]);
    assert_eq!(driver.rig.read32(INTERRUPT_STATUS), 1);
    assert!(driver.rig.line(0));
    driver.rig.write32(INTERRUPT_ACK, 1);
    assert!(!driver.rig.line(0));
    driver.control(event::PORT_READY, 1);
    assert_eq!(driver.used(CONTROL_RECEIVE), [message(event::PORT_OPEN, 0)], "nobody is there");
    let mut other = driver.other();
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert!(other.meet());
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert_eq!(driver.used(CONTROL_RECEIVE), [message(event::PORT_OPEN, 1)]);
    let _ = other.close();
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert_eq!(driver.used(CONTROL_RECEIVE), [message(event::PORT_OPEN, 0)]);
}

/// A driver whose port is open, and what comes is taken; the other end has met it.
fn in_use() -> (Driver, Stream<Shared>) {
    let mut driver = Driver::start();
    for _ in 0..6 {
        driver.offer(CONTROL_RECEIVE, 8, true);
    }
    driver.control(event::DEVICE_READY, 1);
    driver.control(event::PORT_READY, 1);
    driver.control(event::PORT_OPEN, 1);
    let mut other = driver.other();
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert!(other.meet());
    let _ = driver.rig.notify(tag::RUNG, 0);
    let told = driver.used(CONTROL_RECEIVE);
    assert_eq!(told.last(), Some(&message(event::PORT_OPEN, 1)));
    (driver, other)
}

/// The other end's VM, or its own.
#[test]
fn when_an_end_begins_again_the_port_is_closed_and_opens_again() {
    let (mut driver, mut other) = in_use();
    driver.offer(RECEIVE, 16, true);
    other.send(b"of then").expect("connected");
    let _ = driver.rig.notify(tag::BEGINS, 0);
    assert_eq!(driver.used(CONTROL_RECEIVE), [message(event::PORT_OPEN, 0)]);
    assert!(!other.is_connected());
    assert!(driver.used(RECEIVE).is_empty(), "what was on its way is lost");
    assert!(other.meet(), "it is another session");
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert_eq!(driver.used(CONTROL_RECEIVE), [message(event::PORT_OPEN, 1)]);
    other.send(b"of now").expect("connected");
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert_eq!(driver.used(RECEIVE), [b"of now"]);
}

#[test]
fn who_was_away_is_told_so_even_if_it_is_back_before_that() {
    let (mut driver, mut other) = in_use();
    driver.rig.end().set_up(false);
    let _ = driver.rig.notify(tag::BEGINS, 0);
    assert!(other.meet());
    driver.rig.end().set_up(true);
    let _ = driver.rig.notify(tag::DEADLINE, 0);
    let told = [message(event::PORT_OPEN, 0), message(event::PORT_OPEN, 1)];
    assert_eq!(driver.used(CONTROL_RECEIVE), told);
}

#[test]
fn what_was_half_sent_is_sent_whole_when_an_end_begins_again() {
    let (mut driver, mut other) = in_use();
    let all = vec![7; 3 * MOST / 2];
    let room = other.capacity();
    assert!(room < 2 * all.len());
    for _ in 0..2 {
        driver.give(TRANSMIT, &all);
        driver.settle();
    }
    assert_eq!(driver.used(TRANSMIT).len(), 1, "of the second one a part");
    let _ = driver.rig.notify(tag::BEGINS, 0);
    assert!(other.meet());
    let _ = driver.rig.notify(tag::RUNG, 0);
    driver.settle();
    assert_eq!(other.waiting(), Ok(all.len()));
    assert_eq!(driver.used(TRANSMIT).len(), 1);
}

#[test]
fn while_its_vm_stands_still_its_memory_is_left_alone() {
    let (mut driver, mut other) = in_use();
    driver.offer(RECEIVE, 16, true);
    other.send(b"meanwhile").expect("connected");
    driver.rig.end().set_up(false);
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert!(driver.used(RECEIVE).is_empty());
    driver.rig.end().set_up(true);
    let _ = driver.rig.notify(tag::DEADLINE, 0);
    assert_eq!(driver.used(RECEIVE), [b"meanwhile"]);
}

/// Virtio §5.3.6.2: nominated once the driver is ready for it; it answers with PORT_OPEN.
#[test]
fn a_port_that_is_a_console_is_said_to_be_one() {
    let mut driver = Driver::with(&console());
    for _ in 0..3 {
        driver.offer(CONTROL_RECEIVE, 8, true);
    }
    driver.control(event::DEVICE_READY, 1);
    assert_eq!(driver.used(CONTROL_RECEIVE), [message(event::DEVICE_ADD, 1)]);
    driver.control(event::PORT_READY, 1);
    let told = [message(event::CONSOLE_PORT, 1), message(event::PORT_OPEN, 0)];
    assert_eq!(driver.used(CONTROL_RECEIVE), told);
}

#[test]
fn a_console_s_output_that_finds_no_room_is_lost_and_does_not_wait() {
    let mut driver = Driver::with(&console());
    driver.give(TRANSMIT, b"to nobody");
    driver.settle();
    assert_eq!(driver.used(TRANSMIT).len(), 1);
    let mut other = driver.other();
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert!(other.meet());
    let room = other.capacity();
    for _ in 0..3 {
        driver.give(TRANSMIT, &[7; 0x800]);
        driver.settle();
    }
    assert_eq!(driver.used(TRANSMIT).len(), 3);
    assert!(room < 3 * 0x800);
    assert_eq!(other.waiting(), Ok(room));
}

fn connected() -> (Driver, Stream<Shared>) {
    let mut driver = Driver::start();
    let mut other = driver.other();
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert!(other.meet() && other.is_connected());
    let _ = driver.rig.notify(tag::RUNG, 0);
    driver.rig.events();
    (driver, other)
}

#[test]
fn what_the_driver_gives_comes_out_of_the_channel() {
    let (mut driver, mut other) = connected();
    driver.give(TRANSMIT, b"hello");
    driver.settle();
    let mut bytes = [0; 16];
    assert_eq!(other.receive(&mut bytes).expect("connected").bytes, 5);
    assert_eq!(&bytes[..5], b"hello");
    assert_eq!(driver.used(TRANSMIT).len(), 1);
}

#[test]
fn what_comes_in_by_the_channel_fills_the_drivers_buffers() {
    let (mut driver, mut other) = connected();
    driver.offer(RECEIVE, 4, true);
    other.send(b"a line").expect("connected");
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert!(driver.used(RECEIVE).is_empty(), "nobody has it open, and Linux would drop it");
    driver.control(event::PORT_OPEN, 1);
    driver.settle();
    assert_eq!(driver.used(RECEIVE), [b"a li".to_vec()], "it gave no more room");
    driver.offer(RECEIVE, 4, true);
    driver.rig.write32(QUEUE_NOTIFY, RECEIVE as u64);
    driver.settle();
    assert_eq!(driver.used(RECEIVE), [b"ne".to_vec()]);
}

#[test]
fn much_is_moved_in_pieces_and_waits_for_room() {
    let (mut driver, mut other) = connected();
    let all: Vec<u8> = (0..0x1000_u32).map(|n| ((n * 7) >> 3) as u8).collect();
    driver.give(TRANSMIT, &all);
    assert!(driver.rig.deadline().is_some(), "there is more");
    assert!(other.waiting().expect("connected") <= MOST);
    driver.settle();
    let (mut got, mut bytes) = (Vec::<u8>::new(), [0; 300]);
    while got.len() < all.len() {
        let moved = other.receive(&mut bytes).expect("connected");
        got.extend(&bytes[..moved.bytes]);
        if moved.ring || moved.bytes == 0 {
            let _ = driver.rig.notify(tag::RUNG, 0);
            driver.settle();
        }
    }
    assert!(got == all);
    assert_eq!(driver.used(TRANSMIT).len(), 1);
}

/// A driver may offer as many as its queue has room for, and more while they are looked at.
#[test]
fn chains_of_nothing_are_not_all_looked_at_in_one_trap() {
    let (mut driver, _other) = connected();
    for _ in 0..ENTRIES {
        driver.offer(TRANSMIT, 0, false);
    }
    driver.rig.write32(QUEUE_NOTIFY, TRANSMIT as u64);
    let at_a_time = ENOUGH.div_ceil(CHAIN + BUFFER);
    assert!(at_a_time < ENTRIES as usize / 2 + 1);
    assert_eq!(driver.used(TRANSMIT).len(), at_a_time);
    assert!(driver.rig.deadline().is_some(), "there is more");
    driver.settle();
    assert_eq!(driver.used(TRANSMIT).len(), ENTRIES as usize - at_a_time);
}

/// The first of many gets no more done than one of few, and none is forgotten.
#[test]
fn a_chain_of_many_buffers_comes_alone() {
    let (mut driver, mut other) = connected();
    for n in 0..3 {
        let at = driver.offer(TRANSMIT, 0, false);
        let ram = driver.rig.guest_memory();
        ram.put(at, &[n; 16]);
        // All of the table is one chain, of a byte each; this one begins at its end.
        for entry in 0..ENTRIES {
            let descriptor = area(TRANSMIT, 0) + 16 * entry;
            ram.put(descriptor, &(at + entry).to_le_bytes());
            ram.put(descriptor + 8, &1_u32.to_le_bytes());
            let next = if entry + 1 < ENTRIES { 1_u16 } else { 0 };
            ram.put(descriptor + 12, &next.to_le_bytes());
            ram.put(descriptor + 14, &(entry as u16 + 1).to_le_bytes());
        }
        ram.put(area(TRANSMIT, 1) + 4 + 2 * u64::from(n), &0_u16.to_le_bytes());
    }
    driver.rig.write32(QUEUE_NOTIFY, TRANSMIT as u64);
    assert_eq!(driver.used(TRANSMIT).len(), 1);
    assert!(driver.rig.deadline().is_some(), "there is more");
    driver.settle();
    assert_eq!(driver.used(TRANSMIT).len(), 2);
    assert_eq!(other.waiting(), Ok(3 * ENTRIES as usize));
    assert_eq!(other.receive(&mut [0; 64]).expect("connected").bytes, 3 * ENTRIES as usize);
}

/// A guest that always has something to send still receives.
#[test]
fn one_way_does_not_keep_the_other_waiting() {
    let (mut driver, mut other) = connected();
    driver.control(event::PORT_OPEN, 1);
    driver.settle();
    driver.offer(RECEIVE, 4, true);
    other.send(b"ahoy").expect("connected");
    for round in 0..2 {
        for _ in 0..4 {
            driver.offer(TRANSMIT, 0, false);
        }
        driver.rig.write32(QUEUE_NOTIFY, TRANSMIT as u64);
        let received = driver.used(RECEIVE);
        assert_eq!(received.len(), round, "in the round {round}");
    }
}

#[test]
fn before_the_other_end_is_there_nothing_is_taken() {
    let mut driver = Driver::start();
    driver.give(TRANSMIT, b"to nobody");
    driver.settle();
    assert!(driver.used(TRANSMIT).is_empty());
    let mut other = driver.other();
    let _ = driver.rig.notify(tag::RUNG, 0);
    assert!(other.meet());
    let _ = driver.rig.notify(tag::RUNG, 0);
    driver.settle();
    assert_eq!(other.waiting(), Ok(9));
}

#[test]
fn a_queue_that_lies_needs_a_reset_and_gets_one() {
    let (mut driver, _other) = connected();
    driver.rig.guest_memory().put(area(TRANSMIT, 1) + 2, &100_u16.to_le_bytes());
    driver.rig.write32(QUEUE_NOTIFY, TRANSMIT as u64);
    assert_eq!(driver.rig.read32(STATUS), 0x4f);
    assert!(driver.rig.line(0));
    driver.rig.write32(STATUS, 0);
    assert!(!driver.rig.line(0));
    assert_eq!(driver.rig.read32(STATUS), 0);
    assert!(driver.rig.events().contains(&Event::Rings), "the other end is to know");
}

#[test]
fn the_other_end_sees_each_start_of_the_driver() {
    let (mut driver, mut other) = connected();
    driver.rig.write32(STATUS, 0);
    assert!(!other.meet() && !other.is_connected());
    let mut again = Driver { rig: driver.rig, offered: [0; 4], seen: [0; 4] };
    for value in [3, 11] {
        for (offset, bits) in [(0x24, 1), (0x20, 1)] {
            again.rig.write32(offset, bits);
        }
        again.rig.write32(STATUS, value);
    }
    again.rig.write32(STATUS, 15);
    assert!(other.meet());
    let _ = again.rig.notify(tag::RUNG, 0);
    assert!(other.is_connected());
}

#[test]
fn goes_on_after_a_restore() {
    evisor_testkit::save_and_restore(CONSOLE, &setup());
    evisor_testkit::save_and_restore(CONSOLE, &console());
    evisor_testkit::refuses_foreign_state(CONSOLE, &setup());
}

#[test]
fn one_in_use_goes_on_after_a_restore() {
    let (mut driver, mut other) = connected();
    driver.give(TRANSMIT, &[7; 0xc00]);
    let mut second = Rig::with(CONSOLE, &setup());
    second.take_surroundings(&driver.rig);
    second.restore(&driver.rig.save()).expect("its own");
    let _ = second.notify(tag::DEADLINE, 0);
    let _ = driver.rig.notify(tag::DEADLINE, 0);
    assert_eq!(second.save(), driver.rig.save());
    assert!(other.receive(&mut [0; 4]).is_ok());
}

#[test]
fn any_bytes_are_survived() {
    let mut random = Random::new(1);
    let bytes: Vec<u8> = (0..40_000).map(|_| random.number().to_le_bytes()[0]).collect();
    drive(CONSOLE, &bytes);
}
