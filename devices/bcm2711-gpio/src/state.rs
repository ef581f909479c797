//! Reset, saving and restoring.

use crate::Gpio;
use crate::spec::{ALL, FUNCTIONS, FUNCTIONS_RESET, PULLS, PULLS_RESET, detect};
use evisor_contract::{Object, Restore, RestoreError, Save};

const TAG: [u8; 8] = *b"bcm-gpio";
const VERSION: u32 = 1;

impl Gpio {
    /// As the firmware leaves it.
    pub(crate) fn power_on(&mut self) {
        self.functions = FUNCTIONS_RESET;
        self.pulls = PULLS_RESET;
        self.set = 0;
        self.events = 0;
        self.detect = [0; detect::KINDS];
        self.look();
    }
}

impl Object for Gpio {
    fn reset(&mut self) {
        self.power_on();
        self.show();
    }

    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        self.functions.iter().chain(&self.pulls).for_each(|word| to.word(*word));
        [self.set, self.events].iter().chain(&self.detect).for_each(|pins| to.double(*pins));
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.power_on();
        from.begin(TAG, VERSION)?;
        let words = self.functions.iter_mut().zip(FUNCTIONS);
        for (word, bits) in words.chain(self.pulls.iter_mut().zip(PULLS)) {
            *word = from.bits(bits)?;
        }
        for pins in [&mut self.set, &mut self.events].into_iter().chain(&mut self.detect) {
            let value = Some(from.double()?).filter(|value| value & !ALL == 0);
            *pins = value.ok_or(RestoreError::Impossible)?;
        }
        self.look();
        self.show();
        Ok(())
    }
}
