//! The line that is being typed.

/// How long a line may be.
pub const LINE: usize = 72;
/// How many lines are remembered.
const REMEMBERED: usize = 8;

pub const CTRL_C: u8 = 3;
const TAB: u8 = 9;
const CTRL_N: u8 = 0x0e;
const CTRL_P: u8 = 0x10;
const CTRL_U: u8 = 0x15;
const ESCAPE: u8 = 0x1b;

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Nothing, or nothing yet.
    Nothing,
    /// It stands at the end of the line now.
    Typed(u8),
    /// The last one went.
    Erased,
    /// The line is another one now.
    Changed,
    /// The line is to be carried out.
    Entered,
    /// The line is to be completed.
    Complete,
    /// The line went.
    Left,
    /// It cannot be done.
    Refused,
}

/// A line of printable ASCII.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Line {
    bytes: [u8; LINE],
    count: usize,
}

impl Line {
    pub const EMPTY: Self = Self { bytes: [0; LINE], count: 0 };

    /// False: there is no room.
    pub fn push(&mut self, byte: u8) -> bool {
        let slot = self.bytes.get_mut(self.count);
        let fits = slot.map(|slot| *slot = byte).is_some();
        self.count += usize::from(fits);
        fits
    }

    pub fn text(&self) -> &str {
        let bytes = self.bytes.get(..self.count).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

/// How far into a sequence of a key that sends several bytes (ECMA-48 §5.4).
#[derive(Default, PartialEq, Eq)]
enum Sequence {
    #[default]
    None,
    Escape,
    Control,
}

pub struct Editor {
    pub line: Line,
    /// The newest first; those not there yet are empty.
    remembered: [Line; REMEMBERED],
    /// Which of them is shown, from 1; 0 is none.
    shown: usize,
    sequence: Sequence,
    /// A carriage return was last: a line feed behind it is no line of its own.
    returned: bool,
}

impl Default for Editor {
    fn default() -> Self {
        Self {
            line: Line::EMPTY,
            remembered: [Line::EMPTY; REMEMBERED],
            shown: 0,
            sequence: Sequence::None,
            returned: false,
        }
    }
}

impl Editor {
    pub fn take(&mut self, byte: u8) -> Key {
        let returned = core::mem::replace(&mut self.returned, byte == b'\r');
        match core::mem::take(&mut self.sequence) {
            Sequence::None => {}
            Sequence::Escape if byte == b'[' || byte == b'O' => {
                self.sequence = Sequence::Control;
                return Key::Nothing;
            }
            // It was Escape alone.
            Sequence::Escape => {}
            Sequence::Control => return self.sequence_ends(byte),
        }
        match byte {
            b'\n' if returned => Key::Nothing,
            b'\r' | b'\n' => Key::Entered,
            8 | 0x7f => self.erase(),
            TAB => Key::Complete,
            CTRL_C => {
                self.clear();
                Key::Left
            }
            CTRL_U => {
                self.clear();
                Key::Changed
            }
            CTRL_P => self.recall(1),
            CTRL_N => self.recall(-1),
            ESCAPE => {
                self.sequence = Sequence::Escape;
                Key::Nothing
            }
            b' '..=b'~' if self.line.push(byte) => Key::Typed(byte),
            _ => Key::Refused,
        }
    }

    fn sequence_ends(&mut self, byte: u8) -> Key {
        match byte {
            b'A' => self.recall(1),
            b'B' => self.recall(-1),
            // Parameters and what stands between come before the end.
            0x20..=0x3f => {
                self.sequence = Sequence::Control;
                Key::Nothing
            }
            _ => Key::Nothing,
        }
    }

    fn erase(&mut self) -> Key {
        match self.line.count.checked_sub(1) {
            Some(count) => {
                self.line.count = count;
                Key::Erased
            }
            None => Key::Refused,
        }
    }

    fn recall(&mut self, by: isize) -> Key {
        let Some(shown) = self.shown.checked_add_signed(by) else { return Key::Refused };
        let line = match shown.checked_sub(1) {
            None => Some(Line::EMPTY),
            Some(at) => self.remembered.get(at).copied().filter(|line| line.count > 0),
        };
        let Some(line) = line else { return Key::Refused };
        (self.line, self.shown) = (line, shown);
        Key::Changed
    }

    fn clear(&mut self) {
        (self.line, self.shown) = (Line::EMPTY, 0);
    }

    /// The line was carried out: it is remembered, and the next one begins.
    pub fn next(&mut self) -> Line {
        let line = self.line;
        self.clear();
        let [newest, ..] = self.remembered;
        if line.count > 0 && line != newest {
            self.remembered.rotate_right(1);
            if let Some(first) = self.remembered.first_mut() {
                *first = line;
            }
        }
        line
    }
}
