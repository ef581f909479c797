//! Reset, saving and restoring. The content is the VM's memory, and goes with it.

use crate::spec::{BUFFER, BUFFER_WORDS, SECTOR, STATUS};
use crate::{Cycle, Mode, Pflash, SLICE, Work};
use evisor_contract::{Object, Restore, RestoreError, Save};
use tock_registers::LocalRegisterCopy;

const TAG: [u8; 8] = *b"pflash\0\0";
const VERSION: u32 = 1;

/// In place of the address of a block, and of what is being done.
const NONE: u64 = u64::MAX;

impl Object for Pflash {
    /// What was being erased or programmed stays half done: the power went off.
    fn reset(&mut self) {
        self.mode = Mode::Array;
        self.cycle = Cycle::Command;
        self.errors = LocalRegisterCopy::new(0);
        self.work = None;
        self.buffer.fill(u64::MAX);
        self.block = None;
        self.astray = false;
        self.armed = false;
        self.ends.memory.show(true);
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        to.word(match self.mode {
            Mode::Array => 0,
            Mode::Status => 1,
            Mode::Identifier => 2,
            Mode::Query => 3,
        });
        let (cycle, more) = match self.cycle {
            Cycle::Command => (0, 0),
            Cycle::Program => (1, 0),
            Cycle::EraseConfirm => (2, 0),
            Cycle::LockConfirm => (3, 0),
            Cycle::Count => (4, 0),
            Cycle::Data { more } => (5, more),
            Cycle::BufferConfirm => (6, 0),
        };
        to.word(cycle);
        to.double(more);
        to.word(u32::from(self.errors.get()));
        let (erase, at, end) = match self.work {
            Some(work) => (work.erase, work.at, work.end),
            None => (false, NONE, NONE),
        };
        to.word(u32::from(erase));
        to.double(at);
        to.double(end);
        to.double(self.block.unwrap_or(NONE));
        to.word(u32::from(self.astray));
        self.buffer.iter().for_each(|word| to.double(*word));
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.reset();
        from.begin(TAG, VERSION)?;
        self.mode = match from.word()? {
            0 => Mode::Array,
            1 => Mode::Status,
            2 => Mode::Identifier,
            3 => Mode::Query,
            _ => return Err(RestoreError::Impossible),
        };
        self.cycle = match (from.word()?, from.double()?) {
            (0, 0) => Cycle::Command,
            (1, 0) => Cycle::Program,
            (2, 0) => Cycle::EraseConfirm,
            (3, 0) => Cycle::LockConfirm,
            (4, 0) => Cycle::Count,
            (5, more) if more < BUFFER_WORDS => Cycle::Data { more },
            (6, 0) => Cycle::BufferConfirm,
            _ => return Err(RestoreError::Impossible),
        };
        let errors = STATUS::PROGRAM::SET.value | STATUS::ERASE::SET.value;
        self.errors = match u8::try_from(from.word()?) {
            Ok(bits) if bits & !errors == 0 => LocalRegisterCopy::new(bits),
            _ => return Err(RestoreError::Impossible),
        };
        self.work = self.restore_work(from)?;
        self.block = match from.double()? {
            NONE => None,
            block if block < self.size && block.is_multiple_of(BUFFER) => Some(block),
            _ => return Err(RestoreError::Impossible),
        };
        self.astray = from.flag()?;
        for word in &mut self.buffer {
            *word = from.double()?;
        }
        self.ends.memory.show(self.mode == Mode::Array);
        Ok(())
    }
}

impl Pflash {
    fn restore_work(&self, from: &mut Restore<'_>) -> Result<Option<Work>, RestoreError> {
        let (erase, at, end) = (from.flag()?, from.double()?, from.double()?);
        if (erase, at, end) == (false, NONE, NONE) {
            return Ok(None);
        }
        // It ends where its block does, and has not.
        let whole = if erase { SECTOR } else { BUFFER };
        let sound = at < end
            && end <= self.size
            && end.is_multiple_of(whole)
            && end - at <= whole
            && at.is_multiple_of(SLICE);
        if sound { Ok(Some(Work { erase, at, end })) } else { Err(RestoreError::Impossible) }
    }
}
