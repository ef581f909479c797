//! The two mailboxes, and saving.

use super::*;
use crate::property::Job;
use crate::spec::DEPTH;
use evisor_contract::{Memory, Outside, Reply, Status, Width};
use evisor_testkit::{Event, Random, drive, refuses_foreign_state, save_and_restore};

const EMPTY: u64 = 1 << 30;
const FULL: u64 = 1 << 31;

/// As after power-on, and at each offset of the window.
#[test]
fn registers_after_reset() {
    let mut rig = rig();
    for offset in (0..0x40).step_by(4) {
        let expected = match offset {
            0x00..=0x10 => 0xf,
            0x18 | 0x38 => EMPTY,
            // It was read while it was empty.
            0x1c => 1 << 10,
            _ => 0,
        };
        assert_eq!(rig.read32(offset), expected, "{offset:#x}");
    }
}

#[test]
fn narrow_reads_give_their_part() {
    let mut rig = rig();
    assert_eq!(rig.read(0x1b, Width::Byte), Reply::value(0x40));
    assert_eq!(rig.read(0x1a, Width::Halfword), Reply::value(0x4000));
}

/// Eight answers wait, then eight requests, and the next one is lost.
#[test]
fn both_mailboxes_hold_eight() {
    let mut rig = rig();
    put(&rig, BUFFER, &buffer(&[]));
    let message = |n: u64| (BUFFER + n * 0x100) | 8;
    for n in 0..8 {
        put(&rig, BUFFER + n * 0x100, &buffer(&[]));
        rig.write32(offset::WRITE + 4 * (n & 3), message(n));
    }
    assert_eq!(rig.read32(offset::STATUS), FULL | DEPTH as u64);
    assert_eq!(rig.read32(offset::STATUS1), EMPTY);
    for n in 0..8 {
        rig.write32(offset::WRITE, message(n));
    }
    assert_eq!(rig.read32(offset::STATUS1), FULL | DEPTH as u64);
    assert_eq!(rig.read32(offset::CONFIG) & 0x700, 0);
    rig.write32(offset::WRITE, message(9));
    assert_eq!(rig.read32(offset::CONFIG) & 0x700, 0x200, "overflow");
    rig.write32(offset::CONFIG, 0);
    assert_eq!(rig.read32(offset::CONFIG) & 0x700, 0, "any write clears it");
    let answers: Vec<_> = (0..16).map(|n| rig.read32(4 * (n & 3))).collect();
    let expected: Vec<_> = (0..8).chain(0..8).map(message).collect();
    assert_eq!(answers, expected);
    assert_eq!(rig.read32(offset::STATUS), EMPTY);
    // Those of the second round had no request in their buffers any more.
    assert_eq!(words(&rig, BUFFER, 2)[1], code::PARTIAL);
}

#[test]
fn peeking_takes_nothing() {
    let mut rig = rig();
    put(&rig, BUFFER, &buffer(&[]));
    rig.write32(offset::WRITE, BUFFER | 8);
    assert_eq!(rig.read32(offset::PEEK), BUFFER | 8);
    assert_eq!(rig.read32(offset::PEEK), BUFFER | 8);
    assert_eq!(rig.read32(offset::STATUS), 1);
    rig.write32(offset::CONFIG, 8);
    assert_eq!(rig.read32(offset::STATUS), EMPTY, "cleared");
}

#[test]
fn the_line_follows_mailbox_0_while_it_is_enabled() {
    let mut rig = rig();
    put(&rig, BUFFER, &buffer(&[]));
    rig.write32(offset::WRITE, BUFFER | 8);
    assert!(!rig.line(0));
    assert_eq!(rig.read32(offset::CONFIG), 0x10, "pending, not enabled");
    rig.write32(offset::CONFIG, 1);
    assert!(rig.line(0));
    assert_eq!(rig.read32(offset::CONFIG), 0x11);
    rig.read32(offset::READ);
    assert!(!rig.line(0));
    put(&rig, BUFFER, &buffer(&[]));
    rig.write32(offset::WRITE, BUFFER | 8);
    assert!(rig.line(0));
    rig.write32(offset::CONFIG, 0xffff_fff0);
    assert!(!rig.line(0));
    rig.events();
    rig.write32(offset::CONFIG, 0);
    assert_eq!(rig.events(), [], "told only when it changes");
}

/// "Mailboxes" lists them; only 1 and 8 are served.
#[test]
fn other_channels_are_not_answered() {
    let mut rig = rig();
    put(&rig, BUFFER, &buffer(&[(1, 4, &[])]));
    for channel in (0..16).filter(|channel| ![1, 8].contains(channel)) {
        rig.write32(offset::WRITE, BUFFER | channel);
        assert!(is_empty(&mut rig), "channel {channel}");
        assert_eq!(rig.read32(offset::STATUS1), EMPTY, "channel {channel}");
    }
    assert_eq!(words(&rig, BUFFER, 7), buffer(&[(1, 4, &[])]));
}

/// "Mailbox framebuffer interface": the address is zero if the request fails, and the
/// answer is 0 on channel 1.
#[test]
fn there_is_no_frame_buffer_on_channel_1() {
    let mut rig = rig();
    put(&rig, BUFFER, &[640, 480, 640, 480, 0, 32, 0, 0, 7, 7, 9]);
    rig.write32(offset::WRITE, BUFFER | 1);
    assert_eq!(rig.read32(offset::READ), 1);
    assert_eq!(words(&rig, BUFFER, 11), [640, 480, 640, 480, 0, 32, 0, 0, 0, 0, 9]);
    rig.write32(offset::WRITE, 0x3000_0001);
    assert_eq!(rig.read32(offset::READ), 1, "no memory there: answered all the same");
}

#[test]
fn an_address_without_memory_is_handed_back() {
    let mut rig = rig();
    for message in [0x8, 0x3000_0008, 0x4fff_fff8, 0x5000_0008, 0xffff_fff8] {
        rig.write32(offset::WRITE, message);
        let outside = message != 0x4fff_fff8;
        assert_eq!(rig.read32(offset::READ), message);
        if !outside {
            let end = words(&rig, 0x4fff_fff0, 4);
            assert_eq!(end, [0, code::PARTIAL, 0, 0], "a size of 0");
        }
    }
}

/// Memory in the first GiB, as a Pi has it.
struct Low(std::sync::Mutex<Vec<u8>>);

impl Memory for Low {
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Outside> {
        let at = usize::try_from(address).expect("64 bits");
        let memory = self.0.lock().expect("one test");
        to.copy_from_slice(memory.get(at..at + to.len()).ok_or(Outside)?);
        Ok(())
    }
    fn write(&self, address: u64, from: &[u8]) -> Result<(), Outside> {
        let at = usize::try_from(address).expect("64 bits");
        let mut memory = self.0.lock().expect("one test");
        memory.get_mut(at..at + from.len()).ok_or(Outside)?.copy_from_slice(from);
        Ok(())
    }
}

/// BCM2711 ARM Peripherals §1.2: four aliases of the first GiB.
#[test]
fn bus_addresses_are_aliases_where_the_first_gib_has_memory() {
    let low = Low(std::sync::Mutex::new(vec![0; 0x2000]));
    for alias in [0, 0x4000_0000, 0x8000_0000, 0xc000_0000] {
        assert!(Job::begin(alias | 0x1008, &low).is_some(), "{alias:#x}");
        assert!(Job::begin(alias | 0x2008, &low).is_none(), "{alias:#x}: behind it");
    }
}

#[test]
fn save_restore() {
    save_and_restore(COMPATIBLE, &Setup::default());
    refuses_foreign_state(COMPATIBLE, &Setup::default());
}

#[test]
fn any_bytes_are_survived() {
    let mut random = Random::new(1);
    let bytes: Vec<u8> = (0..40_000).map(|_| random.number().to_le_bytes()[0]).collect();
    drive(COMPATIBLE, &bytes);
}

#[test]
fn a_deadline_that_nobody_asked_for_does_nothing() {
    let mut rig = rig();
    assert_eq!(rig.notify(tag::DEADLINE, 0).status, Status::Done);
    assert_eq!(rig.notify(tag::CONSOLE_INPUT, 0).status, Status::Absent);
    assert_eq!(rig.events(), Vec::<Event>::new());
}

#[test]
fn the_guests_tree_says_that_a_mailbox_takes_no_cells() {
    let rig = rig();
    assert_eq!(evisor_testkit::describe(rig.declaration(), &[]), "#mbox-cells = <0x0>");
    let firmware = Rig::new("raspberrypi,bcm2835-firmware");
    assert_eq!(evisor_testkit::describe(firmware.declaration(), &[]), "");
    assert!(firmware.parts().mmio.is_none() && firmware.parts().notify.is_none());
}
