//! What one VM said and nobody was shown yet.

use crate::escape::Escape;
use alloc::collections::VecDeque;
use evisor_contract::frames::NAME;

/// How many bytes are kept of each.
pub const KEPT: usize = 12 << 10;

/// A console's name: printable characters. As large as an effect's bytes, so that it is
/// copied where something else is to be written beside it.
pub type Name = evisor_contract::Bytes;

/// As much of a VM's name as a console is called.
pub fn name(text: &str) -> Name {
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

    /// Keeps bytes, in place of the oldest if there is no room.
    pub fn keep(&mut self, bytes: &[u8]) {
        let over = (self.kept.len() + bytes.len()).saturating_sub(KEPT);
        for _ in 0..over {
            self.take();
        }
        let over = over as u32;
        self.lost = self.lost.saturating_add(over.into());
        self.untold = self.untold.saturating_add(over);
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count();
        self.kept.extend(bytes);
    }

    /// The oldest byte.
    pub fn take(&mut self) -> Option<u8> {
        let byte = self.kept.pop_front()?;
        self.lines -= usize::from(byte == b'\n');
        Some(byte)
    }

    /// The oldest bytes that are plain text, which the terminal shows as it is: at most
    /// `most`, fewer where the ring wraps around.
    pub fn text(&self, most: usize) -> &[u8] {
        if self.escape.is_inside() {
            return &[];
        }
        let (oldest, _) = self.kept.as_slices();
        let oldest = oldest.get(..most).unwrap_or(oldest);
        let count = oldest.iter().take_while(|byte| matches!(byte, b' '..=b'~')).count();
        oldest.get(..count).unwrap_or_default()
    }

    /// Forgets so much of it.
    pub fn skip_text(&mut self, count: usize) {
        self.kept.drain(..count.min(self.kept.len()));
    }

    /// How many bytes before the oldest were lost and not told of: told now.
    pub fn tell(&mut self) -> Option<u32> {
        Some(core::mem::take(&mut self.untold)).filter(|count| *count > 0)
    }
}
