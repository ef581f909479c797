//! A split virtqueue (Virtio §2.7).

use crate::spec::{INDEX, NO_INTERRUPT, RING, USED_ENTRY, descriptor};
use evisor_contract::{Memory, Outside, Restore, RestoreError, Save};

/// How many descriptors a chain has at most. (A driver may make one as long as its queue,
/// §2.7.5.3.1, which none does for what is served here.)
pub const PARTS: usize = 16;

/// How many buffers of a chain are read or written at most at a time: whatever has eight bytes,
/// as messages have, is read at once however it is cut up (§2.7.4.1).
pub const AT_A_TIME: usize = 8;

/// What is in the guest's memory cannot be a virtqueue, or is not in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Broken;

impl From<Outside> for Broken {
    fn from(Outside: Outside) -> Self {
        Self
    }
}

/// One buffer of a chain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// Where it is, guest-physical; the guest says so.
    pub address: u64,
    /// How long it is; the guest says so too.
    pub length: u32,
    /// The device writes it, else it reads it.
    pub writable: bool,
}

/// Buffers that belong together, those to be read first; none at first.
#[derive(Clone, Debug, Default)]
pub struct Chain {
    head: u16,
    parts: [Part; PARTS],
    count: usize,
}

impl Chain {
    /// Its buffers.
    pub fn parts(&self) -> &[Part] {
        self.parts.get(..self.count).unwrap_or_default()
    }

    /// How many bytes those have that the device writes, or those that it reads.
    pub fn bytes(&self, writable: bool) -> u64 {
        let these = self.parts().iter().filter(|part| part.writable == writable);
        these.map(|part| u64::from(part.length)).sum()
    }

    /// Copies from what the device reads, from byte `at` on, at most as much as `to` has
    /// room for, of [`AT_A_TIME`] buffers: how much.
    ///
    /// # Errors
    /// It is not in the guest's memory.
    pub fn read(&self, memory: &dyn Memory, at: u64, to: &mut [u8]) -> Result<usize, Broken> {
        let mut done = 0;
        self.each(false, at, to.len(), |address, count| {
            let part = to.get_mut(done..done + count).unwrap_or_default();
            done += part.len();
            Ok(memory.read(address, part)?)
        })
    }

    /// How many bytes one [`write`](Self::write) has room for.
    pub fn room(&self) -> u64 {
        let these = self.parts().iter().filter(|part| part.writable && part.length > 0);
        these.take(AT_A_TIME).map(|part| u64::from(part.length)).sum()
    }

    /// Copies to what the device writes, from byte `at` on, as much of `from` as there is
    /// room for in [`AT_A_TIME`] buffers: how much.
    ///
    /// # Errors
    /// It is not in the guest's memory, or the guest cannot write there.
    pub fn write(&self, memory: &dyn Memory, at: u64, from: &[u8]) -> Result<usize, Broken> {
        let mut done = 0;
        self.each(true, at, from.len(), |address, count| {
            let part = from.get(done..done + count).unwrap_or_default();
            done += part.len();
            Ok(memory.write(address, part)?)
        })
    }

    /// Runs `copy` on the pieces of at most `most` bytes from byte `at` on.
    fn each(
        &self,
        writable: bool,
        at: u64,
        most: usize,
        mut copy: impl FnMut(u64, usize) -> Result<(), Broken>,
    ) -> Result<usize, Broken> {
        let (mut skip, mut left, mut copies) = (at, most, 0);
        for part in self.parts().iter().filter(|part| part.writable == writable) {
            let length = u64::from(part.length);
            let Some(rest) = length.checked_sub(skip) else {
                skip -= length;
                continue;
            };
            let count = rest.min(left as u64) as usize;
            if count > 0 {
                if copies == AT_A_TIME {
                    break;
                }
                copies += 1;
                copy(part.address.checked_add(skip).ok_or(Broken)?, count)?;
            }
            left -= count;
            skip = 0;
        }
        Ok(most - left)
    }
}

/// A virtqueue, as the device has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// QueueNum: a power of two.
    pub(crate) size: u32,
    pub(crate) ready: bool,
    /// Where the descriptors, the available and the used ring are.
    pub(crate) areas: [u64; 3],
    /// Where the device looks next in the available ring, and in the used one: these run on
    /// modulo 2¹⁶.
    next: u16,
    used: u16,
}

/// How the three areas are aligned (Virtio §2.7).
const ALIGNED: [u64; 3] = [16, 2, 4];

impl Queue {
    /// The driver says that it is there: it is, if its size and its addresses can be.
    pub(crate) fn enable(&mut self, most: u32) {
        let size = self.size.is_power_of_two() && self.size <= most;
        let aligned = |(area, to): (&u64, u64)| area.is_multiple_of(to);
        // No address of it wraps: the last entry is less than 2²⁰ behind the first.
        let ends = self.areas.iter().all(|area| area.checked_add(1 << 20).is_some());
        self.ready = size && ends && self.areas.iter().zip(ALIGNED).all(aligned);
        (self.next, self.used) = (0, 0);
    }

    /// Whether it can be used.
    pub fn is_ready(&self) -> bool {
        self.ready
    }

    fn slot(&self, index: u16) -> u64 {
        u64::from(index) & u64::from(self.size.wrapping_sub(1))
    }

    /// Whether there is a next chain. It costs one copy, of two bytes.
    ///
    /// # Errors
    /// The queue cannot be one.
    pub fn has_next(&self, memory: &dyn Memory) -> Result<bool, Broken> {
        if !self.ready {
            return Ok(false);
        }
        let [_, available, _] = self.areas;
        match half(memory, available + INDEX)?.wrapping_sub(self.next) {
            0 => Ok(false),
            ahead if u32::from(ahead) > self.size => Err(Broken),
            _ => Ok(true),
        }
    }

    /// Makes `chain` the one that is next, which stays so until it was
    /// [`give_back`](Self::give_back). False if there is none, or the queue is not ready.
    ///
    /// # Errors
    /// The queue cannot be one.
    pub fn next(&self, memory: &dyn Memory, chain: &mut Chain) -> Result<bool, Broken> {
        if !self.has_next(memory)? {
            return Ok(false);
        }
        let [_, available, _] = self.areas;
        // What is read from here on was written before the index was: `Memory` orders its
        // copies.
        chain.head = half(memory, available + RING + 2 * self.slot(self.next))?;
        self.walk(memory, chain).map(|()| true)
    }

    /// The chain that begins at its head (§2.7.5).
    fn walk(&self, memory: &dyn Memory, chain: &mut Chain) -> Result<(), Broken> {
        let [descriptors, _, _] = self.areas;
        chain.count = 0;
        let (mut at, mut after_written) = (chain.head, false);
        for slot in &mut chain.parts {
            if u32::from(at) >= self.size {
                return Err(Broken);
            }
            let mut bytes = [0; descriptor::SIZE as usize];
            memory.read(descriptors + descriptor::SIZE * u64::from(at), &mut bytes)?;
            let [low, high] = bytes.as_chunks::<8>().0 else { return Err(Broken) };
            let (address, rest) = (u64::from_le_bytes(*low), u64::from_le_bytes(*high));
            let (length, flags) = (rest as u32, (rest >> 32) as u16);
            let writable = flags & descriptor::WRITE != 0;
            // Those to be written come last (§2.7.4.2); indirect ones were not offered.
            if flags & descriptor::INDIRECT != 0 || after_written && !writable {
                return Err(Broken);
            }
            (*slot, after_written) = (Part { address, length, writable }, writable);
            chain.count += 1;
            if flags & descriptor::NEXT == 0 {
                return Ok(());
            }
            at = (rest >> 48) as u16;
        }
        Err(Broken)
    }

    /// Gives `chain`, the next one, back to the driver, with so many bytes written. True if
    /// the driver wants an interrupt for it.
    ///
    /// # Errors
    /// The queue cannot be one.
    pub fn give_back(
        &mut self,
        memory: &dyn Memory,
        chain: &Chain,
        written: u32,
    ) -> Result<bool, Broken> {
        let [_, available, used] = self.areas;
        let entry = u64::from(written) << 32 | u64::from(chain.head);
        memory.write(used + RING + USED_ENTRY * self.slot(self.used), &entry.to_le_bytes())?;
        self.next = self.next.wrapping_add(1);
        self.used = self.used.wrapping_add(1);
        memory.write(used + INDEX, &self.used.to_le_bytes())?;
        Ok(half(memory, available)? & NO_INTERRUPT == 0)
    }

    pub(crate) fn save(&self, to: &mut Save) {
        to.word(self.size);
        to.word(u32::from(self.ready));
        self.areas.iter().for_each(|area| to.double(*area));
        to.word(u32::from(self.next) | u32::from(self.used) << 16);
    }

    pub(crate) fn restore(from: &mut Restore<'_>, most: u32) -> Result<Self, RestoreError> {
        let (size, ready) = (from.word()?, from.word()?);
        let mut areas = [0; 3];
        for area in &mut areas {
            *area = from.double()?;
        }
        let indices = from.word()?;
        let mut queue = Self { size, areas, ..Self::default() };
        if ready != 0 {
            queue.enable(most);
        }
        if ready > 1 || queue.ready != (ready == 1) {
            return Err(RestoreError::Impossible);
        }
        (queue.next, queue.used) = (indices as u16, (indices >> 16) as u16);
        Ok(queue)
    }
}

fn half(memory: &dyn Memory, address: u64) -> Result<u16, Broken> {
    let mut bytes = [0; 2];
    memory.read(address, &mut bytes)?;
    Ok(u16::from_le_bytes(bytes))
}
