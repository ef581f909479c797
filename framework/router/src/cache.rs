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
    table: &'static Table<P>,
    slots: [&'static Route<P>; SLOTS],
}

impl<P: ?Sized> Cache<P> {
    /// A cache of `table`; `None` if the table is not one that
    /// [`TableBuilder`](crate::TableBuilder) made.
    pub fn new(table: &'static Table<P>) -> Option<Self> {
        Some(Self { table, slots: [table.search(0)?; SLOTS] })
    }

    /// The table behind it.
    pub fn table(&self) -> &'static Table<P> {
        self.table
    }

    /// The route of `name` and the distance of `name` from its start.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the number of slots")]
    pub fn find(&mut self, name: u64) -> (&'static Route<P>, u64) {
        let at = self.table.slot(name);
        let route = self.slots[at & (SLOTS - 1)];
        match route.distance(name) {
            Some(distance) => (route, distance),
            None => self.fill(name, at),
        }
    }

    #[cold]
    #[inline(never)]
    #[expect(clippy::indexing_slicing, reason = "masked to the number of slots")]
    fn fill(&mut self, name: u64, at: usize) -> (&'static Route<P>, u64) {
        let slot = &mut self.slots[at & (SLOTS - 1)];
        if let Some(route) = self.table.search(name) {
            *slot = route;
        }
        (*slot, name.wrapping_sub(slot.names().0))
    }
}
