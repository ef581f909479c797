//! Channels: memory that two ends share, and a doorbell each way.

use crate::context::Context;

/// An end of a channel: a leaf, but for what it rings.
///
/// The other end is somebody else's and is not trusted. It comes and goes with its VM;
/// whenever that stops, this end is rung. What the two share is not rolled back with a VM:
/// so both ends begin again then ([`tag::BEGINS`](crate::tag::BEGINS)), as if that VM had
/// started anew.
pub trait ChannelEnd: Sync {
    /// Which of the two it is, 0 or 1.
    fn number(&self) -> u32;
    /// How many bytes the two share.
    fn size(&self) -> u64;
    /// How often this end has started, modulo 2³².
    fn starts(&self) -> u32;
    /// How often the other one has.
    fn other_starts(&self) -> u32;
    /// Whether the other end's VM runs.
    fn other_is_up(&self) -> bool;
    /// Whether this end's own VM runs. Who holds the end leaves the VM's memory alone while
    /// it does not, whoever rings: when it goes on comes
    /// [`tag::DEADLINE`](crate::tag::DEADLINE).
    fn is_up(&self) -> bool;
    /// This end starts: said by whoever holds it when it is reset.
    fn start(&self);
    /// Rings the other end: its line has an edge, or it is notified of
    /// [`tag::RUNG`](crate::tag::RUNG). What was written to the memory before is seen by
    /// who is rung. It may be rung once for several.
    fn ring(&self, cx: &mut Context);
}
