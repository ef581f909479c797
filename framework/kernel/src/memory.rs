//! Memory that components are granted when they are bound, and that is placed
//! later: a VM's, or their own.

use alloc::string::String;
use evisor_contract::{Memory, Outside};
use spin::Once;

/// Memory of an object's own.
pub struct Storage {
    /// The path of the node that it belongs to.
    pub path: String,
    /// How long it is; whole pages.
    pub size: u64,
    /// The file of the bundle that is there first.
    pub image: Option<String>,
    /// Where the component finds the memory.
    pub slot: &'static MemorySlot,
}

/// A place for memory that comes later. Until then every address is outside.
#[derive(Default)]
pub struct MemorySlot(Once<&'static dyn Memory>);

impl MemorySlot {
    /// Here it is.
    pub fn fill(&self, memory: &'static dyn Memory) {
        self.0.call_once(|| memory);
    }

    fn memory(&self) -> Result<&'static dyn Memory, Outside> {
        self.0.get().copied().ok_or(Outside)
    }
}

impl Memory for MemorySlot {
    fn read(&self, address: u64, to: &mut [u8]) -> Result<(), Outside> {
        self.memory()?.read(address, to)
    }

    fn write(&self, address: u64, from: &[u8]) -> Result<(), Outside> {
        self.memory()?.write(address, from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::boxed::Box;

    struct Sevens;

    impl Memory for Sevens {
        fn read(&self, _: u64, to: &mut [u8]) -> Result<(), Outside> {
            to.fill(7);
            Ok(())
        }
        fn write(&self, address: u64, _: &[u8]) -> Result<(), Outside> {
            if address == 0 { Ok(()) } else { Err(Outside) }
        }
    }

    #[test]
    fn a_slot_is_outside_until_the_memory_is_there() {
        let (slot, mut byte) = (MemorySlot::default(), [0]);
        assert_eq!(slot.read(0, &mut byte), Err(Outside));
        assert_eq!(slot.write(0, &byte), Err(Outside));
        slot.fill(Box::leak(Box::new(Sevens)));
        assert_eq!((slot.read(0, &mut byte), byte), (Ok(()), [7]));
        assert_eq!(slot.write(0, &byte), Ok(()));
        assert_eq!(slot.write(1, &byte), Err(Outside));
    }
}
