//! A channel: from ringing to the other core's handler, and a stream in what is shared.

use evisor_guest::channel::{Channel, Memory};
use evisor_guest::ring::{Area, Stream};
use evisor_guest::{gic, map, timer};

use crate::interrupt;

/// The doorbell (components/channel).
const RING: u64 = map::CHANNEL as u64 + 0x20;
/// A word of what is shared, in which the other end says that it can be rung.
const READY: usize = 256;
/// How long it may take to get there, in microseconds.
const PATIENCE: u64 = 1_000_000;
/// How long to wait until eVisor has nothing else to do, in microseconds: it takes less than
/// half of it.
const QUIET: u64 = 60_000;
const KIB: usize = 1024;

fn open() -> Option<(Channel, Memory)> {
    let channel = Channel::at(map::CHANNEL)?;
    gic::set_edge(map::CHANNEL_INTID, true);
    gic::enable_interrupt(map::CHANNEL_INTID);
    Some((channel, channel.memory(map::CHANNEL_MEMORY)))
}

/// Rings the other end, which rings back: the sum of the counts.
pub fn ring(number: u64) -> Option<u64> {
    let (_, memory) = open()?;
    let is_ready = || memory.load(READY) != 0;
    if !timer::wait_until(PATIENCE, is_ready) {
        return None;
    }
    // What eVisor says of the start of both VMs goes out a byte at a time, which is not to be
    // counted.
    timer::wait_until(QUIET, || false);
    Some(interrupt::rings(number, RING))
}

/// Rings back, once more than is counted.
pub fn answer(number: u64) {
    let Some((_, memory)) = open() else { return };
    memory.store(READY, 1);
    interrupt::answer(number + 1, RING);
}

/// Both ends in this guest: the counts of so many KiB that are sent and received.
pub fn stream(number: u64) -> Option<u64> {
    let (channel, memory) = open()?;
    // What eVisor does for the other end's VM is not to be counted: it scrubs its memory when
    // it is off.
    timer::wait_until(PATIENCE, || !channel.other_is_up());
    timer::wait_until(QUIET, || false);
    let open = |end| Stream::open(memory, channel.size(), end, 1 + end as u32);
    let (mut out, mut into) = (open(0)?, open(1)?);
    let met = out.meet() && into.meet();
    let (from, mut to) = ([0x5a; KIB], [0; KIB]);
    let begin = timer::count();
    for _ in 0..number {
        let sent = out.send(&from).ok()?;
        let received = into.receive(&mut to).ok()?;
        if (sent.bytes, received.bytes) != (KIB, KIB) {
            return None;
        }
    }
    met.then(|| timer::count() - begin)
}
