//! Reset, saving and restoring.

use crate::spec::INT;
use crate::{Pl031, ROUND};
use evisor_contract::{Object, Restore, RestoreError, Save, Told};
use tock_registers::LocalRegisterCopy;

const TAG: [u8; 8] = *b"pl031\0\0\0";
const VERSION: u32 = 2;

impl Pl031 {
    /// The count is the calendar's again. What it happens to match on the way
    /// there is no match.
    pub(crate) fn power_on(&mut self) {
        self.ahead = 0;
        self.matching = 0;
        self.loaded = 0;
        self.look_ahead();
        self.imsc = LocalRegisterCopy::new(0);
        self.ris = LocalRegisterCopy::new(0);
        self.told = Told::LOW;
    }
}

impl Object for Pl031 {
    fn reset(&mut self) {
        self.power_on();
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        for word in [self.ahead, self.matching, self.loaded, self.imsc.get(), self.ris.get()] {
            to.word(word);
        }
        to.double(self.due);
    }

    /// The count goes on with the calendar of the VM that it is restored into. The
    /// deadline is not part of the state: it is asked for again.
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.power_on();
        from.begin(TAG, VERSION)?;
        self.ahead = from.word()?;
        self.matching = from.word()?;
        self.loaded = from.word()?;
        self.imsc = LocalRegisterCopy::new(from.bits(INT::MATCH::SET.value)?);
        self.ris = LocalRegisterCopy::new(from.bits(INT::MATCH::SET.value)?);
        self.told = Told::UNKNOWN;
        let due = from.double()?;
        // At most a whole round away, unless it passed while nobody looked.
        self.due = due.min(self.ends.clock.unix_seconds().saturating_add(ROUND));
        Ok(())
    }
}
