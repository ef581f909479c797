//! The console between a fake serial line and fake holders.

mod filter;
mod framed;
mod several;

use crate::{CAPACITY, Console, HIGH, LOW};
use evisor_contract::abi::{Error, console};
use evisor_contract::{Bytes, Rights, Status, Through, tag};
use evisor_testkit::{Event, Rig};

fn rig() -> Rig {
    let mut rig = Rig::new("evisor,console");
    (0..3).for_each(|port| rig.connect(port));
    rig
}

fn send(rig: &mut Rig, port: u32, bytes: &[u8]) {
    for chunk in bytes.chunks(Bytes::MOST) {
        assert_eq!(rig.notify_with(port, 0, chunk).status, Status::Done);
    }
}

fn interrupt(rig: &mut Rig) {
    assert_eq!(rig.notify(tag::HOST_INTERRUPT, 0).status, Status::Done);
}

/// The line has taken what it is given at once.
fn drain(rig: &mut Rig) {
    while rig.object(|console: &mut Console| console.waits || console.rests) {
        interrupt(rig);
    }
}

/// What the holders were told and given.
fn events(rig: &mut Rig) -> Vec<Event> {
    rig.events().into_iter().filter(|event| !matches!(event, Event::Deadline(_))).collect()
}

fn told(port: u32, tag: u32) -> Event {
    Event::Holder { port, tag, value: 0 }
}

fn typed(rig: &mut Rig) -> Vec<u8> {
    let bytes = rig.events().into_iter().flat_map(|event| match event {
        Event::Input { port: 0, bytes } => bytes,
        other => panic!("{other:?}"),
    });
    bytes.collect()
}

#[test]
fn output_passes_as_it_is() {
    let mut rig = rig();
    send(&mut rig, 0, b"hello,\n");
    send(&mut rig, 2, b"\x00\xff\r\n");
    assert_eq!(rig.serial().take_sent(), b"hello,\n\x00\xff\r\n");
    assert!(!rig.serial().interrupts_when_writable());
    assert_eq!(rig.events(), []);
}

#[test]
fn what_the_line_does_not_take_waits_in_order() {
    let mut rig = rig();
    let serial = rig.serial();
    serial.set_room(3);
    send(&mut rig, 0, b"abcdef");
    assert_eq!(serial.take_sent(), b"abc");
    assert!(serial.interrupts_when_writable());
    serial.set_room(100);
    send(&mut rig, 1, b"g");
    assert_eq!(serial.take_sent(), b"", "not past what waits");
    interrupt(&mut rig);
    assert_eq!(serial.take_sent(), b"defg");
    assert!(!serial.interrupts_when_writable());
}

#[test]
fn a_slow_line_stops_the_sender_and_lets_it_go_on() {
    let mut rig = rig();
    let serial = rig.serial();
    serial.set_room(0);
    let text: Vec<u8> = (0..=HIGH).map(|n| n.to_le_bytes()[0]).collect();
    let (most, last) = text.split_at(HIGH);
    send(&mut rig, 1, most);
    assert_eq!(rig.events(), []);
    send(&mut rig, 1, last);
    assert_eq!(rig.events(), [told(1, tag::CONSOLE_FULL)]);
    send(&mut rig, 1, b"x");
    assert_eq!(rig.events(), [], "told once");
    send(&mut rig, 2, b"y");
    assert_eq!(rig.events(), [told(2, tag::CONSOLE_FULL)]);
    serial.set_room(usize::MAX);
    let mut left = HIGH + 3;
    let mut sent = Vec::new();
    while left > LOW {
        assert_eq!(rig.events(), []);
        interrupt(&mut rig);
        let now = serial.take_sent();
        assert!(!now.is_empty() && now.len() <= 64, "an interrupt ends soon");
        left -= now.len();
        sent.extend(now);
    }
    assert_eq!(rig.events(), [told(1, tag::CONSOLE_READY), told(2, tag::CONSOLE_READY)]);
    while serial.interrupts_when_writable() {
        interrupt(&mut rig);
    }
    sent.extend(serial.take_sent());
    assert_eq!(sent, [&text[..], b"xy"].concat());
}

#[test]
fn what_is_over_is_counted() {
    let mut rig = rig();
    rig.serial().set_room(0);
    send(&mut rig, 0, &vec![b'.'; CAPACITY + 10]);
    assert_eq!(rig.object(|console: &mut Console| console.lost), 10);
}

#[test]
fn input_goes_to_the_first_port() {
    let mut rig = rig();
    let text: Vec<u8> = (0..100).collect();
    rig.serial().type_in(&text);
    let mut arrived = Vec::new();
    while rig.serial().unread() != 0 {
        interrupt(&mut rig);
        let now = typed(&mut rig);
        assert!((1..=64).contains(&now.len()), "bounded, and more than a FIFO of 32");
        arrived.extend(now);
    }
    assert_eq!(arrived, text);
    interrupt(&mut rig);
    assert_eq!(rig.events(), []);
}

#[test]
fn input_that_nobody_holds_is_counted() {
    let mut rig = Rig::new("evisor,console");
    rig.serial().type_in(b"anyone?");
    interrupt(&mut rig);
    assert_eq!(rig.object(|console: &mut Console| console.lost), 7);
}

/// All holders and the most input at once fit in the queue of effects.
#[test]
fn the_worst_interrupt_fits() {
    let mut rig = Rig::new("evisor,console");
    (0..8).for_each(|port| rig.connect(port));
    rig.serial().set_room(0);
    send(&mut rig, 0, &vec![b'.'; HIGH]);
    (0..8).for_each(|port| send(&mut rig, port, b"x"));
    assert_eq!(rig.events().len(), 8);
    rig.serial().set_room(usize::MAX);
    while rig.serial().interrupts_when_writable() {
        rig.serial().type_in(&[b'y'; 35]);
        interrupt(&mut rig);
    }
    let ready = rig.events().into_iter();
    let ready = ready.filter(|e| matches!(e, Event::Holder { tag: tag::CONSOLE_READY, .. }));
    assert_eq!(ready.count(), 8);
}

#[test]
fn a_port_that_nobody_holds_and_a_tag_that_is_none() {
    let mut rig = rig();
    assert_eq!(rig.notify(u32::MAX, 0).status, Status::Absent);
    send(&mut rig, 7, b"no holder, but heard");
    assert_eq!(rig.serial().take_sent(), b"no holder, but heard");
}

#[test]
fn any_bytes_are_survived() {
    let mut random = evisor_testkit::Random::new(1);
    let bytes: Vec<u8> = (0..40_000).map(|_| random.number().to_le_bytes()[0]).collect();
    evisor_testkit::drive("evisor,console", &bytes);
}

fn write(rig: &mut Rig, through: &Through, count: u64, text: &[u8]) -> Result<[u64; 3], Error> {
    let mut bytes = [0; console::MOST];
    bytes.iter_mut().zip(text).for_each(|(slot, byte)| *slot = *byte);
    let word = |at: usize| u64::from_le_bytes(bytes[at * 8..at * 8 + 8].try_into().unwrap());
    rig.invoke(console::WRITE, [count, word(0), word(1), word(2), word(3)], through)
}

#[test]
fn who_has_a_handle_writes_until_it_is_full() {
    let mut rig = rig();
    let through = Through { rights: Rights::WRITE, first: 1, count: 1 };
    assert!(write(&mut rig, &through, 5, b"hello, world").is_ok());
    assert!(write(&mut rig, &through, 0, b"").is_ok());
    assert!(write(&mut rig, &through, 32, &[b'x'; 32]).is_ok());
    assert_eq!(rig.serial().take_sent(), [b"hello".as_slice(), &[b'x'; 32]].concat());
    rig.serial().set_room(0);
    let taken = (0..1000).take_while(|_| write(&mut rig, &through, 32, &[b'y'; 32]).is_ok());
    assert_eq!(taken.count(), HIGH / 32 + 1);
    assert_eq!(write(&mut rig, &through, 1, b"z"), Err(Error::Busy));
    rig.serial().set_room(usize::MAX);
    (0..CAPACITY / 64).for_each(|_| interrupt(&mut rig));
    assert!(write(&mut rig, &through, 1, b"z").is_ok());
}

#[test]
fn who_has_no_right_or_no_port_does_not() {
    let mut rig = rig();
    let through = Through { rights: Rights::WRITE, first: 1, count: 1 };
    let blind = Through { rights: Rights::all() - Rights::WRITE, ..through };
    assert_eq!(write(&mut rig, &blind, 1, b"a"), Err(Error::NoRight));
    for first in [3, 12, u64::MAX] {
        let nowhere = Through { first, ..through };
        assert_eq!(write(&mut rig, &nowhere, 1, b"a"), Err(Error::NotSupported));
    }
    for count in [33, u64::MAX] {
        assert_eq!(write(&mut rig, &through, count, b"a"), Err(Error::InvalidParameter));
    }
    assert_eq!(rig.invoke(console::WRITE + 1, [0; 5], &through), Err(Error::NotSupported));
    assert_eq!(rig.serial().take_sent(), b"");
}
