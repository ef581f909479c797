//! Checked against the data sheets that `spec` names, and against what QEMU's
//! virt machine answers (`md` and `mw` of U-Boot there).

use crate::spec::{BUFFER, SECTOR};
use evisor_contract::{Status, Width, tag};
use evisor_testkit::{Random, Rig, Setup, describe, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "cfi-flash";
const READY: u64 = 0x0080_0080;
const SEQUENCE: u64 = 0x00b0_00b0;

fn rig() -> Rig {
    let mut rig = Rig::new(COMPATIBLE);
    rig.reset();
    rig
}

/// A bank of `size` bytes.
fn bank(size: u64) -> Rig {
    Rig::with(COMPATIBLE, &Setup { window: size, ..Setup::default() })
}

/// A command to both chips.
fn order(rig: &mut Rig, offset: u64, command: u64) {
    rig.write32(offset, command * 0x0001_0001);
}

/// Looks until it is ready; gives the status.
fn wait(rig: &mut Rig) -> u64 {
    let ready = |rig: &mut Rig| Some(rig.read32(0)).filter(|status| status & READY == READY);
    (0..10_000).find_map(|_| ready(rig)).expect("it gets ready")
}

fn program(rig: &mut Rig, offset: u64, value: u64) {
    order(rig, offset, 0x40);
    rig.write32(offset, value);
    assert_eq!(wait(rig), READY);
    order(rig, offset, 0xff);
}

fn erase(rig: &mut Rig, offset: u64) {
    order(rig, offset, 0x20);
    order(rig, offset, 0xd0);
    assert_eq!(wait(rig), READY);
    order(rig, offset, 0xff);
}

#[test]
fn a_bank_is_shown_while_it_is_read_as_an_array() {
    let mut rig = rig();
    assert!(rig.memory().is_shown());
    let table = [
        (0x70, false),
        (0xff, true),
        (0x90, false),
        (0xff, true),
        (0x98, false),
        (0xf0, true), // AMD's reset, with which drivers probe
        (0x20, false),
        (0xff, true), // a sequence broken off
        (0x40, false),
        (0xff, false), // a word of all ones
        (0xff, true),
        (0x60, false),
        (0xd0, false),
        (0x50, true), // as QEMU does
        (0xe8, false),
    ];
    for (step, (command, shown)) in table.into_iter().enumerate() {
        order(&mut rig, 0, command);
        assert_eq!(rig.memory().is_shown(), shown, "step {step}: {command:#x}");
    }
    rig.reset();
    assert!(rig.memory().is_shown());
}

/// The words that QEMU 10.0 answers from 0x40 on, one chip's, for 64 MiB.
#[test]
fn the_query_is_that_of_qemus_virt() {
    let qemu = [
        0x51, 0x52, 0x59, 0x01, 0x00, 0x31, 0x00, 0x00, 0x00, 0x00, 0x00, 0x45, 0x55, 0x00, 0x00,
        0x07, 0x07, 0x0a, 0x00, 0x04, 0x04, 0x04, 0x00, 0x19, 0x02, 0x00, 0x0b, 0x00, 0x01, 0xff,
        0x00, 0x00, 0x02, 0x50, 0x52, 0x49, 0x31, 0x30, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
        0x00, 0x00, 0x01, 0x00, 0x00,
    ];
    let mut rig = bank(64 << 20);
    order(&mut rig, 0x154, 0x98);
    assert_eq!(rig.read32(0), 0);
    for (index, byte) in qemu.into_iter().enumerate() {
        let offset = 0x40 + 4 * index as u64;
        assert_eq!(rig.read32(offset), byte * 0x0001_0001, "{offset:#x}");
    }
    assert_eq!(rig.read(0x40, Width::Doubleword).value, 0x0052_0052_0051_0051);
    for (offset, width, value) in [
        (0x40, Width::Halfword, 0x51),
        (0x42, Width::Halfword, 0x51),
        (0x41, Width::Byte, 0x51),
        (0x44, Width::Byte, 0x52),
    ] {
        assert_eq!(rig.read(offset, width).value, value, "{offset:#x}");
    }
}

/// JESD §2: size and number of blocks are the bank's.
#[test]
fn the_query_says_how_large_the_bank_is() {
    for (size, power, blocks) in [(2 << 20, 20, 7), (4 << 20, 21, 15), (32 << 20, 24, 127)] {
        let mut rig = bank(size);
        order(&mut rig, 0x154, 0x98);
        assert_eq!(rig.read32(0x27 * 4) & 0xff, power);
        assert_eq!(rig.read32(0x2d * 4) & 0xff, blocks);
        assert_eq!(rig.read32(0x2e * 4), 0);
    }
}

/// J3, Identifier Codes. The lock bit of each block (index 2) is clear.
#[test]
fn identifier() {
    let mut rig = rig();
    order(&mut rig, 0, 0x90);
    let table =
        [(0, 0x0089_0089), (4, 0x0018_0018), (8, 0), (12, 0), (0x400, 0x0089_0089), (0x200, 0)];
    for (offset, value) in table {
        assert_eq!(rig.read32(offset), value, "{offset:#x}");
    }
    assert_eq!(rig.read(0, Width::Doubleword).value, 0x0018_0018_0089_0089);
    assert_eq!(rig.read(2, Width::Halfword).value, 0x89);
}

/// J3, Status Register Definitions.
#[test]
fn the_status_is_ready_and_its_errors_are_cleared() {
    let mut rig = rig();
    order(&mut rig, 0, 0x70);
    assert_eq!(rig.read32(0), READY);
    assert_eq!(rig.read(8, Width::Doubleword).value, READY << 32 | READY);
    assert_eq!(rig.read(0, Width::Byte).value, 0x80);
    let wrong: [&[u64]; 4] = [&[0x20, 0x12], &[0x60, 0x12], &[0xe8, 1024], &[0xe8, 0, 0, 0x12]];
    for sequence in wrong {
        for command in sequence {
            order(&mut rig, 0, *command);
        }
        assert_eq!(rig.read32(0), SEQUENCE, "{sequence:x?}");
        order(&mut rig, 0, 0xff);
        order(&mut rig, 0, 0x70);
        assert_eq!(rig.read32(0), SEQUENCE, "errors stay");
        order(&mut rig, 0, 0x50);
        order(&mut rig, 0, 0x70);
        assert_eq!(rig.read32(0), READY, "{sequence:x?} was cleared");
    }
    order(&mut rig, 0, 0xff);
    assert!((0..64).all(|offset| rig.memory().byte(offset) == 0xff), "nothing was programmed");
}

#[test]
fn programming_clears_bits_and_erasing_sets_those_of_a_sector() {
    let mut rig = rig();
    for offset in [0, SECTOR - 4, SECTOR, SECTOR + 4, 2 * SECTOR] {
        program(&mut rig, offset, 0x1234_5678);
        assert_eq!(rig.read32(offset), 0x1234_5678);
    }
    program(&mut rig, SECTOR, 0xff00_ff00);
    assert_eq!(rig.read32(SECTOR), 0x1200_5600, "no bit is set");
    erase(&mut rig, SECTOR + 0x20_000);
    let table = [
        (SECTOR - 4, 0x1234_5678),
        (SECTOR, 0xffff_ffff),
        (SECTOR + 4, 0xffff_ffff),
        (2 * SECTOR, 0x1234_5678),
    ];
    for (offset, value) in table {
        assert_eq!(rig.read32(offset), value, "{offset:#x}");
    }
}

#[test]
fn words_are_programmed_at_every_width() {
    let mut rig = rig();
    for (offset, width) in [(0, Width::Byte), (3, Width::Byte), (6, Width::Halfword)] {
        order(&mut rig, offset & !3, 0x10);
        let _ = rig.write(offset, width, 0);
    }
    // Two cycles of the bus at once: the command, and the word behind it.
    let _ = rig.write(8, Width::Doubleword, 0x1111_1111_0040_0040);
    order(&mut rig, 0, 0xff);
    let expected = [0, 0xff, 0xff, 0, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x11, 0x11, 0x11];
    for (offset, byte) in expected.into_iter().enumerate() {
        assert_eq!(rig.memory().byte(offset as u64), byte, "{offset}");
    }
}

/// J3, Write to Buffer: as U-Boot does it, 16 bits at a time.
#[test]
fn a_buffer_is_programmed_at_once() {
    let mut rig = rig();
    let at = SECTOR + BUFFER;
    order(&mut rig, at, 0xe8);
    assert_eq!(rig.read32(at), READY);
    order(&mut rig, at, 1023);
    for word in 0..1024 {
        let _ = rig.write(at + 2 * word, Width::Halfword, word);
    }
    assert_eq!(rig.memory().byte(at), 0xff, "not before it is confirmed");
    order(&mut rig, at, 0xd0);
    assert_eq!(wait(&mut rig), READY);
    order(&mut rig, at, 0xff);
    for word in 0..1024 {
        assert_eq!(rig.read(at + 2 * word, Width::Halfword).value, word);
    }
    assert_eq!(rig.memory().byte(at + 2048), 0xff);
}

#[test]
fn a_word_outside_of_the_buffer_spoils_it() {
    let mut rig = rig();
    order(&mut rig, BUFFER, 0xe8);
    order(&mut rig, BUFFER, 1);
    rig.write32(2 * BUFFER - 4, 0);
    rig.write32(2 * BUFFER, 0);
    order(&mut rig, BUFFER, 0xd0);
    assert_eq!(wait(&mut rig), SEQUENCE);
    assert_eq!(rig.memory().byte(2 * BUFFER - 4), 0xff, "nothing was programmed");
}

#[test]
fn a_busy_bank_takes_no_commands() {
    let mut rig = rig();
    order(&mut rig, 0, 0x20);
    order(&mut rig, 0, 0xd0);
    for command in [0xff, 0x98, 0x40, 0xb0] {
        order(&mut rig, 0, command);
    }
    assert_eq!(rig.read32(0), 0, "busy");
    assert_eq!(wait(&mut rig), READY);
}

#[test]
fn it_gets_ready_when_nobody_looks_too() {
    let mut rig = rig();
    program(&mut rig, SECTOR - 4, 0);
    order(&mut rig, 0, 0x20);
    order(&mut rig, 0, 0xd0);
    let waits =
        (0..10_000).take_while(|_| rig.deadline().is_some().then(|| rig.advance(100)) == Some(()));
    assert_eq!(waits.count() as u64, SECTOR / crate::SLICE - 1);
    assert_eq!(rig.read32(0), READY);
    assert_eq!(rig.memory().byte(SECTOR - 4), 0xff);
    // And what was found by looking needs no deadline.
    order(&mut rig, 0, 0x20);
    order(&mut rig, 0, 0xd0);
    let _ = wait(&mut rig);
    assert_eq!(rig.deadline(), None);
}

/// The state and what is there survive a reset of the VM as a real one's would.
#[test]
fn the_content_stays_over_a_reset() {
    let mut rig = rig();
    program(&mut rig, 8, 0x1234_5678);
    order(&mut rig, 0, 0x98);
    rig.reset();
    assert!(rig.memory().is_shown());
    assert_eq!(rig.read32(8), 0x1234_5678);
}

/// Against an array of bytes in which programming clears bits.
#[test]
fn it_holds_what_an_array_of_bytes_would() {
    let size = 2 << 20;
    for seed in 0..5 {
        let mut numbers = Random::new(seed);
        let mut rig = rig();
        let mut model = vec![0xff_u8; size as usize];
        for _ in 0..40 {
            let offset = numbers.number() % size / 4 * 4;
            match numbers.number() % 4 {
                0 => {
                    erase(&mut rig, offset);
                    let start = (offset / SECTOR * SECTOR) as usize;
                    model[start..start + SECTOR as usize].fill(0xff);
                }
                1 => {
                    let block = offset / BUFFER * BUFFER;
                    let count = numbers.number() % 1024;
                    order(&mut rig, block, 0xe8);
                    order(&mut rig, block, count);
                    for _ in 0..=count {
                        let at = block + numbers.number() % (BUFFER / 4) * 4;
                        rig.write32(at, 0);
                        model[at as usize..at as usize + 4].fill(0);
                    }
                    order(&mut rig, block, 0xd0);
                    assert_eq!(wait(&mut rig), READY);
                    order(&mut rig, block, 0xff);
                }
                _ => {
                    let value = numbers.number() & 0xffff_ffff;
                    program(&mut rig, offset, value);
                    let bytes = &mut model[offset as usize..offset as usize + 4];
                    bytes.iter_mut().zip(value.to_le_bytes()).for_each(|(to, from)| *to &= from);
                }
            }
        }
        for (offset, expected) in (0..size).step_by(8).zip(model.as_chunks::<8>().0) {
            let found = rig.read(offset, Width::Doubleword).value;
            assert_eq!(found, u64::from_le_bytes(*expected), "seed {seed}, {offset:#x}");
        }
    }
}

#[test]
fn a_deadline_that_nobody_asked_for_does_no_harm() {
    let mut rig = rig();
    let before = rig.save();
    assert_eq!(rig.notify(tag::DEADLINE, 0).status, Status::Done);
    assert_eq!(rig.notify(tag::CONSOLE_READY, 0).status, Status::Absent);
    assert_eq!(rig.save(), before);
}

#[test]
fn a_restored_bank_goes_on() {
    let mut first = rig();
    order(&mut first, 0, 0x20);
    order(&mut first, 0, 0xd0);
    let state = first.save();
    let mut second = rig();
    assert_eq!(second.restore(&state), Ok(()));
    assert!(!second.memory().is_shown());
    assert_eq!(wait(&mut second), READY);
    refuses_foreign_state(COMPATIBLE, &Setup::default());
}

#[test]
fn saves_and_restores() {
    save_and_restore(COMPATIBLE, &Setup::default());
}

#[test]
fn the_guest_is_told_how_wide_it_is() {
    let described = describe(rig().declaration(), &[]);
    assert_eq!(described, "bank-width = <0x4>\ncompatible = \"cfi-flash\"");
}
