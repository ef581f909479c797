//! The registers that hold what is written to them, and the interrupts.

use crate::spec::{
    CR, DEPTH, IDENTIFICATION, IFLS, INT, LCR_H, LEVELS, RSR, offset, reset, writable,
};
use evisor_contract::{Restore, RestoreError, Save};
use tock_registers::LocalRegisterCopy;

pub struct Registers {
    pub lcr_h: LocalRegisterCopy<u32, LCR_H::Register>,
    pub cr: LocalRegisterCopy<u32, CR::Register>,
    pub ifls: LocalRegisterCopy<u32, IFLS::Register>,
    pub imsc: LocalRegisterCopy<u32, INT::Register>,
    pub ris: LocalRegisterCopy<u32, INT::Register>,
    pub rsr: LocalRegisterCopy<u32, RSR::Register>,
    ilpr: u32,
    ibrd: u32,
    fbrd: u32,
    dmacr: u32,
}

impl Registers {
    pub const RESET: Self = Self {
        lcr_h: LocalRegisterCopy::new(0),
        cr: LocalRegisterCopy::new(reset::CR),
        ifls: LocalRegisterCopy::new(reset::IFLS),
        imsc: LocalRegisterCopy::new(0),
        ris: LocalRegisterCopy::new(0),
        rsr: LocalRegisterCopy::new(0),
        ilpr: 0,
        ibrd: 0,
        fbrd: 0,
        dmacr: 0,
    };

    /// Entries in each FIFO; without FIFOs there is one holding register (§2.4.4).
    pub fn depth(&self) -> usize {
        if self.lcr_h.is_set(LCR_H::FEN) { DEPTH } else { 1 }
    }

    /// The receive interrupt is set from this level on (§2.8.2).
    pub fn receive_level(&self) -> usize {
        self.level(self.ifls.read(IFLS::RX), 1)
    }

    /// The transmit interrupt is cleared above this level (§2.8.3).
    pub fn transmit_level(&self) -> usize {
        self.level(self.ifls.read(IFLS::TX), 0)
    }

    fn level(&self, field: u32, without_fifos: usize) -> usize {
        if self.lcr_h.is_set(LCR_H::FEN) {
            LEVELS.get((field & 7) as usize).copied().unwrap_or(DEPTH)
        } else {
            without_fifos
        }
    }

    /// The interrupts that reach the line (§3.3.12).
    pub fn masked(&self) -> u32 {
        self.ris.get() & self.imsc.get()
    }

    pub fn read(&self, offset: u64) -> u32 {
        match offset {
            offset::RSR_ECR => self.rsr.get(),
            offset::ILPR => self.ilpr,
            offset::IBRD => self.ibrd,
            offset::FBRD => self.fbrd,
            offset::LCR_H => self.lcr_h.get(),
            offset::CR => self.cr.get(),
            offset::IFLS => self.ifls.get(),
            offset::IMSC => self.imsc.get(),
            offset::RIS => self.ris.get(),
            offset::MIS => self.masked(),
            offset::DMACR => self.dmacr,
            _ => identification(offset),
        }
    }

    pub fn write(&mut self, offset: u64, value: u32) {
        match offset {
            offset::RSR_ECR => self.rsr.set(0),
            offset::ILPR => self.ilpr = value & writable::ILPR,
            offset::IBRD => self.ibrd = value & writable::IBRD,
            offset::FBRD => self.fbrd = value & writable::FBRD,
            offset::LCR_H => self.lcr_h.set(value & writable::LCR_H),
            offset::CR => self.cr.set(value & writable::CR),
            offset::IFLS => self.ifls.set(value & writable::IFLS),
            offset::IMSC => self.imsc.set(value & writable::IMSC),
            offset::ICR => self.ris.set(self.ris.get() & !value),
            offset::DMACR => self.dmacr = value & writable::DMACR,
            _ => {}
        }
    }

    pub fn save(&self, to: &mut Save) {
        [self.ilpr, self.ibrd, self.fbrd, self.dmacr, self.lcr_h.get(), self.cr.get()]
            .into_iter()
            .chain([self.ifls.get(), self.imsc.get(), self.ris.get(), self.rsr.get()])
            .for_each(|word| to.word(word));
    }

    pub fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        Ok(Self {
            ilpr: from.bits(writable::ILPR)?,
            ibrd: from.bits(writable::IBRD)?,
            fbrd: from.bits(writable::FBRD)?,
            dmacr: from.bits(writable::DMACR)?,
            lcr_h: LocalRegisterCopy::new(from.bits(writable::LCR_H)?),
            cr: LocalRegisterCopy::new(from.bits(writable::CR)?),
            ifls: LocalRegisterCopy::new(from.bits(writable::IFLS)?),
            imsc: LocalRegisterCopy::new(from.bits(writable::IMSC)?),
            ris: LocalRegisterCopy::new(from.bits(writable::IMSC)?),
            rsr: LocalRegisterCopy::new(from.bits(RSR::OE::SET.value)?),
        })
    }
}

fn identification(offset: u64) -> u32 {
    let index = offset.wrapping_sub(offset::PERIPH_ID0) / 4;
    let byte = usize::try_from(index).ok().and_then(|index| IDENTIFICATION.get(index));
    byte.copied().map_or(0, u32::from)
}
