//! Addresses: `reg`, `ranges`, and the cells that they are made of.

use crate::node::Node;
use crate::property::Cells;
use alloc::vec::Vec;
use core::fmt;

/// A piece of an address space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Where it starts.
    pub address: u64,
    /// How long it is.
    pub size: u64,
}

impl Region {
    /// The first address behind it, if there is one.
    pub fn end(&self) -> Option<u64> {
        self.address.checked_add(self.size)
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        let apart = self.end().is_some_and(|end| end <= other.address)
            || other.end().is_some_and(|end| end <= self.address);
        !apart && self.size != 0 && other.size != 0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let last = self.address.saturating_add(self.size.saturating_sub(1));
        write!(f, "{:#x}-{last:#x}", self.address)
    }
}

/// Why an address cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegError {
    /// The node around it counts in more than two cells, or says so in other
    /// than one cell.
    Cells,
    /// The property is not a whole number of entries.
    Length,
    /// A region goes past the end of the address space.
    Wraps,
    /// A bus in between does not pass the address on.
    NotOnTheBus,
}

impl fmt::Display for RegError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cells => "is in an address space that does not have one or two cells",
            Self::Length => "is not a whole number of addresses and sizes",
            Self::Wraps => "goes past the end of the address space",
            Self::NotOnTheBus => "lies outside the ranges of the bus that it is on",
        })
    }
}

/// How many cells an address and a size take.
#[derive(Clone, Copy)]
struct Width {
    address: usize,
    size: usize,
}

impl Width {
    /// Of the children of `node`.
    fn of(node: Node<'_>) -> Result<Self, RegError> {
        let cells = |name, default| match node.property(name) {
            None => Ok(default),
            Some(property) => match property.cell() {
                Some(cells @ 0..=2) => Ok(cells as usize),
                _ => Err(RegError::Cells),
            },
        };
        Ok(Self { address: cells("#address-cells", 2)?, size: cells("#size-cells", 1)? })
    }

    fn region(self, cells: &mut Cells<'_>) -> Option<Region> {
        Some(Region { address: cells.number(self.address)?, size: cells.number(self.size)? })
    }
}

impl<'t> Node<'t> {
    /// Its `reg`, in the address space of the node that it lies in. Empty if it
    /// has none.
    ///
    /// # Errors
    /// The property cannot be read.
    pub fn reg(&self) -> Result<Vec<Region>, RegError> {
        let Some((property, parent)) = self.property("reg").zip(self.parent()) else {
            return Ok(Vec::new());
        };
        let width = Width::of(parent)?;
        let cells = property.cells().ok_or(RegError::Length)?;
        let regions = entries(cells, width.address + width.size, |cells| width.region(cells))?;
        let wraps = regions.iter().any(|region| region.end().is_none());
        if wraps { Err(RegError::Wraps) } else { Ok(regions) }
    }

    /// Its `reg`, in the address space of the children of `ancestor`: through
    /// the `ranges` of each bus on the way.
    ///
    /// # Errors
    /// The property, or a bus on the way, cannot be read.
    pub fn reg_within(&self, ancestor: Node<'_>) -> Result<Vec<Region>, RegError> {
        let buses: Vec<_> = self.lineage().skip(1).take_while(|bus| *bus != ancestor).collect();
        let on = |region| buses.iter().try_fold(region, |region, bus| bus.translate(region));
        self.reg()?.into_iter().map(on).collect()
    }

    /// Its `reg`, as the CPU sees it.
    ///
    /// # Errors
    /// As for [`reg_within`](Self::reg_within).
    pub fn reg_of_cpu(&self) -> Result<Vec<Region>, RegError> {
        self.reg_within(self.tree().root())
    }

    /// A region of the bus that this node is, in the address space around it
    /// (§2.3.8).
    fn translate(&self, region: Region) -> Result<Region, RegError> {
        let ranges = self.property("ranges").ok_or(RegError::NotOnTheBus)?;
        if ranges.value.is_empty() {
            return Ok(region);
        }
        let outer = Width::of(self.parent().ok_or(RegError::NotOnTheBus)?)?;
        let inner = Width::of(*self)?;
        let cells = ranges.cells().ok_or(RegError::Length)?;
        let stride = inner.address + outer.address + inner.size;
        let windows = entries(cells, stride, |cells| {
            let from = cells.number(inner.address)?;
            let to = cells.number(outer.address)?;
            Some((Region { address: from, size: cells.number(inner.size)? }, to))
        })?;
        windows.iter().find_map(|(from, to)| moved(region, *from, *to)).ok_or(RegError::NotOnTheBus)
    }
}

/// `region` with the offset that it has in `from` added to `to`.
fn moved(region: Region, from: Region, to: u64) -> Option<Region> {
    let offset = region.address.checked_sub(from.address)?;
    let inside = offset.checked_add(region.size)? <= from.size;
    let address = to.checked_add(offset).filter(|_| inside)?;
    let moved = Region { address, size: region.size };
    moved.end().map(|_| moved)
}

/// The whole of a property, `stride` cells a time.
fn entries<T>(
    mut cells: Cells<'_>,
    stride: usize,
    mut read: impl FnMut(&mut Cells<'_>) -> Option<T>,
) -> Result<Vec<T>, RegError> {
    let count = cells.count_left();
    if count == 0 {
        return Ok(Vec::new());
    }
    if stride == 0 || !count.is_multiple_of(stride) {
        return Err(RegError::Length);
    }
    (0..count / stride).map(|_| read(&mut cells).ok_or(RegError::Length)).collect()
}
