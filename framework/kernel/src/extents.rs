//! Ranges of physical memory.

use alloc::vec::Vec;

/// What of `ranges` (address, size) is left without `taken`.
pub fn subtract(ranges: &[(u64, u64)], taken: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut left: Vec<(u64, u64)> = ranges.to_vec();
    for &(from, size) in taken {
        let to = from.saturating_add(size);
        left = left.iter().flat_map(|&range| pieces(range, from, to)).collect();
    }
    left
}

fn pieces((start, size): (u64, u64), from: u64, to: u64) -> impl Iterator<Item = (u64, u64)> {
    let end = start.saturating_add(size);
    let below = (start, from.clamp(start, end) - start);
    let above_from = to.clamp(start, end);
    let above = (above_from, end - above_from);
    // Disjoint: one of the two is the whole range, and the other empty.
    let overlap = from < end && start < to && from < to;
    let kept = if overlap { [below, above] } else { [(start, size), (0, 0)] };
    kept.into_iter().filter(|&(_, size)| size > 0)
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
