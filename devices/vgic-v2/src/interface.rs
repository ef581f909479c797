//! The virtual interface control registers, GICH (IHI 0048B.b §5.3).

use crate::spec::{GICH_HCR, gich};
use crate::state::{LISTS, bits};
use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_contract::Window;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

/// One register of the virtual interface.
type Register = UniqueMmioPointer<'static, ReadPureWrite<u32>>;

/// The virtual interface of the core that this code runs on. Each register by
/// itself, so that using one checks nothing.
pub struct Interface {
    lists: [Register; LISTS],
    hcr: Register,
    vmcr: Register,
    apr: Register,
    /// One bit for each list register there is.
    pub all: u32,
}

impl Interface {
    /// The first `lists` list registers of `window` are used. None if it is too
    /// short for the map of §5.3.
    pub fn new(window: Window, lists: usize) -> Option<Self> {
        let window: &'static mut Window = Box::leak(Box::new(window));
        let mut registers = window.iter();
        let hcr = registers.nth(gich::HCR)?;
        let vmcr = registers.nth(gich::VMCR - gich::HCR - 1)?;
        let apr = registers.nth(gich::APR - gich::VMCR - 1)?;
        let after = registers.skip(gich::LR - gich::APR - 1);
        let found: Vec<Register> = after.take(LISTS).collect();
        let all = u32::MAX >> (32 - lists.clamp(1, LISTS));
        Some(Self { lists: found.try_into().ok()?, hcr, vmcr, apr, all })
    }

    /// List register `n`.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    pub fn list(&self, n: usize) -> u32 {
        self.lists[n & (LISTS - 1)].read()
    }

    /// Whether it is to tell that its list registers run out.
    #[cfg(test)]
    pub fn underflow(&self) -> bool {
        GICH_HCR::UIE.is_set(self.hcr.read())
    }

    /// Writes list register `n`.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    pub fn set_list(&mut self, n: usize, value: u32) {
        self.lists[n & (LISTS - 1)].write(value);
    }

    /// Works, and tells when it runs out of list registers or not.
    pub fn set_overflow(&mut self, overflow: bool) {
        self.hcr.write((GICH_HCR::EN::SET + GICH_HCR::UIE.val(overflow.into())).value);
    }

    /// Starts with empty list registers and what [`Self::guest_state`] gave.
    pub fn start(&mut self, vmcr: u32, apr: u32) {
        for n in bits(self.all) {
            self.set_list(n as usize, 0);
        }
        self.vmcr.write(vmcr);
        self.apr.write(apr);
        self.set_overflow(false);
    }

    /// Starts with what is in the list registers.
    pub fn restart(&mut self, overflow: bool) {
        self.vmcr.write(0);
        self.apr.write(0);
        self.set_overflow(overflow);
    }

    /// What the guest changes without a trap: GICH_VMCR, GICH_APR.
    pub fn guest_state(&self) -> (u32, u32) {
        (self.vmcr.read(), self.apr.read())
    }
}
