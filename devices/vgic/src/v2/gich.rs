//! The virtual interface control registers, GICH (IHI 0048B.b §5.3).

use crate::interface::{GuestState, Interface};
use crate::state::{LISTS, bits};
use crate::v2::spec::{GICH_HCR, GICH_LR, PRIORITY_MASK, gich};
use alloc::boxed::Box;
use alloc::vec::Vec;
use evisor_contract::Window;
use safe_mmio::UniqueMmioPointer;
use safe_mmio::fields::ReadPureWrite;

/// One register of the virtual interface.
type Register = UniqueMmioPointer<'static, ReadPureWrite<u32>>;

/// GICH. Each register by itself, so that using one checks nothing.
pub struct Gich {
    lists: [Register; LISTS],
    hcr: Register,
    vmcr: Register,
    apr: Register,
    all: u32,
}

impl Gich {
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

    /// All of it, as when another core's is looked at.
    #[cfg(test)]
    pub fn exchange(&mut self, other: &mut [u64; 32]) {
        let single = [&mut self.hcr, &mut self.vmcr, &mut self.apr];
        for (register, value) in self.lists.iter_mut().chain(single).zip(other) {
            let before = register.read();
            register.write(core::mem::replace(value, before.into()) as u32);
        }
    }

    /// The guest ends what is in no list register.
    #[cfg(test)]
    pub fn count_end(&mut self) {
        let count = GICH_HCR::EOICOUNT.read(self.hcr.read()) + 1;
        self.hcr.write(GICH_HCR::EOICOUNT.val(count).modify(self.hcr.read()));
    }

    /// Whether it is to tell that its list registers run out.
    #[cfg(test)]
    pub fn underflow(&self) -> bool {
        GICH_HCR::UIE.is_set(self.hcr.read())
    }
}

impl Interface for Gich {
    const SOURCES: bool = true;
    const STATE: u64 = (GICH_LR::STATE.mask << GICH_LR::STATE.shift) as u64;
    const PENDING: u64 = GICH_LR::STATE::Pending.value as u64;
    const ACTIVE: u64 = GICH_LR::STATE::Active.value as u64;
    const EOI: u64 = GICH_LR::EOI::SET.value as u64;
    const HW: u64 = GICH_LR::HW::SET.value as u64;

    fn pending(intid: usize, priority: u8, group1: bool) -> u64 {
        let list = GICH_LR::VIRTUAL_ID.val(intid as u32)
            + GICH_LR::PRIORITY.val(u32::from(priority) >> 3)
            + GICH_LR::GRP1.val(group1.into())
            + GICH_LR::STATE::Pending;
        list.value.into()
    }

    #[inline(always)]
    fn intid(list: u64) -> usize {
        GICH_LR::VIRTUAL_ID.read(list as u32) as usize
    }

    #[inline(always)]
    fn link(physical: u16) -> u64 {
        (GICH_LR::PHYSICAL_ID.val(physical.into()) + GICH_LR::HW::SET).value.into()
    }

    fn linked(list: u64) -> u16 {
        GICH_LR::PHYSICAL_ID.read(list as u32) as u16
    }

    #[inline(always)]
    fn from_source(source: usize) -> u64 {
        GICH_LR::CPU_ID.val(source as u32).value.into()
    }

    fn source(list: u64) -> usize {
        GICH_LR::CPU_ID.read(list as u32) as usize
    }

    #[inline(always)]
    fn all(&self) -> u32 {
        self.all
    }

    fn priority_mask(&self) -> u8 {
        PRIORITY_MASK
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn list(&self, n: usize) -> u64 {
        self.lists[n & (LISTS - 1)].read().into()
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn set_list(&mut self, n: usize, value: u64) {
        self.lists[n & (LISTS - 1)].write(value as u32);
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn refill(&mut self, n: usize, value: u64) -> bool {
        let mut list = self.lists[n & (LISTS - 1)].reborrow();
        let done = u64::from(list.read()) & Self::STATE == 0;
        if done {
            list.write(value as u32);
        }
        done
    }

    fn take_ended(&mut self) -> u32 {
        let hcr = self.hcr.read();
        let ended = GICH_HCR::EOICOUNT.read(hcr);
        if ended != 0 {
            self.hcr.write(GICH_HCR::EOICOUNT.val(0).modify(hcr));
        }
        ended
    }

    fn set_overflow(&mut self, overflow: bool) {
        let tell = GICH_HCR::UIE.val(overflow.into()) + GICH_HCR::LRENPIE.val(overflow.into());
        self.hcr.write((GICH_HCR::EN::SET + tell).value);
    }

    fn start(&mut self, guest: &GuestState) {
        for n in bits(self.all) {
            self.set_list(n as usize, 0);
        }
        self.vmcr.write(guest.vmcr);
        self.apr.write(guest.active_priorities.first().copied().unwrap_or(0));
        self.set_overflow(false);
    }

    fn guest_state(&self) -> GuestState {
        let mut active_priorities = [0; _];
        if let Some(first) = active_priorities.first_mut() {
            *first = self.apr.read();
        }
        GuestState { vmcr: self.vmcr.read(), active_priorities }
    }
}
