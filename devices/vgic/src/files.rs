//! The register files that every Distributor has, and a Redistributor too: a bit,
//! two bits or a byte an interrupt (IHI 0048B.b §4.3.4 to §4.3.13, IHI 0069H §12.9
//! and §12.11).
//!
//! `here` is the vCPU that accesses them. A word is given by its place in the
//! state, which says whose it is.

use crate::Vgic;
use crate::interface::Interface;
use crate::spec::{CPUS, PRIVATE, files};
use crate::state::{SGI_BITS, Slot, WORDS, bits, word_of};
use evisor_contract::Width;

/// A file of a bit an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// IGROUPR
    Group,
    /// ISENABLER
    SetEnable,
    /// ICENABLER
    ClearEnable,
    /// ISPENDR
    SetPending,
    /// ICPENDR
    ClearPending,
    /// ISACTIVER
    SetActive,
    /// ICACTIVER
    ClearActive,
}

impl File {
    /// The file that `offset` is in.
    pub const fn at(offset: u64) -> Option<Self> {
        Some(match offset >> files::ROW << files::ROW {
            files::IGROUPR => Self::Group,
            files::ISENABLER => Self::SetEnable,
            files::ICENABLER => Self::ClearEnable,
            files::ISPENDR => Self::SetPending,
            files::ICPENDR => Self::ClearPending,
            files::ISACTIVER => Self::SetActive,
            files::ICACTIVER => Self::ClearActive,
            _ => return None,
        })
    }
}

/// Which word of its row `offset` is in; None if the row goes on past the INTIDs
/// that there are.
pub const fn word_in_row(offset: u64) -> Option<usize> {
    let n = (offset >> 2) as usize & 31;
    if n < WORDS { Some(n) } else { None }
}

/// Bytes `0..width` of a register, each given by `byte`.
pub fn gather(width: Width, mut byte: impl FnMut(usize) -> u8) -> u32 {
    (0..(width.bytes() as usize).min(4)).fold(0, |all, n| all | u32::from(byte(n)) << (8 * n))
}

/// The bytes of a register that are written.
pub fn scatter(width: Width, value: u32) -> impl Iterator<Item = (usize, u8)> {
    value.to_le_bytes().into_iter().enumerate().take(width.bytes() as usize)
}

impl<I: Interface> Vgic<I> {
    /// Reads a word of a file of bits; None if it is to be tried again.
    pub(crate) fn read_bits(&mut self, file: File, at: usize, here: usize) -> Option<u32> {
        let word = *self.state.word(at);
        Some(match file {
            File::Group => word.group1,
            File::SetEnable | File::ClearEnable => word.enabled,
            _ if !self.others_are_known(here, at) => return None,
            File::SetPending | File::ClearPending => {
                word.pending() | self.in_lists(here, at, I::PENDING)
            }
            File::SetActive | File::ClearActive => word.active | self.in_lists(here, at, I::ACTIVE),
        })
    }

    /// Writes a word of a file of bits.
    pub(crate) fn write_bits(&mut self, file: File, at: usize, value: u32, here: usize) {
        let private = at < CPUS;
        let value = match file {
            File::ClearEnable => {
                value & self.state.word(at).enabled & if private { !I::ENABLED } else { !0 }
            }
            File::SetEnable => value & !self.state.word(at).enabled,
            // A GICv2 has other registers for it (IHI 0048B.b §4.3.7).
            File::SetPending | File::ClearPending if private && I::SOURCES => value & !SGI_BITS,
            _ => value,
        };
        if value == 0 && file != File::Group {
            return;
        }
        let concerned = if file == File::Group { u32::MAX } else { value };
        let before = self.concerned(at, concerned);
        let kicks = self.recall(here);
        let word = self.state.word_mut(at);
        match file {
            File::Group => self.write_groups(at, value),
            File::SetEnable => word.enabled |= value,
            File::ClearEnable => word.enabled &= !value,
            File::SetPending => word.latch |= value,
            File::ClearPending => self.clear_pending(at, value, here),
            File::SetActive => self.set_active(at, value, here),
            File::ClearActive => self.clear_active(at, value, here),
        }
        let after = self.concerned(at, concerned);
        self.settle(here, before | kicks | after);
    }

    /// The vCPUs, as bits, that the interrupts `value` of the word at `at` are in
    /// list registers of, or wait for.
    pub(crate) fn concerned(&mut self, at: usize, value: u32) -> u32 {
        if at < CPUS {
            self.state.bank_mut(at).quick = 0;
            return 1 << at;
        }
        let word = self.state.word(at);
        let targeted = self.state.targeted(at, (word.pending() | word.active) & value);
        let held = bits(word.held & value);
        let holders = held.filter_map(|bit| self.state.interrupt(Slot::in_word(at, bit)).holder());
        holders.fold(targeted, |all, vcpu| all | 1 << vcpu)
    }

    fn write_groups(&mut self, at: usize, value: u32) {
        let word = self.state.word_mut(at);
        let changed = word.group1 ^ value;
        word.group1 = value;
        for bit in bits(changed) {
            self.state.set_template::<I>(Slot::in_word(at, bit));
        }
        self.state.forward(at);
    }

    /// A level line that is up, and a physical interrupt, stay pending.
    fn clear_pending(&mut self, at: usize, value: u32, here: usize) {
        let word = self.state.word_mut(at);
        word.latch &= !value;
        for bit in bits(word.held & value) {
            let interrupt = *self.state.interrupt(Slot::in_word(at, bit));
            if let Some(holder) = interrupt.holder().filter(|&holder| holder != here) {
                self.state.bank_mut(holder).cancel |= 1 << interrupt.list();
            }
        }
    }

    /// After a recall, what is in a list register here is active.
    fn set_active(&mut self, at: usize, value: u32, here: usize) {
        let word = self.state.word_mut(at);
        word.active |= value & !word.held;
        for bit in bits(word.held & value) {
            let interrupt = *self.state.interrupt(Slot::in_word(at, bit));
            if let Some(holder) = interrupt.holder().filter(|&holder| holder != here) {
                let bank = self.state.bank_mut(holder);
                bank.activate |= 1 << interrupt.list();
                bank.deactivate &= !(1 << interrupt.list());
            }
        }
        self.state.forward(at);
    }

    fn clear_active(&mut self, at: usize, value: u32, here: usize) {
        let word = self.state.word_mut(at);
        word.active &= !value;
        for bit in bits(word.held & value) {
            let slot = Slot::in_word(at, bit);
            let interrupt = *self.state.interrupt(slot);
            match interrupt.holder() {
                Some(holder) if holder == here => self.deactivate(here, interrupt.list(), slot),
                Some(holder) => {
                    let bank = self.state.bank_mut(holder);
                    bank.deactivate |= 1 << interrupt.list();
                    bank.activate &= !(1 << interrupt.list());
                }
                None => {}
            }
        }
        self.state.forward(at);
    }

    /// Two bits an interrupt; the upper says edge. `upper` is for the upper half of
    /// the word.
    pub(crate) fn read_configuration(&self, at: usize, upper: bool) -> u32 {
        let half = self.state.word(at).edge >> if upper { 16 } else { 0 };
        bits(half & 0xffff).fold(0, |all, bit| all | 2 << (2 * bit))
    }

    /// SGIs are edge-triggered, which cannot be changed; PPIs and SPIs can be set.
    pub(crate) fn write_configuration(&mut self, at: usize, upper: bool, value: u32, here: usize) {
        if at < CPUS && !upper {
            return;
        }
        let shift = if upper { 16 } else { 0 };
        let edges = (0..16).fold(0, |all, bit| all | (value >> (2 * bit + 1) & 1) << bit);
        let before = self.concerned(at, 0xffff << shift);
        let kicks = self.recall(here);
        let word = self.state.word_mut(at);
        word.set_lines(word.line, word.edge & !(0xffff << shift) | edges << shift);
        let after = self.concerned(at, 0xffff << shift);
        self.settle(here, before | kicks | after);
    }

    /// GICD_IPRIORITYR from INTID `first`; `owner` has the private ones.
    pub(crate) fn read_priorities(&self, first: usize, width: Width, owner: usize) -> u32 {
        gather(width, |n| self.state.interrupt(Slot::new(owner, first + n)).priority)
    }

    /// Writes it.
    pub(crate) fn write_priorities(
        &mut self,
        first: usize,
        width: Width,
        value: u32,
        owner: usize,
        here: usize,
    ) {
        let mask = self.interface.priority_mask();
        self.rewrite(first, width, owner, here, |gic| {
            for (n, byte) in scatter(width, value) {
                let slot = Slot::new(owner, first + n);
                gic.state.set_priority::<I>(slot, byte & mask);
            }
        });
    }

    /// Changes interrupts from INTID `first` by `change`.
    pub(crate) fn rewrite(
        &mut self,
        first: usize,
        width: Width,
        owner: usize,
        here: usize,
        change: impl FnOnce(&mut Self),
    ) {
        let at = word_of(owner, first / PRIVATE);
        let touched = 0xf >> (4 - width.bytes().min(4)) << (first % PRIVATE);
        let before = self.concerned(at, touched);
        let kicks = self.recall(here);
        change(self);
        let after = self.concerned(at, touched);
        self.settle(here, before | kicks | after);
    }

    /// The group enables of GICD_CTLR.
    pub(crate) fn write_control(&mut self, value: u32, here: usize) {
        let everyone = u32::MAX >> (32 - self.state.vcpus);
        if value == self.state.control {
            return;
        }
        let kicks = self.recall(here);
        self.state.control = value;
        for at in 0..CPUS + WORDS {
            self.state.forward(at);
        }
        self.settle(here, kicks | everyone);
    }
}
