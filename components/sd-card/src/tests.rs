//! The card between a fake driver and fake holders.

use crate::SdCard;
use evisor_contract::{
    BLOCK, BLOCKS, BlockBuffer, BlockDone, BlockOperation, BlockRequest, Status, tag,
};
use evisor_testkit::{Event, Random, Rig, Setup};
use std::cell::RefCell;

const CARD: u64 = 400;
/// First block and count.
const PARTS: [(u64, u64); 4] = [(1, 99), (100, 100), (210, 90), (350, 50)];

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

struct Lines;

impl log::Log for Lines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        LINES.with_borrow_mut(|lines| lines.push(record.args().to_string()));
    }
    fn flush(&self) {}
}

fn lines() -> Vec<String> {
    LINES.with_borrow_mut(core::mem::take)
}

fn rig_of(disk: Option<u64>) -> Rig {
    let _ = log::set_logger(&Lines);
    log::set_max_level(log::LevelFilter::Info);
    lines();
    Rig::with("evisor,sd-card", &Setup { disk, ..Setup::default() })
}

fn rig() -> Rig {
    let rig = rig_of(Some(CARD));
    for (at, (first, count)) in PARTS.iter().enumerate() {
        rig.disk().set_partition(at + 1, *first, *count);
    }
    rig
}

fn open(rig: &mut Rig, port: u32, part: u32) -> &'static BlockBuffer {
    rig.open(port, part, false).expect("a part").1
}

fn request(operation: BlockOperation, block: u64, count: u32) -> u64 {
    BlockRequest { operation, block, count }.encode()
}

const READ: BlockOperation = BlockOperation::Read;
const WRITE: BlockOperation = BlockOperation::Write;
const FLUSH: BlockOperation = BlockOperation::Flush;

fn ask(rig: &mut Rig, port: u32, value: u64) {
    assert_eq!(rig.notify(port, value).status, Status::Done);
}

fn interrupt(rig: &mut Rig) {
    assert_eq!(rig.notify(tag::HOST_INTERRUPT, 0).status, Status::Done);
}

/// The answers since last asked, without the deadlines in between.
fn answers(rig: &mut Rig) -> Vec<(u32, BlockDone)> {
    let answer = |event| match event {
        Event::Holder { port, tag: tag::BLOCK_DONE, value } => {
            Some((port, BlockDone::decode(value)))
        }
        Event::Deadline(_) => None,
        other => panic!("{other:?}"),
    };
    rig.events().into_iter().filter_map(answer).collect()
}

/// Asks, and waits for the one answer.
fn done(rig: &mut Rig, port: u32, value: u64) -> BlockDone {
    ask(rig, port, value);
    let mut all = answers(rig);
    while all.is_empty() {
        interrupt(rig);
        all = answers(rig);
    }
    match *all {
        [(from, done)] if from == port => done,
        ref other => panic!("{other:?}"),
    }
}

#[test]
fn a_partition_is_read_and_written_from_its_first_block() {
    let mut rig = rig();
    let (blocks, buffer) = rig.open(0, 2, false).expect("a partition");
    assert_eq!(blocks, 100);
    buffer.with(|bytes| bytes.fill(0x42));
    assert_eq!(done(&mut rig, 0, request(WRITE, 3, 2)), BlockDone::Done);
    assert_eq!(rig.disk().bytes(103 * BLOCK as u64, 2 * BLOCK), [0x42; 2 * BLOCK]);
    rig.disk().put(199 * BLOCK as u64, &[7; BLOCK]);
    assert_eq!(done(&mut rig, 0, request(READ, 99, 1)), BlockDone::Done);
    buffer.with(|bytes| {
        assert_eq!(bytes[..BLOCK], [7; BLOCK]);
        assert!(bytes[BLOCK..].iter().all(|byte| *byte == 0x42));
    });
    assert_eq!(lines(), [""; 0]);
}

#[test]
fn the_whole_card_is_part_0() {
    let mut rig = rig();
    assert_eq!(rig.open(0, 0, true).expect("all of it").0, CARD);
    assert_eq!(done(&mut rig, 0, request(READ, 0, 8)), BlockDone::Done);
    assert_eq!(done(&mut rig, 0, request(READ, CARD - 1, 1)), BlockDone::Done);
    assert_eq!(done(&mut rig, 0, request(READ, CARD - 1, 2)), BlockDone::Refused);
    assert_eq!(done(&mut rig, 0, request(WRITE, 0, 1)), BlockDone::Refused, "only read");
    assert_eq!(done(&mut rig, 0, request(FLUSH, 0, 0)), BlockDone::Done);
}

#[test]
fn what_is_not_there_is_refused_at_once() {
    let mut rig = rig();
    open(&mut rig, 0, 1);
    let refused = [
        request(READ, 99, 1),
        request(WRITE, 92, 8),
        request(WRITE, (1 << 40) - 1, 8),
        request(READ, 0, 0),
        request(READ, 0, 9),
        request(FLUSH, 0, 1),
        7,
    ];
    for value in refused {
        ask(&mut rig, 0, value);
        assert_eq!(
            rig.events(),
            [Event::Holder { port: 0, tag: tag::BLOCK_DONE, value: BlockDone::Refused.encode() }]
        );
    }
}

#[test]
fn without_a_card_there_are_no_blocks_and_a_line_says_so() {
    let mut none = rig_of(None);
    assert_eq!(lines(), ["/vm/node: the board has no card, so there are no blocks"]);
    assert_eq!(none.open(0, 0, false).expect("no blocks").0, 0);
    assert_eq!(none.open(1, 4, false).expect("no blocks").0, 0);
    assert_eq!(done(&mut none, 0, request(READ, 0, 1)), BlockDone::Refused);
    assert_eq!(done(&mut none, 0, request(FLUSH, 0, 0)), BlockDone::Done);
    interrupt(&mut none);
    assert!(none.open(2, 5, false).is_err(), "no card has it");
    let mut empty = rig_of(Some(0));
    assert_eq!(lines(), ["/vm/node: the board has no card, so there are no blocks"]);
    assert_eq!(empty.open(0, 1, false).expect("no blocks").0, 0);
    assert_eq!(lines(), [""; 0], "said once");
}

#[test]
fn a_partition_that_cannot_be_had_has_no_blocks_and_a_line_says_so() {
    let mut rig = rig_of(Some(CARD));
    rig.disk().set_partition(1, 10, 100);
    rig.disk().set_partition(2, 109, 10);
    rig.disk().set_partition(4, 399, 2);
    assert_eq!(lines(), [""; 0]);
    for part in 1..=4 {
        assert_eq!(rig.open(part, part, false).expect("no blocks").0, 0);
    }
    assert_eq!(
        lines(),
        [
            "/vm/node: partition 1 of the card overlaps another one",
            "/vm/node: partition 2 of the card overlaps another one",
            "/vm/node: partition 3 of the card does not exist",
            "/vm/node: partition 4 of the card ends behind the card",
        ]
    );
    let error = rig.open(5, 5, false).expect_err("no such part").to_string();
    assert_eq!(
        error,
        "evisor,block: the card never has such a part; \
         write 0 for all of it, or 1 to 4 for a partition"
    );
    assert!(rig.open(8, 0, false).is_err(), "the ninth port");
}

#[test]
fn ports_take_turns() {
    let mut rig = rig();
    for port in 0..4 {
        open(&mut rig, port, port + 1);
    }
    // The first is begun at once, and the others wait.
    for port in [2, 0, 3, 1] {
        ask(&mut rig, port, request(READ, 0, 1));
    }
    let mut order = Vec::new();
    for step in 0..12 {
        interrupt(&mut rig);
        let answered = answers(&mut rig);
        let [(port, BlockDone::Done)] = *answered else { panic!("{answered:?}") };
        order.push(port);
        if step < 8 {
            // The one that was served asks again at once.
            ask(&mut rig, port, request(READ, 0, 1));
        }
    }
    assert_eq!(order, [2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1]);
    assert_eq!(rig.deadline(), None);
}

#[test]
fn flushes_wait_for_their_turn() {
    let mut rig = rig();
    for port in 0..8 {
        open(&mut rig, port, 1);
    }
    ask(&mut rig, 0, request(WRITE, 0, 1));
    (1..8).for_each(|port| ask(&mut rig, port, request(FLUSH, 0, 0)));
    assert_eq!(answers(&mut rig), []);
    interrupt(&mut rig);
    let all: Vec<_> = (0..8).map(|port| (port, BlockDone::Done)).collect();
    assert_eq!(answers(&mut rig), all);
}

#[test]
fn a_busy_card_is_looked_after_every_10_ms() {
    let mut rig = rig();
    let buffer = open(&mut rig, 0, 1);
    rig.disk().put(BLOCK as u64, &[9; BLOCK]);
    rig.disk().set_delay(2);
    let pause = rig.frequency() / 100;
    ask(&mut rig, 0, request(READ, 0, 1));
    assert_eq!(rig.events(), [Event::Deadline(Some(0))], "at once, but not in this trap");
    rig.advance(0);
    assert_eq!(rig.events(), [Event::Deadline(Some(pause))]);
    rig.advance(pause / 2);
    interrupt(&mut rig);
    assert_eq!(rig.events(), [Event::Deadline(Some(3 * pause / 2))]);
    rig.advance(pause);
    assert_eq!(answers(&mut rig), [(0, BlockDone::Done)]);
    assert_eq!(rig.deadline(), None);
    buffer.with(|bytes| assert_eq!(bytes[..BLOCK], [9; BLOCK]));
}

#[test]
fn a_failed_transfer_is_told_and_the_next_goes_on() {
    let mut rig = rig();
    open(&mut rig, 0, 1);
    open(&mut rig, 1, 2);
    rig.disk().set_broken(true);
    ask(&mut rig, 0, request(WRITE, 0, 8));
    ask(&mut rig, 1, request(WRITE, 0, 8));
    interrupt(&mut rig);
    assert_eq!(answers(&mut rig), [(0, BlockDone::Failed)]);
    rig.disk().set_broken(false);
    interrupt(&mut rig);
    assert_eq!(answers(&mut rig), [(1, BlockDone::Done)]);
    assert_eq!(done(&mut rig, 0, request(READ, 0, 8)), BlockDone::Done);
}

#[test]
fn each_request_is_answered_once() {
    let mut rig = rig();
    open(&mut rig, 0, 1);
    ask(&mut rig, 0, request(READ, 0, 1));
    ask(&mut rig, 0, request(READ, 1, 1));
    assert_eq!(answers(&mut rig), [(0, BlockDone::Refused)], "the second while one is under way");
    interrupt(&mut rig);
    assert_eq!(answers(&mut rig), [(0, BlockDone::Done)]);
    interrupt(&mut rig);
    assert_eq!(rig.notify(tag::DEADLINE, 0).status, Status::Done);
    assert_eq!(rig.events(), []);
    assert_eq!(rig.object(|card: &mut SdCard| card.served), None);
    assert_eq!(rig.notify(1, 0).status, Status::Absent, "never opened");
    assert_eq!(rig.notify(tag::CONSOLE_READY, 0).status, Status::Absent);
}

fn fill(rig: &Rig, random: &mut Random) -> Vec<u8> {
    let content: Vec<u8> =
        (0..CARD * BLOCK as u64).map(|_| random.number().to_le_bytes()[0]).collect();
    rig.disk().put(0, &content);
    content
}

/// Random requests, good and bad, on several ports at once, with a card that is
/// slow and fails: each is answered once, each reads and changes its own part only,
/// and whatever belongs to no port stays as it was, byte for byte.
#[test]
fn a_port_never_reaches_outside_of_its_part() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let mut rig = rig();
        let mut model = fill(&rig, &mut random);
        // Partition 2 is nobody's, and port 3 reads what port 0 writes.
        let parts = [PARTS[0], PARTS[2], PARTS[3], PARTS[0]];
        let buffers: Vec<_> = [(1, false), (3, false), (4, false), (1, true)]
            .iter()
            .zip(0..)
            .map(|((part, read_only), port)| rig.open(port, *part, *read_only).expect("a part").1)
            .collect();
        let mut asked: [Option<BlockRequest>; 4] = [None; 4];
        for _ in 0..3000 {
            let port = (random.number() % 4) as usize;
            if random.number().is_multiple_of(4) {
                rig.disk().set_delay((random.number() % 3) as u32);
                rig.disk().set_broken(random.number().is_multiple_of(8));
                interrupt(&mut rig);
            } else if asked[port].is_none() {
                let operation = [READ, WRITE, WRITE, FLUSH][(random.number() % 4) as usize];
                let block = match random.number() % 8 {
                    0 => random.number() >> 24,
                    _ => random.number() % (parts[port].1 + 4),
                };
                let count = (random.number() % 10) as u32;
                let request = BlockRequest { operation, block, count };
                let fresh = random.number().to_le_bytes()[0];
                buffers[port].with(|bytes| bytes.fill(fresh));
                asked[port] = Some(request);
                ask(&mut rig, port as u32, request.encode());
            }
            for (port, done) in answers(&mut rig) {
                let port = port as usize;
                let request = asked[port].take().expect("an answer to a question");
                check(&mut model, buffers[port], parts[port], port == 3, request, done);
            }
        }
        assert!(rig.disk().bytes(0, model.len()) == model, "seed {seed}");
    }
}

/// Does in the model what a request did, and compares.
fn check(
    model: &mut [u8],
    buffer: &BlockBuffer,
    (first, blocks): (u64, u64),
    read_only: bool,
    request: BlockRequest,
    done: BlockDone,
) {
    let BlockRequest { operation, block, count } = request;
    let fits = match operation {
        BlockOperation::Flush => block == 0 && count == 0,
        _ => {
            (1..=BLOCKS).contains(&(count as usize))
                && block + u64::from(count) <= blocks
                && !(read_only && operation == WRITE)
        }
    };
    assert_eq!(done == BlockDone::Refused, !fits, "{request:?}");
    if done != BlockDone::Done || operation == FLUSH {
        return;
    }
    let (at, size) = ((first + block) as usize * BLOCK, count as usize * BLOCK);
    buffer.with(|bytes| match operation {
        BlockOperation::Read => assert!(bytes[..size] == model[at..at + size], "{request:?}"),
        _ => model[at..at + size].copy_from_slice(&bytes[..size]),
    });
}

#[test]
fn any_bytes_are_survived() {
    let mut random = Random::new(1);
    let bytes: Vec<u8> = (0..40_000).map(|_| random.number().to_le_bytes()[0]).collect();
    evisor_testkit::drive("evisor,sd-card", &bytes);
}
