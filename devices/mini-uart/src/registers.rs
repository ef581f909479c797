//! The registers that hold what is written to them.

use crate::spec::{CNTL, CNTL_RESET, IER, LCR, MCR, offset, writable};
use evisor_contract::{Restore, RestoreError, Save};
use tock_registers::LocalRegisterCopy;

pub struct Registers {
    pub ier: LocalRegisterCopy<u32, IER::Register>,
    pub lcr: LocalRegisterCopy<u32, LCR::Register>,
    pub mcr: LocalRegisterCopy<u32, MCR::Register>,
    pub cntl: LocalRegisterCopy<u32, CNTL::Register>,
    scratch: u32,
    baud: u32,
}

impl Registers {
    pub const RESET: Self = Self {
        ier: LocalRegisterCopy::new(0),
        lcr: LocalRegisterCopy::new(0),
        mcr: LocalRegisterCopy::new(0),
        cntl: LocalRegisterCopy::new(CNTL_RESET),
        scratch: 0,
        baud: 0,
    };

    /// While DLAB is set, the first two registers are the divisor's bytes.
    pub fn shows_divisor(&self) -> bool {
        self.lcr.is_set(LCR::DLAB)
    }

    pub fn read(&self, offset: u64) -> u32 {
        match offset {
            offset::IO => self.baud & 0xff,
            offset::IER if self.shows_divisor() => self.baud >> 8,
            offset::IER => self.ier.get(),
            offset::LCR => self.lcr.get(),
            offset::MCR => self.mcr.get(),
            offset::SCRATCH => self.scratch,
            offset::CNTL => self.cntl.get(),
            offset::BAUD => self.baud,
            _ => 0,
        }
    }

    /// [`offset::IO`] is written here only while it is the divisor.
    pub fn write(&mut self, offset: u64, value: u32) {
        match offset {
            offset::IO => self.baud = self.baud & 0xff00 | value & 0xff,
            offset::IER if self.shows_divisor() => {
                self.baud = self.baud & 0xff | (value & 0xff) << 8;
            }
            offset::IER => self.ier.set(value & writable::IER),
            offset::LCR => self.lcr.set(value & writable::LCR),
            offset::MCR => self.mcr.set(value & writable::MCR),
            offset::SCRATCH => self.scratch = value & writable::SCRATCH,
            offset::CNTL => self.cntl.set(value & writable::CNTL),
            offset::BAUD => self.baud = value & writable::BAUD,
            _ => {}
        }
    }

    pub fn save(&self, to: &mut Save) {
        [self.ier.get(), self.lcr.get(), self.mcr.get(), self.cntl.get(), self.scratch, self.baud]
            .into_iter()
            .for_each(|word| to.word(word));
    }

    pub fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        Ok(Self {
            ier: LocalRegisterCopy::new(from.bits(writable::IER)?),
            lcr: LocalRegisterCopy::new(from.bits(writable::LCR)?),
            mcr: LocalRegisterCopy::new(from.bits(writable::MCR)?),
            cntl: LocalRegisterCopy::new(from.bits(writable::CNTL)?),
            scratch: from.bits(writable::SCRATCH)?,
            baud: from.bits(writable::BAUD)?,
        })
    }
}
