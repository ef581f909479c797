//! Reset, saving and restoring.

use crate::Local;
use crate::spec::{KEPT, MAILBOXES, MONITORS, RESET};
use evisor_contract::{Object, Restore, RestoreError, Save};

const TAG: [u8; 8] = *b"bcmlocal";
const VERSION: u32 = 1;

impl Local {
    /// As a Pi's firmware leaves it.
    pub(crate) fn power_on(&mut self) {
        self.kept = RESET;
        self.monitors = 0;
        self.mailboxes = [0; MAILBOXES];
        self.high = 0;
    }
}

impl Object for Local {
    fn reset(&mut self) {
        self.power_on();
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        self.kept.iter().chain(&self.mailboxes).for_each(|word| to.word(*word));
        to.word(self.monitors);
        to.word(self.high);
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.power_on();
        from.begin(TAG, VERSION)?;
        for (kept, bits) in self.kept.iter_mut().zip(KEPT) {
            *kept = from.bits(bits)?;
        }
        for mailbox in &mut self.mailboxes {
            *mailbox = from.word()?;
        }
        self.monitors = from.bits(MONITORS)?;
        self.high = from.word()?;
        Ok(())
    }
}
