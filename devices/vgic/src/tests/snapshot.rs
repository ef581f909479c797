//! Saved, restored, reset.

use super::{Controller, Rig};
use crate::spec::files;
use crate::v2::GicV2;
use crate::v3::GicV3;
use alloc::vec::Vec;
use evisor_contract::{LineState, Reply, Restore, RestoreError, Save, Status, Width, tag};
use proptest::prelude::*;

super::both! {
    pending_and_active_go_along,
    what_is_in_list_registers_is_saved,
    refusals,
    reset_is_as_new,
}

fn saved<G: Controller>(rig: &Rig<G>) -> Vec<u8> {
    let mut save = Save::default();
    rig.gic.save(&mut save);
    save.into_bytes()
}

/// Into a new one, of which `rig` is put aside.
fn restored<G: Controller>(rig: &mut Rig<G>) -> Rig<G> {
    rig.put_aside();
    let mut other = Rig::<G>::new(rig.away.len(), rig.lists);
    other.gic.restore(&mut Restore::new(&saved(rig))).unwrap();
    other.notify_all(tag::REFRESH, 0);
    other
}

fn pending_and_active_go_along<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    for intid in [27, 33, 34, 35] {
        rig.edge(intid);
        rig.bit(files::ISENABLER, intid);
        let _ = rig.line(intid, LineState::Pulse);
    }
    rig.send(4, 3);
    assert_eq!(rig.take(), Some(4));
    assert_eq!(rig.acknowledge().unwrap().intid, 27);
    rig.notify_all(tag::REFRESH, tag::LEAVES);
    assert!((0..4).all(|n| rig.list(n) == 0));
    let mut rig = restored(&mut rig);
    assert!(rig.is_set(files::ISACTIVER, 27));
    assert_eq!(rig.take_all(), [33, 34, 35]);
    rig.switch(1);
    assert_eq!(rig.take_all(), [4]);
}

/// Without the vCPU leaving: as they were last known.
fn what_is_in_list_registers_is_saved<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    for intid in [27, 33] {
        rig.bit(files::ISENABLER, intid);
        let _ = rig.line(intid, LineState::Pulse);
    }
    rig.send(4, 1);
    rig.acknowledge().unwrap();
    let _ = rig.read(rig.word(files::IPRIORITYR, 32));
    rig.priority(40, 8);
    let mut rig = restored(&mut rig);
    assert!(rig.is_set(files::ISACTIVER, 4));
    assert_eq!(rig.take_all(), [27, 33]);
}

fn refusals<G: Controller>() {
    let rig = Rig::<G>::started(1, 4);
    let bytes = saved(&rig);
    let mut other = Rig::<G>::new(2, 4);
    let mut restore = |bytes: &[u8]| other.gic.restore(&mut Restore::new(bytes));
    assert_eq!(restore(&bytes), Err(RestoreError::Impossible));
    assert_eq!(restore(&bytes[..100]), Err(RestoreError::Impossible));
    assert_eq!(restore(b"something else"), Err(RestoreError::WrongTag));
    let mut newer = bytes.clone();
    newer[8] = 200;
    assert_eq!(restore(&newer), Err(RestoreError::UnknownVersion(200)));
    let mut rig = Rig::<G>::new(1, 4);
    assert_eq!(rig.gic.restore(&mut Restore::new(&bytes[..100])), Err(RestoreError::Truncated));
}

fn reset_is_as_new<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, 27);
    let _ = rig.line(27, LineState::Physical(27));
    rig.gic.reset();
    let _ = rig.notify(tag::REFRESH, 0);
    assert_eq!(rig.list(0), 0);
    rig.put_aside();
    assert_eq!(saved(&rig), saved(&Rig::<G>::new(1, 4)));
    rig.put_aside();
    // The short way is not open before the guest opens it.
    let _ = rig.line(27, LineState::Physical(27));
    assert_eq!(rig.acknowledge(), None);
}

type Access = (bool, u64, u8, u64, u32);

/// Random accesses, of which half are to where the registers are.
fn play<G: Controller>(rig: &mut Rig<G>, size: u64, accesses: &[Access]) -> Vec<Reply> {
    let mut replies = Vec::new();
    for &(write, offset, width, value, line) in accesses {
        rig.switch(line as usize % rig.away.len());
        let width = [Width::Byte, Width::Word, Width::Doubleword][usize::from(width % 3)];
        let span = if line % 2 == 0 { size } else { 0x1000 };
        let offset = (offset % span) & !(width.bytes() - 1);
        if line % 3 == 0 {
            replies.push(rig.notify(16 + line % 240, value % 3));
        }
        if line % 5 == 0 {
            let cx = &mut rig.cx();
            replies.push(rig.gic.send(value as u32 % 16, line >> 8 & 3, cx));
        }
        if write {
            let value = value & width.mask();
            replies.push(rig.gic.write(offset, width, value, &mut rig.cx()));
        } else {
            let mut reply = Reply::AGAIN;
            while reply.status == Status::Again {
                reply = rig.gic.read(offset, width, &mut rig.cx());
                rig.refresh_all();
            }
            replies.push(reply);
        }
    }
    replies
}

fn goes_on_alike<G: Controller>(size: u64, before: &[Access], after: &[Access]) {
    let mut rig = Rig::<G>::started(2, 4);
    play(&mut rig, size, before);
    rig.notify_all(tag::REFRESH, tag::LEAVES);
    let mut other = restored(&mut rig);
    let replies = play(&mut other, size, after);
    other.put_aside();
    rig.put_aside();
    rig.notify_all(tag::REFRESH, 0);
    assert_eq!(play(&mut rig, size, after), replies);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]
    #[test]
    fn a_restored_one_goes_on_alike(
        before in prop::collection::vec(any::<Access>(), 1000),
        after in prop::collection::vec(any::<Access>(), 1000),
    ) {
        goes_on_alike::<GicV2>(0x1000, &before, &after);
        goes_on_alike::<GicV3>(0x5_0000, &before, &after);
    }
}
