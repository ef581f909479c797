//! Microseconds, from the counts of a clock of any frequency and back.

use crate::spec::FREQUENCY;

const MICROSECONDS: u64 = FREQUENCY as u64;

/// The whole microseconds in so many counts. No product overflows below a frequency of
/// 18 THz.
pub fn microseconds(counts: u64, frequency: u64) -> u64 {
    let frequency = frequency.max(1);
    let part = (counts % frequency).saturating_mul(MICROSECONDS) / frequency;
    (counts / frequency).wrapping_mul(MICROSECONDS).wrapping_add(part)
}

/// The first count by which so many microseconds have passed.
pub fn counts(microseconds: u64, frequency: u64) -> u64 {
    let part = (microseconds % MICROSECONDS).saturating_mul(frequency).div_ceil(MICROSECONDS);
    (microseconds / MICROSECONDS).saturating_mul(frequency).saturating_add(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of a Pi 4, of QEMU's machines, and one that a microsecond is no multiple of.
    #[test]
    fn deadlines_come_with_the_microsecond_and_not_before() {
        for frequency in [54_000_000, 62_500_000, 1_000_000_000, 1_000_000, 32_768] {
            for micros in [0, 1, 2, 999_999, 1_000_000, 1_000_001, 1 << 32, (1 << 44) + 12_345] {
                let at = counts(micros, frequency);
                assert!(microseconds(at, frequency) >= micros, "{micros} at {frequency} Hz");
                assert!(at == 0 || microseconds(at - 1, frequency) < micros);
            }
        }
    }

    #[test]
    fn known_counts() {
        let table = [
            (54, 54_000_000, 1),
            (53, 54_000_000, 0),
            (125, 62_500_000, 2),
            (1_000_000_000 * 86_400 * 365, 1_000_000_000, 1_000_000 * 86_400 * 365),
            (u64::MAX, 1_000_000_000, u64::MAX / 1000),
        ];
        for (counts, frequency, micros) in table {
            assert_eq!(microseconds(counts, frequency), micros, "{counts} at {frequency} Hz");
        }
    }

    #[test]
    fn no_argument_panics() {
        for frequency in [0, 1, u64::MAX] {
            microseconds(u64::MAX, frequency);
            counts(u64::MAX, frequency);
        }
    }
}
