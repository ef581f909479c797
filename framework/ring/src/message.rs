//! Messages in the stream: the length in four bytes, little-endian, and the bytes. One is
//! sent and received whole.

use crate::{Area, Moved, Refusal, Stream};

/// What a message has before its bytes.
const LENGTH: usize = 4;

impl<A: Area> Stream<A> {
    /// The longest message that can be sent, in bytes.
    pub fn longest_message(&self) -> usize {
        self.capacity() - LENGTH
    }

    /// Sends a message; no bytes are moved, and the rest says so, while there is no room
    /// for all of it. An empty message moves its length's four.
    ///
    /// # Errors
    /// [`Refusal::Apart`], [`Refusal::Broken`]; [`Refusal::TooLong`] if there never is room.
    pub fn send_message(&mut self, message: &[u8]) -> Result<Moved, Refusal> {
        if message.len() > self.longest_message() {
            return Err(Refusal::TooLong(message.len()));
        }
        if self.space()? < LENGTH + message.len() {
            return Ok(Moved::NOTHING);
        }
        self.put(0, &(message.len() as u32).to_le_bytes());
        self.put(LENGTH, message);
        Ok(self.sent(LENGTH + message.len()))
    }

    /// Receives a message and gives how long it is; `None` while there is none.
    ///
    /// # Errors
    /// [`Refusal::Apart`]; [`Refusal::Broken`], also if the other end announces more than
    /// can ever come; [`Refusal::TooLong`] if `to` is too short for it.
    pub fn receive_message(&mut self, to: &mut [u8]) -> Result<Option<(usize, bool)>, Refusal> {
        let waiting = self.waiting()?;
        if waiting < LENGTH {
            return Ok(None);
        }
        // Read once: the other end may write another length there meanwhile.
        let mut length = [0; LENGTH];
        self.get(0, &mut length);
        let length = u32::from_le_bytes(length) as usize;
        if length > self.longest_message() {
            return Err(Refusal::Broken);
        }
        if waiting - LENGTH < length {
            return Ok(None);
        }
        let to = to.get_mut(..length).ok_or(Refusal::TooLong(length))?;
        self.get(LENGTH, to);
        let Moved { ring, .. } = self.received(LENGTH + length);
        Ok(Some((length, ring)))
    }
}
