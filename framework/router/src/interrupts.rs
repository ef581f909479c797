//! Interrupt numbers as names.

use crate::absent::ABSENT;
use alloc::vec::Vec;
use evisor_contract::{Capability, Context, NotifyPort, Reply, Rights};

/// How many INTIDs a GIC without extensions has: 0–1019, rounded up.
pub const INTIDS: usize = 1024;

/// What a physical interrupt leads to: a line of a VM, or a component that
/// drives the device.
struct InterruptRoute {
    capability: Capability<dyn NotifyPort>,
    tag: u32,
    value: u64,
}

/// The routes of all INTIDs, indexed by number.
pub struct Interrupts {
    routes: Vec<InterruptRoute>,
}

impl Interrupts {
    /// Physical interrupt `intid` fired: tells who holds it.
    ///
    /// [`Reply::ABSENT`] if nobody does, or without the right.
    #[inline(always)]
    pub fn notify(&self, intid: usize, cx: &mut Context) -> Reply {
        match self.routes.get(intid) {
            Some(route) if route.capability.rights().contains(Rights::INTERRUPT) => {
                route.capability.follow().notify(route.tag, route.value, cx)
            }
            _ => Reply::ABSENT,
        }
    }

    /// Whether anybody holds `intid`.
    pub fn is_granted(&self, intid: usize) -> bool {
        self.routes.get(intid).is_some_and(|route| !route.capability.rights().is_empty())
    }

    pub(crate) fn quarantine(&self, port: *const ()) {
        for route in &self.routes {
            if core::ptr::addr_eq(route.capability.port(), port) {
                route.capability.clear(Rights::all());
            }
        }
    }
}

/// Routes of interrupts being put together.
#[derive(Default)]
pub struct InterruptsBuilder {
    routes: Vec<InterruptRoute>,
}

impl InterruptsBuilder {
    /// Physical interrupt `intid` notifies `tag` with `value` through
    /// `capability`.
    ///
    /// # Errors
    /// Somebody holds it already, or there is no such interrupt: gives the
    /// capability back.
    pub fn grant(
        &mut self,
        intid: usize,
        capability: Capability<dyn NotifyPort>,
        tag: u32,
        value: u64,
    ) -> Result<(), Capability<dyn NotifyPort>> {
        if intid >= INTIDS {
            return Err(capability);
        }
        while self.routes.len() <= intid {
            let capability = Capability::new(&ABSENT as &dyn NotifyPort, Rights::empty(), 0);
            self.routes.push(InterruptRoute { capability, tag: 0, value: 0 });
        }
        match self.routes.get_mut(intid) {
            Some(route) if route.capability.rights().is_empty() => {
                *route = InterruptRoute { capability, tag, value };
                Ok(())
            }
            _ => Err(capability),
        }
    }

    /// Fixes the routes.
    #[must_use]
    pub fn finish(self) -> Interrupts {
        Interrupts { routes: self.routes }
    }
}
