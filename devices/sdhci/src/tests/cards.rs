//! The card: Physical Layer Simplified Specification 4.10.

use super::host::*;
use crate::spec::offset;
use evisor_testkit::Setup;

/// Bits `high..=low` of a register of 128 bits, from a long response.
fn field(host: &mut Host, high: u32, low: u32) -> u32 {
    let all = (0..4).fold(0_u128, |all, n| all | u128::from(host.response(n)) << (32 * n));
    (all << 8 >> low) as u32 & (u32::MAX >> (31 - (high - low)))
}

fn blocks(blocks: u64) -> Setup {
    Setup { blocks, ..Setup::default() }
}

/// §4.2, Figure 4-1: from idle to stand-by, and the states on the way.
#[test]
fn identification() {
    let mut host = Host::new(COMPATIBLE, &Setup::default());
    host.initialize();
    assert_eq!(host.address, 1);
    // CMD3 gives another address in the stand-by state.
    host.send(7, 0, NONE);
    assert_eq!(host.interrupts(), COMMAND_DONE);
    assert_eq!(host.state(), 3);
    assert_eq!(host.command(3, 0, SHORT), 2 << 16 | 3 << 9 | 0x100);
    host.unanswered(13, 1 << 16);
    host.address = 2;
    assert_eq!(host.command(7, 2 << 16, BUSY), 3 << 9 | 0x100, "the state before");
    assert_eq!(host.state(), 4);
}

/// §4.2.3: what a card of high capacity demands before it gets ready.
#[test]
fn operating_conditions() {
    let mut host = Host::new(COMPATIBLE, &Setup::default());
    assert_eq!(host.application(41, 0x40ff_8000, OCR), 0x00ff_8000, "CMD8 was left out");
    assert_eq!(host.command(8, 0x1aa, SHORT), 0x1aa);
    host.unanswered(8, 0x2aa);
    assert_eq!(host.application(41, 0x00ff_8000, OCR), 0x00ff_8000, "no high capacity");
    assert_eq!(host.application(41, 0x40ff_8000, OCR), 0xc0ff_8000);
    host.command(2, 0, LONG);
    // Another voltage: it is inactive, even for CMD0.
    let mut host = Host::new(COMPATIBLE, &Setup::default());
    host.command(8, 0x1aa, SHORT);
    host.command(55, 0, SHORT);
    host.unanswered(41, 0x4000_0080);
    host.send(0, 0, NONE);
    host.interrupts();
    host.unanswered(8, 0x1aa);
    // Until it loses its power.
    host.put8(0x29, 0);
    host.put8(0x29, 0x0f);
    host.initialize();
}

/// Table 4-35: commands that are not legal in a state are not answered, and the next
/// response says so.
#[test]
fn illegal_commands() {
    let mut host = Host::new(COMPATIBLE, &Setup::default());
    for index in [1, 2, 3, 4, 5, 9, 10, 11, 12, 17, 18, 23, 24, 25, 32, 38, 42, 52, 56] {
        host.unanswered(index, 0);
    }
    host.command(8, 0x1aa, SHORT);
    assert_eq!(host.command(55, 0, SHORT), 0x0040_0120, "illegal command, idle, APP_CMD");
    assert_eq!(host.command(55, 0, SHORT), 0x0000_0120, "said once");
    let mut host = ready();
    for index in [1, 2, 3, 4, 5, 8, 9, 10, 11, 12, 19, 20, 26, 27, 28, 30, 40, 42, 56] {
        host.unanswered(index, host.address << 16);
        assert_eq!(host.status(), 0x0040_0900, "CMD{index}");
        assert_eq!(host.status(), 0x900, "CMD{index}");
    }
}

/// §5.3.3: the size, rounded down to units of 512 KiB.
#[test]
fn card_specific_data() {
    for (medium, units) in [(1024, 1), (2047, 1), (2048, 2), (131_072, 128), (15_523_840, 15160)] {
        let mut host = ready_with(&blocks(medium));
        host.send(7, 0, NONE);
        host.interrupts();
        host.command(9, host.address << 16, LONG);
        assert_eq!(field(&mut host, 127, 126), 1, "version 2.0");
        assert_eq!(field(&mut host, 69, 48) + 1, units, "{medium} blocks");
        assert_eq!((field(&mut host, 83, 80), field(&mut host, 25, 22)), (9, 9));
        assert_eq!((field(&mut host, 103, 96), field(&mut host, 95, 84)), (0x32, 0x535));
        assert_eq!((field(&mut host, 46, 46), field(&mut host, 13, 12)), (1, 0));
        // What is over the last unit is not there.
        host.command(7, host.address << 16, BUSY);
        host.begin(units * 1024 - 1, Way::Port, End::Stop, 1, true);
        host.rig.settle_blocks();
        assert_eq!(host.interrupts(), COMMAND_DONE | READ_READY);
        host.port(512);
        host.interrupts();
        host.begin(units * 1024, Way::Port, End::Stop, 1, true);
        assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | DATA_TIMEOUT);
        assert_eq!(host.response(0), 0x8000_0900, "out of range");
        assert_eq!(host.status(), 0x900);
    }
}

/// §5.2.
#[test]
fn card_identification() {
    let mut host = ready();
    host.send(7, 0, NONE);
    host.interrupts();
    host.command(10, host.address << 16, LONG);
    assert_eq!(field(&mut host, 119, 104), 0x4556, "EV");
    assert_eq!((field(&mut host, 103, 72), field(&mut host, 71, 64)), (0x4556_4953, 0x52));
    assert_eq!(field(&mut host, 55, 24), 0x1_0000, "from the window's address");
    assert_eq!(field(&mut host, 19, 8), 26 << 4 | 1, "January 2026");
}

/// §5.6, §4.10.2, Table 4-32.
#[test]
fn application_registers() {
    let mut host = ready();
    host.command(55, host.address << 16, SHORT);
    assert_eq!(host.register(51, 0, 8), [2, 5, 0x80, 2, 0, 0, 0, 0]);
    assert_eq!(host.response(0), 0x0920, "APP_CMD");
    host.command(55, host.address << 16, SHORT);
    let status = host.register(13, 0, 64);
    assert_eq!(status[..14], [0x80, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0x60, 0, 1, 4]);
    assert!(status[14..].iter().all(|byte| *byte == 0));
    host.application(6, 0, SHORT);
    host.command(55, host.address << 16, SHORT);
    assert_eq!(host.register(13, 0, 64)[0], 0, "one bit");
    assert_eq!(host.application(42, 0, SHORT), 0x0920);
    assert_eq!(host.application(23, 8, SHORT), 0x0920);
    // CMD13 behind CMD55 is ACMD13; CMD16 is the ordinary one (§4.3.9).
    assert_eq!(host.application(16, 512, SHORT), 0x0900);
    assert_eq!(host.command(16, 513, SHORT), 0x2000_0900, "block length error");
}

/// ACMD22: how many blocks of the last write are there, the highest byte first.
#[test]
fn well_written_blocks() {
    let mut host = ready();
    for (count, end) in [(1, End::Stop), (13, End::Auto12), (8, End::Auto23), (300, End::Stop)] {
        host.write(5, &pattern(1, count), Way::Adma2, end);
        host.command(55, host.address << 16, SHORT);
        assert_eq!(host.register(22, 0, 4), count.to_be_bytes());
    }
}

/// §4.3.10: checking and switching to high speed, and what cannot be had.
#[test]
fn switching_functions() {
    let mut host = ready();
    let check = host.register(6, 0x00ff_fff1, 64);
    assert_eq!(check[..17], [0, 100, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 3, 0, 0, 1]);
    let now = host.register(6, 0x00ff_ffff, 64);
    assert_eq!(now[16], 0, "only checked");
    assert_eq!(host.register(6, 0x80ff_fff1, 64)[16], 1);
    assert_eq!(host.register(6, 0x00ff_ffff, 64)[16], 1, "switched");
    let refused = host.register(6, 0x80ff_fff3, 64);
    assert_eq!((refused[1], refused[16]), (0, 0xf));
    let other = host.register(6, 0x80ff_ff20, 64);
    assert_eq!((other[1], other[16]), (0, 0xf0), "one that is refused spoils the other");
    assert_eq!(host.register(6, 0x00ff_ffff, 64)[16], 1);
    host.send(7, 0, NONE);
    host.interrupts();
    host.command(9, host.address << 16, LONG);
    assert_eq!(field(&mut host, 103, 96), 0x5a, "50 MHz");
}

/// §4.3.5.
#[test]
fn erasing() {
    let mut host = ready();
    host.fill_medium(90, &pattern(7, 60));
    assert_eq!(host.command(32, 100, SHORT), 0x900);
    assert_eq!(host.command(33, 130, SHORT), 0x900);
    host.send(38, 0, BUSY);
    assert_eq!(host.interrupts(), COMMAND_DONE);
    assert_eq!(host.get32(offset::PRESENT_STATE) & 0x10_0002, 2, "busy, and inhibited");
    assert_eq!(host.state(), 7);
    host.rig.settle_blocks();
    assert_eq!(host.interrupts(), TRANSFER_DONE);
    assert_eq!(host.get32(offset::PRESENT_STATE) & 0x10_0002, 0x10_0000);
    let expected = pattern(7, 60);
    assert_eq!(host.medium(90, 10), expected[..5120]);
    assert!(host.medium(100, 31).iter().all(|byte| *byte == 0));
    assert_eq!(host.medium(131, 19), expected[41 * 512..]);
}

/// §4.3.5: the three commands come in their order, and make sense.
#[test]
fn wrong_erasing() {
    let mut host = ready();
    assert_eq!(host.command(38, 0, BUSY), 0x1000_0900, "sequence");
    assert_eq!(host.command(33, 0, SHORT), 0x1000_0900, "sequence");
    assert_eq!(host.command(32, 1 << 30, SHORT), 0x8000_0900, "range");
    host.command(33, 5, SHORT);
    assert_eq!(host.command(38, 0, BUSY), 0x0800_0900, "parameter");
    host.command(32, 5, SHORT);
    host.command(33, 4, SHORT);
    assert_eq!(host.command(38, 0, BUSY), 0x0800_0900, "backwards");
    host.command(32, 5, SHORT);
    assert_eq!(host.status(), 0x900, "which may come between");
    assert_eq!(host.command(16, 512, SHORT), 0x2900, "erase reset");
    assert_eq!(host.command(38, 0, BUSY), 0x1000_0900);
}

/// §4.3.4, §5.3.3: a write is refused, and the pin and the CSD say why.
#[test]
fn read_only_cards() {
    let mut host = ready_with(&Setup { read_only: true, ..Setup::default() });
    host.fill_medium(3, &pattern(3, 4));
    assert_eq!(host.read(3, 4, Way::Adma2, End::Auto12), pattern(3, 4));
    for (index, count) in [(24, 1), (25, 4)] {
        host.put32(offset::BLOCK_SIZE, 512 | count << 16);
        host.put16(offset::TRANSFER_MODE, MULTIPLE | COUNT);
        host.send(index, 3, SHORT | DATA);
        assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | DATA_TIMEOUT);
        assert_eq!(host.response(0), 0x0400_0900, "write protected");
        assert_eq!(host.state(), 4);
    }
    host.command(32, 3, SHORT);
    host.command(33, 4, SHORT);
    assert_eq!(host.command(38, 0, BUSY), 0x0400_0900);
    host.rig.settle_blocks();
    assert_eq!(host.medium(3, 4), pattern(3, 4));
    host.send(7, 0, NONE);
    host.interrupts();
    host.command(9, host.address << 16, LONG);
    assert_eq!(field(&mut host, 13, 12), 1);
}

/// Too few blocks for a unit are none.
#[test]
fn no_card() {
    for medium in [0, 1023] {
        let mut host = Host::new(COMPATIBLE, &blocks(medium));
        assert_eq!(host.get32(offset::PRESENT_STATE) & 0x5_0000, 0);
        host.send(0, 0, NONE);
        assert_eq!(host.interrupts(), COMMAND_DONE, "nothing is expected");
        for index in [8, 55, 1, 5] {
            host.unanswered(index, 0x1aa);
        }
    }
}

/// §4.3.14, CMD7: a busy card that is not selected goes on, and is found ready.
#[test]
fn deselecting_a_busy_card() {
    let mut host = ready();
    host.command(32, 0, SHORT);
    host.command(33, 100, SHORT);
    host.send(38, 0, SHORT);
    assert_eq!(host.interrupts(), COMMAND_DONE);
    host.send(7, 0, NONE);
    assert_eq!(host.interrupts(), COMMAND_DONE);
    assert_eq!((host.state(), host.get32(offset::PRESENT_STATE) & 0x10_0000), (8, 0x10_0000));
    host.send(7, host.address << 16, BUSY);
    assert_eq!(host.interrupts(), COMMAND_DONE);
    assert_eq!(host.state(), 7);
    host.rig.settle_blocks();
    assert_eq!((host.interrupts(), host.state()), (TRANSFER_DONE, 4));
}

/// CMD15 and CMD0.
#[test]
fn inactive_and_idle() {
    let mut host = ready();
    host.send(0, 0, NONE);
    host.interrupts();
    host.unanswered(13, host.address << 16);
    host.initialize();
    host.send(15, host.address << 16, NONE);
    host.interrupts();
    host.unanswered(13, host.address << 16);
    host.rig.reset();
    host.start();
    host.initialize();
}

/// What Debian's Linux 6.1 sends from the controller's start to the first read, as its
/// `mmc_core` tells it, and what it was answered; but for the card's number and size,
/// which are this one's.
#[test]
fn as_linux_does() {
    let nothing = None;
    let short = |word: u32| Some([word, 0, 0, 0]);
    let record = [
        (52, 0x0000_0c00, 0, nothing),
        (52, 0x8000_0c08, 0, nothing),
        (0, 0, 0, nothing),
        (8, 0x0000_01aa, 0, short(0x0000_01aa)),
        (5, 0, 0, nothing),
        (55, 0, 0, short(0x0040_0120)),
        (41, 0, 0, short(0x00ff_8000)),
        (0, 0, 0, nothing),
        (8, 0x0000_01aa, 0, short(0x0000_01aa)),
        (55, 0, 0, short(0x0000_0120)),
        (41, 0x4030_0000, 0, short(0xc0ff_8000)),
        // The highest word first, less the lowest byte of the register.
        (2, 0, 0, Some([0x0045_5645, 0x5649_5352, 0x1000_0100, 0x0001_a100])),
        (3, 0, 0, short(0x0001_0500)),
        (9, 0x0001_0000, 0, Some([0x400e_0032, 0x5359_0000, 0x003f_7f80, 0x0a40_0000])),
        (7, 0x0001_0000, 0, short(0x0000_0700)),
        (55, 0x0001_0000, 0, short(0x0000_0920)),
        (51, 0, 8, short(0x0000_0920)),
        (55, 0x0001_0000, 0, short(0x0000_0920)),
        (13, 0, 64, short(0x0000_0920)),
        (6, 0x00ff_fff0, 64, short(0x0000_0900)),
        (6, 0x80ff_fff1, 64, short(0x0000_0900)),
        (55, 0x0001_0000, 0, short(0x0000_0920)),
        (6, 2, 0, short(0x0000_0920)),
    ];
    let mut host = Host::new(EMMC2, &Setup::default());
    for (step, (index, argument, length, expected)) in record.into_iter().enumerate() {
        match (index, expected) {
            (0, _) => {
                host.send(0, argument, NONE);
                assert_eq!(host.interrupts(), COMMAND_DONE);
            }
            (_, None) => host.unanswered(index, argument),
            _ if length > 0 => drop(host.register(index, argument, length)),
            (2 | 9, _) => drop(host.command(index, argument, LONG)),
            (7, _) => drop(host.command(index, argument, BUSY)),
            _ => drop(host.command(index, argument, OCR)),
        }
        if let Some([first, rest @ ..]) = expected {
            let long = rest != [0; 3];
            let got = if long { long_response(&mut host) } else { [host.response(0), 0, 0, 0] };
            assert_eq!(got, [first, rest[0], rest[1], rest[2]], "step {step}: CMD{index}");
        }
    }
    host.address = 1;
    host.fill_medium(0, &pattern(8, 8));
    assert_eq!(host.read(0, 8, Way::Adma2, End::Auto23), pattern(8, 8));
}

/// As Linux puts a response of 136 bits together.
fn long_response(host: &mut Host) -> [u32; 4] {
    let words: [u32; 4] = core::array::from_fn(|n| host.response(n as u64));
    core::array::from_fn(|n| words[3 - n] << 8 | if n < 3 { words[2 - n] >> 24 } else { 0 })
}
