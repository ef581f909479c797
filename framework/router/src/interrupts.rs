//! Interrupt numbers as names.

use crate::absent::ABSENT;
use alloc::vec::Vec;
use evisor_contract::{Capability, Context, NotifyPort, Rights, Words};

/// How many INTIDs a GIC without extensions has: 0–1019, rounded up.
pub const INTIDS: usize = 1024;

/// What a physical interrupt leads to: a line of a VM, or a component that
/// drives the device. Aligned so that finding one takes a shift.
#[repr(align(64))]
struct InterruptRoute {
    capability: Capability<dyn NotifyPort>,
    tag: u32,
    value: u64,
}

impl InterruptRoute {
    fn absent() -> Self {
        Self {
            capability: Capability::new(&ABSENT as &dyn NotifyPort, Rights::empty(), 0),
            tag: 0,
            value: 0,
        }
    }

    #[inline(always)]
    fn notify(&self, cx: &mut Context) -> Words {
        if !self.capability.permits_bit(INTERRUPT) {
            return Words::ABSENT;
        }
        self.capability.follow().notify(self.tag, self.value, cx)
    }

    fn is_granted(&self) -> bool {
        !self.capability.rights().is_empty()
    }
}

const INTERRUPT: u32 = Rights::INTERRUPT.bits().trailing_zeros();

/// How many INTIDs are private to a core.
const PRIVATE: usize = 32;

/// The routes of all INTIDs, indexed by number.
pub struct Interrupts {
    private: [InterruptRoute; PRIVATE],
    shared: Vec<InterruptRoute>,
}

impl Interrupts {
    /// Private interrupt `intid` (its low five bits) fired: tells who holds it.
    ///
    /// [`Words::ABSENT`] if nobody does, or without the right.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the size of the array")]
    pub fn notify_private(&self, intid: usize, cx: &mut Context) -> Words {
        self.private[intid & (PRIVATE - 1)].notify(cx)
    }

    /// Shared interrupt `intid` fired: tells who holds it.
    ///
    /// [`Words::ABSENT`] if nobody does, or without the right.
    #[inline(always)]
    pub fn notify_shared(&self, intid: usize, cx: &mut Context) -> Words {
        match self.shared.get(intid.wrapping_sub(PRIVATE)) {
            Some(route) => route.notify(cx),
            None => Words::ABSENT,
        }
    }

    /// How often its capabilities were used.
    pub(crate) fn uses(&self) -> u64 {
        let routes = self.private.iter().chain(&self.shared);
        routes.map(|route| route.capability.hits()).fold(0, u64::wrapping_add)
    }

    /// What interrupt `intid` leads to, if it was granted.
    pub fn capability(&self, intid: usize) -> Option<&Capability<dyn NotifyPort>> {
        let route = match intid.checked_sub(PRIVATE) {
            None => self.private.get(intid),
            Some(at) => self.shared.get(at),
        };
        route.filter(|route| route.is_granted()).map(|route| &route.capability)
    }

    pub(crate) fn quarantine(&self, port: *const ()) {
        for route in self.private.iter().chain(&self.shared) {
            if core::ptr::addr_eq(route.capability.port(), port) {
                route.capability.clear(Rights::all());
            }
        }
    }
}

/// Routes of interrupts being put together.
pub struct InterruptsBuilder {
    routes: Interrupts,
}

impl Default for InterruptsBuilder {
    fn default() -> Self {
        let private = core::array::from_fn(|_| InterruptRoute::absent());
        Self { routes: Interrupts { private, shared: Vec::new() } }
    }
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
        match self.slot(intid) {
            Some(route) if !route.is_granted() => {
                *route = InterruptRoute { capability, tag, value };
                Ok(())
            }
            _ => Err(capability),
        }
    }

    fn slot(&mut self, intid: usize) -> Option<&mut InterruptRoute> {
        let Interrupts { private, shared } = &mut self.routes;
        match intid.checked_sub(PRIVATE) {
            None => private.get_mut(intid),
            Some(_) if intid >= INTIDS => None,
            Some(at) => {
                let length = shared.len().max(at + 1);
                shared.resize_with(length, InterruptRoute::absent);
                shared.get_mut(at)
            }
        }
    }

    /// Fixes the routes.
    #[must_use]
    pub fn finish(self) -> Interrupts {
        self.routes
    }
}
