//! Reset, saving and restoring.

use crate::Timer;
use crate::spec::MATCHES;
use evisor_contract::{Object, Restore, RestoreError, Save, Told};

const TAG: [u8; 8] = *b"bcmtimer";
const VERSION: u32 = 1;

impl Object for Timer {
    /// The count goes on, as the VM's time does.
    fn reset(&mut self) {
        for channel in &mut self.channels {
            channel.compare = 0;
            channel.matched = false;
            channel.told = Told::LOW;
        }
        self.seen = self.count();
        self.armed = None;
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        self.channels.iter().for_each(|channel| to.word(channel.compare));
        to.word(self.status());
        to.double(self.seen);
    }

    /// The VM's time and the levels of its lines are restored too; the deadline is asked
    /// for again.
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.reset();
        from.begin(TAG, VERSION)?;
        for channel in &mut self.channels {
            channel.compare = from.word()?;
        }
        self.set_status(from.bits(MATCHES)?);
        self.channels.iter_mut().for_each(|channel| channel.told = Told::UNKNOWN);
        // Nobody has looked into the future.
        self.seen = from.double()?.min(self.count());
        Ok(())
    }
}
