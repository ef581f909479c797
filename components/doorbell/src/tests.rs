//! Rung through windows of all kinds.

use evisor_contract::abi::{Error, Kind, doorbell};
use evisor_contract::{LineState, Rights, Through};
use evisor_testkit::{Event, Rig, Setup};

fn rig(lines: usize) -> Rig {
    Rig::with("evisor,doorbell", &Setup { lines: Some(lines), ..Setup::default() })
}

fn through(rights: Rights, first: u64, count: u64) -> Through {
    Through { rights, first, count }
}

fn ring(rig: &mut Rig, index: u64, through: &Through) -> Result<(), Error> {
    rig.invoke(doorbell::RING, [index, 0, 0, 0, 0], through).map(|_| ())
}

#[test]
fn it_has_as_many_lines_as_its_node_lists() {
    for lines in [1, 16] {
        let offer = rig(lines).parts().invoke.unwrap();
        assert_eq!((offer.kind, offer.units), (Kind::Doorbell, lines as u64));
    }
}

#[test]
fn the_line_of_the_window_pulses() {
    let mut rig = rig(4);
    assert_eq!(ring(&mut rig, 1, &through(Rights::CALL, 2, 2)), Ok(()));
    assert_eq!(rig.events(), [Event::Line { index: 3, state: LineState::Pulse }]);
}

#[test]
fn no_line_outside_of_it_does() {
    let mut rig = rig(4);
    for (index, first, count) in [
        (2, 0, 2),
        (u64::MAX, 0, 4),
        (1, u64::MAX, u64::MAX),
        (u64::MAX - 1, 3, u64::MAX),
        (3, 3, u64::MAX),
    ] {
        let window = through(Rights::all(), first, count);
        assert_eq!(ring(&mut rig, index, &window), Err(Error::Outside));
    }
    assert_eq!(rig.events(), []);
}

#[test]
fn it_takes_the_right_to_call_and_knows_nothing_else() {
    let mut rig = rig(1);
    let window = through(Rights::all() - Rights::CALL, 0, 1);
    assert_eq!(ring(&mut rig, 0, &window), Err(Error::NoRight));
    let window = through(Rights::all(), 0, 1);
    for operation in [doorbell::RING + 1, u32::MAX] {
        assert_eq!(rig.invoke(operation, [0; 5], &window), Err(Error::NotSupported));
    }
    assert_eq!(rig.events(), []);
}
