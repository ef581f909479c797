//! Words of the console's own. Nothing on the way of a trap formats.

/// `number` in decimal, in `digits`.
pub fn decimal(number: u64, digits: &mut [u8; 20]) -> &[u8] {
    let mut left = number;
    let mut first = digits.len();
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        *digit = b'0' + (left % 10) as u8;
        left /= 10;
        first = at;
        if left == 0 {
            break;
        }
    }
    digits.get(first..).unwrap_or_default()
}

/// Brings a terminal to its senses: ends a string or a sequence (ST), a soft reset
/// (DECSTR), colours off, and off what that leaves on: xterm's other screen, its mouse
/// and its brackets around what is pasted.
pub const SANE: &[u8] =
    b"\x1b\\\x1b[!p\x1b[0m\x1b[?47l\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l";
/// Ends a string or a sequence.
pub const STRING_TERMINATOR: &[u8] = b"\x1b\\";
