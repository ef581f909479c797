//! Reset, saving and restoring.

use crate::registers::Registers;
use crate::{Pl011, QUICK};
use evisor_contract::{Backlog, Bytes, Object, Restore, RestoreError, Save, Told};

const TAG: [u8; 8] = *b"pl011\0\0\0";
const VERSION: u32 = 2;

impl Object for Pl011 {
    /// A full console stays so: it says itself when it is ready.
    fn reset(&mut self) {
        self.transmit.clear();
        self.quick = if self.console_full { 0 } else { QUICK };
        self.seen = 0;
        self.armed = false;
        self.told = Told::LOW;
        self.overrun = false;
        self.receive = Backlog::default();
        self.registers = Registers::RESET;
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        self.registers.save(to);
        to.word(u32::from(self.overrun));
        to.word(self.seen);
        self.transmit.save(to);
        self.receive.save(to);
    }

    /// Whether the console is full, and the deadline, are not part of the state:
    /// the one is the console's to say, the other is asked for again.
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.reset();
        from.begin(TAG, VERSION)?;
        self.registers = Registers::restore(from)?;
        self.overrun = from.flag()?;
        self.told = Told::UNKNOWN;
        let seen = Some(from.word()?).filter(|seen| *seen as usize <= Bytes::MOST);
        self.seen = seen.ok_or(RestoreError::Impossible)?;
        self.transmit = Bytes::restore(from)?;
        self.receive = Backlog::restore(from)?;
        // Until the guest's next act has settled what was saved.
        self.quick = 0;
        Ok(())
    }
}
