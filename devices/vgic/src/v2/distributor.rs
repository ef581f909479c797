//! The Distributor's registers, but for the hot ones that `lib.rs` tries first.
//!
//! Reserved registers and bits read as zero and ignore writes, and so does an
//! access of a byte to a register that allows words only (IHI 0048B.b §4.1.3).

use crate::Vgic;
use crate::list_registers::{IS_ACTIVE, IS_PENDING};
use crate::spec::{
    GICD_CTLR, GICD_IIDR, GICD_TYPER, GICH_LR, IDENTIFICATION, PRIORITY_MASK, PRIVATE, SGIS, gicd,
};
use crate::state::{INTIDS, LISTS, SGI_BITS, Slot, WORDS, bits, word_of};
use evisor_contract::Width;

const ROW_IGROUPR: u64 = gicd::IGROUPR >> gicd::ROW;
const ROW_ISENABLER: u64 = gicd::ISENABLER >> gicd::ROW;
const ROW_ICENABLER: u64 = gicd::ICENABLER >> gicd::ROW;
const ROW_ISPENDR: u64 = gicd::ISPENDR >> gicd::ROW;
const ROW_ICPENDR: u64 = gicd::ICPENDR >> gicd::ROW;
const ROW_ISACTIVER: u64 = gicd::ISACTIVER >> gicd::ROW;
const ROW_ICACTIVER: u64 = gicd::ICACTIVER >> gicd::ROW;
const ROW_IPRIORITYR: u64 = gicd::IPRIORITYR >> gicd::ROW;
const ROW_ITARGETSR: u64 = gicd::ITARGETSR >> gicd::ROW;
const ROW_ICFGR: u64 = gicd::ICFGR >> gicd::ROW;
const ROW_SGIR: u64 = gicd::SGIR >> gicd::ROW;
/// Rows of a register file of a byte an INTID: 1,024 bytes.
const BYTES: u64 = 8;

/// GICD_TYPER for so many vCPUs.
pub fn typer(vcpus: usize) -> u32 {
    let cpus = GICD_TYPER::CPU_NUMBER.val(vcpus.wrapping_sub(1) as u32);
    (cpus + GICD_TYPER::IT_LINES_NUMBER.val(WORDS as u32 - 1)).value
}

/// GICD_IIDR: product "e" in the numbering of Arm's implementer code, as other
/// hypervisors' GICs have theirs.
const IIDR: u32 =
    GICD_IIDR::IMPLEMENTER.val(0x43b).value | GICD_IIDR::PRODUCT_ID.val(b'e' as u32).value;

const CONTROL_BITS: u32 = GICD_CTLR::ENABLE_GRP0::SET.value | GICD_CTLR::ENABLE_GRP1::SET.value;

/// Which word of its row `offset` is in; None if the row goes on past the INTIDs
/// that there are.
fn word_in_row(offset: u64) -> Option<usize> {
    let n = (offset >> 2) as usize & 31;
    (n < WORDS).then_some(n)
}

/// The INTID whose byte is at `offset` of a register file of a byte an INTID.
fn intid_in_file(offset: u64, file: u64) -> Option<usize> {
    let intid = offset.wrapping_sub(file) as usize;
    (intid < INTIDS).then_some(intid)
}

/// Bytes `0..width` of a register, each given by `byte`.
fn gather(width: Width, mut byte: impl FnMut(usize) -> u32) -> u32 {
    (0..width.bytes() as usize).fold(0, |all, n| all | (byte(n) & 0xff) << (8 * (n & 3)))
}

impl Vgic {
    /// Any register.
    pub(crate) fn read_register(&mut self, offset: u64, width: Width, vcpu: usize) -> u32 {
        match offset >> gicd::ROW {
            row if row.wrapping_sub(ROW_IPRIORITYR) < BYTES => {
                self.read_file(offset, gicd::IPRIORITYR, width, vcpu)
            }
            row if row.wrapping_sub(ROW_ITARGETSR) < BYTES => {
                self.read_file(offset, gicd::ITARGETSR, width, vcpu)
            }
            ROW_SGIR if offset >= gicd::CPENDSGIR => self.read_sources(offset, width, vcpu),
            _ if width == Width::Word => self.read_word(offset, vcpu),
            _ => 0,
        }
    }

    fn read_word(&mut self, offset: u64, vcpu: usize) -> u32 {
        match offset >> gicd::ROW {
            0 => match offset {
                gicd::CTLR => self.state.control,
                gicd::TYPER => self.typer,
                gicd::IIDR => IIDR,
                _ => 0,
            },
            ROW_ICFGR => self.read_configuration(offset, vcpu),
            _ if offset >= gicd::IDENTIFICATION => {
                let at = (offset.wrapping_sub(gicd::IDENTIFICATION) >> 2) as usize;
                IDENTIFICATION.get(at).copied().map_or(0, u32::from)
            }
            row => word_in_row(offset).map_or(0, |n| self.read_bits(row, n, vcpu)),
        }
    }

    fn read_bits(&mut self, row: u64, n: usize, vcpu: usize) -> u32 {
        let at = word_of(vcpu, n);
        let word = *self.state.word(at);
        match row {
            ROW_IGROUPR => (0..32).fold(0, |all, bit| {
                all | u32::from(self.state.interrupt(Slot::in_word(at, bit)).group1()) << bit
            }),
            ROW_ISENABLER | ROW_ICENABLER => word.enabled,
            ROW_ISPENDR | ROW_ICPENDR => word.pending() | self.in_lists(vcpu, n, IS_PENDING),
            ROW_ISACTIVER | ROW_ICACTIVER => word.active | self.in_lists(vcpu, n, IS_ACTIVE),
            _ => 0,
        }
    }

    /// Two bits an interrupt; the upper says edge (§4.3.13).
    fn read_configuration(&self, offset: u64, vcpu: usize) -> u32 {
        let n = (offset.wrapping_sub(gicd::ICFGR) >> 2) as usize;
        if n >= 2 * WORDS {
            return 0;
        }
        let half = self.state.word(word_of(vcpu, n / 2)).edge >> (16 * (n as u32 & 1));
        bits(half & 0xffff).fold(0, |all, bit| all | 2 << (2 * bit))
    }

    fn read_file(&self, offset: u64, file: u64, width: Width, vcpu: usize) -> u32 {
        let Some(first) = intid_in_file(offset, file) else {
            return 0;
        };
        gather(width, |n| {
            let slot = Slot::new(vcpu, first + n);
            match file {
                gicd::IPRIORITYR => self.state.interrupt(slot).priority(),
                // With one processor all of ITARGETSR is RAZ/WI (§4.3.12).
                _ if self.state.vcpus == 1 => 0,
                _ if slot.is_shared() => u32::from(self.state.interrupt(slot).targets),
                _ => 1 << vcpu,
            }
        })
    }

    fn read_sources(&mut self, offset: u64, width: Width, vcpu: usize) -> u32 {
        let kicks = self.recall(vcpu);
        let first = offset as usize & (SGIS - 1);
        let known = offset < gicd::SPENDSGIR + SGIS as u64;
        let value = gather(width, |n| u32::from(self.state.sources(vcpu, first + n)));
        self.settle(vcpu, kicks);
        if known { value } else { 0 }
    }

    /// Any register but ISENABLER and SGIR.
    pub(crate) fn write_register(&mut self, offset: u64, width: Width, value: u32, vcpu: usize) {
        match offset >> gicd::ROW {
            row if row.wrapping_sub(ROW_IPRIORITYR) < BYTES => {
                self.write_file(offset, gicd::IPRIORITYR, width, value, vcpu);
            }
            row if row.wrapping_sub(ROW_ITARGETSR) < BYTES => {
                self.write_file(offset, gicd::ITARGETSR, width, value, vcpu);
            }
            ROW_SGIR if offset >= gicd::CPENDSGIR => {
                self.write_sources(offset, width, value, vcpu);
            }
            _ if width != Width::Word => {}
            0 if offset == gicd::CTLR => self.write_control(value, vcpu),
            ROW_ICFGR => self.write_configuration(offset, value, vcpu),
            row @ ROW_IGROUPR..=ROW_ICACTIVER => {
                if let Some(n) = word_in_row(offset) {
                    self.write_bits(row, n, value, vcpu);
                }
            }
            _ => {}
        }
    }

    fn write_control(&mut self, value: u32, vcpu: usize) {
        let kicks = self.recall(vcpu) | u32::MAX >> (32 - self.state.vcpus);
        self.state.control = value & CONTROL_BITS;
        for word in 0..self.words() {
            self.state.forward(word);
        }
        self.settle(vcpu, kicks);
    }

    fn words(&self) -> usize {
        word_of(0, WORDS - 1) + 1
    }

    fn write_bits(&mut self, row: u64, n: usize, value: u32, vcpu: usize) {
        let at = word_of(vcpu, n);
        let sgis = if n == 0 { SGI_BITS } else { 0 };
        if row == ROW_ICENABLER && value & self.state.word(at).enabled & !sgis == 0 {
            return;
        }
        let before = self.elsewhere(vcpu, n, value);
        let kicks = self.recall(vcpu);
        match row {
            ROW_IGROUPR => self.write_groups(at, value),
            ROW_ICENABLER => self.state.word_mut(at).enabled &= !(value & !sgis),
            ROW_ISPENDR => self.state.word_mut(at).latch |= value & !sgis,
            ROW_ICPENDR => self.clear_pending(vcpu, at, value & !sgis),
            ROW_ISACTIVER => self.set_active(at, value),
            ROW_ICACTIVER => self.clear_active(vcpu, at, value),
            _ => {}
        }
        self.settle(vcpu, before | kicks | self.elsewhere(vcpu, n, value));
    }

    /// The other vCPUs, as bits, that shared interrupts of the word are for or at.
    fn elsewhere(&self, vcpu: usize, n: usize, value: u32) -> u32 {
        let at = word_of(vcpu, n);
        let pending = self.state.word(at).pending();
        let value = if n == 0 { 0 } else { value };
        bits(value).fold(0, |all, bit| {
            let slot = Slot::in_word(at, bit);
            let target = self.state.target(slot).filter(|_| pending & slot.bit() != 0);
            let holder = self.state.interrupt(slot).holder();
            [target, holder].into_iter().flatten().fold(all, |all, vcpu| all | 1 << vcpu)
        })
    }

    fn write_groups(&mut self, at: usize, value: u32) {
        for bit in 0..32 {
            let interrupt = self.state.interrupt_mut(Slot::in_word(at, bit));
            let group = GICH_LR::GRP1.val(value >> bit & 1);
            interrupt.template = group.modify(interrupt.template);
        }
        self.state.forward(at);
    }

    /// A level line that is up, and a physical interrupt, stay pending (§4.3.8).
    fn clear_pending(&mut self, vcpu: usize, at: usize, value: u32) {
        self.state.word_mut(at).latch &= !value;
        for bit in bits(value) {
            let interrupt = *self.state.interrupt(Slot::in_word(at, bit));
            if let Some(holder) = interrupt.holder().filter(|&holder| holder != vcpu) {
                let list = usize::from(interrupt.place) & (LISTS - 1);
                self.state.bank_mut(holder).cancel |= 1 << list;
            }
        }
    }

    fn set_active(&mut self, at: usize, value: u32) {
        for bit in bits(value) {
            let slot = Slot::in_word(at, bit);
            if self.state.interrupt(slot).holder().is_none() {
                self.state.word_mut(at).active |= slot.bit();
            }
        }
        self.state.forward(at);
    }

    fn clear_active(&mut self, vcpu: usize, at: usize, value: u32) {
        self.state.word_mut(at).active &= !value;
        for bit in bits(value) {
            let slot = Slot::in_word(at, bit);
            let interrupt = *self.state.interrupt(slot);
            let list = usize::from(interrupt.place) & (LISTS - 1);
            match interrupt.holder() {
                // After a recall, what is in a list register here is active.
                Some(holder) if holder == vcpu => self.deactivate(vcpu, list, slot),
                Some(holder) => self.state.bank_mut(holder).deactivate |= 1 << list,
                None => {}
            }
        }
        self.state.forward(at);
    }

    /// SGIs are edge-triggered, read-only; PPIs and SPIs can be set (§4.3.13).
    fn write_configuration(&mut self, offset: u64, value: u32, vcpu: usize) {
        let n = (offset.wrapping_sub(gicd::ICFGR) >> 2) as usize;
        if n == 0 || n >= 2 * WORDS {
            return;
        }
        let edges = (0..16).fold(0, |all, bit| all | (value >> (2 * bit + 1) & 1) << bit);
        let shift = 16 * (n as u32 & 1);
        let before = self.elsewhere(vcpu, n / 2, 0xffff << shift);
        let kicks = self.recall(vcpu) | before;
        let word = self.state.word_mut(word_of(vcpu, n / 2));
        word.set_lines(word.line, word.edge & !(0xffff << shift) | edges << shift);
        self.settle(vcpu, kicks | self.elsewhere(vcpu, n / 2, 0xffff << shift));
    }

    fn write_file(&mut self, offset: u64, file: u64, width: Width, value: u32, vcpu: usize) {
        let Some(first) = intid_in_file(offset, file) else {
            return;
        };
        let (n, shift) = (first / PRIVATE, first as u32 % 32);
        let touched = 0xf >> (4 - width.bytes().min(4)) << shift;
        let before = self.elsewhere(vcpu, n, touched);
        let kicks = self.recall(vcpu) | before;
        for (at, byte) in value.to_le_bytes().into_iter().take(width.bytes() as usize).enumerate() {
            let slot = Slot::new(vcpu, first + at);
            match file {
                gicd::IPRIORITYR => self.set_priority(slot, byte),
                _ => self.set_targets(slot, byte),
            }
        }
        self.settle(vcpu, kicks | self.elsewhere(vcpu, n, touched));
    }

    fn set_priority(&mut self, slot: Slot, byte: u8) {
        let interrupt = self.state.interrupt_mut(slot);
        let priority = GICH_LR::PRIORITY.val((u32::from(byte) & PRIORITY_MASK) >> 3);
        interrupt.template = priority.modify(interrupt.template);
    }

    fn set_targets(&mut self, slot: Slot, byte: u8) {
        if slot.is_shared() && self.state.vcpus > 1 {
            let present = 0xffu8 >> (8 - self.state.vcpus.min(8));
            self.state.interrupt_mut(slot).targets = byte & present;
        }
    }

    fn write_sources(&mut self, offset: u64, width: Width, value: u32, vcpu: usize) {
        if offset >= gicd::SPENDSGIR + SGIS as u64 {
            return;
        }
        let present = 0xffu8 >> (8 - self.state.vcpus.min(8));
        let kicks = self.recall(vcpu);
        let first = offset as usize & (SGIS - 1);
        for (at, byte) in value.to_le_bytes().into_iter().take(width.bytes() as usize).enumerate() {
            let sources = self.state.sources(vcpu, first + at);
            let changed = match offset {
                gicd::SPENDSGIR.. => sources | byte & present,
                _ => sources & !byte,
            };
            self.state.set_sources(vcpu, first + at, changed);
        }
        self.settle(vcpu, kicks);
    }
}
