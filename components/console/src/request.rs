//! Noticing that a host asks for frames, in the middle of what is typed.

use evisor_contract::frames::{ASK_MOST, ASKS, CONTROL, Control, Decoder, Step};

/// Holds back what may be a request.
pub struct Request {
    held: [u8; ASK_MOST],
    count: usize,
    decoder: Decoder,
}

/// What a byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// Typed, and so is what was held.
    Typed,
    /// Held back.
    Maybe,
    /// The end of a request for frames of this version; what was held is forgotten.
    Asked(u8),
}

impl Request {
    pub const fn new() -> Self {
        Self { held: [0; ASK_MOST], count: 0, decoder: Decoder::new() }
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Takes a byte. If it is typed, [`held`](Self::held) has what comes before it, and
    /// it is not in there.
    pub fn take(&mut self, byte: u8) -> Noticed {
        let fits = ASKS.get(self.count).is_none_or(|expected| *expected == byte);
        if !fits || self.count == self.held.len() {
            return Noticed::Typed;
        }
        if let Some(slot) = self.held.get_mut(self.count) {
            *slot = byte;
        }
        self.count += 1;
        match self.decoder.take(byte) {
            Step::Nothing => Noticed::Maybe,
            Step::Frame { port: CONTROL, payload } => match Control::read(payload) {
                Some(Control::Ask(version)) => {
                    self.count = 0;
                    Noticed::Asked(version)
                }
                _ => self.typed(),
            },
            _ => self.typed(),
        }
    }

    fn typed(&mut self) -> Noticed {
        self.count -= 1;
        Noticed::Typed
    }

    /// What was held back, which it forgets.
    pub fn held(&mut self) -> ([u8; ASK_MOST], usize) {
        let _ = self.decoder.finish();
        (self.held, core::mem::take(&mut self.count))
    }
}
