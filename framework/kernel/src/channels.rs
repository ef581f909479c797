//! Channels: their ends as components hold them, and the way of a doorbell.
//!
//! A doorbell goes the way of a physical interrupt: where the first vCPU of the VM that is
//! rung has a core of its own, ringing sends that core a software-generated interrupt, which
//! leads through the VM's own space to its line. So who rings takes no lock of the other VM
//! and waits for nothing. On a core that is shared the interrupt would come by way of
//! whoever runs there: then the line is told by an effect, and so is an end that has no
//! line but an object.

use crate::host::Host;
use crate::vm::Vm;
use alloc::boxed::Box;
use alloc::string::String;
use core::ops::RangeInclusive;
use core::sync::atomic::{AtomicU32, Ordering};
use evisor_contract::{ChannelEnd, Context, Effect, VmState, tag};
use evisor_manifest::ChannelPlan;
use evisor_router::deliver;
use spin::Once;

use crate::memory::MemorySlot;

/// The software-generated interrupts that are doorbells. The first is the kernel's own; the
/// upper eight may be the Secure world's (IHI 0069 §2.2.1).
pub(crate) const BELLS: RangeInclusive<u32> = 1..=7;

/// Memory that two ends share.
pub struct ChannelMemory {
    /// The path of the channel's node.
    pub path: String,
    /// How long it is; whole pages.
    pub size: u64,
    /// Where components find it, if one was granted that.
    pub slot: Option<&'static MemorySlot>,
    /// Its index among the root's objects.
    pub(crate) channel: usize,
    /// Its ends, as they are built.
    pub(crate) ends: [Option<&'static End>; 2],
}

/// An end that a VM holds.
pub struct HeldEnd {
    /// The channel: an index into [`Bound::channels`](crate::Bound::channels).
    pub channel: usize,
    /// Which end.
    pub end: &'static End,
}

/// Where a guest sees what the ends of a channel share.
pub struct ChannelWindow {
    /// The path of the node.
    pub path: String,
    /// Guest-physical.
    pub ipa: u64,
    /// How long it is.
    pub size: u64,
    /// Whether the guest may write there.
    pub writable: bool,
    /// The channel: an index into [`Bound::channels`](crate::Bound::channels).
    pub channel: usize,
}

/// How an end is rung.
#[derive(Clone, Copy)]
pub(crate) enum Bell {
    /// By a software-generated interrupt of a core.
    Core { core: usize, sgi: u32 },
    /// By an effect.
    Effect(Effect),
}

/// An end of a channel.
pub struct End {
    plan: ChannelPlan,
    host: &'static dyn Host,
    vm: &'static Vm,
    starts: AtomicU32,
    bell: Once<Bell>,
    /// How the other end is rung; known when both are built.
    others_bell: Once<Bell>,
    other: Once<&'static End>,
}

impl End {
    pub(crate) fn new(
        plan: ChannelPlan,
        host: &'static dyn Host,
        vm: &'static Vm,
    ) -> &'static Self {
        let (bell, others_bell, other) = (Once::new(), Once::new(), Once::new());
        let starts = AtomicU32::new(0);
        Box::leak(Box::new(Self { plan, host, vm, starts, bell, others_bell, other }))
    }

    /// This is how it is rung.
    pub(crate) fn rung_by(&self, bell: Bell) {
        self.bell.call_once(|| bell);
    }

    /// The two are a channel's.
    pub(crate) fn join(&'static self, other: &'static End) {
        for (end, other) in [(self, other), (other, self)] {
            end.other.call_once(|| other);
            if let Some(bell) = other.bell.get() {
                end.others_bell.call_once(|| *bell);
            }
        }
    }

    /// Its VM was rolled back, and does not run yet: both ends begin again, and whoever holds
    /// them is rung.
    pub(crate) fn begins_again(&self, cx: &mut Context) {
        for bell in [&self.bell, &self.others_bell].into_iter().filter_map(Once::get) {
            match *bell {
                Bell::Core { core, sgi } => self.host.signal(core, sgi),
                Bell::Effect(effect) => cx.push(begins(effect)),
            }
            let _ = deliver(cx);
        }
    }
}

/// What an object is told instead of that it is rung; a line has an edge for both.
fn begins(rung: Effect) -> Effect {
    let tag = if rung.tag == tag::RUNG { tag::BEGINS } else { rung.tag };
    Effect { tag, ..rung }
}

impl ChannelEnd for End {
    fn number(&self) -> u32 {
        self.plan.end
    }

    fn size(&self) -> u64 {
        self.plan.size
    }

    fn starts(&self) -> u32 {
        self.starts.load(Ordering::Acquire)
    }

    fn other_starts(&self) -> u32 {
        self.other.get().map_or(0, |other| other.starts())
    }

    fn other_is_up(&self) -> bool {
        self.other.get().is_some_and(|other| other.vm.state() == VmState::On)
    }

    #[inline(always)]
    fn is_up(&self) -> bool {
        self.vm.goes_on()
    }

    fn start(&self) {
        self.starts.fetch_add(1, Ordering::Release);
    }

    #[inline(always)]
    fn ring(&self, cx: &mut Context) {
        match self.others_bell.get() {
            Some(Bell::Core { core, sgi }) => self.host.signal(*core, *sgi),
            Some(Bell::Effect(effect)) => cx.push(*effect),
            None => {}
        }
    }
}
