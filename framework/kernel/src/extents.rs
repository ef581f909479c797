//! Ranges of physical memory.

use alloc::vec::Vec;

/// What of `ranges` (address, size) is left without `taken`.
pub fn subtract(ranges: &[(u64, u64)], taken: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left = ranges.to_vec();
    for &(from, size) in taken {
        let to = from.saturating_add(size);
        let mut pieces = Vec::with_capacity(left.len() + 1);
        for (start, size) in left {
            let end = start.saturating_add(size);
            // Disjoint: the range is its own first piece.
            let overlap = from < end && start < to && from < to;
            let (from, to) = if overlap { (from, to) } else { (end, end) };
            let below = (start, from.clamp(start, end) - start);
            let above_from = to.clamp(start, end);
            for piece in [below, (above_from, end - above_from)] {
                if piece.1 > 0 {
                    pieces.push(piece);
                }
            }
        }
        left = pieces;
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;

    #[test]
    fn takes_from_the_middle_the_ends_and_outside() {
        let all = [(0x1000, 0x4000)];
        assert_eq!(subtract(&all, &[(0x2000, 0x1000)]), vec![(0x1000, 0x1000), (0x3000, 0x2000)]);
        assert_eq!(subtract(&all, &[(0, 0x2000)]), vec![(0x2000, 0x3000)]);
        assert_eq!(subtract(&all, &[(0x4000, 0x4000)]), vec![(0x1000, 0x3000)]);
        assert_eq!(subtract(&all, &[(0x5000, 0x1000)]), vec![(0x1000, 0x4000)]);
        assert_eq!(subtract(&all, &[(0, u64::MAX)]), vec![]);
        assert_eq!(subtract(&all, &[(0x2000, 0)]), vec![(0x1000, 0x4000)]);
    }
}
