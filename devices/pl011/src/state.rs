//! Reset, saving and restoring.

use crate::queue;
use crate::registers::{Registers, word};
use crate::spec::DEPTH;
use crate::{Pl011, QUICK};
use evisor_contract::{Bytes, Object, Restore, RestoreError, Save};

const TAG: [u8; 8] = *b"pl011\0\0\0";
const VERSION: u32 = 1;

impl Object for Pl011 {
    /// A full console stays so: it says itself when it is ready.
    fn reset(&mut self) {
        self.transmit.clear();
        self.quick = if self.console_full { 0 } else { QUICK };
        self.seen = 0;
        self.armed = false;
        self.line_up = false;
        self.overrun = false;
        self.receive.clear();
        self.registers = Registers::RESET;
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        self.registers.save(to);
        to.word(u32::from(self.line_up) | u32::from(self.overrun) << 1);
        to.word(self.seen);
        to.word(self.transmit.count());
        to.raw(self.transmit.as_slice());
        queue::save(&self.receive, to);
    }

    /// Whether the console is full, and the deadline, are not part of the state:
    /// the one is the console's to say, the other is asked for again.
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.reset();
        from.begin(TAG, VERSION)?;
        self.registers = Registers::restore(from)?;
        let flags = word(from, 3)?;
        self.line_up = flags & 1 != 0;
        self.overrun = flags & 2 != 0;
        self.seen = level(from)?;
        let mut bytes = [0; DEPTH];
        let gathered = bytes.get_mut(..level(from)? as usize).ok_or(RestoreError::Impossible)?;
        from.raw(gathered)?;
        self.transmit = Bytes::new(gathered);
        self.receive = queue::restore(from)?;
        // Until the guest's next act has settled what was saved.
        self.quick = 0;
        Ok(())
    }
}

/// A saved level of a FIFO.
fn level(from: &mut Restore<'_>) -> Result<u32, RestoreError> {
    match from.word()? {
        value if value as usize <= DEPTH => Ok(value),
        _ => Err(RestoreError::Impossible),
    }
}
