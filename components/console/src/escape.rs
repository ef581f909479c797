//! What a terminal takes for a command and not for text (ECMA-48 §5.3, §5.4, §5.6).

/// How far into a sequence a stream of bytes is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Escape {
    #[default]
    Outside,
    /// Behind ESC, and intermediate bytes.
    Started,
    /// Behind CSI.
    Parameters,
    /// In what ends with ST or BEL: OSC, DCS, SOS, PM, APC.
    Text,
    /// There, behind an ESC.
    TextEnds,
}

/// What becomes of a byte where a guest must not steer the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// It is shown as this.
    As(u8),
    /// The line ends.
    LineEnd,
    /// It is not.
    Nothing,
}

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

impl Escape {
    /// Takes a byte, and says what of it is text. A line feed ends any sequence, so that
    /// one that is never finished hides no more than its line. Of what is not ASCII each
    /// character is a question mark: in 8 bits some of its bytes are control characters
    /// too.
    pub fn take(&mut self, byte: u8) -> Shown {
        let (next, shown) = match (*self, byte) {
            (_, b'\n') => (Self::Outside, Shown::LineEnd),
            (Self::Text, ESC) => (Self::TextEnds, Shown::Nothing),
            (Self::Text, BEL) | (Self::TextEnds, b'\\') => (Self::Outside, Shown::Nothing),
            (_, 0x18 | 0x1a) => (Self::Outside, Shown::Nothing),
            (Self::Text, _) => (Self::Text, Shown::Nothing),
            (_, ESC) => (Self::Started, Shown::Nothing),
            (Self::Started | Self::TextEnds, b'[') => (Self::Parameters, Shown::Nothing),
            (Self::Started | Self::TextEnds, b']' | b'P' | b'X' | b'^' | b'_') => {
                (Self::Text, Shown::Nothing)
            }
            (Self::Started, 0x20..=0x2f) => (Self::Started, Shown::Nothing),
            (Self::Parameters, 0x00..=0x3f) => (Self::Parameters, Shown::Nothing),
            (Self::Started | Self::TextEnds | Self::Parameters, _) => {
                (Self::Outside, Shown::Nothing)
            }
            (Self::Outside, b'\t') => (Self::Outside, Shown::As(b' ')),
            (Self::Outside, b' '..=b'~') => (Self::Outside, Shown::As(byte)),
            (Self::Outside, 0xc0..) => (Self::Outside, Shown::As(b'?')),
            (Self::Outside, _) => (Self::Outside, Shown::Nothing),
        };
        *self = next;
        shown
    }

    /// Whether the terminal waits for the rest of a sequence.
    pub fn is_inside(self) -> bool {
        self != Self::Outside
    }
}
