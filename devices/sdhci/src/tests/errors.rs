//! What goes wrong, by the guest's doing or the medium's.

use super::host::*;
use crate::spec::offset;
use evisor_testkit::{MEMORY, Setup};

/// A command that needs the DAT lines while they are in use is not sent.
#[test]
fn inhibited_commands_are_not_sent() {
    let mut host = ready();
    host.begin(0, Way::Port, End::Stop, 2, true);
    host.interrupts();
    host.send(17, 5, SHORT | DATA);
    assert_eq!(host.interrupts(), 0);
    assert_eq!(host.state(), 5, "one without data is");
    assert_eq!(host.get32(offset::PRESENT_STATE) & 6, 6);
    host.rig.settle_blocks();
    assert_eq!(host.interrupts(), READ_READY);
    host.command(12, 0, BUSY);
    assert_eq!(host.get32(offset::PRESENT_STATE) & 6, 0);
}

#[test]
fn without_a_clock_nobody_answers() {
    let mut host = ready();
    host.put16(offset::CLOCK, 1);
    host.unanswered(13, host.address << 16);
    host.put16(offset::CLOCK, 5);
    assert_eq!(host.status(), 0x900, "the card has heard nothing");
}

/// The medium fails: the data stop, and the card says why.
#[test]
fn failing_media() {
    for way in WAYS {
        for count in [1, 20] {
            let mut host = ready();
            host.begin(0, way, End::Auto12, count, true);
            assert!(host.rig.fail_blocks());
            assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | DATA_TIMEOUT, "{way:?}");
            assert_eq!(host.get32(offset::PRESENT_STATE) & 0xf06, 0);
            if count > 1 {
                assert_eq!(host.command(12, 0, BUSY), 0x0020_0b00);
                assert_eq!(host.status(), 0x900);
            } else {
                assert_eq!(host.status(), 0x0020_0900, "ECC failed");
            }
            host.begin(0, way, End::Auto12, count, false);
            if way == Way::Port {
                (0..count.min(8)).for_each(|n| host.fill_port(&pattern(n, 1)));
            }
            assert!(host.rig.fail_blocks());
            let happened = host.interrupts() & !WRITE_READY;
            assert_eq!(happened, COMMAND_DONE | ERROR | DATA_TIMEOUT, "{way:?}");
            if count > 1 {
                assert_eq!(host.command(12, 0, BUSY), 0x0008_0d00);
                assert_eq!(host.status(), 0x900);
            } else {
                assert_eq!(host.status(), 0x0008_0900, "general error");
            }
            // And it works again.
            host.write(7, &pattern(7, 3), way, End::Auto12);
            assert_eq!(host.read(7, 3, way, End::Auto12), pattern(7, 3));
        }
    }
}

/// It fails while the card programs: the wait for it ends.
#[test]
fn failing_flushes_and_erases() {
    let mut host = ready();
    host.begin(0, Way::Adma2, End::Auto12, 2, false);
    assert!(host.rig.answer_blocks());
    assert!(host.rig.fail_blocks());
    assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | DATA_TIMEOUT);
    assert_eq!(host.status(), 0x0008_0900);
    host.command(32, 0, SHORT);
    host.command(33, 99, SHORT);
    host.send(38, 0, BUSY);
    assert!(host.rig.answer_blocks());
    host.rig.advance(0);
    assert!(host.rig.fail_blocks());
    assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | DATA_TIMEOUT);
    assert_eq!(host.status(), 0x0008_0900);
    host.rig.settle_blocks();
    assert_eq!(host.status(), 0x900);
}

/// What is at the end of the card goes, and nothing behind it (Table 4-42).
#[test]
fn transfers_beyond_the_end() {
    for way in WAYS {
        let mut host = ready_with(&Setup { blocks: 1024, ..Setup::default() });
        host.fill_medium(1020, &pattern(1, 4));
        host.begin(1020, way, End::Stop, 8, true);
        host.rig.settle_blocks();
        if way == Way::Port {
            let bytes: Vec<u8> = (0..4).flat_map(|_| host.port(512)).collect();
            assert_eq!(bytes, pattern(1, 4));
        } else {
            assert_eq!(host.rig.guest_memory().bytes(DATA_AT, 2048), pattern(1, 4));
        }
        let happened = host.interrupts() & !READ_READY;
        assert_eq!(happened, COMMAND_DONE | ERROR | DATA_TIMEOUT, "{way:?}");
        assert_eq!(host.command(12, 0, BUSY), 0x8000_0b00, "out of range");
        assert_eq!(host.status(), 0x900);
        host.begin(1020, way, End::Stop, 8, false);
        if way == Way::Port {
            (0..5).for_each(|n| {
                host.fill_port(&pattern(n, 1));
                host.rig.settle_blocks();
            });
        }
        host.rig.settle_blocks();
        let happened = host.interrupts() & !WRITE_READY;
        assert_eq!(happened, COMMAND_DONE | ERROR | DATA_TIMEOUT, "{way:?}");
        assert_eq!(host.command(12, 0, BUSY), 0x8000_0d00);
        assert_eq!(host.status(), 0x900);
    }
}

/// The host and the card disagree on how much, or which way.
#[test]
fn disagreements() {
    let mut host = ready();
    // A block of another size.
    host.put32(offset::BLOCK_SIZE, 256 | 1 << 16);
    host.put16(offset::TRANSFER_MODE, READ);
    host.send(17, 0, SHORT | DATA);
    assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | DATA_CRC);
    assert_eq!(host.status(), 0x900);
    // The wrong way.
    host.put32(offset::BLOCK_SIZE, 512 | 1 << 16);
    host.put16(offset::TRANSFER_MODE, 0);
    host.send(17, 0, SHORT | DATA);
    assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | DATA_TIMEOUT);
    assert_eq!(host.status(), 0x900);
    // Data of a command that has none.
    host.put16(offset::TRANSFER_MODE, READ);
    host.send(13, host.address << 16, SHORT | DATA);
    assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | DATA_TIMEOUT);
    // None of one that has.
    host.command(17, 0, SHORT);
    assert_eq!(host.status(), 0x900);
    // More than CMD23 said.
    host.command(23, 3, SHORT);
    host.put32(offset::BLOCK_SIZE, 512 | 5 << 16);
    host.put16(offset::TRANSFER_MODE, MULTIPLE | COUNT);
    host.send(25, 0, SHORT | DATA);
    for n in 0..3 {
        host.rig.settle_blocks();
        host.fill_port(&pattern(n, 1));
    }
    host.rig.settle_blocks();
    assert_eq!(host.interrupts(), COMMAND_DONE | WRITE_READY | ERROR | DATA_TIMEOUT);
    assert_eq!(host.status(), 0x900, "the card was done, and nothing was wrong");
    assert_eq!(host.medium(2, 1), pattern(2, 1));
    // Fewer: the card waits for more until it is stopped.
    host.command(23, 9, SHORT);
    host.put32(offset::BLOCK_SIZE, 512 | 1 << 16);
    host.send(25, 0, SHORT | DATA);
    host.fill_port(&pattern(8, 1));
    host.rig.settle_blocks();
    assert_eq!(host.interrupts(), COMMAND_DONE | WRITE_READY | TRANSFER_DONE);
    assert_eq!(host.state(), 6);
    host.command(12, 0, BUSY);
    assert_eq!((host.status(), host.medium(0, 1)), (0x900, pattern(8, 1)));
}

/// §2.2.23: Auto CMD12 of a card that has ended the transfer itself, and Auto CMD23
/// of one that does not listen.
#[test]
fn failing_automatic_commands() {
    let mut host = ready();
    host.command(23, 2, SHORT);
    host.put32(offset::BLOCK_SIZE, 512 | 2 << 16);
    host.put16(offset::TRANSFER_MODE, MULTIPLE | COUNT | READ | AUTO12);
    host.send(18, 0, SHORT | DATA);
    for _ in 0..2 {
        host.rig.settle_blocks();
        host.port(512);
    }
    let expected = COMMAND_DONE | READ_READY | TRANSFER_DONE | ERROR | AUTO_ERROR;
    assert_eq!(host.interrupts(), expected);
    assert_eq!(host.get16(offset::AUTO_ERRORS), 2, "timeout");
    assert_eq!(host.status(), 0x0040_0900);
    host.send(7, 0, NONE);
    host.interrupts();
    host.put16(offset::TRANSFER_MODE, MULTIPLE | COUNT | READ | AUTO23);
    host.send(18, 0, SHORT | DATA);
    assert_eq!(host.interrupts(), ERROR | AUTO_ERROR);
    assert_eq!(host.get16(offset::AUTO_ERRORS), 0x82, "timeout, not issued");
}

/// §2.2.29: what the ADMA error status and the address say.
#[test]
fn wrong_descriptors() {
    let at = DATA_AT as u32;
    let table = TABLE as u32;
    let outside = *MEMORY.end() as u32;
    let cases: [(&str, Vec<u64>, u8, u32); 6] = [
        ("not valid", vec![line(0x21, at, 512), line(0x20, at, 512)], 1, table + 8),
        ("too short", vec![line(0x23, at, 512)], 4, table + 8),
        ("nothing", vec![line(0x03, 0, 0)], 4, table + 8),
        ("outside", vec![line(0x23, outside, 1024)], 3, table + 8),
        ("half outside", vec![line(0x23, outside - 511, 1024)], 3, table + 8),
        ("to nowhere", vec![line(0x31, 0xffff_fff0, 0)], 1, 0xffff_fff0),
    ];
    for (what, lines, status, address) in cases {
        for read in [true, false] {
            let mut host = ready();
            host.put32(offset::BLOCK_SIZE, 512 | 2 << 16);
            host.put8(offset::HOST_CONTROL, 2 << 3);
            host.put16(offset::TRANSFER_MODE, DMA | MULTIPLE | COUNT | u16::from(read) << 4);
            host.table(TABLE, &lines);
            host.put32(offset::ADMA_ADDRESS, table);
            host.send(if read { 18 } else { 25 }, 0, SHORT | DATA);
            host.rig.settle_blocks();
            assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | ADMA_FAILED, "{what}");
            assert_eq!(host.get8(offset::ADMA_ERROR), status, "{what}");
            assert_eq!(host.get32(offset::ADMA_ADDRESS), address, "{what}");
            host.command(12, 0, BUSY);
            assert_eq!(host.status(), 0x900);
        }
    }
}

/// A table without an end costs the guest its transfer, and nobody else anything: so
/// many lines at a time, and the guest runs in between.
#[test]
fn endless_tables() {
    for read in [true, false] {
        let mut host = ready();
        host.put32(offset::BLOCK_SIZE, 512);
        host.put8(offset::HOST_CONTROL, 2 << 3);
        host.put16(offset::TRANSFER_MODE, DMA | u16::from(read) << 4);
        host.table(TABLE, &[line(0x31, TABLE as u32, 0)]);
        host.put32(offset::ADMA_ADDRESS, TABLE as u32);
        host.send(if read { 17 } else { 24 }, 0, SHORT | DATA);
        host.rig.answer_blocks();
        for _ in 0..1000 {
            let now = host.rig.deadline();
            assert!(now.is_some(), "it goes on");
            host.rig.advance(1);
        }
        assert_eq!(host.interrupts(), COMMAND_DONE);
        // The guest can give up.
        host.put8(0x2f, 4);
        host.rig.settle_blocks();
        assert_eq!(host.rig.deadline(), None);
        assert_eq!(host.state(), 4);
        host.write(0, &pattern(0, 9), Way::Adma2, End::Auto12);
    }
}

/// SDMA has no error of its own for it.
#[test]
fn simple_dma_outside_of_the_memory() {
    for read in [true, false] {
        let mut host = ready();
        host.put32(offset::BLOCK_SIZE, 512);
        host.put32(0, 0x1000);
        host.put16(offset::TRANSFER_MODE, DMA | u16::from(read) << 4);
        host.send(if read { 17 } else { 24 }, 0, SHORT | DATA);
        host.rig.settle_blocks();
        assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | DATA_TIMEOUT);
        assert_eq!(host.state(), 4);
    }
}

/// §2.2.10: DMA that is not there.
#[test]
fn reserved_dma() {
    for select in [1 << 3, 3 << 3] {
        let mut host = ready();
        host.put32(offset::BLOCK_SIZE, 512);
        host.put8(offset::HOST_CONTROL, select);
        host.put16(offset::TRANSFER_MODE, DMA | READ);
        host.send(17, 0, SHORT | DATA);
        host.rig.settle_blocks();
        assert_eq!(host.interrupts(), COMMAND_DONE | ERROR | ADMA_FAILED);
        assert_eq!(host.state(), 4);
    }
}

/// §2.2.16: the host's half forgets, in the middle of anything; what the store is
/// still busy with is not taken for what is asked next.
#[test]
fn resets_while_the_store_is_busy() {
    for way in WAYS {
        for how in [1, 2, 4, 0] {
            let mut host = ready();
            host.fill_medium(0, &pattern(1, 20));
            host.fill_medium(100, &pattern(2, 20));
            host.begin(0, way, End::Stop, 20, true);
            match how {
                0 => host.rig.reset(),
                2 => {}
                how => host.put8(0x2f, how),
            }
            if matches!(how, 2 | 4) {
                host.send(12, 0, BUSY);
            }
            if how < 2 {
                host.start();
                if how == 0 {
                    assert_eq!(host.get32(offset::STATUS), 0);
                }
                host.interrupts();
                initialize_without_settling(&mut host);
            }
            host.interrupts();
            host.begin(100, way, End::Stop, 20, true);
            host.put32(offset::STATUS, 0xffff_ffff);
            assert!(host.rig.answer_blocks(), "the answer to the first");
            assert_eq!(host.get32(offset::STATUS), 0, "{way:?} {how}: it is not an answer to this");
            host.rig.settle_blocks();
            let bytes = match way {
                Way::Port => (0..20)
                    .flat_map(|_| {
                        host.rig.settle_blocks();
                        host.port(512)
                    })
                    .collect(),
                _ => host.rig.guest_memory().bytes(DATA_AT, 20 * 512),
            };
            assert_eq!(bytes, pattern(2, 20), "{way:?} {how}");
        }
    }
}

/// As [`Host::initialize`], but the store does not answer meanwhile.
fn initialize_without_settling(host: &mut Host) {
    host.address = 1;
    let commands = [
        (0, 0, NONE),
        (8, 0x1aa, SHORT),
        (55, 0, SHORT),
        (41, 0x4030_0000, OCR),
        (2, 0, LONG),
        (3, 0, SHORT),
        (7, 1 << 16, BUSY),
    ];
    for (index, argument, flags) in commands {
        host.send(index, argument, flags);
        assert_eq!(host.interrupts() & (ERROR | COMMAND_DONE), COMMAND_DONE, "CMD{index}");
    }
}

/// A write that the host forgets while the store is busy with it.
#[test]
fn resets_in_the_middle_of_writing() {
    let mut host = ready();
    host.rig.guest_memory().put(DATA_AT, &pattern(4, 20));
    host.begin(0, Way::Adma2, End::Stop, 20, false);
    host.put8(0x2f, 4);
    host.interrupts();
    assert_eq!(host.state(), 6, "the card waits for more");
    host.command(12, 0, BUSY);
    assert_eq!(host.state(), 4);
    assert_eq!(host.medium(0, 8), pattern(4, 20)[..4096], "what was under way is there");
    assert_eq!(host.medium(8, 12), vec![0; 12 * 512]);
    // Stopped by the card's own count, between two pieces.
    host.command(23, 8, SHORT);
    host.begin(50, Way::Adma2, End::Stop, 20, false);
    assert!(host.rig.answer_blocks());
    host.put8(0x2f, 4);
    host.rig.settle_blocks();
    assert_eq!(host.state(), 4);
    host.write(7, &pattern(7, 3), Way::Adma2, End::Auto12);
}

/// Power off loses what was not written, and the card starts anew.
#[test]
fn power_off_in_the_middle() {
    let mut host = ready();
    host.begin(0, Way::Adma2, End::Stop, 20, true);
    host.put8(0x29, 0x0e);
    host.put8(0x29, 0x0f);
    host.rig.settle_blocks();
    host.interrupts();
    assert_eq!(host.get32(offset::PRESENT_STATE) & 6, 0);
    host.unanswered(13, host.address << 16);
    host.initialize();
    // The clock too: the power control register is reset with all.
    host.put8(0x2f, 1);
    host.start();
    host.unanswered(13, host.address << 16);
    host.initialize();
}
