//! One tag that the board's firmware is asked for.
//!
//! Other VMs ask it too: while it is busy, and until it has answered, the guest's
//! mailbox stays empty and the tag is looked after by a deadline. It ends after a
//! second, with or without an answer.

use crate::answers::Values;
use crate::policy::Policy;
use crate::property::Place;
use evisor_contract::{
    Clock, HostMailbox, MAILBOX_WORDS, MailboxTicket, Restore, RestoreError, Save,
};

/// A tag on its way to the board and back.
pub struct Forward {
    pub place: Place,
    pub values: Values,
    /// What it was sent with; none before.
    ticket: Option<MailboxTicket>,
    /// The count when it was to be sent first.
    since: u64,
}

impl Forward {
    pub fn new(place: Place, values: &Values, now: u64) -> Self {
        Self { place, values: *values, ticket: None, since: now }
    }

    /// The length of what the board answered, which is then in `values`, or that it
    /// has no answer. `None`: not yet.
    pub fn ask(
        &mut self,
        board: Option<&dyn HostMailbox>,
        clock: &dyn Clock,
    ) -> Option<Option<u32>> {
        let Some(board) = board else { return Some(None) };
        let words = self.values.get_mut(..self.place.words()).unwrap_or_default();
        if self.ticket.is_none() {
            self.ticket = board.start(self.place.number, words);
        }
        match self.ticket {
            Some(ticket) => board.poll(ticket, words).map(Result::ok),
            None => (clock.now().wrapping_sub(self.since) > clock.frequency()).then_some(None),
        }
    }

    pub fn save(&self, to: &mut Save) {
        self.place.save(to);
        self.values.iter().for_each(|word| to.word(*word));
    }

    /// One in a buffer of `size` bytes, to be sent anew: if the VM may.
    pub fn restore(
        from: &mut Restore<'_>,
        size: u32,
        policy: &Policy,
    ) -> Result<Self, RestoreError> {
        let place = Place::restore(from, size)?;
        let mut values = [0; MAILBOX_WORDS];
        for word in &mut values {
            *word = from.word()?;
        }
        if !policy.hands_on(place.number) {
            return Err(RestoreError::Impossible);
        }
        Ok(Self::new(place, &values, policy.clock.now()))
    }
}
