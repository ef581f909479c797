//! Saving and restoring.

use super::{Card, State};
use crate::card_spec::status;
use evisor_contract::{Restore, RestoreError, Save};

impl Card {
    pub fn save(&self, to: &mut Save) {
        to.word(self.state as u32);
        to.word(u32::from(self.address));
        let flags = [self.application, self.interface_known, self.wide, self.fast, self.counted];
        let flags = flags.into_iter().rev().fold(0, |all, flag| all << 1 | u32::from(flag));
        to.word(flags);
        to.word(self.wrong);
        to.word(self.written);
        for optional in [self.count, self.erase.0, self.erase.1] {
            to.word(u32::from(optional.is_some()));
            to.word(optional.unwrap_or(0));
        }
        to.double(self.next);
        to.double(self.end);
    }

    pub fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.power_cycle();
        self.state = state(from.word()?)?;
        self.address = u16::try_from(from.word()?).map_err(|_| RestoreError::Impossible)?;
        let flags = from.bits(0x1f)?;
        let flag = |bit: u32| flags >> bit & 1 != 0;
        self.application = flag(0);
        self.interface_known = flag(1);
        self.wide = flag(2);
        self.fast = flag(3);
        self.counted = flag(4);
        self.wrong = from.bits(status::REPORTED)?;
        self.written = from.word()?;
        self.count = optional(from)?;
        self.erase = (optional(from)?, optional(from)?);
        self.next = from.double()?;
        self.end = from.double()?;
        let sound = self.next <= self.end && self.end <= self.facts.blocks;
        if sound { Ok(()) } else { Err(RestoreError::Impossible) }
    }
}

fn optional(from: &mut Restore<'_>) -> Result<Option<u32>, RestoreError> {
    match (from.word()?, from.word()?) {
        (0, 0) => Ok(None),
        (1, value) => Ok(Some(value)),
        _ => Err(RestoreError::Impossible),
    }
}

fn state(word: u32) -> Result<State, RestoreError> {
    let all = [
        State::Idle,
        State::Ready,
        State::Identification,
        State::StandBy,
        State::Transfer,
        State::SendingData,
        State::ReceivingData,
        State::Programming,
        State::Disconnect,
        State::Inactive,
    ];
    all.into_iter().find(|state| *state as u32 == word).ok_or(RestoreError::Impossible)
}
