//! The firmware's property mailbox.

use crate::fake::lock;
use evisor_contract::{HostMailbox, MAILBOX_WORDS, MailboxError, MailboxTicket};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The firmware's end of the mailbox: answers what a test told it, after a while.
#[derive(Clone, Debug, Default)]
pub struct MailboxEnd(Arc<Mutex<MailboxState>>);

#[derive(Debug, Default)]
struct MailboxState {
    answers: BTreeMap<u32, Vec<u32>>,
    asked: Vec<(u32, Vec<u32>)>,
    /// The last ticket.
    ticket: u32,
    under_way: Option<u32>,
    delay: u32,
}

impl MailboxEnd {
    /// `tag` is answered with `values` from now on; any other is not known.
    pub fn answer(&self, tag: u32, values: &[u32]) {
        lock(&self.0).answers.insert(tag, values.to_vec());
    }

    /// It is polled so often before it answers.
    pub fn set_delay(&self, polls: u32) {
        lock(&self.0).delay = polls;
    }

    /// The firmware is done with what is under way, and nobody hears of it.
    pub fn lose(&self) {
        lock(&self.0).under_way = None;
    }

    /// What was asked since this was last asked: tags and their values.
    pub fn asked(&self) -> Vec<(u32, Vec<u32>)> {
        core::mem::take(&mut lock(&self.0).asked)
    }
}

impl HostMailbox for MailboxEnd {
    fn start(&self, tag: u32, values: &[u32]) -> Option<MailboxTicket> {
        assert!(values.len() <= MAILBOX_WORDS, "{} words", values.len());
        let mut state = lock(&self.0);
        if state.under_way.is_some() {
            return None;
        }
        state.asked.push((tag, values.to_vec()));
        state.under_way = Some(tag);
        state.ticket += 1;
        Some(MailboxTicket(state.ticket))
    }

    fn poll(&self, ticket: MailboxTicket, values: &mut [u32]) -> Option<Result<u32, MailboxError>> {
        let mut state = lock(&self.0);
        let Some(tag) = state.under_way.filter(|_| ticket.0 == state.ticket) else {
            return Some(Err(MailboxError::Failed));
        };
        if state.delay > 0 {
            state.delay -= 1;
            return None;
        }
        state.under_way = None;
        let Some(answer) = state.answers.get(&tag) else { return Some(Err(MailboxError::Unknown)) };
        values.iter_mut().zip(answer).for_each(|(to, from)| *to = *from);
        Some(Ok(u32::try_from(answer.len() * 4).expect("a short answer")))
    }
}
