//! Where in the guest's memory data go or come from: SDMA's address, or the ADMA2
//! descriptors that the guest wrote.

use crate::registers::Registers;
use crate::spec::{BLOCK_SIZE, STATUS, adma_error, descriptor};
use evisor_contract::{Memory, Restore, RestoreError, Save};

/// How many descriptors are looked at in one go: a table may be a loop of links.
pub const DESCRIPTORS: u32 = 16;

/// The line of the descriptor table that is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dma {
    address: u32,
    /// Bytes that are left of it.
    left: u32,
    interrupts: bool,
    /// No line follows.
    ended: bool,
    /// SDMA stands at a boundary until the guest writes its address.
    pub stopped: bool,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// So many bytes at this address.
    At(u32, u32),
    /// Enough was looked at for now.
    Later,
    /// The descriptors are wrong.
    Wrong,
}

impl Dma {
    pub const NONE: Self =
        Self { address: 0, left: 0, interrupts: false, ended: false, stopped: false };

    /// Where SDMA goes on; it has to stop at the next boundary (§2.2.2).
    pub fn simple(registers: &Registers) -> Place {
        let address = registers.argument2;
        let boundary = 4096_u32 << registers.block_size.read(BLOCK_SIZE::BOUNDARY);
        Place::At(address, boundary - address % boundary)
    }

    /// `count` bytes of SDMA are done, and more of the transfer is to come or not.
    pub fn pass_simple(&mut self, count: u32, more: bool, registers: &mut Registers) {
        registers.argument2 = registers.argument2.wrapping_add(count);
        let boundary = 4096_u32 << registers.block_size.read(BLOCK_SIZE::BOUNDARY);
        if more && registers.argument2.is_multiple_of(boundary) {
            self.stopped = true;
            registers.happen(STATUS::DMA::SET);
        }
    }

    /// Where ADMA2 goes on. Looks at descriptors until one moves data, and takes them
    /// from `budget`.
    pub fn described(
        &mut self,
        budget: &mut u32,
        registers: &mut Registers,
        memory: &dyn Memory,
    ) -> Place {
        while self.left == 0 {
            if self.ended {
                registers.adma_error = adma_error::LENGTH;
                return Place::Wrong;
            }
            let Some(rest) = budget.checked_sub(1) else { return Place::Later };
            *budget = rest;
            let Some(line) = fetch(registers.adma_address, memory) else {
                registers.adma_error = adma_error::FETCH;
                return Place::Wrong;
            };
            self.take(line, registers);
        }
        Place::At(self.address, self.left)
    }

    /// §1.13.4: the state machine's step for one line.
    fn take(&mut self, line: u64, registers: &mut Registers) {
        let address = (line >> 32) as u32 & !3;
        self.ended = line & descriptor::END != 0;
        self.interrupts = line & descriptor::INTERRUPT != 0;
        registers.adma_address =
            registers.adma_address.wrapping_add(descriptor::SIZE.to_le_bytes()[0].into());
        match line & descriptor::ACT {
            descriptor::TRANSFER => {
                self.address = address;
                // Of 16 bits, of which 0 is one more than the highest.
                self.left = match (line >> 16) as u32 & 0xffff {
                    0 => 0x1_0000,
                    length => length,
                };
            }
            descriptor::LINK => registers.adma_address = address,
            _ => self.interrupt(registers),
        }
    }

    /// `count` bytes of the line are done.
    pub fn pass_described(&mut self, count: u32, registers: &mut Registers) {
        self.address = self.address.wrapping_add(count);
        self.left = self.left.saturating_sub(count);
        if self.left == 0 {
            self.interrupt(registers);
        }
    }

    fn interrupt(self, registers: &mut Registers) {
        if self.interrupts {
            registers.happen(STATUS::DMA::SET);
        }
    }

    pub fn save(self, to: &mut Save) {
        to.word(self.address);
        to.word(self.left);
        let flags = [self.interrupts, self.ended, self.stopped];
        to.word(flags.into_iter().rev().fold(0, |all, flag| all << 1 | u32::from(flag)));
    }

    pub fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        let (address, left, flags) = (from.word()?, from.word()?, from.bits(7)?);
        if left > 0x1_0000 {
            return Err(RestoreError::Impossible);
        }
        Ok(Self {
            address,
            left,
            interrupts: flags & 1 != 0,
            ended: flags & 2 != 0,
            stopped: flags & 4 != 0,
        })
    }
}

/// The line at `address`; `None` if it is not valid or not in memory.
fn fetch(address: u32, memory: &dyn Memory) -> Option<u64> {
    let mut line = [0; descriptor::SIZE];
    memory.read(u64::from(address & !3), &mut line).ok()?;
    Some(u64::from_le_bytes(line)).filter(|line| line & descriptor::VALID != 0)
}
