//! The divisor of the card's clock (HC §2.2.14, divided clock mode).

use crate::spec::CLOCK;
use tock_registers::fields::FieldValue;

/// The divisor's bits of the Clock Control register, and the frequency that comes of
/// it, in Hz: the highest that is not above `target`, or else the lowest there is.
/// `upper` says whether the divisor has ten bits (from version 3.00 on).
pub fn divisor(base: u32, target: u32, upper: bool) -> (FieldValue<u32, CLOCK::Register>, u32) {
    let ratio = base.div_ceil(target.max(1));
    // Half of what is divided by; 0 divides by 1.
    let half = match (ratio, upper) {
        (0..=1, _) => 0,
        (_, true) => ratio.div_ceil(2).min(0x3ff),
        (_, false) => (ratio.min(256).next_power_of_two() / 2).min(0x80),
    };
    let bits = CLOCK::DIVISOR.val(half & 0xff) + CLOCK::DIVISOR_UPPER.val(half >> 8);
    (bits, base / (2 * half).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// HC §2.2.14: version 2.00 knows powers of two up to 256, version 3.00 each even
    /// number up to 2,046.
    #[test]
    fn divisors() {
        let table = [
            // base, target, ten bits, register, frequency
            (100_000_000, 400_000, true, 0x7d00, 400_000),
            (100_000_000, 25_000_000, true, 0x0200, 25_000_000),
            (100_000_000, 50_000_000, true, 0x0100, 50_000_000),
            (250_000_000, 400_000, true, 0x3940, 399_361),
            (250_000_000, 50_000_000, true, 0x0300, 41_666_666),
            (52_000_000, 400_000, true, 0x4100, 400_000),
            (52_000_000, 25_000_000, true, 0x0200, 13_000_000),
            (52_000_000, 50_000_000, true, 0x0100, 26_000_000),
            (50_000_000, 50_000_000, true, 0x0000, 50_000_000),
            (400_000, 50_000_000, true, 0x0000, 400_000),
            (4_000_000_000, 400_000, true, 0xffc0, 1_955_034),
            (100_000_000, 400_000, false, 0x8000, 390_625),
            (100_000_000, 25_000_000, false, 0x0200, 25_000_000),
            (52_000_000, 25_000_000, false, 0x0200, 13_000_000),
            (52_000_000, 50_000_000, false, 0x0100, 26_000_000),
            (250_000_000, 400_000, false, 0x8000, 976_562),
            (25_000_000, 25_000_000, false, 0x0000, 25_000_000),
            (25_000_000, 0, false, 0x8000, 97_656),
        ];
        for (base, target, upper, register, hertz) in table {
            let (bits, actual) = divisor(base, target, upper);
            assert_eq!((bits.value, actual), (register, hertz), "{base} {target} {upper}");
        }
    }
}
