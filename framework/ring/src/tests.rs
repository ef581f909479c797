//! Two ends over one piece of memory: in turn, at once, and against one that lies.

use crate::{Area, BLOCK, Refusal, Stream, Want, word};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::vec::Vec;

const SIZE: usize = 128 + 2 * 192;
const ROOM: usize = 192;

/// Words, which bytes are parts of.
#[derive(Clone)]
struct Shared(Arc<[AtomicU32]>);

impl Shared {
    fn new(size: usize) -> Self {
        Self((0..size.div_ceil(4)).map(|_| AtomicU32::new(0)).collect())
    }
}

impl Area for Shared {
    fn load(&self, offset: usize) -> u32 {
        assert!(offset.is_multiple_of(4));
        self.0[offset / 4].load(Ordering::Acquire)
    }
    fn store(&self, offset: usize, word: u32) {
        assert!(offset.is_multiple_of(4));
        self.0[offset / 4].store(word, Ordering::Release);
    }
    fn read(&self, offset: usize, to: &mut [u8]) {
        for (at, byte) in (offset..).zip(to) {
            *byte = self.0[at / 4].load(Ordering::Relaxed).to_le_bytes()[at % 4];
        }
    }
    fn write(&self, offset: usize, from: &[u8]) {
        for (at, byte) in (offset..).zip(from) {
            let shift = at % 4 * 8;
            let change = |word: u32| Some(word & !(0xff << shift) | u32::from(*byte) << shift);
            let _ = self.0[at / 4].fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
        }
    }
}

fn pair(area: &Shared) -> [Stream<Shared>; 2] {
    let open = |number| Stream::open(area.clone(), SIZE, number, 1 + number as u32).unwrap();
    let mut ends = [open(0), open(1)];
    assert!(ends.iter_mut().all(Stream::meet));
    assert!(ends.iter().all(Stream::is_connected));
    ends
}

#[test]
fn what_cannot_be_an_end_is_none() {
    let area = Shared::new(SIZE);
    for (size, number, session) in [(128 + 127, 0, 1), (SIZE, 2, 1), (SIZE, 0, 0), (0, 0, 1)] {
        assert!(Stream::open(area.clone(), size, number, session).is_none(), "{size} {number}");
    }
    assert_eq!(Stream::open(area, SIZE, 0, 1).unwrap().capacity(), ROOM);
}

#[test]
fn nothing_moves_before_they_have_met() {
    let area = Shared::new(SIZE);
    let mut first = Stream::open(area.clone(), SIZE, 0, 7).unwrap();
    assert!(!first.meet(), "nobody is there");
    assert_eq!(first.send(b"a"), Err(Refusal::Apart));
    let mut second = Stream::open(area, SIZE, 1, 9).unwrap();
    assert!(first.meet());
    assert_eq!(first.send(b"a"), Err(Refusal::Apart), "it has not met this one");
    assert!(second.meet());
    assert!(!second.meet(), "once");
    assert_eq!(first.send(b"a").map(|moved| moved.bytes), Ok(1));
    assert_eq!(second.waiting(), Ok(1));
}

#[test]
fn a_version_that_is_not_known_is_not_met() {
    let area = Shared::new(SIZE);
    let mut first = Stream::open(area.clone(), SIZE, 0, 7).unwrap();
    let _second = Stream::open(area.clone(), SIZE, 1, 9).unwrap();
    area.store(BLOCK + word::VERSION, 2);
    assert!(!first.meet());
    assert!(!first.is_connected());
}

#[test]
fn one_that_starts_anew_is_met_anew_and_with_nothing_on_its_way() {
    let area = Shared::new(SIZE);
    let [mut first, mut second] = pair(&area);
    first.send(b"of the first life").unwrap();
    second.send(b"lost").unwrap();
    let mut again = Stream::open(area, SIZE, 1, 3).unwrap();
    assert_eq!(first.waiting(), Err(Refusal::Apart));
    assert_eq!(again.waiting(), Err(Refusal::Apart));
    assert!(again.meet());
    assert!(first.meet());
    assert_eq!((first.waiting(), again.waiting()), (Ok(0), Ok(0)));
    assert_eq!((first.space(), again.space()), (Ok(ROOM), Ok(ROOM)));
    first.send(b"hello").unwrap();
    let mut bytes = [0; 8];
    assert_eq!(again.receive(&mut bytes).unwrap().bytes, 5);
    assert_eq!(&bytes[..5], b"hello");
}

#[test]
fn one_that_is_resumed_goes_on_and_one_that_is_closed_is_gone() {
    let area = Shared::new(SIZE);
    let [mut first, mut second] = pair(&area);
    first.send(b"abc").unwrap();
    let state = first.state();
    let mut again = Stream::resume(area.clone(), SIZE, 0, state).unwrap();
    again.send(b"de").unwrap();
    let mut bytes = [0; 8];
    assert_eq!(second.receive(&mut bytes).unwrap().bytes, 5);
    assert_eq!(&bytes[..5], b"abcde");
    assert!(Stream::resume(area.clone(), SIZE, 0, [1, 1, 2 * ROOM as u32, 0]).is_none());
    assert!(Stream::resume(area, SIZE, 0, [0, 1, 0, 0]).is_none());
    drop(again.close());
    assert_eq!(second.send(b"x"), Err(Refusal::Apart));
    assert!(!second.meet(), "there is nobody");
}

#[test]
fn who_sleeps_is_rung() {
    let area = Shared::new(SIZE);
    let [mut first, mut second] = pair(&area);
    assert!(!first.send(b"a").unwrap().ring);
    second.want(Want::Bytes);
    assert!(first.send(b"a").unwrap().ring);
    assert!(!first.receive(&mut [0; 4]).unwrap().ring, "nothing was moved");
    first.want(Want::Room);
    second.want(Want::Nothing);
    assert!(second.receive(&mut [0; 1]).unwrap().ring);
    assert!(!first.send(b"a").unwrap().ring);
}

#[test]
fn messages_come_whole_and_in_order() {
    let area = Shared::new(SIZE);
    let [mut first, mut second] = pair(&area);
    let mut bytes = [0; ROOM];
    for round in 0..50_u8 {
        let message: Vec<u8> = (0..usize::from(round) * 3).map(|n| n as u8 ^ round).collect();
        assert_eq!(second.receive_message(&mut bytes), Ok(None));
        assert_eq!(first.send_message(&message).unwrap().bytes, message.len() + 4);
        let (length, _) = second.receive_message(&mut bytes).unwrap().unwrap();
        assert_eq!(bytes[..length], message);
    }
    assert_eq!(first.send_message(&[0; ROOM - 3]), Err(Refusal::TooLong(ROOM - 3)));
    assert_eq!(first.send_message(&[5; ROOM - 4]).unwrap().bytes, ROOM);
    assert_eq!(first.send_message(&[]).unwrap().bytes, 0, "it is full");
    assert_eq!(second.receive_message(&mut [0; 7]), Err(Refusal::TooLong(ROOM - 4)));
    assert_eq!(second.receive_message(&mut bytes).unwrap().unwrap().0, ROOM - 4, "it stayed");
}

#[test]
fn a_message_longer_than_any_is_a_lie() {
    let area = Shared::new(SIZE);
    let [mut first, mut second] = pair(&area);
    first.send(&(ROOM as u32 - 3).to_le_bytes()).unwrap();
    assert_eq!(second.receive_message(&mut [0; ROOM]), Err(Refusal::Broken));
    first.send(&[0xff; 8]).unwrap();
    assert_eq!(second.receive_message(&mut [0; ROOM]), Err(Refusal::Broken));
}

#[test]
fn two_threads_lose_nothing() {
    const BYTES: usize = 1 << 20;
    let area = Shared::new(SIZE);
    let [mut first, mut second] = pair(&area);
    let sender = std::thread::spawn(move || {
        let mut sent = 0;
        while sent < BYTES {
            let bytes: Vec<u8> = (sent..BYTES.min(sent + 100)).map(|n| (n * 7) as u8).collect();
            let moved = first.send(&bytes).unwrap().bytes;
            sent += moved;
            if moved == 0 {
                std::thread::yield_now();
            }
        }
        // Its end stays until all was received.
        first
    });
    let (mut received, mut bytes) = (0, [0; 77]);
    while received < BYTES {
        let moved = second.receive(&mut bytes).unwrap().bytes;
        for byte in &bytes[..moved] {
            assert_eq!(*byte, (received * 7) as u8);
            received += 1;
        }
        if moved == 0 {
            std::thread::yield_now();
        }
    }
    drop(sender.join().unwrap());
}

/// One thing that an end does.
#[derive(Clone, Debug)]
enum Step {
    Send(usize, usize),
    Receive(usize, usize),
    Restart(usize),
    Meet(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let end = 0..2_usize;
    prop_oneof![
        8 => (end.clone(), 0..300_usize).prop_map(|(end, bytes)| Step::Send(end, bytes)),
        8 => (end.clone(), 0..300_usize).prop_map(|(end, bytes)| Step::Receive(end, bytes)),
        1 => end.clone().prop_map(Step::Restart),
        2 => end.prop_map(Step::Meet),
    ]
}

proptest! {
    /// A queue each way beside it: what comes out is what went in, since the last time
    /// that one of them started anew.
    #[test]
    fn any_steps_do_what_two_queues_do(steps in proptest::collection::vec(step(), 1..200)) {
        let area = Shared::new(SIZE);
        let mut ends = pair(&area);
        let mut queues = [VecDeque::new(), VecDeque::new()];
        let (mut session, mut next) = (10, 0_u8);
        for step in steps {
            match step {
                Step::Send(end, count) => {
                    let bytes: Vec<u8> = (0..count).map(|n| next.wrapping_add(n as u8)).collect();
                    if let Ok(moved) = ends[end].send(&bytes) {
                        prop_assert_eq!(moved.bytes, count.min(ROOM - queues[end].len()));
                        queues[end].extend(&bytes[..moved.bytes]);
                        next = next.wrapping_add(moved.bytes as u8);
                    } else {
                        prop_assert!(!ends[end].is_connected());
                    }
                }
                Step::Receive(end, count) => {
                    let mut bytes = std::vec![0; count];
                    if let Ok(moved) = ends[end].receive(&mut bytes) {
                        let queue = &mut queues[1 - end];
                        prop_assert_eq!(moved.bytes, count.min(queue.len()));
                        let expected: Vec<u8> = queue.drain(..moved.bytes).collect();
                        prop_assert_eq!(&bytes[..moved.bytes], &expected);
                    } else {
                        prop_assert!(!ends[end].is_connected());
                    }
                }
                Step::Restart(end) => {
                    session += 1;
                    ends[end] = Stream::open(area.clone(), SIZE, end, session).unwrap();
                    queues.iter_mut().for_each(VecDeque::clear);
                }
                Step::Meet(end) => {
                    if ends[end].meet() {
                        queues.iter_mut().for_each(VecDeque::clear);
                    }
                }
            }
        }
    }

    /// Whatever the other end writes, wherever: an end answers, stays within the memory
    /// (the area asserts it) and within what it says that there is.
    #[test]
    fn an_end_survives_a_liar(
        lies in proptest::collection::vec((0..SIZE / 4, prop_oneof![any::<u32>(), 0..500_u32]), 1..300),
        sizes in proptest::collection::vec(0..300_usize, 300),
    ) {
        let area = Shared::new(SIZE);
        let [mut first, _] = pair(&area);
        let mut bytes = [0; 300];
        for ((at, lie), size) in lies.into_iter().zip(sizes) {
            area.store(at * 4, lie);
            let _ = first.meet();
            if let Ok(moved) = first.send(&bytes[..size]) {
                prop_assert!(moved.bytes <= ROOM && moved.bytes <= size);
            }
            if let Ok(moved) = first.receive(&mut bytes[..size]) {
                prop_assert!(moved.bytes <= ROOM && moved.bytes <= size);
            }
            let _ = first.send_message(&bytes[..size]);
            if let Ok(Some((length, _))) = first.receive_message(&mut bytes[..size]) {
                prop_assert!(length <= size);
            }
        }
    }
}
