//! Partition tables.

use crate::images::{Ram, bad, entry};
use evisor_sd::{Partition, TableError, partitions};

type Entries<'a> = &'a [(usize, u8, u32, u32)];

fn table(entries: Entries<'_>) -> Result<[Option<Partition>; 4], TableError> {
    let mut card = vec![0; 1000 * 512];
    card[510..512].copy_from_slice(&[0x55, 0xaa]);
    for &(index, kind, first, count) in entries {
        entry(&mut card, index, kind, first, count);
    }
    partitions(&mut Ram::new(card))
}

#[test]
fn partitions_are_found() {
    assert_eq!(table(&[]), Ok([None; 4]));
    let found = table(&[(0, 0x0c, 1, 99), (1, 0, 5, 5), (2, 0x83, 100, 900), (3, 0x83, 7, 0)]);
    let fat = Partition { first: 1, count: 99, kind: 0x0c };
    let linux = Partition { first: 100, count: 900, kind: 0x83 };
    assert_eq!(found, Ok([Some(fat), None, Some(linux), None]));
    assert!(fat.is_fat() && !linux.is_fat());
}

#[test]
fn what_cannot_be_is_refused() {
    let table_of: [(Entries<'_>, TableError); 9] = [
        (&[(0, 0x83, 0, 1)], TableError::Outside(1)),
        (&[(1, 0x83, 1, 1000)], TableError::Outside(2)),
        (&[(2, 0x83, 1000, 1)], TableError::Outside(3)),
        (&[(3, 0x83, u32::MAX, u32::MAX)], TableError::Outside(4)),
        (&[(0, 0x83, 1, 10), (1, 0x83, 10, 5)], TableError::Overlap(1, 2)),
        (&[(0, 0x83, 10, 5), (3, 0x83, 1, 10)], TableError::Overlap(1, 4)),
        (&[(1, 0x83, 1, 100), (2, 0x0c, 20, 5)], TableError::Overlap(2, 3)),
        (&[(1, 0x83, 20, 5), (2, 0x0c, 20, 5)], TableError::Overlap(2, 3)),
        (&[(0, 0xee, 1, u32::MAX)], TableError::Guid),
    ];
    for (entries, error) in table_of {
        assert_eq!(table(entries), Err(error), "{entries:?}");
    }
}

#[test]
fn a_file_system_without_partitions_is_no_table() {
    for at in [54, 82] {
        let mut card = vec![0; 4096];
        entry(&mut card, 0, 0x83, 1, 1);
        assert!(partitions(&mut Ram::new(card.clone())).is_ok());
        card[at..at + 3].copy_from_slice(b"FAT");
        assert_eq!(partitions(&mut Ram::new(card)), Err(TableError::Missing));
    }
}

#[test]
fn a_card_error_is_told() {
    let ram = Ram::new(vec![0; 4096]);
    ram.with(|inner| inner.bad.insert(0));
    assert_eq!(partitions(&mut ram.clone()), Err(TableError::Card(bad(0))));
}
