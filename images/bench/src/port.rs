//! A stream as a virtio console has it (`devices/virtio-console`), whose other end is this
//! guest's too: as little of a driver as will do (Virtio 1.2, §3.1, §4.2.2).

use core::sync::atomic::{AtomicU32, Ordering};

use aarch64_cpu::asm::barrier;
use evisor_guest::channel::{Channel, Memory};
use evisor_guest::ring::Stream;
use evisor_guest::{map, mmio, timer};

/// Its registers.
const PORT: usize = 0x0a20_0000;
pub const DRIVER_FEATURES: usize = PORT + 0x020;
pub const DRIVER_FEATURES_SEL: usize = PORT + 0x024;
pub const QUEUE_SEL: usize = PORT + 0x030;
pub const QUEUE_NUM: usize = PORT + 0x038;
pub const QUEUE_READY: usize = PORT + 0x044;
pub const QUEUE_NOTIFY: usize = PORT + 0x050;
const INTERRUPT_STATUS: usize = PORT + 0x060;
const INTERRUPT_ACK: usize = PORT + 0x064;
pub const STATUS: usize = PORT + 0x070;
/// QueueDescLow, QueueDriverLow, QueueDeviceLow; the upper halves stay 0.
pub const AREAS: [usize; 3] = [PORT + 0x080, PORT + 0x090, PORT + 0x0a0];

/// The doorbell of the other end.
const RING: usize = map::CHANNEL + 0x20;

/// Of port 0.
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;

const ENTRIES: u32 = 8;
const KIB: usize = 1024;
/// VIRTQ_DESC_F_WRITE.
const WRITE: u32 = 2;

/// A queue: descriptors, available and used ring, and the one buffer that all chains have.
#[repr(C, align(4096))]
struct Queue {
    descriptors: [AtomicU32; 256],
    available: [AtomicU32; 256],
    used: [AtomicU32; 256],
    buffer: [AtomicU32; KIB / 4],
}

static QUEUES: [Queue; 2] = [const { Queue::new() }; 2];
/// Where a store goes that does not trap.
static NOTHING: AtomicU32 = AtomicU32::new(0);

impl Queue {
    const fn new() -> Self {
        Self {
            descriptors: [const { AtomicU32::new(0) }; _],
            available: [const { AtomicU32::new(0) }; _],
            used: [const { AtomicU32::new(0) }; _],
            buffer: [const { AtomicU32::new(0) }; _],
        }
    }

    /// Tells the device where it is, and has descriptor 0 say where the buffer is.
    fn set_up(&self, number: usize) {
        mmio::store32(QUEUE_SEL, number as u32);
        mmio::store32(QUEUE_NUM, ENTRIES);
        for (register, area) in
            AREAS.into_iter().zip([&self.descriptors, &self.available, &self.used])
        {
            mmio::store32(register, area.as_ptr() as u32);
        }
        let flags = if number == RECEIVE { WRITE } else { 0 };
        let descriptor = [self.buffer.as_ptr() as u32, 0, KIB as u32, flags];
        for (word, value) in self.descriptors.iter().zip(descriptor) {
            word.store(value, Ordering::Relaxed);
        }
        mmio::store32(QUEUE_READY, 1);
    }

    /// Makes chain 0 available once more: all entries of the ring are 0.
    fn offer(&self) {
        let [flags_and_index, ..] = &self.available;
        flags_and_index.fetch_add(1 << 16, Ordering::SeqCst);
        barrier::dsb(barrier::SY);
    }

    /// How many came back.
    fn used(&self) -> u32 {
        let [flags_and_index, ..] = &self.used;
        flags_and_index.load(Ordering::SeqCst) >> 16
    }
}

/// The port and the other end, connected.
pub struct Port {
    other: Stream<Memory>,
}

/// The other end, which is this guest's too; `None` if it does not meet the port.
pub fn other_end() -> Option<Stream<Memory>> {
    let channel = Channel::at(map::CHANNEL)?;
    let mut other = channel.open(map::CHANNEL_MEMORY, channel.lives())?;
    let met = || {
        if other.meet() {
            channel.ring();
        }
        other.is_connected()
    };
    timer::wait_until(1_000_000, met).then_some(other)
}

impl Port {
    /// `None` if it is not there, or does not come to be connected.
    pub fn open() -> Option<Self> {
        for (register, value) in [
            (STATUS, 0),
            (STATUS, 0b11),
            // VIRTIO_F_VERSION_1, and nothing else: it is a console.
            (DRIVER_FEATURES_SEL, 1),
            (DRIVER_FEATURES, 1),
            (STATUS, 0b1011),
        ] {
            mmio::store32(register, value);
        }
        QUEUES.iter().enumerate().for_each(|(number, queue)| queue.set_up(number));
        mmio::store32(STATUS, 0b1111);
        Some(Self { other: other_end()? })
    }

    /// The counts of so many KiB that the guest gives to the port.
    pub fn give(&mut self, number: u64) -> Option<u64> {
        let [_, queue] = &QUEUES;
        let (mut sum, mut bytes) = (0, [0; KIB]);
        for _ in 0..number {
            let before = queue.used();
            queue.offer();
            sum += costs(QUEUE_NOTIFY, TRANSMIT as u32) + acknowledge();
            let received = self.other.receive(&mut bytes).ok()?.bytes;
            if received != KIB || queue.used() == before {
                return None;
            }
        }
        Some(sum)
    }

    /// The counts of so many KiB that the port gives to the guest.
    pub fn take(&mut self, number: u64) -> Option<u64> {
        let [queue, _] = &QUEUES;
        let mut sum = 0;
        for _ in 0..number {
            let before = queue.used();
            queue.offer();
            sum += costs(QUEUE_NOTIFY, RECEIVE as u32);
            let sent = self.other.send(&[0x5a; KIB]).ok()?;
            barrier::dsb(barrier::SY);
            sum += if sent.ring { costs(RING, 1) } else { 0 } + acknowledge();
            if sent.bytes != KIB || queue.used() == before {
                return None;
            }
        }
        Some(sum)
    }
}

/// What the driver does with the interrupt.
fn acknowledge() -> u64 {
    let (status, read) = load(INTERRUPT_STATUS);
    let (_, own) = load(NOTHING.as_ptr() as usize);
    read.wrapping_sub(own) + costs(INTERRUPT_ACK, status)
}

#[inline(never)]
fn load(address: usize) -> (u32, u64) {
    let begin = timer::count();
    (mmio::load32(address), timer::count() - begin)
}

/// What a store takes more than one that does not trap, with what follows at once.
fn costs(address: usize, value: u32) -> u64 {
    store(address, value).wrapping_sub(store(NOTHING.as_ptr() as usize, value))
}

#[inline(never)]
fn store(address: usize, value: u32) -> u64 {
    let begin = timer::count();
    mmio::store32(address, value);
    // A deadline that has passed comes here.
    (0..64).for_each(|_| barrier::isb(barrier::SY));
    timer::count() - begin
}
