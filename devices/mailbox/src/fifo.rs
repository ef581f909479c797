//! Messages in one direction.

use crate::spec::{DEPTH, STATUS};
use evisor_contract::{Restore, RestoreError, Save};
use tock_registers::LocalRegisterCopy;

/// As many as a mailbox holds.
#[derive(Debug, Default)]
pub struct Fifo {
    messages: [u32; DEPTH],
    count: usize,
}

impl Fifo {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn is_full(&self) -> bool {
        self.count == DEPTH
    }

    /// Appends one. False: there is no room.
    pub fn push(&mut self, message: u32) -> bool {
        let Some(slot) = self.messages.get_mut(self.count) else { return false };
        *slot = message;
        self.count += 1;
        true
    }

    /// The oldest one.
    pub fn first(&self) -> Option<u32> {
        self.messages.first().copied().filter(|_| self.count > 0)
    }

    /// Takes the oldest one out.
    pub fn pop(&mut self) -> Option<u32> {
        let first = self.first()?;
        self.messages.rotate_left(1);
        self.count -= 1;
        Some(first)
    }

    pub fn clear(&mut self) {
        self.count = 0;
    }

    /// The status register.
    #[expect(clippy::cast_possible_truncation, reason = "it holds eight")]
    pub fn status(&self) -> u32 {
        let mut status = LocalRegisterCopy::<u32, STATUS::Register>::new(self.count as u32);
        if self.is_full() {
            status.modify(STATUS::FULL::SET);
        }
        if self.is_empty() {
            status.modify(STATUS::EMPTY::SET);
        }
        status.get()
    }

    #[expect(clippy::cast_possible_truncation, reason = "it holds eight")]
    pub fn save(&self, to: &mut Save) {
        to.word(self.count as u32);
        self.messages.iter().take(self.count).for_each(|message| to.word(*message));
    }

    pub fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        let count = from.word()? as usize;
        if count > DEPTH {
            return Err(RestoreError::Impossible);
        }
        let mut fifo = Self::default();
        for _ in 0..count {
            fifo.push(from.word()?);
        }
        Ok(fifo)
    }
}
