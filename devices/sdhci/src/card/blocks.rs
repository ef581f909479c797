//! Transfers of blocks, and erasing.

use super::{Card, Follows, Outcome, State};
use crate::card_spec::{command, status};

/// Transfers of blocks.
impl Card {
    pub(super) fn out_of_range(&self, block: u32) -> u32 {
        if u64::from(block) < self.facts.blocks { 0 } else { status::OUT_OF_RANGE }
    }

    /// Begins at `block`; the card ends it itself after `count`.
    pub(super) fn begin(&mut self, block: u32, count: Option<u32>, state: State) -> Outcome {
        let write = state == State::ReceivingData;
        let protected = write && self.facts.read_only;
        let wrong = self.out_of_range(block) | if protected { status::WRITE_PROTECTED } else { 0 };
        let outcome = self.report(wrong);
        if wrong != 0 {
            return outcome;
        }
        let count = count.filter(|count| *count != 0);
        self.state = state;
        self.next = u64::from(block);
        let wanted = count.map_or(u64::MAX, u64::from);
        self.end = self.next.saturating_add(wanted).min(self.facts.blocks);
        self.counted = count.is_some() && self.end - self.next == wanted;
        if write {
            self.written = 0;
        }
        Outcome { follows: if write { Follows::Write } else { Follows::Read }, ..outcome }
    }

    /// CMD12: the state is the one before in the response.
    pub(super) fn stop(&mut self, state: State) -> Outcome {
        let outcome = self.report(0);
        self.state = state;
        Outcome { follows: Follows::Stop, ..outcome }
    }

    /// The next block of a transfer, and how many there are from there on.
    pub fn place(&self) -> (u64, u64) {
        (self.next, self.end.saturating_sub(self.next))
    }

    /// The host wants to go on behind the end, which may be the card's.
    pub fn overrun(&mut self) {
        if !self.counted {
            self.wrong |= status::OUT_OF_RANGE;
        }
    }

    /// The medium failed.
    pub fn medium_failed(&mut self, write: bool) {
        self.wrong |= if write { status::ERROR } else { status::ECC_FAILED };
    }

    /// `count` blocks were sent, or received and written.
    pub fn pass(&mut self, count: u64) {
        self.next = self.next.saturating_add(count).min(self.end);
        let over = self.counted && self.next == self.end;
        match self.state {
            State::SendingData if over => self.state = State::Transfer,
            State::ReceivingData | State::Programming | State::Disconnect => {
                self.written = self.written.saturating_add(u32::try_from(count).unwrap_or(0));
                if over && self.state == State::ReceivingData {
                    self.state = State::Programming;
                }
            }
            _ => {}
        }
    }

    /// Nobody listens any more, and the card is not told: one that ends by itself
    /// does.
    pub fn abandon(&mut self) {
        if self.counted && matches!(self.state, State::SendingData | State::ReceivingData) {
            self.state = State::Transfer;
        }
    }

    /// All that was received or erased is on the medium.
    pub fn programmed(&mut self) {
        match self.state {
            State::Programming => self.state = State::Transfer,
            State::Disconnect => self.state = State::StandBy,
            _ => {}
        }
    }
}

/// Erasing (§4.3.5).
impl Card {
    /// Only SEND_STATUS may come between the three commands.
    pub(super) fn check_erase_sequence(&mut self, index: u8) {
        let belongs = matches!(
            index,
            command::ERASE_START | command::ERASE_END | command::ERASE | command::SEND_STATUS
        );
        if !belongs && self.erase != (None, None) {
            self.erase = (None, None);
            self.wrong |= status::ERASE_RESET;
        }
    }

    pub(super) fn erase_end(&mut self, block: u32) -> Outcome {
        if self.erase.0.is_none() {
            return self.report(status::ERASE_SEQUENCE_ERROR);
        }
        self.erase.1 = Some(block);
        self.report(self.out_of_range(block))
    }

    pub(super) fn begin_erase(&mut self) -> Outcome {
        let (Some(first), Some(last)) = core::mem::take(&mut self.erase) else {
            return self.report(status::ERASE_SEQUENCE_ERROR);
        };
        if first > last || self.out_of_range(first) | self.out_of_range(last) != 0 {
            return self.report(status::ERASE_PARAMETER);
        }
        if self.facts.read_only {
            return self.report(status::WRITE_PROTECTED);
        }
        let outcome = self.report(0);
        self.state = State::Programming;
        self.next = u64::from(first);
        self.end = u64::from(last) + 1;
        self.counted = false;
        Outcome { follows: Follows::Erase, ..outcome }
    }
}
