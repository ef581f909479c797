//! The routes that a vCPU used last.

use crate::table::{Route, Table};

/// How many routes a cache holds. Guests go back and forth between a few windows;
/// with one slot they would search each time.
pub const SLOTS: usize = 8;

/// A direct-mapped cache of one table's routes: one a vCPU, never shared.
///
/// A slot always holds a route, so that there is no case of an empty one, and
/// routes are never moved or freed while a cache can see them, so that there is
/// nothing to invalidate: taking rights changes the route itself.
pub struct Cache<P: ?Sized + 'static> {
    shift: u32,
    slots: [&'static Route<P>; SLOTS],
    table: &'static Table<P>,
}

impl<P: ?Sized> Cache<P> {
    /// A cache of `table`; `None` if the table is not one that
    /// [`TableBuilder`](crate::TableBuilder) made.
    pub fn new(table: &'static Table<P>) -> Option<Self> {
        Some(Self { shift: table.shift(), slots: [table.search(0)?; SLOTS], table })
    }

    /// The route of `name` and the distance of `name` from its start, if it is
    /// in its slot.
    ///
    /// Apart from [`search`](Self::search), so that the path of a hit calls
    /// nothing but the object: a function that calls only at its end saves no
    /// registers.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the number of slots")]
    pub fn hit(&self, name: u64) -> Option<(&'static Route<P>, u64)> {
        let route = self.slots[(name >> (self.shift & 63)) as usize & (SLOTS - 1)];
        route.distance(name).map(|distance| (route, distance))
    }

    /// The same from the table, and into the slot.
    pub fn search(&mut self, name: u64) -> (&'static Route<P>, u64) {
        let at = (name >> (self.shift & 63)) as usize & (SLOTS - 1);
        let kept = self.slots.get(at).copied().unwrap_or(self.slots[0]);
        let route = self.table.search(name).unwrap_or(kept);
        if let Some(slot) = self.slots.get_mut(at) {
            *slot = route;
        }
        (route, name.wrapping_sub(route.names().0))
    }
}
