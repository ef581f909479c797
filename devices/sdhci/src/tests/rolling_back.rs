//! A VM is kept and rolled back while the store works for it: answers name no request.

use super::host::*;
use crate::spec::offset;
use evisor_contract::tag;
use evisor_testkit::Random;

const FAILED: u32 = ERROR | DATA_TIMEOUT;
/// What of the guest's memory is looked at.
const USED: [(u64, usize); 2] = [(TABLE, 64), (DATA_AT, 32 * 512)];

/// What of a VM is kept: the controller's state and the guest's memory.
#[derive(Clone)]
struct Kept(Vec<u8>, [Vec<u8>; 2]);

impl Host {
    fn keep(&self) -> Kept {
        let memory = self.rig.guest_memory();
        Kept(self.rig.save(), USED.map(|(at, size)| memory.bytes(at, size)))
    }

    /// It stands still then.
    fn roll_back(&mut self, Kept(state, memory): &Kept) {
        self.rig.reset();
        for ((at, _), bytes) in USED.iter().zip(memory) {
            self.rig.guest_memory().put(*at, bytes);
        }
        assert_eq!(self.rig.restore(state), Ok(()));
        self.rig.events();
    }

    fn resume(&mut self) {
        let _ = self.rig.notify(tag::DEADLINE, 0);
    }

    /// The guest reads a block by DMA, and waits.
    fn begin_read(&mut self, block: u32) {
        self.rig.guest_memory().put(DATA_AT, &[0xee; 512]);
        self.begin(block, Way::Adma2, End::Stop, 1, true);
    }

    fn data(&self) -> Vec<u8> {
        self.rig.guest_memory().bytes(DATA_AT, 512)
    }
}

/// What was asked when it was kept has failed, and what was asked since is nobody's: whether
/// that is answered before the VM goes on, after it, or after it was rolled back again.
#[test]
fn the_answer_of_another_life_is_nobodys() {
    for (before, again) in [(true, false), (false, false), (false, true), (true, true)] {
        let mut host = ready();
        host.fill_medium(3, &pattern(3, 1));
        host.fill_medium(700, &pattern(700, 1));
        host.begin_read(3);
        let kept = host.keep();
        assert!(host.rig.answer_blocks());
        assert_eq!(host.interrupts(), COMMAND_DONE | TRANSFER_DONE);
        assert_eq!(host.data(), pattern(3, 1));
        host.begin_read(700);
        host.roll_back(&kept);
        if again {
            host.roll_back(&kept);
        }
        if before {
            assert!(host.rig.answer_blocks());
            assert_eq!(host.rig.events(), [], "it stands still");
        }
        host.resume();
        assert_eq!(host.interrupts(), COMMAND_DONE | FAILED, "{before} {again}");
        assert_eq!(host.data(), [0xee; 512]);
        // It tries again, and waits for the other answer first.
        host.begin_read(3);
        if again && !before {
            host.roll_back(&kept);
            host.resume();
            assert_eq!(host.interrupts(), COMMAND_DONE | FAILED);
            host.begin_read(3);
        }
        if !before {
            assert!(host.rig.answer_blocks());
            assert_eq!((host.interrupts(), host.data()), (COMMAND_DONE, vec![0xee; 512]));
        }
        assert!(host.rig.answer_blocks());
        let end = if before { COMMAND_DONE | TRANSFER_DONE } else { TRANSFER_DONE };
        assert_eq!((host.interrupts(), host.data()), (end, pattern(3, 1)));
        assert!(!host.rig.answer_blocks());
    }
}

/// Writes, flushes and erasing end too, and the card does what it is told then.
#[test]
fn whatever_was_under_way_has_failed() {
    for answers in 0..3 {
        let mut host = ready();
        match answers {
            2 => {
                host.command(32, 0, SHORT);
                host.command(33, 99, SHORT);
                host.send(38, 0, BUSY);
            }
            _ => host.begin(3, Way::Adma2, End::Auto12, 2, false),
        }
        // The flush comes after the blocks.
        assert!(answers != 1 || host.rig.answer_blocks());
        let kept = host.keep();
        host.rig.settle_blocks();
        host.roll_back(&kept);
        host.resume();
        assert_eq!(host.interrupts(), COMMAND_DONE | FAILED, "{answers}");
        assert!(!host.rig.has_asked(), "{answers}");
        assert_eq!(host.get32(offset::PRESENT_STATE) & 6, 0);
        if answers == 0 {
            host.command(12, 0, BUSY);
        } else {
            host.status();
        }
        host.write(7, &pattern(7, 3), Way::Adma2, End::Auto12);
        assert_eq!(host.read(7, 3, Way::Adma2, End::Auto12), pattern(7, 3));
    }
}

/// Kept in the middle of a piece, it goes on there; but not if the store has the buffer.
#[test]
fn a_piece_in_the_buffer_goes_on_or_has_failed() {
    for (write, due) in [(false, false), (false, true), (true, false), (true, true)] {
        let mut host = ready();
        host.fill_medium(3, &pattern(3, 4));
        host.begin(3, Way::Port, End::Auto12, 4, !write);
        host.rig.settle_blocks();
        if write {
            host.fill_port(&pattern(5, 4)[..600]);
        } else {
            assert_eq!(host.port(600), pattern(3, 4)[..600]);
        }
        host.interrupts();
        let kept = host.keep();
        host.send(12, 0, BUSY);
        host.rig.settle_blocks();
        host.interrupts();
        host.rig.guest_memory().put(DATA_AT, &pattern(9, 4));
        host.begin(500, Way::Adma2, End::Auto12, 4, false);
        if !due {
            host.rig.settle_blocks();
        }
        host.roll_back(&kept);
        host.resume();
        let happened = host.interrupts();
        if due {
            assert_eq!(happened & !(READ_READY | WRITE_READY), FAILED);
            assert!(host.rig.answer_blocks());
            host.rig.settle_blocks();
            assert_eq!(host.get32(offset::PRESENT_STATE) & 0xf06, 0);
        } else if write {
            host.fill_port(&pattern(5, 4)[600..]);
            host.rig.settle_blocks();
            assert_eq!(host.interrupts() & !WRITE_READY, TRANSFER_DONE);
            assert_eq!(host.medium(3, 4), pattern(5, 4));
        } else {
            assert_eq!(host.port(2048 - 600), pattern(3, 4)[600..]);
            host.rig.settle_blocks();
            assert_eq!(host.interrupts() & !READ_READY, TRANSFER_DONE);
        }
        assert_eq!(host.medium(500, 4), pattern(9, 4), "what was written was written");
    }
}

/// What the guest does, which is kept and rolled back with it.
#[derive(Clone)]
struct Doing {
    what: What,
    way: Way,
    block: u32,
    count: u32,
    /// What it writes, or has read through the data port.
    bytes: Vec<u8>,
    /// How much of that it has written there.
    at: usize,
    /// It may fail: the medium did, or its VM was rolled back.
    may_fail: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    Read,
    Write,
    Erase,
}

/// Below this block the medium is never written; each block there has its number.
const WRITTEN: u32 = 512;

fn numbered(block: u32, seed: u32) -> Vec<u8> {
    let mut bytes = pattern(seed, 1);
    bytes[..4].copy_from_slice(&block.to_le_bytes());
    bytes
}

struct Guest {
    host: Host,
    numbers: Random,
    doing: Option<Doing>,
    kept: Option<(Kept, Option<Doing>)>,
    seed: u32,
    ended: u32,
    failed: u32,
}

impl Guest {
    fn new(seed: u32) -> Self {
        let host = ready();
        for block in 0..WRITTEN {
            host.fill_medium(block, &numbered(block, 0));
        }
        let numbers = Random::new(u64::from(seed));
        Self { host, numbers, doing: None, kept: None, seed, ended: 0, failed: 0 }
    }

    fn number(&mut self, below: u64) -> u32 {
        (self.numbers.number() % below) as u32
    }

    fn begin(&mut self) {
        let what = [What::Read, What::Read, What::Write, What::Erase][self.number(4) as usize];
        let (way, end) = (WAYS[self.number(3) as usize], [End::Auto12, End::Count]);
        let (end, count) = (end[self.number(2) as usize], 1 + self.number(20));
        let first = if what == What::Read { 0 } else { WRITTEN };
        let block = first + self.number(u64::from(WRITTEN - 32));
        let host = &mut self.host;
        host.rig.guest_memory().put(DATA_AT, &[0xee; 32 * 512]);
        let mut bytes = Vec::new();
        match what {
            What::Read => host.begin(block, way, end, count, true),
            What::Write => {
                self.seed += 1000;
                bytes = (block..block + count).flat_map(|n| numbered(n, self.seed)).collect();
                host.rig.guest_memory().put(DATA_AT, &bytes);
                host.begin(block, way, end, count, false);
            }
            What::Erase => {
                host.command(32, block, SHORT);
                host.command(33, block + count - 1, SHORT);
                host.send(38, 0, BUSY);
            }
        }
        assert_ne!(host.get32(offset::STATUS) & COMMAND_DONE, 0, "it is answered");
        self.doing = Some(Doing { what, way, block, count, bytes, at: 0, may_fail: false });
    }

    /// Words through the data port, if it is ready.
    fn move_words(&mut self, most: u32) {
        let Some(doing) = self.doing.as_mut() else { return };
        for _ in 0..most {
            let state = self.host.get32(offset::PRESENT_STATE);
            if state & 1 << 11 != 0 {
                doing.bytes.extend(self.host.port(4));
            } else if state & 1 << 10 != 0 {
                self.host.fill_port(&doing.bytes[doing.at..doing.at + 4]);
                doing.at += 4;
            } else {
                break;
            }
        }
    }

    /// What was begun ends once, and as what it was.
    fn look(&mut self) {
        let quiet = COMMAND_DONE | READ_READY | WRITE_READY | DMA_INTERRUPT;
        // More may come with the next piece when these are cleared.
        let all = self.host.get32(offset::STATUS);
        assert_eq!(self.host.rig.line(0), all != 0, "the line follows the status");
        self.host.put32(offset::STATUS, all);
        match all & !quiet {
            0 => {}
            TRANSFER_DONE => {
                let doing = self.doing.take().expect("nothing had ended yet");
                self.ended += 1;
                self.check(&doing);
            }
            FAILED => {
                let doing = self.doing.take().expect("nothing had ended yet");
                assert!(doing.may_fail, "it fails without a reason");
                self.failed += 1;
                self.recover();
            }
            other => panic!("{other:#x}"),
        }
    }

    fn check(&self, Doing { what, way, block, count, bytes, .. }: &Doing) {
        let size = *count as usize * 512;
        let medium = self.host.medium(*block, *count);
        match (what, way) {
            (What::Read, Way::Port) => assert_eq!(*bytes, medium),
            (What::Read, _) => {
                assert_eq!(self.host.rig.guest_memory().bytes(DATA_AT, size), medium);
            }
            (What::Write, _) => assert_eq!(medium, *bytes),
            (What::Erase, _) => assert_eq!(medium, vec![0; size]),
        }
    }

    /// As drivers do: the lines are reset, and the card is to stop.
    fn recover(&mut self) {
        self.host.put8(0x2f, 6);
        self.host.send(12, 0, BUSY);
        if self.host.get32(offset::PRESENT_STATE) & 1 << 20 == 0 {
            self.host.rig.settle_blocks();
        }
        self.host.interrupts();
        assert_eq!(self.host.state(), 4);
    }

    fn may_fail(&mut self) {
        if let Some(doing) = &mut self.doing {
            doing.may_fail = true;
        }
    }

    fn keep(&mut self) {
        self.kept = Some((self.host.keep(), self.doing.clone()));
    }

    fn roll_back(&mut self) {
        let Some((kept, doing)) = self.kept.clone() else { return };
        self.doing = doing;
        self.may_fail();
        loop {
            self.host.roll_back(&kept);
            if self.number(3) == 0 {
                self.host.rig.answer_blocks();
                assert_eq!(self.host.rig.events(), [], "it stands still");
            }
            match self.number(4) {
                0 => {}
                // It is kept as it is now.
                1 => self.keep(),
                _ => break,
            }
        }
        self.host.resume();
    }

    fn act(&mut self) {
        match self.number(24) {
            0..=3 if self.doing.is_none() => self.begin(),
            0..=9 => {
                let most = 1 + self.number(300);
                self.move_words(most);
            }
            10..=14 => drop(self.host.rig.answer_blocks()),
            15 => {
                self.may_fail();
                self.host.rig.fail_blocks();
            }
            16..=20 => drop(self.host.rig.notify(tag::DEADLINE, 0)),
            21 => self.keep(),
            _ => self.roll_back(),
        }
        self.look();
    }

    fn finish(&mut self) {
        for _ in 0..50 {
            self.move_words(2000);
            self.host.rig.settle_blocks();
            self.look();
        }
        assert!(self.doing.is_none(), "it never ends");
        assert!(!self.host.rig.has_asked());
        for block in 0..2 * WRITTEN {
            let bytes = self.host.medium(block, 1);
            let own = bytes[..4] == block.to_le_bytes() || block >= WRITTEN && bytes == [0; 512];
            assert!(own, "block {block} has another's bytes");
        }
    }
}

/// Ask, answer late, fail, keep, roll back, answer later still: the guest never has what
/// another request read, no block has what another was to, the buffer is lent once at a time
/// (the rig asserts it), and each transfer ends once.
#[test]
fn any_order_of_answers_and_lives() {
    let (mut ended, mut failed) = (0, 0);
    for seed in 0..50 {
        let mut guest = Guest::new(seed);
        for _ in 0..600 {
            guest.act();
        }
        guest.finish();
        ended += guest.ended;
        failed += guest.failed;
    }
    assert!(ended > 300 && failed > 300, "{ended} ended well and {failed} did not");
}
