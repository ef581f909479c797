//! Saved, restored, reset.

use super::Rig;
use crate::spec::gicd;
use alloc::vec::Vec;
use evisor_contract::{LineState, Object, Restore, RestoreError, Save, Width, tag};
use proptest::prelude::*;

fn saved(rig: &Rig) -> Vec<u8> {
    let mut save = Save::default();
    rig.gic.save(&mut save);
    save.into_bytes()
}

fn restored(rig: &Rig) -> Rig {
    let mut other = Rig::new(rig.away.len(), rig.lists);
    other.gic.restore(&mut Restore::new(&saved(rig))).unwrap();
    other.notify_all(tag::REFRESH);
    other
}

#[test]
fn pending_and_active_go_along() {
    let mut rig = Rig::started(2, 4);
    for intid in [27, 33, 34, 35] {
        rig.bit(gicd::ISENABLER, intid);
        let _ = rig.line(intid, LineState::Pulse);
    }
    rig.write(gicd::SGIR, 3 << 16 | 4);
    assert_eq!(rig.take(), Some(4));
    assert_eq!(rig.acknowledge().unwrap().intid, 27);
    rig.notify_all(tag::REFRESH);
    let mut rig = restored(&rig);
    assert!(rig.is_set(gicd::ISACTIVER, 27));
    assert_eq!(rig.take_all(), [33, 34, 35]);
    rig.switch(1);
    assert_eq!(rig.take_all(), [4]);
}

#[test]
fn refusals() {
    let rig = Rig::started(1, 4);
    let bytes = saved(&rig);
    let mut other = Rig::new(2, 4);
    let mut restore = |bytes: &[u8]| other.gic.restore(&mut Restore::new(bytes));
    assert_eq!(restore(&bytes), Err(RestoreError::Impossible));
    assert_eq!(restore(&bytes[..100]), Err(RestoreError::Impossible));
    assert_eq!(restore(b"something else"), Err(RestoreError::WrongTag));
    let mut newer = bytes.clone();
    newer[8] = 2;
    assert_eq!(restore(&newer), Err(RestoreError::UnknownVersion(2)));
    let mut rig = Rig::new(1, 4);
    assert_eq!(rig.gic.restore(&mut Restore::new(&bytes[..100])), Err(RestoreError::Truncated));
}

#[test]
fn reset_is_as_new() {
    let mut rig = Rig::started(1, 4);
    rig.bit(gicd::ISENABLER, 27);
    let _ = rig.line(27, LineState::Physical(27));
    rig.gic.reset();
    let _ = rig.notify(tag::REFRESH, 0);
    assert_eq!(saved(&rig), saved(&Rig::new(1, 4)));
    assert_eq!(rig.gic.interface.list(0), 0);
    // The short way is not open before the guest opens it.
    let _ = rig.line(27, LineState::Physical(27));
    assert_eq!(rig.acknowledge(), None);
}

type Access = (bool, u64, bool, u32, u32);

fn play(rig: &mut Rig, accesses: &[Access]) -> Vec<u32> {
    accesses
        .iter()
        .map(|&(write, offset, byte, value, line)| {
            rig.switch(line as usize % rig.away.len());
            let width = if byte { Width::Byte } else { Width::Word };
            let offset = if byte { offset } else { offset & !3 };
            if line % 3 == 0 {
                let _ = rig.notify(16 + line % 240, u64::from(value % 3));
            }
            match write {
                true => rig.write_width(offset, width, value & width.mask() as u32),
                false => return rig.read_width(offset, width),
            }
            0
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn a_restored_one_goes_on_alike(
        before in prop::collection::vec(any::<Access>(), 1000),
        after in prop::collection::vec(any::<Access>(), 1000),
    ) {
        let fold = |accesses: Vec<Access>| -> Vec<Access> {
            accesses.into_iter().map(|(w, o, b, v, l)| (w, o & 0xfff, b, v, l)).collect()
        };
        let mut rig = Rig::started(2, 4);
        play(&mut rig, &fold(before));
        rig.notify_all(tag::REFRESH);
        let mut other = restored(&rig);
        rig.notify_all(tag::REFRESH);
        let after = fold(after);
        prop_assert_eq!(play(&mut rig, &after), play(&mut other, &after));
    }
}
