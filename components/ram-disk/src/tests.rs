//! The disk between its memory and fake holders.

use evisor_contract::{
    BLOCK, BLOCKS, BlockBuffer, BlockDone, BlockOperation, BlockRequest, Memory, Status, tag,
};
use evisor_testkit::{Event, Random, Rig, Setup};

const SIZE: u64 = 64 << 10;
const DISK: u64 = SIZE / BLOCK as u64;

fn rig() -> Rig {
    Rig::with("evisor,ram-disk", &Setup { window: SIZE, ..Setup::default() })
}

fn open(rig: &mut Rig, port: u32, read_only: bool) -> &'static BlockBuffer {
    let (blocks, buffer) = rig.open(port, 0, read_only).expect("part 0");
    assert_eq!(blocks, DISK);
    buffer
}

/// Asks, and gives the one answer.
fn ask(rig: &mut Rig, port: u32, value: u64) -> BlockDone {
    assert_eq!(rig.notify(port, value).status, Status::Done);
    match *rig.events() {
        [Event::Holder { port: to, tag: tag::BLOCK_DONE, value }] if to == port => {
            BlockDone::decode(value)
        }
        ref other => panic!("{other:?}"),
    }
}

fn request(operation: BlockOperation, block: u64, count: u32) -> u64 {
    BlockRequest { operation, block, count }.encode()
}

#[test]
fn what_was_written_is_read_through_any_port() {
    let mut rig = rig();
    let (first, second) = (open(&mut rig, 0, false), open(&mut rig, 1, true));
    for (block, count) in [(0, 1), (1, 8), (DISK - 8, 8), (DISK - 1, 1)] {
        let size = count as usize * BLOCK;
        first.with(|bytes| (0..size).for_each(|at| bytes[at] = (at * 7 + count as usize) as u8));
        let written = request(BlockOperation::Write, block, count);
        assert_eq!(ask(&mut rig, 0, written), BlockDone::Done);
        let expected = first.with(|bytes| bytes[..size].to_vec());
        assert_eq!(rig.storage().bytes(block * BLOCK as u64, size), expected);
        second.with(|bytes| bytes.fill(0xaa));
        assert_eq!(ask(&mut rig, 1, request(BlockOperation::Read, block, count)), BlockDone::Done);
        second.with(|bytes| {
            assert_eq!(bytes[..size], expected);
            assert!(bytes[size..].iter().all(|byte| *byte == 0xaa), "no more than was asked for");
        });
    }
}

#[test]
fn a_flush_is_done_at_once() {
    let mut rig = rig();
    open(&mut rig, 0, false);
    assert_eq!(ask(&mut rig, 0, request(BlockOperation::Flush, 0, 0)), BlockDone::Done);
    open(&mut rig, 1, true);
    assert_eq!(ask(&mut rig, 1, request(BlockOperation::Flush, 0, 0)), BlockDone::Done);
}

#[test]
fn what_is_not_there_or_not_allowed_is_refused() {
    use BlockOperation::{Flush, Read, Write};
    let mut rig = rig();
    let buffer = open(&mut rig, 0, false);
    open(&mut rig, 1, true);
    buffer.with(|bytes| bytes.fill(0x55));
    let refused = [
        request(Read, DISK, 1),
        request(Read, DISK - 7, 8),
        request(Write, DISK - 7, 8),
        request(Write, (1 << 40) - 1, 8),
        request(Read, 0, 0),
        request(Write, 0, 9),
        request(Write, 0, 255),
        request(Flush, 3, 0),
        3,
        u64::MAX,
    ];
    for value in refused {
        assert_eq!(ask(&mut rig, 0, value), BlockDone::Refused, "{value:#x}");
    }
    assert_eq!(ask(&mut rig, 1, request(Write, 0, 1)), BlockDone::Refused, "only reads");
    buffer.with(|bytes| assert!(bytes.iter().all(|byte| *byte == 0x55)));
    assert!(rig.storage().bytes(0, SIZE as usize).iter().all(|byte| *byte == 0));
}

#[test]
fn ports_and_parts_that_are_not_there() {
    let mut rig = rig();
    let error = rig.open(0, 1, false).expect_err("no parts").to_string();
    assert_eq!(error, "evisor,block: a RAM disk has no parts; write part 0, which is all of it");
    assert!(rig.open(8, 0, false).is_err(), "the ninth port");
    assert_eq!(rig.notify(0, 0).status, Status::Absent, "never opened");
    assert_eq!(rig.notify(8, 0).status, Status::Absent);
    assert_eq!(rig.notify(tag::DEADLINE, 0).status, Status::Absent);
    rig.connect(0);
    assert_eq!(rig.notify(0, 0).status, Status::Absent, "connected and never opened");
}

/// A model beside it: after each of many requests, good and bad, on three ports,
/// the disk holds what the model does.
#[test]
fn any_requests_do_what_a_model_does() {
    let mut rig = rig();
    let buffers: Vec<_> = (0..3).map(|port| open(&mut rig, port, port == 2)).collect();
    let mut model = vec![0; SIZE as usize];
    let mut random = Random::new(4);
    for step in 0..20_000 {
        let port = (random.number() % 3) as usize;
        let operation = [BlockOperation::Read, BlockOperation::Write, BlockOperation::Flush]
            [(random.number() % 3) as usize];
        let (block, count) = (random.number() % (DISK + 4), (random.number() % 11) as u32);
        let asked = BlockRequest { operation, block, count };
        buffers[port].with(|bytes| bytes.fill(step as u8));
        let done = ask(&mut rig, port as u32, asked.encode());
        let size = count as usize * BLOCK;
        let at = block as usize * BLOCK;
        let blocks = block + u64::from(count) <= DISK && (1..=BLOCKS).contains(&(count as usize));
        let good = match operation {
            BlockOperation::Read => blocks,
            BlockOperation::Write => blocks && port != 2,
            BlockOperation::Flush => block == 0 && count == 0,
        };
        assert_eq!(done == BlockDone::Done, good, "{step}: {asked:?} on {port}");
        if good && operation == BlockOperation::Write {
            model[at..at + size].fill(step as u8);
        }
        if good && operation == BlockOperation::Read {
            buffers[port].with(|bytes| assert_eq!(bytes[..size], model[at..at + size]));
        }
    }
    let mut all = vec![0; SIZE as usize];
    rig.storage().read(0, &mut all).expect("all of it");
    assert!(all == model);
}

#[test]
fn any_bytes_are_survived() {
    let mut random = Random::new(1);
    let bytes: Vec<u8> = (0..40_000).map(|_| random.number().to_le_bytes()[0]).collect();
    evisor_testkit::drive("evisor,ram-disk", &bytes);
}
