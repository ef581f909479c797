//! Routes: which names lead to which capability.

use crate::absent::Port;
use crate::cache::SLOTS;
use alloc::vec::Vec;
use core::fmt;
use evisor_contract::{Capability, Rights};

/// A range of names and the capability that it leads to.
///
/// The capability stands in the route and not behind an index: following it is
/// what every trap does.
#[repr(C)]
pub struct Route<P: ?Sized + 'static> {
    first: u64,
    /// The last name less the first.
    span: u64,
    capability: Capability<P>,
}

impl<P: ?Sized> Route<P> {
    /// The distance of `name` from the first, if the route covers it.
    #[inline(always)]
    pub fn distance(&self, name: u64) -> Option<u64> {
        let distance = name.wrapping_sub(self.first);
        if distance <= self.span { Some(distance) } else { None }
    }

    /// The capability.
    #[inline(always)]
    pub fn capability(&self) -> &Capability<P> {
        &self.capability
    }

    /// The first and the last name.
    pub fn names(&self) -> (u64, u64) {
        (self.first, self.first + self.span)
    }
}

/// All routes for one kind of name, in order, without gaps.
pub struct Table<P: ?Sized + 'static> {
    routes: Vec<Route<P>>,
    /// Which bits of a name choose the slot of a cache.
    shift: u32,
}

impl<P: ?Sized> Table<P> {
    /// The route of `name`. Every name has one.
    #[inline(never)]
    pub fn search(&self, name: u64) -> Option<&Route<P>> {
        let after = self.routes.partition_point(|route| route.first <= name);
        self.routes.get(after.wrapping_sub(1))
    }

    /// Which bits of a name choose its slot in a cache: those from here up.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// All routes that were granted, in order.
    pub fn granted(&self) -> impl Iterator<Item = &Route<P>> {
        self.routes.iter().filter(|route| !route.capability.rights().is_empty())
    }

    /// How often its capabilities were used.
    pub fn uses(&self) -> u64 {
        self.routes.iter().map(|route| route.capability.hits()).fold(0, u64::wrapping_add)
    }

    /// Takes every right to the object at `port` away.
    #[inline(never)]
    pub(crate) fn quarantine(&self, port: *const ()) {
        for route in &self.routes {
            if core::ptr::addr_eq(route.capability.port(), port) {
                route.capability.clear(Rights::all());
            }
        }
    }
}

/// Two grants cover the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overlap {
    /// The first name of the one.
    pub one: u64,
    /// The first name of the other.
    pub other: u64,
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the grants that start at {:#x} and {:#x} overlap", self.one, self.other)
    }
}

/// A table being put together.
pub struct TableBuilder<P: ?Sized + 'static> {
    /// In order.
    routes: Vec<Route<P>>,
}

impl<P: ?Sized> Default for TableBuilder<P> {
    fn default() -> Self {
        Self { routes: Vec::new() }
    }
}

impl<P: ?Sized + Port> TableBuilder<P> {
    /// Names `first` to `last` lead to `capability`.
    ///
    /// # Errors
    /// One of them leads elsewhere already.
    #[inline(never)]
    pub fn grant(
        &mut self,
        first: u64,
        last: u64,
        capability: Capability<P>,
    ) -> Result<(), Overlap> {
        let clash = self.routes.iter().find(|r| r.first <= last && first <= r.first + r.span);
        if let Some(route) = clash {
            return Err(Overlap { one: route.first, other: first });
        }
        let place = self.routes.partition_point(|route| route.first < first);
        self.routes.insert(place, Route { first, span: last.saturating_sub(first), capability });
        Ok(())
    }

    /// Fills the gaps and fixes the table.
    #[must_use]
    pub fn finish(self) -> Table<P> {
        self.finish_with(P::absent())
    }

    /// Apart, and never inlined: it is the same code for each kind of port, and
    /// the linker keeps one.
    #[inline(never)]
    fn finish_with(self, nobody: &'static P) -> Table<P> {
        let names: Vec<_> = self.routes.iter().map(Route::names).collect();
        let shift = best_shift(&names);
        let gap = |first, last: u64| Route {
            first,
            span: last - first,
            capability: Capability::new(nobody, Rights::empty(), 0),
        };
        let mut routes = Vec::with_capacity(2 * names.len() + 1);
        let mut next = Some(0);
        for (route, (first, last)) in self.routes.into_iter().zip(names) {
            routes.extend(next.filter(|next| *next < first).map(|next| gap(next, first - 1)));
            routes.push(route);
            next = last.checked_add(1);
        }
        routes.extend(next.map(|next| gap(next, u64::MAX)));
        Table { routes, shift }
    }
}

/// The lowest shift under which the fewest routes share a slot.
fn best_shift(names: &[(u64, u64)]) -> u32 {
    const { assert!(SLOTS <= 32) };
    let shared = |shift: u32| {
        let slot = |first: u64| (first >> shift) as usize & (SLOTS - 1);
        let taken = names.iter().fold(0_u32, |taken, (first, _)| taken | 1 << slot(*first));
        names.len() as u32 - taken.count_ones()
    };
    // No shift can do better than to fill every slot.
    let fewest = names.len().saturating_sub(SLOTS) as u32;
    let (mut best, mut least) = (0, u32::MAX);
    // No two differ in bits above or below these.
    let one = names.first().map_or(0, |(first, _)| *first);
    let differ = names.iter().fold(0, |all, (first, _)| all | (first ^ one));
    let bits = u64::BITS - differ.leading_zeros();
    for shift in differ.trailing_zeros()..bits.min(40) {
        let shared = shared(shift);
        if shared < least {
            (best, least) = (shift, shared);
        }
        if least == fewest {
            break;
        }
    }
    best
}
