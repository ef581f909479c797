//! Spaces: the capabilities that one VM holds.

use crate::cache::Cache;
use crate::interrupts::{Interrupts, InterruptsBuilder};
use crate::table::{Table, TableBuilder};
use alloc::boxed::Box;
use evisor_contract::{CallPort, MmioPort, RegisterPort};

/// What one VM can name, fixed when it is built. The root's space, which the
/// physical interrupts go through, is one too.
pub struct Space {
    /// Guest-physical addresses.
    pub mmio: Table<dyn MmioPort>,
    /// System registers.
    pub registers: Table<dyn RegisterPort>,
    /// SMCCC function ids.
    pub calls: Table<dyn CallPort>,
    /// Physical interrupts that are this VM's own while it is on the core: the
    /// private ones. For the root: the shared ones.
    pub interrupts: Interrupts,
}

impl Space {
    /// Takes away every right to the object at `port`, the address of any of its
    /// ports: what an object that failed gets.
    pub fn quarantine(&self, port: *const ()) {
        self.mmio.quarantine(port);
        self.registers.quarantine(port);
        self.calls.quarantine(port);
        self.interrupts.quarantine(port);
    }

    /// How often its capabilities were used.
    pub fn uses(&self) -> Uses {
        Uses {
            accesses: self.mmio.uses(),
            registers: self.registers.uses(),
            calls: self.calls.uses(),
            interrupts: self.interrupts.uses(),
        }
    }
}

/// How often the capabilities of a space were used: what its holder's exits were for, but
/// those that led nowhere. Two cores that use one at once may lose a count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Uses {
    /// Loads and stores.
    pub accesses: u64,
    /// Reads and writes of system registers.
    pub registers: u64,
    /// SMCCC calls.
    pub calls: u64,
    /// Physical interrupts that were its own.
    pub interrupts: u64,
}

/// A space being put together.
#[derive(Default)]
pub struct SpaceBuilder {
    /// Guest-physical addresses.
    pub mmio: TableBuilder<dyn MmioPort>,
    /// System registers.
    pub registers: TableBuilder<dyn RegisterPort>,
    /// SMCCC function ids.
    pub calls: TableBuilder<dyn CallPort>,
    /// Physical interrupts.
    pub interrupts: InterruptsBuilder,
}

impl SpaceBuilder {
    /// Fixes the space. It stays for as long as the hypervisor runs: a VM that
    /// restarts keeps its capabilities.
    pub fn finish(self) -> &'static Space {
        Box::leak(Box::new(Space {
            mmio: self.mmio.finish(),
            registers: self.registers.finish(),
            calls: self.calls.finish(),
            interrupts: self.interrupts.finish(),
        }))
    }
}

/// A vCPU's way into its VM's space.
pub struct Caches {
    /// Of guest-physical addresses.
    pub mmio: Cache<dyn MmioPort>,
    /// Of SMCCC function ids.
    pub calls: Cache<dyn CallPort>,
    /// Of system registers.
    pub registers: Cache<dyn RegisterPort>,
}

impl Caches {
    /// Into `space`.
    pub fn new(space: &'static Space) -> Option<Self> {
        Some(Self {
            mmio: Cache::new(&space.mmio)?,
            calls: Cache::new(&space.calls)?,
            registers: Cache::new(&space.registers)?,
        })
    }
}
