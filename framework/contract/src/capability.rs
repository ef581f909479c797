//! Capabilities: an object, the rights to it, and a window onto it.

use bitflags::bitflags;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

bitflags! {
    /// What the holder of a capability may do.
    ///
    /// Reading and writing are one bit a width, so that a memory access is
    /// checked for right and width by testing one bit: number `SAS` for a read,
    /// `4 + SAS` for a write.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Rights: u32 {
        /// Read a byte.
        const READ8 = 1 << 0;
        /// Read a halfword.
        const READ16 = 1 << 1;
        /// Read a word.
        const READ32 = 1 << 2;
        /// Read a doubleword.
        const READ64 = 1 << 3;
        /// Write a byte.
        const WRITE8 = 1 << 4;
        /// Write a halfword.
        const WRITE16 = 1 << 5;
        /// Write a word.
        const WRITE32 = 1 << 6;
        /// Write a doubleword.
        const WRITE64 = 1 << 7;
        /// Raise the interrupt lines in the window.
        const INTERRUPT = 1 << 8;
        /// Change the state of what is behind: power, life, configuration.
        const CONTROL = 1 << 9;
        /// Hand the capability, or one narrower, to another holder.
        const GRANT = 1 << 10;
        /// Call a function, or send a message.
        const CALL = 1 << 11;

        /// Read at any width.
        const READ = 0x0f;
        /// Write at any width.
        const WRITE = 0xf0;
    }
}

/// The right to name an object behind `P`, one of the port traits.
///
/// Only the kernel makes capabilities for others: making one takes the object's
/// port, and a component never sees a port but its own.
#[derive(Debug)]
#[repr(C)]
pub struct Capability<P: ?Sized + 'static> {
    rights: AtomicU32,
    /// Of one to a level line: whether its holder last said that it is up.
    level: AtomicU32,
    hits: AtomicU64,
    /// What is added to a name's distance from the start of its route: the
    /// window's place in the object.
    window: u64,
    port: &'static P,
}

impl<P: ?Sized> Capability<P> {
    /// A capability to `port` through the window that starts at `window`.
    pub const fn new(port: &'static P, rights: Rights, window: u64) -> Self {
        Self {
            rights: AtomicU32::new(rights.bits()),
            level: AtomicU32::new(0),
            hits: AtomicU64::new(0),
            window,
            port,
        }
    }

    /// The rights that it has now.
    #[inline(always)]
    pub fn rights(&self) -> Rights {
        Rights::from_bits_truncate(self.rights.load(Ordering::Relaxed))
    }

    /// Whether bit `number` of the rights is set.
    #[inline(always)]
    pub fn permits_bit(&self, number: u32) -> bool {
        self.rights.load(Ordering::Relaxed) >> (number & 31) & 1 != 0
    }

    /// Takes `rights` away. Every core sees it at its next use of the
    /// capability; one that is inside the object already finishes.
    pub fn clear(&self, rights: Rights) {
        self.rights.fetch_and(!rights.bits(), Ordering::Release);
    }

    /// Gives `rights` back, of those that it was made with.
    pub fn restore(&self, rights: Rights) {
        self.rights.fetch_or(rights.bits(), Ordering::Release);
    }

    /// Of one to a level line: what its holder last said, 1 for up. Written under the
    /// holder's lock, so it is in the order in which things happened there, which
    /// notifications that several cores deliver need not be.
    #[inline(always)]
    pub(crate) fn level(&self) -> u64 {
        u64::from(self.level.load(Ordering::Relaxed))
    }

    /// Remembers what the holder says of its level line.
    #[inline(always)]
    pub(crate) fn set_level(&self, up: bool) {
        self.level.store(u32::from(up), Ordering::Relaxed);
    }

    /// Where the window starts in the object.
    #[inline(always)]
    pub fn window(&self) -> u64 {
        self.window
    }

    /// How often it was used. Two cores that use one capability at once may
    /// lose a count: it is a figure for people.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Counts a use and gives what is behind.
    #[inline(always)]
    pub fn follow(&self) -> &'static P {
        self.hits.store(self.hits.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.port
    }

    /// What is behind, without counting.
    pub fn port(&self) -> &'static P {
        self.port
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use evisor_abi::rights;

    /// A guest sees the bits as they are.
    #[test]
    fn rights_are_the_abis() {
        let pairs = [
            (Rights::READ, rights::READ),
            (Rights::WRITE, rights::WRITE),
            (Rights::INTERRUPT, rights::INTERRUPT),
            (Rights::CONTROL, rights::CONTROL),
            (Rights::GRANT, rights::GRANT),
            (Rights::CALL, rights::CALL),
            (Rights::all(), rights::ALL),
        ];
        for (right, bits) in pairs {
            assert_eq!(right.bits(), bits);
        }
    }
}
