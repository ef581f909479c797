//! Reset, saving and restoring.

use crate::spec::{RSTC_RESET, TICKS, VALUE};
use crate::{Pm, WORDS};
use evisor_contract::{Object, Restore, RestoreError, Save};

const TAG: [u8; 8] = *b"bcm-pm\0\0";
const VERSION: u32 = 1;

impl Pm {
    /// After any reset. PM_RSTS outlives it: it is what one boot tells the next.
    pub(crate) fn restart(&mut self) {
        self.rstc.set(RSTC_RESET);
        self.ticks = 0;
        self.due = None;
        self.kept = [0; WORDS];
    }
}

impl Object for Pm {
    fn reset(&mut self) {
        self.restart();
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        for word in [self.rstc.get(), self.rsts.get(), self.ticks] {
            to.word(word);
        }
        self.kept.iter().for_each(|word| to.word(*word));
        to.word(u32::from(self.due.is_some()));
        to.double(self.due.unwrap_or_default());
    }

    /// The deadline is not part of the state: it is asked for again.
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.restart();
        from.begin(TAG, VERSION)?;
        self.rstc.set(from.bits(VALUE)?);
        self.rsts.set(from.bits(VALUE)?);
        self.ticks = from.bits(TICKS)?;
        for word in &mut self.kept {
            *word = from.bits(VALUE)?;
        }
        let (armed, due) = (from.bits(1)? != 0, from.double()?);
        if armed != self.armed() {
            return Err(RestoreError::Impossible);
        }
        // At most all its ticks away.
        let latest = self.ends.clock.now().saturating_add(self.counts(TICKS));
        self.due = armed.then_some(due.min(latest));
        Ok(())
    }
}
