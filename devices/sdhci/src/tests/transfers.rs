//! Data, in every way there is.

use super::host::*;
use crate::spec::offset;
use evisor_contract::{BlockOperation, Width};
use evisor_testkit::{Event, Random, Setup};

#[test]
fn blocks_are_read() {
    for way in WAYS {
        for end in ENDS.into_iter().filter(|end| way != Way::Sdma || *end != End::Auto23) {
            for count in [1, 2, 7, 8, 9, 16, 17, 100] {
                let mut host = ready();
                let expected = pattern(count, count);
                host.fill_medium(1000, &expected);
                assert_eq!(host.read(1000, count, way, end), expected, "{way:?} {end:?} {count}");
            }
        }
    }
}

#[test]
fn blocks_are_written() {
    for way in WAYS {
        for end in ENDS.into_iter().filter(|end| way != Way::Sdma || *end != End::Auto23) {
            for count in [1, 2, 7, 8, 9, 16, 17, 100] {
                let mut host = ready();
                host.fill_medium(999, &pattern(!count, count + 2));
                host.write(1000, &pattern(count, count), way, end);
                assert_eq!(host.medium(1000, count), pattern(count, count), "{way:?} {end:?}");
                let around = pattern(!count, count + 2);
                assert_eq!(host.medium(999, 1), around[..512]);
                assert_eq!(host.medium(1000 + count, 1), around[around.len() - 512..]);
            }
        }
    }
}

/// A guest that makes words of all, as those for Broadcom's controllers do.
#[test]
fn words_only() {
    let mut host = Host::new(EMMC2, &Setup::default());
    host.initialize();
    host.fill_medium(4, &pattern(4, 1));
    host.put32(offset::BLOCK_SIZE, 0x0001_0200);
    host.put32(offset::ARGUMENT, 4);
    host.put32(offset::TRANSFER_MODE, 0x113a_0010);
    host.rig.settle_blocks();
    assert_eq!(host.interrupts(), COMMAND_DONE | READ_READY);
    assert_eq!(host.port(512), pattern(4, 1));
    assert_eq!(host.interrupts(), TRANSFER_DONE);
}

/// §2.2.8: the port takes bytes and halves too.
#[test]
fn narrow_accesses_to_the_port() {
    for width in [Width::Byte, Width::Halfword] {
        let mut host = ready();
        let expected = pattern(9, 1);
        host.begin(50, Way::Port, End::Stop, 1, false);
        for bytes in expected.chunks(width.bytes() as usize) {
            let value = bytes.iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte));
            let _ = host.rig.write(offset::BUFFER, width, value);
        }
        host.rig.settle_blocks();
        assert_eq!(host.medium(50, 1), expected);
        host.begin(50, Way::Port, End::Stop, 1, true);
        host.rig.settle_blocks();
        // A byte first, then words that lie across.
        let mut bytes = vec![host.get8(offset::BUFFER)];
        (0..127).for_each(|_| bytes.extend(host.port(4)));
        (0..3).for_each(|_| bytes.push(host.get8(offset::BUFFER)));
        assert_eq!(bytes, expected);
        assert_eq!(host.get32(offset::BUFFER), 0, "it is empty");
    }
}

/// The store is asked for pieces of eight blocks at most, and the guest runs in
/// between: each waits for a deadline that is due.
#[test]
fn pieces() {
    let mut host = ready();
    host.rig.events();
    host.begin(16, Way::Adma2, End::Auto12, 20, true);
    let mut asked = Vec::new();
    loop {
        let events = host.rig.events();
        asked.extend(events.iter().filter_map(|event| match event {
            Event::Block(request) => Some((request.operation, request.block, request.count)),
            _ => None,
        }));
        if !host.rig.answer_blocks() {
            break;
        }
        assert!(!host.rig.events().iter().any(|e| matches!(e, Event::Block(_))), "not at once");
        host.rig.advance(0);
    }
    let read = BlockOperation::Read;
    assert_eq!(asked, [(read, 16, 8), (read, 24, 8), (read, 32, 4)]);
    assert_eq!(host.interrupts(), COMMAND_DONE | TRANSFER_DONE);
    // A write ends with a flush, and not before it is done.
    host.begin(16, Way::Adma2, End::Auto12, 9, false);
    assert!(host.rig.answer_blocks());
    host.rig.advance(0);
    assert!(host.rig.answer_blocks());
    assert_eq!(host.interrupts(), COMMAND_DONE);
    assert_eq!(host.get32(offset::PRESENT_STATE) & 1 << 20, 0, "DAT0 is low: it programs");
    host.rig.settle_blocks();
    assert_eq!(host.interrupts(), TRANSFER_DONE);
    let last = host.rig.events().into_iter().rev().find_map(|event| match event {
        Event::Block(request) => Some(request.operation),
        _ => None,
    });
    assert_eq!(last, Some(BlockOperation::Flush));
}

/// §2.2.2: SDMA stops at each boundary until the guest writes the address.
#[test]
fn simple_dma_stops_at_boundaries() {
    for write in [false, true] {
        let mut host = ready();
        let expected = pattern(5, 24);
        let at = DATA_AT + 0x200;
        if write {
            host.rig.guest_memory().put(at, &expected);
        } else {
            host.fill_medium(0, &expected);
        }
        host.put32(offset::BLOCK_SIZE, 512 | 24 << 16);
        host.put32(0, at as u32);
        let read = if write { 0 } else { READ };
        host.put16(offset::TRANSFER_MODE, DMA | COUNT | MULTIPLE | AUTO12 | read);
        host.send(if write { 25 } else { 18 }, 0, SHORT | DATA);
        host.rig.settle_blocks();
        assert_eq!(host.interrupts(), COMMAND_DONE | DMA_INTERRUPT);
        for stop in 1..=3 {
            let address = host.get32(0);
            assert_eq!(address, DATA_AT as u32 + stop * 0x1000);
            host.rig.settle_blocks();
            assert_eq!(host.interrupts(), 0, "it stands");
            host.put16(0, address as u16);
            host.rig.settle_blocks();
            assert_eq!(host.interrupts(), 0, "until the last byte is written");
            host.put16(2, (address >> 16) as u16);
            host.rig.settle_blocks();
            let expected = if stop < 3 { DMA_INTERRUPT } else { TRANSFER_DONE };
            assert_eq!(host.interrupts(), expected, "{stop}");
        }
        assert_eq!(host.get32(0), at as u32 + 24 * 512);
        assert_eq!(host.rig.guest_memory().bytes(at, 24 * 512), expected);
        assert_eq!(host.medium(0, 24), expected);
    }
}

/// §1.13.4: lines of any size, links, lines that do nothing, and interrupts.
#[test]
fn descriptor_tables() {
    for write in [false, true] {
        let mut host = ready();
        let expected = pattern(11, 20);
        let at = DATA_AT as u32;
        let second = TABLE + 0x800;
        host.table(
            TABLE,
            &[line(0x01, 0xdead_beef, 5), line(0x21, at, 4), line(0x31, second as u32, 0)],
        );
        host.table(
            second,
            &[
                line(0x11, 0, 0),
                line(0x25, at + 4, 3000),
                line(0x21, at + 3004, 1),
                line(0x23, at + 3008, 20 * 512 - 3005),
            ],
        );
        // The byte behind 3004 goes to 3004; what follows lies three bytes further on.
        let mut memory = expected[..3005].to_vec();
        memory.extend([0xee; 3]);
        memory.extend(&expected[3005..]);
        if write {
            host.rig.guest_memory().put(DATA_AT, &memory);
        } else {
            host.rig.guest_memory().put(DATA_AT, &[0xee; 3008]);
            host.fill_medium(64, &expected);
        }
        host.put32(offset::ADMA_ADDRESS, TABLE as u32);
        host.put32(offset::BLOCK_SIZE, 512 | 20 << 16);
        host.put8(offset::HOST_CONTROL, 2 << 3);
        let read = if write { 0 } else { READ };
        host.put16(offset::TRANSFER_MODE, DMA | COUNT | MULTIPLE | AUTO12 | read);
        host.send(if write { 25 } else { 18 }, 64, SHORT | DATA);
        host.rig.settle_blocks();
        assert_eq!(host.interrupts(), COMMAND_DONE | TRANSFER_DONE | DMA_INTERRUPT);
        assert_eq!(host.get32(offset::ADMA_ADDRESS), second as u32 + 32);
        assert_eq!(host.rig.guest_memory().bytes(DATA_AT, memory.len()), memory);
        assert_eq!(host.medium(64, 20), expected);
    }
}

/// A line of length 0 is one of 64 KiB.
#[test]
fn a_length_of_zero_is_the_most() {
    let mut host = ready();
    host.fill_medium(0, &pattern(1, 128));
    assert_eq!(host.read(0, 128, Way::Adma2, End::Auto12), pattern(1, 128));
    assert_eq!(host.get32(offset::ADMA_ADDRESS), TABLE as u32 + 8, "one line");
}

/// What the card answers goes by DMA too.
#[test]
fn registers_by_dma() {
    for way in [Way::Sdma, Way::Adma2] {
        let mut host = ready();
        host.put32(offset::BLOCK_SIZE, 64);
        host.put32(0, DATA_AT as u32);
        host.describe(&[(DATA_AT as u32, 3), (DATA_AT as u32 + 4, 61)]);
        host.put8(offset::HOST_CONTROL, if way == Way::Adma2 { 2 << 3 } else { 0 });
        host.put16(offset::TRANSFER_MODE, DMA | READ);
        host.send(6, 0x00ff_fff1, SHORT | DATA);
        assert_eq!(host.interrupts(), COMMAND_DONE | TRANSFER_DONE);
        let skip = if way == Way::Adma2 { 1 } else { 0 };
        assert_eq!(host.rig.guest_memory().bytes(DATA_AT + 13 + skip, 1), [3]);
    }
}

/// §2.2.3: without a count it goes on until it is stopped.
#[test]
fn endless_transfers() {
    let mut host = ready();
    host.fill_medium(10, &pattern(2, 40));
    host.put32(offset::BLOCK_SIZE, 512);
    host.put16(offset::TRANSFER_MODE, MULTIPLE | READ);
    host.send(18, 10, SHORT | DATA);
    for n in 0..19 {
        host.rig.settle_blocks();
        assert_eq!(host.port(512), pattern(2, 40)[n * 512..][..512]);
    }
    host.interrupts();
    host.command(12, 0, BUSY);
    assert_eq!(host.status(), 0x900);
    host.put16(offset::TRANSFER_MODE, MULTIPLE);
    host.send(25, 10, SHORT | DATA);
    for n in 0..19 {
        host.rig.settle_blocks();
        host.fill_port(&pattern(n, 1));
    }
    // Half a block is not one.
    host.rig.settle_blocks();
    host.fill_port(&[0xff; 256]);
    host.interrupts();
    host.command(12, 0, BUSY);
    (0..19).for_each(|n| assert_eq!(host.medium(10 + n, 1), pattern(n, 1)));
    assert_eq!(host.medium(29, 1), pattern(2, 40)[19 * 512..20 * 512]);
    assert_eq!(host.status(), 0x900);
}

/// §2.2.12, §3.8: it stands at the next gap and goes on.
#[test]
fn block_gaps() {
    for way in WAYS {
        let mut host = ready();
        host.fill_medium(0, &pattern(3, 32));
        host.put8(offset::BLOCK_GAP, 1);
        host.begin(0, way, End::Stop, 32, true);
        let mut seen = Vec::new();
        loop {
            host.rig.settle_blocks();
            if way == Way::Port {
                seen.extend(host.port(512));
            }
            let happened = host.interrupts();
            if happened & GAP == 0 {
                assert_ne!(happened & TRANSFER_DONE, 0);
                break;
            }
            assert_ne!(happened & TRANSFER_DONE, 0, "data have stopped");
            host.rig.settle_blocks();
            assert_eq!(host.get32(offset::PRESENT_STATE) & 0xf06, 0, "it stands");
            host.put8(offset::BLOCK_GAP, 3);
            host.rig.settle_blocks();
            assert_eq!(host.interrupts(), 0, "the stop request is still there");
            host.put8(offset::BLOCK_GAP, 2);
            assert_eq!(host.get8(offset::BLOCK_GAP), 0);
            if way == Way::Port {
                host.rig.settle_blocks();
            }
            host.put8(offset::BLOCK_GAP, 1);
        }
        if way != Way::Port {
            seen = host.rig.guest_memory().bytes(DATA_AT, 32 * 512);
        }
        assert_eq!(seen, pattern(3, 32), "{way:?}");
        host.command(12, 0, BUSY);
    }
}

/// §2.2.3: the count goes down as blocks pass.
#[test]
fn the_block_count_goes_down() {
    let mut host = ready();
    host.begin(0, Way::Port, End::Stop, 10, true);
    for left in (0..10).rev() {
        host.rig.settle_blocks();
        host.put16(offset::BLOCK_COUNT, 99);
        host.port(512);
        assert_eq!(host.get16(offset::BLOCK_COUNT), left, "and cannot be written");
    }
}

/// Reads and writes of any size, at any place, in any way, against an array.
#[test]
fn it_holds_what_an_array_of_blocks_would() {
    for seed in 0..20 {
        let mut numbers = Random::new(seed);
        let mut number = |below: u64| (numbers.number() % below) as u32;
        let mut host = ready_with(&Setup { blocks: 2048, ..Setup::default() });
        let mut model = vec![0_u8; 2048 * 512];
        for _ in 0..40 {
            let count = 1 + number(40);
            let block = number(2048 - u64::from(count));
            let way = WAYS[number(3) as usize];
            let end = match ENDS[number(4) as usize] {
                End::Auto23 if way == Way::Sdma => End::Auto12,
                end => end,
            };
            let range = block as usize * 512..(block + count) as usize * 512;
            if number(2) == 0 {
                let bytes = pattern(number(1 << 32), count);
                host.write(block, &bytes, way, end);
                model[range].copy_from_slice(&bytes);
            } else {
                assert_eq!(host.read(block, count, way, end), model[range], "seed {seed}");
            }
        }
        assert_eq!(host.medium(0, 2048), model, "seed {seed}");
    }
}
