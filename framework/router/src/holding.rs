//! What a VM has of one of its devices, taken away and given back where it stands.

use crate::space::Space;
use alloc::vec::Vec;
use evisor_contract::{Capability, Context, Effect, MmioPort, NotifyPort, Rights};

/// A line of a device: the capability to it, and its number there.
pub type HeldLine = (&'static Capability<dyn NotifyPort>, u32);

/// The routes that lead to a device, its lines, and the rights that they have while it is
/// its VM's.
pub struct Holding {
    routes: Vec<(&'static Capability<dyn MmioPort>, Rights)>,
    lines: Vec<(HeldLine, Rights)>,
}

impl Holding {
    /// What `space` has of the device at `port`, the address of any of its ports, whose
    /// lines are `lines`. `None` if it has no registers of it.
    #[must_use]
    pub fn of(space: &'static Space, port: *const (), lines: &[HeldLine]) -> Option<Self> {
        let routes = space.mmio.granted().map(|route| route.capability());
        let its = routes.filter(|capability| core::ptr::addr_eq(capability.port(), port));
        let routes: Vec<_> = its.map(|capability| (capability, capability.rights())).collect();
        let lines = lines.iter().map(|line| (*line, line.0.rights())).collect();
        (!routes.is_empty()).then_some(Self { routes, lines })
    }

    /// Every core sees it from the next access on.
    pub fn take(&self) {
        self.routes.iter().for_each(|(capability, _)| capability.clear(Rights::all()));
        self.lines.iter().for_each(|((capability, _), _)| capability.clear(Rights::all()));
    }

    /// Its lines are down, whatever it said last. After [`take`](Self::take).
    pub fn lower(&self, cx: &mut Context) {
        for ((to, tag), _) in &self.lines {
            // Needs no right: who holds the device has none any more.
            cx.push(Effect { to, right: Rights::empty(), tag: *tag, value: 0 });
        }
    }

    /// As it was made.
    pub fn give(&self) {
        self.lines.iter().for_each(|((capability, _), rights)| capability.restore(*rights));
        self.routes.iter().for_each(|(capability, rights)| capability.restore(*rights));
    }
}
