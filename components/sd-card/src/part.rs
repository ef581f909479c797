//! Which blocks of the card a port reaches.

/// Blocks of the card, one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub first: u64,
    pub count: u64,
}

impl Part {
    /// None: there is no card, or no such partition.
    pub const NONE: Self = Self { first: 0, count: 0 };

    fn end(self) -> u64 {
        self.first.saturating_add(self.count)
    }

    fn overlaps(self, other: Self) -> bool {
        self.first < other.end() && other.first < self.end()
    }
}

/// Whether a card can have a part of that number: 0 is all of it, the rest the
/// entries of the table in its first block.
pub fn exists(number: u32) -> bool {
    number <= 4
}

/// Part `number` of a card with so many blocks and these partitions, or why nobody
/// can have it; `None` if no card has such a part.
///
/// The table is what whoever wrote the card last made it: each partition is checked
/// not to reach what is not its own.
pub fn find(
    blocks: u64,
    partitions: [Option<(u64, u64)>; 4],
    number: u32,
) -> Option<Result<Part, &'static str>> {
    if !exists(number) {
        return None;
    }
    let Some(index) = (number as usize).checked_sub(1) else {
        return Some(Ok(Part { first: 0, count: blocks }));
    };
    let parts = partitions.map(|entry| entry.map(|(first, count)| Part { first, count }));
    let Some(part) = parts.get(index).copied().flatten().filter(|part| part.count > 0) else {
        return Some(Err("does not exist"));
    };
    let mut others = parts.into_iter().enumerate().filter(|(at, _)| *at != index);
    Some(if part.first == 0 {
        Err("begins where the table is")
    } else if part.end() > blocks {
        Err("ends behind the card")
    } else if others.any(|(_, other)| other.is_some_and(|other| part.overlaps(other))) {
        Err("overlaps another one")
    } else {
        Ok(part)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_card() {
        let table = [Some((1, 50)), Some((60, 40)), None, Some((51, 9))];
        let part = |number| find(100, table, number);
        assert_eq!(part(0), Some(Ok(Part { first: 0, count: 100 })));
        assert_eq!(part(1), Some(Ok(Part { first: 1, count: 50 })));
        assert_eq!(part(2), Some(Ok(Part { first: 60, count: 40 })));
        assert_eq!(part(3), Some(Err("does not exist")));
        assert_eq!(part(4), Some(Ok(Part { first: 51, count: 9 })));
        assert_eq!(part(5), None);
        assert_eq!(part(u32::MAX), None);
    }

    #[test]
    fn a_table_that_lies() {
        let first = |entries| find(100, entries, 1);
        let overlapping = [Some((10, 50)), None, Some((59, 1)), None];
        assert_eq!(first(overlapping), Some(Err("overlaps another one")));
        assert_eq!(find(100, overlapping, 3), Some(Err("overlaps another one")));
        let twins = [Some((10, 50)), Some((10, 50)), None, None];
        assert_eq!(first(twins), Some(Err("overlaps another one")));
        let alone = |first, count| [Some((first, count)), None, None, None];
        assert_eq!(first(alone(0, 5)), Some(Err("begins where the table is")));
        assert_eq!(first(alone(60, 41)), Some(Err("ends behind the card")));
        assert_eq!(first(alone(u64::MAX, u64::MAX)), Some(Err("ends behind the card")));
        assert_eq!(first(alone(99, 1)), Some(Ok(Part { first: 99, count: 1 })));
        assert_eq!(first(alone(5, 0)), Some(Err("does not exist")));
    }
}
