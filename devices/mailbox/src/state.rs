//! Reset, saving and restoring.

use crate::Mailbox;
use crate::fifo::Fifo;
use crate::property::Job;
use crate::spec::CONFIG;
use evisor_contract::{Object, Restore, RestoreError, Save, Told};

const TAG: [u8; 8] = *b"bcm-mbox";
const VERSION: u32 = 2;
/// The bits that are kept.
const KEPT: u32 =
    CONFIG::DATA_ENABLE::SET.value | CONFIG::OVERFLOW::SET.value | CONFIG::UNDERFLOW::SET.value;

impl Object for Mailbox {
    /// What the board was asked is forgotten: nobody is handed the answer.
    fn reset(&mut self) {
        self.answers = Fifo::default();
        self.requests = Fifo::default();
        self.job = None;
        self.config.set(0);
        self.told = Told::LOW;
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        self.answers.save(to);
        self.requests.save(to);
        to.word(self.config.get());
        to.word(u32::from(self.job.is_some()));
        if let Some(job) = &self.job {
            job.save(to);
        }
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.reset();
        from.begin(TAG, VERSION)?;
        self.answers = Fifo::restore(from)?;
        self.requests = Fifo::restore(from)?;
        self.config.set(from.bits(KEPT)?);
        self.told = Told::UNKNOWN;
        self.job = from.flag()?.then(|| Job::restore(from, &self.policy)).transpose()?;
        Ok(())
    }
}
