//! A physical interrupt that is another's from now on, wherever the guest has it.

use super::{Controller, Rig};
use crate::spec::files;
use evisor_contract::{LineState, Reply};

const UART: u32 = 33;
const DEVICE: LineState = LineState::Physical(153);

/// It has to be deactivated by who asked, or there is none.
const HAD: Reply = Reply::value(1);
const NONE: Reply = Reply::value(0);

super::both! {
    one_that_waits_in_software_goes,
    one_that_is_pending_in_a_list_register_goes,
    one_that_is_active_is_ended_without_the_board,
    one_that_was_ended_is_left,
    another_core_is_told,
    what_was_ended_before_another_core_looks_is_not_had,
    what_came_while_another_core_had_one_that_was_ended_is_had,
    a_vcpu_that_left_is_not_waited_for,
    it_can_be_the_guests_again,
}

fn started<G: Controller>(vcpus: usize) -> Rig<G> {
    let mut rig = Rig::<G>::started(vcpus, 4);
    rig.bit(files::ISENABLER, UART);
    rig
}

fn retire<G: Controller>(rig: &mut Rig<G>) -> Reply {
    rig.notify(UART, LineState::RETIRE)
}

fn one_that_waits_in_software_goes<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    assert_eq!(retire(&mut rig), NONE);
    assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
    assert_eq!((retire(&mut rig), retire(&mut rig)), (HAD, NONE));
    rig.bit(files::ISENABLER, UART);
    assert_eq!(rig.acknowledge(), None);
}

fn one_that_is_pending_in_a_list_register_goes<G: Controller>() {
    let mut rig = started::<G>(1);
    assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
    assert_eq!((retire(&mut rig), retire(&mut rig)), (HAD, NONE));
    assert_eq!(rig.acknowledge(), None);
    assert!(!rig.is_set(files::ISPENDR, UART));
}

fn one_that_is_active_is_ended_without_the_board<G: Controller>() {
    let mut rig = started::<G>(1);
    assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
    let taken = rig.acknowledge().unwrap();
    assert_eq!((retire(&mut rig), retire(&mut rig)), (HAD, NONE));
    assert!(rig.is_set(files::ISACTIVER, UART));
    let linked =
        (0..4).any(|n| rig.list(n) & <G::Interface as crate::interface::Interface>::HW != 0);
    assert!(!linked, "the guest's end would deactivate another's");
    rig.end(taken);
    assert!(!rig.is_set(files::ISACTIVER, UART));
    assert_eq!(rig.acknowledge(), None);
}

fn one_that_was_ended_is_left<G: Controller>() {
    let mut rig = started::<G>(1);
    assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
    assert_eq!(rig.take(), Some(33));
    assert_eq!(retire(&mut rig), NONE);
}

fn another_core_is_told<G: Controller>() {
    let mut rig = started::<G>(2);
    assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
    let taken = rig.acknowledge().unwrap();
    rig.switch(1);
    assert_eq!((retire(&mut rig), retire(&mut rig)), (Reply::AGAIN, Reply::AGAIN));
    rig.switch(0);
    rig.switch(1);
    assert_eq!((retire(&mut rig), retire(&mut rig)), (HAD, NONE));
    rig.switch(0);
    rig.end(taken);
    assert!(!rig.is_set(files::ISACTIVER, UART));
}

fn what_was_ended_before_another_core_looks_is_not_had<G: Controller>() {
    let mut rig = started::<G>(2);
    assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
    assert_eq!(rig.take(), Some(33));
    rig.switch(1);
    assert_eq!(retire(&mut rig), Reply::AGAIN, "nobody here knows that it was ended");
    rig.switch(0);
    rig.switch(1);
    assert_eq!(retire(&mut rig), NONE);
}

fn what_came_while_another_core_had_one_that_was_ended_is_had<G: Controller>() {
    let mut rig = started::<G>(2);
    assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
    assert_eq!(rig.take(), Some(33));
    rig.switch(1);
    assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
    assert_eq!((retire(&mut rig), retire(&mut rig)), (Reply::AGAIN, Reply::AGAIN));
    rig.switch(0);
    assert_eq!(rig.acknowledge(), None);
    rig.switch(1);
    assert_eq!((retire(&mut rig), retire(&mut rig)), (HAD, NONE));
}

fn a_vcpu_that_left_is_not_waited_for<G: Controller>() {
    let mut rig = started::<G>(2);
    assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
    let _ = rig.acknowledge().unwrap();
    rig.leave();
    rig.switch(1);
    assert_eq!((retire(&mut rig), retire(&mut rig)), (HAD, NONE));
    rig.switch(0);
    rig.start();
    let linked =
        (0..4).any(|n| rig.list(n) & <G::Interface as crate::interface::Interface>::HW != 0);
    assert!(!linked);
    rig.switch(1);
    assert_eq!(retire(&mut rig), NONE, "it is not deactivated twice");
}

fn it_can_be_the_guests_again<G: Controller>() {
    let mut rig = started::<G>(1);
    for _ in 0..3 {
        assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
        assert_eq!(retire(&mut rig), HAD);
        assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
        let taken = rig.acknowledge().unwrap();
        assert_eq!(taken.physical, Some(153));
        rig.end(taken);
    }
}
