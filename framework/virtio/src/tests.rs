//! A driver made of tables: registers of Virtio §4.2.2, a queue of §2.7, and one that lies.

use crate::spec::{descriptor, register, status};
use crate::{
    AT_A_TIME, Broken, Chain, Happened, Identity, PARTS, Part, Queue, Transport, VERSION_1,
};
use evisor_contract::{Memory, Outside, Restore, RestoreError, Save};
use proptest::prelude::*;
use std::sync::Mutex;
use std::vec::Vec;

const AT: u64 = 0x4000_0000;
const SIZE: usize = 0x4000;
const MOST: u32 = 8;
const DESCRIPTORS: u64 = AT;
const AVAILABLE: u64 = AT + 0x1000;
const USED: u64 = AT + 0x2000;
const BUFFERS: u64 = AT + 0x3000;

struct Ram(Mutex<Vec<u8>>);

impl Ram {
    fn new() -> Self {
        Self(Mutex::new(vec![0; SIZE]))
    }

    fn put<const N: usize>(&self, address: u64, bytes: [u8; N]) {
        self.write(address, &bytes).expect("in the memory");
    }

    fn half(&self, address: u64) -> u16 {
        let mut bytes = [0; 2];
        self.read(address, &mut bytes).expect("in the memory");
        u16::from_le_bytes(bytes)
    }

    fn describe(&self, at: u16, (address, length, flags, next): (u64, u32, u16, u16)) {
        let to = DESCRIPTORS + descriptor::SIZE * u64::from(at);
        self.put(to, address.to_le_bytes());
        self.put(to + 8, length.to_le_bytes());
        self.put(to + 12, flags.to_le_bytes());
        self.put(to + 14, next.to_le_bytes());
    }

    /// The driver makes the chain at `head` available.
    fn offer(&self, head: u16) {
        let index = self.half(AVAILABLE + 2);
        self.put(AVAILABLE + 4 + 2 * u64::from(index & (MOST as u16 - 1)), head.to_le_bytes());
        self.put(AVAILABLE + 2, index.wrapping_add(1).to_le_bytes());
    }
}

impl Memory for Ram {
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Outside> {
        let at = address.checked_sub(AT).ok_or(Outside)? as usize;
        let end = at.checked_add(to.len()).ok_or(Outside)?;
        to.copy_from_slice(self.0.lock().expect("one thread").get(at..end).ok_or(Outside)?);
        Ok(())
    }
    fn write(&self, address: u64, from: &[u8]) -> Result<(), Outside> {
        let at = address.checked_sub(AT).ok_or(Outside)? as usize;
        let end = at.checked_add(from.len()).ok_or(Outside)?;
        let mut all = self.0.lock().expect("one thread");
        all.get_mut(at..end).ok_or(Outside)?.copy_from_slice(from);
        Ok(())
    }
}

const IDENTITY: Identity = Identity { device: 3, features: 1 << 1, most: MOST };

fn transport() -> Transport<2> {
    Transport::new(IDENTITY)
}

/// Acknowledges, agrees on what is offered, and sets queue 0 up where the tests have it.
fn running() -> Transport<2> {
    let mut transport = transport();
    for (offset, value) in [
        (register::STATUS, status::ACKNOWLEDGE),
        (register::STATUS, status::ACKNOWLEDGE | status::DRIVER),
        (register::DRIVER_FEATURES_SEL, 1),
        (register::DRIVER_FEATURES, 1),
        (register::DRIVER_FEATURES_SEL, 0),
        (register::DRIVER_FEATURES, 2),
        (register::STATUS, 0xb),
        (register::QUEUE_SEL, 0),
        (register::QUEUE_NUM, MOST),
        (register::QUEUE_DESC, DESCRIPTORS as u32),
        (register::QUEUE_DRIVER, AVAILABLE as u32),
        (register::QUEUE_DEVICE, USED as u32),
        (register::QUEUE_READY, 1),
    ] {
        assert_eq!(transport.write(offset, value), Happened::Nothing, "{offset:#x}");
    }
    assert_eq!(transport.write(register::STATUS, 0xf), Happened::Started);
    assert!(transport.is_running());
    transport
}

#[test]
fn registers_as_in_table_4_1() {
    let transport = transport();
    let table = [
        (register::MAGIC_VALUE, 0x7472_6976),
        (register::VERSION, 2),
        (register::DEVICE_ID, 3),
        (register::DEVICE_FEATURES, 2),
        (register::QUEUE_NUM_MAX, MOST),
        (register::QUEUE_READY, 0),
        (register::INTERRUPT_STATUS, 0),
        (register::STATUS, 0),
        (register::SHM_LEN_LOW, u32::MAX),
        (register::SHM_BASE_HIGH, u32::MAX),
        (register::QUEUE_NOTIFY, 0),
        (0x0d0, 0),
    ];
    for (offset, value) in table {
        assert_eq!(transport.read(offset), value, "{offset:#x}");
    }
}

#[test]
fn features_in_halves_and_nothing_behind() {
    let mut transport = transport();
    for (half, bits) in [(0, 2), (1, (VERSION_1 >> 32) as u32), (2, 0), (u32::MAX, 0)] {
        transport.write(register::DEVICE_FEATURES_SEL, half);
        assert_eq!(transport.read(register::DEVICE_FEATURES), bits, "{half}");
    }
}

#[test]
fn a_queue_that_is_not_there_has_no_size() {
    let mut transport = transport();
    for (queue, most) in [(1, MOST), (2, 0), (u32::MAX, 0)] {
        transport.write(register::QUEUE_SEL, queue);
        assert_eq!(transport.read(register::QUEUE_NUM_MAX), most);
        transport.write(register::QUEUE_NUM, 4);
    }
    assert_eq!(transport.write(register::QUEUE_NOTIFY, 1), Happened::Notified(1));
    assert_eq!(transport.write(register::QUEUE_NOTIFY, 2), Happened::Nothing);
}

#[test]
fn features_that_were_not_offered_or_no_version_1_are_not_agreed_on() {
    for (low, high, agreed) in
        [(2, 1, true), (0, 1, true), (4, 1, false), (2, 0, false), (2, 3, false)]
    {
        let mut transport = transport();
        transport.write(register::DRIVER_FEATURES, low);
        transport.write(register::DRIVER_FEATURES_SEL, 1);
        transport.write(register::DRIVER_FEATURES, high);
        transport.write(register::STATUS, 0xb);
        let status = transport.read(register::STATUS);
        assert_eq!(status & status::FEATURES_OK != 0, agreed, "{low:#x} {high:#x}");
        transport.write(register::STATUS, 0xf);
        assert_eq!(transport.is_running(), agreed);
    }
}

#[test]
fn status_zero_resets_all() {
    let mut transport = running();
    transport.used_buffer();
    assert!(transport.line());
    assert_eq!(transport.write(register::STATUS, 0), Happened::Reset);
    assert_eq!(transport, self::transport());
}

#[test]
fn an_interrupt_is_acknowledged_bit_by_bit() {
    let mut transport = running();
    transport.used_buffer();
    transport.configuration_changed();
    assert_eq!(transport.read(register::INTERRUPT_STATUS), 3);
    transport.write(register::INTERRUPT_ACK, 1);
    assert_eq!(transport.read(register::INTERRUPT_STATUS), 2);
    assert!(transport.line());
    transport.write(register::INTERRUPT_ACK, 2);
    assert!(!transport.line());
    assert_eq!(transport.read(register::CONFIG_GENERATION), 1);
}

#[test]
fn what_is_broken_needs_a_reset_and_says_so() {
    let mut transport = running();
    transport.broken(Broken);
    assert!(!transport.is_running());
    assert_eq!(transport.read(register::STATUS), 0x4f);
    assert_eq!(transport.read(register::INTERRUPT_STATUS), 2);
}

#[test]
fn sizes_and_addresses_that_cannot_be_are_not_ready() {
    let sound = [MOST, DESCRIPTORS as u32, AVAILABLE as u32, USED as u32];
    let registers =
        [register::QUEUE_NUM, register::QUEUE_DESC, register::QUEUE_DRIVER, register::QUEUE_DEVICE];
    for (which, value) in [(0, 0), (0, 3), (0, 16), (1, 8), (2, 1), (3, 2)] {
        let mut transport = transport();
        for (n, offset) in registers.into_iter().enumerate() {
            transport.write(offset, if n == which { value } else { sound[n] });
        }
        transport.write(register::QUEUE_READY, 1);
        assert_eq!(transport.read(register::QUEUE_READY), 0, "{which} {value}");
    }
    // One that is ready does not move.
    let mut transport = running();
    transport.write(register::QUEUE_DESC + 4, u32::MAX);
    assert_eq!(transport, running());
}

fn queue() -> Queue {
    *running().queue(0).expect("it is there")
}

/// The chain that is next, if there is one.
fn next(queue: &Queue, ram: &Ram) -> Result<Option<Chain>, Broken> {
    let mut chain = Chain::default();
    assert!(queue.has_next(ram).is_ok() || queue.next(ram, &mut chain).is_err());
    Ok(queue.next(ram, &mut chain)?.then_some(chain))
}

#[test]
fn a_chain_is_read_written_and_given_back() {
    let (ram, mut queue) = (Ram::new(), queue());
    assert!(matches!(next(&queue, &ram), Ok(None)));
    ram.describe(3, (BUFFERS, 3, descriptor::NEXT, 5));
    ram.describe(5, (BUFFERS + 8, 2, descriptor::NEXT, 1));
    ram.describe(1, (BUFFERS + 16, 4, descriptor::WRITE, 0));
    ram.put(BUFFERS, *b"abc.....de");
    for round in 1..=300_u16 {
        ram.offer(3);
        let chain = next(&queue, &ram).expect("sound").expect("there");
        let again = next(&queue, &ram).expect("sound").expect("it stays");
        assert_eq!(again.parts(), chain.parts());
        let parts = [(BUFFERS, 3, false), (BUFFERS + 8, 2, false), (BUFFERS + 16, 4, true)];
        let parts = parts.map(|(address, length, writable)| Part { address, length, writable });
        assert_eq!(chain.parts(), parts);
        assert_eq!((chain.bytes(false), chain.bytes(true)), (5, 4));
        let mut bytes = [0; 8];
        assert_eq!(chain.read(&ram, 0, &mut bytes), Ok(5));
        assert_eq!(&bytes[..5], b"abcde");
        assert_eq!(chain.read(&ram, 2, &mut bytes[..2]), Ok(2));
        assert_eq!(&bytes[..2], b"cd");
        assert_eq!(chain.read(&ram, 9, &mut bytes), Ok(0));
        assert_eq!(chain.write(&ram, 1, b"xyzw"), Ok(3));
        assert_eq!(queue.give_back(&ram, &chain, 4), Ok(true));
        assert_eq!(ram.half(USED + 2), round);
        let entry = USED + 4 + 8 * (u64::from(round - 1) % u64::from(MOST));
        assert_eq!((ram.half(entry), ram.half(entry + 4)), (3, 4));
        assert!(matches!(next(&queue, &ram), Ok(None)));
    }
    ram.put(AVAILABLE, [1, 0]);
    ram.offer(3);
    let chain = next(&queue, &ram).expect("sound").expect("there");
    assert_eq!(queue.give_back(&ram, &chain, 0), Ok(false), "no interrupt, it says");
}

/// Empty ones are no work.
#[test]
fn so_many_buffers_are_read_or_written_at_a_time() {
    let (ram, mut queue, count) = (Ram::new(), queue(), PARTS as u16);
    queue.size = 32;
    for (half, flags) in [(0, 0), (1, descriptor::WRITE)] {
        for n in 0..count {
            let next = if n + 1 < count { descriptor::NEXT } else { 0 };
            let length = u32::from(n % 3 != 1);
            ram.describe(n, (BUFFERS + 2 * u64::from(n), length, flags | next, n + 1));
            ram.put(BUFFERS + 2 * u64::from(n), [n as u8]);
        }
        ram.offer(0);
        let chain = next(&queue, &ram).expect("sound").expect("there");
        if half == 0 {
            let (mut bytes, mut all) = ([0; 64], Vec::<u8>::new());
            loop {
                let count = chain.read(&ram, all.len() as u64, &mut bytes).expect("sound");
                all.extend(&bytes[..count]);
                if count < AT_A_TIME {
                    break;
                }
            }
            let wanted: Vec<_> = (0..count as u8).filter(|n| n % 3 != 1).collect();
            assert_eq!(all, wanted);
            assert_eq!(chain.read(&ram, 0, &mut bytes), Ok(AT_A_TIME));
        } else {
            assert_eq!((chain.room(), chain.bytes(true)), (AT_A_TIME as u64, 11));
            assert_eq!(chain.write(&ram, 0, &[7; 64]), Ok(AT_A_TIME));
        }
        queue.give_back(&ram, &chain, 0).expect("sound");
    }
}

#[test]
fn what_is_no_chain_is_broken() {
    type Case = (&'static str, &'static [(u16, (u64, u32, u16, u16))], u16);
    let cases: [Case; 5] = [
        ("a loop", &[(0, (BUFFERS, 1, descriptor::NEXT, 0))], 0),
        ("a head that is none", &[], MOST as u16),
        ("a next that is none", &[(0, (BUFFERS, 1, descriptor::NEXT, MOST as u16))], 0),
        ("indirect", &[(0, (BUFFERS, 16, descriptor::INDIRECT, 0))], 0),
        (
            "read behind written",
            &[(0, (BUFFERS, 1, descriptor::NEXT | descriptor::WRITE, 1)), (1, (BUFFERS, 1, 0, 0))],
            0,
        ),
    ];
    for (what, descriptors, head) in cases {
        let ram = Ram::new();
        for (at, fields) in descriptors {
            ram.describe(*at, *fields);
        }
        ram.offer(head);
        assert_eq!(next(&queue(), &ram).err(), Some(Broken), "{what}");
    }
}

#[test]
fn more_than_a_queue_holds_is_broken() {
    let ram = Ram::new();
    ram.put(AVAILABLE + 2, (MOST as u16).to_le_bytes());
    assert!(next(&queue(), &ram).is_ok());
    ram.put(AVAILABLE + 2, (MOST as u16 + 1).to_le_bytes());
    assert_eq!(next(&queue(), &ram).err(), Some(Broken));
    assert_eq!(queue().has_next(&ram), Err(Broken));
}

#[test]
fn buffers_outside_of_memory_are_broken_when_they_are_touched() {
    let ram = Ram::new();
    for address in [0, AT + SIZE as u64 - 1, u64::MAX - 1] {
        ram.describe(0, (address, 4, 0, 0));
        ram.offer(0);
        let chain = next(&queue(), &ram).expect("it is a chain").expect("there");
        assert_eq!(chain.read(&ram, 0, &mut [0; 4]), Err(Broken), "{address:#x}");
        ram.put(AVAILABLE + 2, [0, 0]);
    }
    let mut elsewhere = queue();
    elsewhere.areas[1] = 0x1000;
    assert_eq!(next(&elsewhere, &ram).err(), Some(Broken));
}

#[test]
fn a_saved_one_is_restored() {
    let ram = Ram::new();
    let mut first = running();
    ram.describe(0, (BUFFERS, 4, 0, 0));
    ram.offer(0);
    let chain = next(first.queue(0).expect("there"), &ram).expect("sound").expect("there");
    first.queue(0).expect("there").give_back(&ram, &chain, 0).expect("sound");
    first.used_buffer();
    let mut save = Save::default();
    first.save(&mut save);
    let bytes = save.into_bytes();
    let mut second = transport();
    assert_eq!(second.restore(&mut Restore::new(&bytes)), Ok(()));
    assert_eq!(second, first);
    for length in 0..bytes.len() {
        let cut = second.restore(&mut Restore::new(&bytes[..length]));
        assert_eq!(cut, Err(RestoreError::Truncated));
    }
    // A queue that is ready and cannot be; features that were never offered.
    let queue_bytes = 36;
    for (at, byte) in [(0, 3), (4, 2), (2 * queue_bytes + 16, 0x84)] {
        let mut bytes = bytes.clone();
        bytes[at] = byte;
        let refused = second.restore(&mut Restore::new(&bytes));
        assert_eq!(refused, Err(RestoreError::Impossible), "{at}");
    }
    assert_eq!(second, first, "nothing of it was taken");
}

proptest! {
    /// Whatever lies in memory and is written to registers: an answer, in no more steps than
    /// a chain has parts, and nothing is written outside of what the driver gave.
    #[test]
    fn a_queue_survives_any_memory(
        writes in proptest::collection::vec((0..SIZE as u64 / 2, any::<u16>()), 0..200),
        accesses in proptest::collection::vec((0..0x100_u64, any::<u32>()), 0..50),
    ) {
        let ram = Ram::new();
        for (at, value) in writes {
            ram.put(AT + 2 * at, value.to_le_bytes());
        }
        let mut transport = running();
        for (offset, value) in accesses {
            let _ = transport.read(offset);
            let _ = transport.write(offset, value);
        }
        for index in 0..2 {
            let Some(queue) = transport.queue(index) else { continue };
            for _ in 0..20 {
                let Ok(Some(chain)) = next(queue, &ram) else { break };
                prop_assert!(chain.parts().len() <= PARTS);
                let mut bytes = [0; 64];
                let _ = chain.read(&ram, 3, &mut bytes);
                let _ = chain.write(&ram, 5, &bytes);
                let _ = queue.give_back(&ram, &chain, 64);
            }
        }
    }
}
