//! The virtual interface as system registers: ICH_* (IHI 0069H §12.4).

use crate::interface::{GuestState, Interface};
use crate::state::{LISTS, bits};
use crate::v3::spec::{ICH_HCR, ICH_LR, ICH_VTR};
use evisor_contract::{HostRegister, SystemInterface};

/// The ICH_* registers. Reading or writing one is a call, so that this code needs
/// no assembly.
pub struct System {
    lists: [HostRegister; LISTS],
    registers: SystemInterface,
    all: u32,
}

impl System {
    /// None if there is no list register.
    pub fn new(registers: SystemInterface) -> Option<Self> {
        let first = *registers.lists.first()?;
        let mut lists = [first; LISTS];
        for (list, register) in lists.iter_mut().zip(registers.lists) {
            *list = *register;
        }
        let all = u32::MAX >> (32 - registers.lists.len().min(LISTS));
        Some(Self { lists, registers, all })
    }

    /// All of it, as when another core's is looked at.
    #[cfg(test)]
    pub fn exchange(&mut self, other: &mut [u64; 32]) {
        let single = [self.registers.hcr, self.registers.vmcr];
        let lists = self.registers.lists.iter().chain(&single);
        for (register, value) in lists.chain(self.registers.active_priorities).zip(other) {
            let before = (register.read)();
            (register.write)(core::mem::replace(value, before));
        }
    }

    /// The guest ends what is in no list register.
    #[cfg(test)]
    pub fn count_end(&mut self) {
        let hcr = (self.registers.hcr.read)() as u32;
        let count = ICH_HCR::EOICOUNT.read(hcr) + 1;
        (self.registers.hcr.write)(ICH_HCR::EOICOUNT.val(count).modify(hcr).into());
    }

    /// Whether it is to tell that its list registers run out.
    #[cfg(test)]
    pub fn underflow(&self) -> bool {
        ICH_HCR::UIE.is_set((self.registers.hcr.read)() as u32)
    }
}

impl Interface for System {
    const SOURCES: bool = false;
    const STATE: u64 = ICH_LR::STATE.mask << ICH_LR::STATE.shift;
    const PENDING: u64 = ICH_LR::STATE::Pending.value;
    const ACTIVE: u64 = ICH_LR::STATE::Active.value;
    const EOI: u64 = ICH_LR::EOI::SET.value;
    const HW: u64 = ICH_LR::HW::SET.value;

    fn pending(intid: usize, priority: u8, group1: bool) -> u64 {
        let list = ICH_LR::VINTID.val(intid as u64)
            + ICH_LR::PRIORITY.val(priority.into())
            + ICH_LR::GROUP.val(group1.into())
            + ICH_LR::STATE::Pending;
        list.value
    }

    #[inline(always)]
    fn intid(list: u64) -> usize {
        ICH_LR::VINTID.read(list) as usize
    }

    #[inline(always)]
    fn link(physical: u16) -> u64 {
        (ICH_LR::PINTID.val(physical.into()) + ICH_LR::HW::SET).value
    }

    fn linked(list: u64) -> u16 {
        ICH_LR::PINTID.read(list) as u16
    }

    /// Affinity routing has no sources.
    #[inline(always)]
    fn from_source(_source: usize) -> u64 {
        0
    }

    fn source(_list: u64) -> usize {
        0
    }

    #[inline(always)]
    fn all(&self) -> u32 {
        self.all
    }

    fn priority_mask(&self) -> u8 {
        0xff << (7 - ICH_VTR::PRI_BITS.read(self.registers.vtr))
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn list(&self, n: usize) -> u64 {
        (self.lists[n & (LISTS - 1)].read)()
    }

    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn set_list(&mut self, n: usize, value: u64) {
        (self.lists[n & (LISTS - 1)].write)(value);
    }

    /// The list register itself, which reads as it was written; ICH_ELRSR_EL2 would
    /// take an ISB to follow it.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    fn refill(&mut self, n: usize, value: u64) -> bool {
        let HostRegister { read, write } = self.lists[n & (LISTS - 1)];
        let done = read() & Self::STATE == 0;
        if done {
            write(value);
        }
        done
    }

    fn take_ended(&mut self) -> u32 {
        let hcr = (self.registers.hcr.read)() as u32;
        let ended = ICH_HCR::EOICOUNT.read(hcr);
        if ended != 0 {
            (self.registers.hcr.write)(ICH_HCR::EOICOUNT.val(0).modify(hcr).into());
        }
        ended
    }

    fn set_overflow(&mut self, overflow: bool) {
        let tell = ICH_HCR::UIE.val(overflow.into()) + ICH_HCR::LRENPIE.val(overflow.into());
        (self.registers.hcr.write)((ICH_HCR::EN::SET + tell).value.into());
    }

    fn start(&mut self, guest: &GuestState) {
        for n in bits(self.all) {
            self.set_list(n as usize, 0);
        }
        (self.registers.vmcr.write)(guest.vmcr.into());
        for (register, value) in
            self.registers.active_priorities.iter().zip(guest.active_priorities)
        {
            (register.write)(value.into());
        }
        self.set_overflow(false);
    }

    fn guest_state(&self) -> GuestState {
        let mut active_priorities = [0; _];
        for (value, register) in active_priorities.iter_mut().zip(self.registers.active_priorities)
        {
            *value = (register.read)() as u32;
        }
        GuestState { vmcr: (self.registers.vmcr.read)() as u32, active_priorities }
    }
}
