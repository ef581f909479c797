//! Memory that a component was granted, by address.

use core::fmt;

/// Memory: a leaf. A VM's, by guest-physical address; or a component's own, from 0.
///
/// A guest may run in it meanwhile, on other cores and with its caches off: each
/// call sees or makes its bytes in no order, and what a call has written the guest
/// sees when the call returns. Nothing is done unless all of it can be.
pub trait Memory: Sync {
    /// Copies what lies at `address`.
    ///
    /// # Errors
    /// Not all of it is memory.
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Outside>;

    /// Copies `from` to `address`.
    ///
    /// # Errors
    /// Not all of it is memory that may be written.
    fn write(&self, address: u64, from: &[u8]) -> Result<(), Outside>;
}

/// An address that a guest gave, or what lies behind it, is not in the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outside;

impl fmt::Display for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the address is not in the memory")
    }
}
