//! What one VM said and nobody was shown yet.

use crate::escape::Escape;
use alloc::collections::VecDeque;
use evisor_contract::frames::NAME;

/// How many bytes are kept of each.
pub const KEPT: usize = 16 << 10;

/// A console's name: printable characters. As large as an effect's bytes, so that it is
/// copied where something else is to be written beside it.
pub type Name = evisor_contract::Bytes;

fn name(text: &str) -> Name {
    let printable = text.bytes().filter(u8::is_ascii_graphic).take(NAME);
    printable.fold(Name::NONE, |mut name, byte| {
        name.push(byte);
        name
    })
}

/// A VM's console.
pub struct Channel {
    /// What it is called.
    pub name: Name,
    /// It is eVisor's own monitor.
    pub monitor: bool,
    kept: VecDeque<u8>,
    /// How many line feeds are kept.
    lines: usize,
    /// How many of the oldest were dropped, in all and since that was last told.
    pub lost: u64,
    untold: u32,
    /// How far into an escape sequence it is with what was shown.
    pub escape: Escape,
    /// The count at which it last said something.
    pub heard: u64,
    /// Its line filled the terminal's, which was ended, and nothing came behind.
    pub broken: bool,
    /// It has been quiet for a while in the middle of a line.
    pub aged: bool,
}

impl Channel {
    pub fn new(name: &str, monitor: bool) -> Self {
        Self {
            name: self::name(name),
            monitor,
            // All that it will ever need: nothing is allocated later.
            kept: VecDeque::with_capacity(KEPT),
            lines: 0,
            lost: 0,
            untold: 0,
            escape: Escape::default(),
            heard: 0,
            broken: false,
            aged: false,
        }
    }

    pub fn is_called(&self, name: &str, monitor: bool) -> bool {
        self.monitor == monitor && self::name(name) == self.name
    }

    /// How many bytes wait.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether a whole line waits.
    pub fn has_line(&self) -> bool {
        self.lines > 0
    }

    /// Keeps a byte, in place of the oldest if there is no room.
    pub fn keep(&mut self, byte: u8) {
        if self.kept.len() == KEPT {
            self.take();
            self.lost = self.lost.saturating_add(1);
            self.untold = self.untold.saturating_add(1);
        }
        self.lines += usize::from(byte == b'\n');
        self.kept.push_back(byte);
    }

    /// The oldest byte.
    pub fn take(&mut self) -> Option<u8> {
        let byte = self.kept.pop_front()?;
        self.lines -= usize::from(byte == b'\n');
        Some(byte)
    }

    /// How many bytes before the oldest were lost and not told of: told now.
    pub fn tell(&mut self) -> Option<u32> {
        Some(core::mem::take(&mut self.untold)).filter(|count| *count > 0)
    }
}
