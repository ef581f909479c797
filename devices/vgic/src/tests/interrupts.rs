//! Interrupts from where they come in to where the guest ends them.

use super::{Acknowledged, Controller, Rig};
use crate::spec::files;
use alloc::vec::Vec;
use evisor_contract::{LineState, Reply, Status, Width, tag};

const TIMER: u32 = 27;
const UART: u32 = 33;
/// GICD_CTLR.
const CTLR: u64 = 0;

super::both! {
    a_physical_interrupt_is_linked,
    a_physical_interrupt_waits_until_it_is_enabled,
    disabled_while_pending_is_pulled_back,
    nothing_is_forwarded_while_the_distributor_is_off,
    a_level_line_comes_again_until_it_drops,
    an_edge_while_active_comes_once_more,
    a_doorbell_does_what_an_edge_does,
    set_and_cleared_by_software,
    active_by_software,
    deactivated_while_linked_comes_again,
    more_than_there_are_list_registers_in_order_of_priority,
    an_interrupt_that_comes_again_in_overflow_waits_its_turn,
    a_shared_interrupt_goes_where_it_is_targeted,
    what_another_vcpu_changes_is_pulled_back_at_the_next_refresh,
    another_vms_vcpu_is_never_here,
    what_another_vcpu_acknowledged_reads_back,
    a_forgotten_question_is_asked_anew,
    active_is_set_and_cleared_from_elsewhere,
    a_vcpu_that_leaves_keeps_nothing,
    a_vcpu_starts_anew_with_what_was_active,
    nothing_comes_to_a_vcpu_that_left,
    many_that_come_from_elsewhere,
    two_words_at_once,
    more_nest_than_there_are_list_registers,
    a_devices_interrupt_is_linked_on_any_core,
    a_devices_interrupt_comes_by_way_of_another_vm,
    a_devices_interrupt_follows_its_target,
    a_devices_interrupt_is_pulled_back_and_stays_linked,
}

fn physical<G: Controller>(rig: &mut Rig<G>, intid: u32) {
    assert_eq!(rig.line(intid, LineState::Physical(intid as u16)), Reply::HELD);
}

fn a_physical_interrupt_is_linked<G: Controller>() {
    // §5.2.2: the guest's end deactivates the physical one.
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, TIMER);
    for _ in 0..3 {
        physical(&mut rig, TIMER);
        assert!(rig.is_set(files::ISPENDR, TIMER));
        let taken = rig.acknowledge().unwrap();
        assert_eq!((taken.intid, taken.physical), (27, Some(27)));
        assert!(rig.is_set(files::ISACTIVER, TIMER) && !rig.is_set(files::ISPENDR, TIMER));
        rig.end(taken);
        assert!(!rig.is_set(files::ISACTIVER, TIMER));
        assert_eq!(rig.acknowledge(), None);
    }
}

fn a_physical_interrupt_waits_until_it_is_enabled<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    physical(&mut rig, TIMER);
    assert!(rig.is_set(files::ISPENDR, TIMER));
    assert_eq!(rig.acknowledge(), None);
    rig.bit(files::ISENABLER, TIMER);
    assert_eq!(rig.acknowledge().unwrap().physical, Some(27));
}

fn disabled_while_pending_is_pulled_back<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    for _ in 0..2 {
        rig.bit(files::ISENABLER, TIMER);
        rig.bit(files::ISENABLER, UART);
        physical(&mut rig, TIMER);
        let _ = rig.line(UART, LineState::Pulse);
        rig.bit(files::ICENABLER, TIMER);
        rig.bit(files::ICENABLER, UART);
        assert_eq!(rig.acknowledge(), None);
        assert!(rig.is_set(files::ISPENDR, TIMER) && rig.is_set(files::ISPENDR, UART));
        rig.bit(files::ISENABLER, UART);
        assert_eq!(rig.take(), Some(33));
        rig.bit(files::ISENABLER, TIMER);
        let taken = rig.acknowledge().unwrap();
        assert_eq!(taken.physical, Some(27));
        rig.end(taken);
    }
}

fn nothing_is_forwarded_while_the_distributor_is_off<G: Controller>() {
    // §4.3.1
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, TIMER);
    physical(&mut rig, TIMER);
    rig.write(CTLR, 0);
    assert_eq!(rig.acknowledge(), None);
    // Group 1 only: the interrupt is in Group 0.
    rig.write(CTLR, 2);
    assert_eq!(rig.acknowledge(), None);
    rig.bit(files::IGROUPR, TIMER);
    assert_eq!(rig.take(), Some(27));
}

fn a_level_line_comes_again_until_it_drops<G: Controller>() {
    // §4.2.4 (figure 4-1), and §5.3.4: the end is told.
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, UART);
    let _ = rig.line(UART, LineState::High);
    assert_eq!(rig.take(), Some(33));
    assert_eq!(rig.take(), Some(33));
    let taken = rig.acknowledge().unwrap();
    let _ = rig.line(UART, LineState::Low);
    rig.end(taken);
    assert_eq!(rig.acknowledge(), None);

    // Up and down before anybody looked.
    let _ = rig.line(UART, LineState::High);
    let _ = rig.line(UART, LineState::Low);
    assert_eq!(rig.acknowledge(), None);

    // Down and up again while active.
    let _ = rig.line(UART, LineState::High);
    let taken = rig.acknowledge().unwrap();
    let _ = rig.line(UART, LineState::Low);
    let _ = rig.line(UART, LineState::High);
    assert_eq!(rig.acknowledge(), None);
    rig.end(taken);
    assert_eq!(rig.take(), Some(33));
}

fn an_edge_while_active_comes_once_more<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    rig.edge(UART);
    rig.bit(files::ISENABLER, UART);
    let _ = rig.line(UART, LineState::High);
    let taken = rig.acknowledge().unwrap();
    let _ = rig.line(UART, LineState::Low);
    assert_eq!(rig.acknowledge(), None);
    let _ = rig.line(UART, LineState::High);
    let _ = rig.line(UART, LineState::Pulse);
    assert!(rig.is_set(files::ISPENDR, UART) && rig.is_set(files::ISACTIVER, UART));
    assert_eq!(rig.acknowledge(), None);
    rig.end(taken);
    // The line is still up, which means nothing for an edge.
    assert_eq!(rig.take_all(), [33]);
}

/// The same random steps on two controllers, of which one is rung by an interrupt of its
/// own core and the other by an edge: the guest sees the same of both.
fn a_doorbell_does_what_an_edge_does<G: Controller>() {
    let edges = seen_when_rung::<G>(LineState::Pulse.encode());
    let rung = seen_when_rung::<G>(LineState::PULSE_HERE);
    let differs = edges.iter().zip(&rung).position(|(edge, rung)| edge != rung);
    assert_eq!(differs, None);
    let taken = edges.iter().filter(|(taken, ..)| taken.is_some()).count();
    assert!(taken > 100, "{taken}");
}

/// What was acknowledged, and whether the interrupt of the step is pending and active then.
fn seen_when_rung<G: Controller>(value: u64) -> Vec<(Option<Acknowledged>, bool, bool)> {
    const BELLS: [u32; 3] = [40, 41, 22];
    // A linear congruential generator (Knuth, MMIX): its high bits.
    let mut state = 5_u64;
    let mut number = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    };
    let mut rig = Rig::<G>::started(2, 2);
    for bell in BELLS {
        rig.edge(bell);
        rig.bit(files::ISENABLER, bell);
        if bell >= 32 {
            rig.target(bell, 0);
        }
    }
    let (mut taken, mut seen) = (Vec::new(), Vec::new());
    for _ in 0..5_000 {
        let bell = BELLS[(number() % 3) as usize];
        let (what, which) = (number() % 20, number() % 2 == 0);
        let mut acknowledged = None;
        match what {
            0..8 => assert_eq!(rig.notify(bell, value), Reply::DONE),
            8..12 => acknowledged = rig.acknowledge(),
            12..17 => {
                if let Some(last) = taken.pop() {
                    rig.end(last);
                }
            }
            17 => rig.bit(if which { files::ICENABLER } else { files::ISENABLER }, bell),
            18 => rig.bit(if which { files::ICPENDR } else { files::ISPENDR }, bell),
            _ => rig.priority(bell, if which { 0x80 } else { 0xa0 }),
        }
        taken.extend(acknowledged);
        let (pending, active) = (files::ISPENDR, files::ISACTIVER);
        seen.push((acknowledged, rig.is_set(pending, bell), rig.is_set(active, bell)));
    }
    seen
}

fn set_and_cleared_by_software<G: Controller>() {
    // §4.3.7, §4.3.8
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, 40);
    rig.bit(files::ISPENDR, 40);
    assert!(rig.is_set(files::ISPENDR, 40));
    rig.bit(files::ICPENDR, 40);
    assert!(!rig.is_set(files::ISPENDR, 40));
    assert_eq!(rig.acknowledge(), None);
    rig.bit(files::ISPENDR, 40);
    assert_eq!(rig.take_all(), [40]);
    // A line that is up stays pending.
    let _ = rig.line(40, LineState::High);
    rig.bit(files::ICPENDR, 40);
    assert!(rig.is_set(files::ISPENDR, 40));
}

fn active_by_software<G: Controller>() {
    // §4.3.9, §4.3.10: an active interrupt is not given again.
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, 40);
    rig.bit(files::ISACTIVER, 40);
    let _ = rig.line(40, LineState::Pulse);
    assert_eq!(rig.acknowledge(), None);
    assert!(rig.is_set(files::ISACTIVER, 40) && rig.is_set(files::ISPENDR, 40));
    rig.bit(files::ICACTIVER, 40);
    assert_eq!(rig.take_all(), [40]);
    // The guest may end it too.
    rig.bit(files::ISACTIVER, 40);
    let _ = rig.line(40, LineState::Pulse);
    rig.end(Acknowledged { intid: 40, source: 0, physical: None });
    assert_eq!(rig.take_all(), [40]);
}

fn deactivated_while_linked_comes_again<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, TIMER);
    physical(&mut rig, TIMER);
    rig.acknowledge().unwrap();
    rig.bit(files::ICACTIVER, TIMER);
    // Only so is the physical interrupt deactivated.
    assert_eq!(rig.acknowledge().unwrap().physical, Some(27));
}

fn more_than_there_are_list_registers_in_order_of_priority<G: Controller>() {
    for lists in [2, 4, 16] {
        let mut rig = Rig::<G>::started(1, lists);
        let mut expected = alloc::vec::Vec::new();
        for n in 0..24 {
            let (intid, priority) = (40 + n, (n * 7 % 24) as u8 * 8);
            rig.bit(files::ISENABLER, intid);
            rig.priority(intid, priority);
            let _ = rig.line(intid, LineState::Pulse);
            expected.push((priority, intid as usize));
        }
        expected.sort_unstable();
        let expected: alloc::vec::Vec<_> = expected.into_iter().map(|(_, intid)| intid).collect();
        assert_eq!(rig.take_all(), expected, "{lists}");
        assert!(!rig.gic.underflow());
    }
}

fn an_interrupt_that_comes_again_in_overflow_waits_its_turn<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 2);
    rig.bit(files::ISENABLER, TIMER);
    rig.priority(TIMER, 0xf8);
    physical(&mut rig, TIMER);
    assert_eq!(rig.take(), Some(27));
    for intid in 40..44 {
        rig.bit(files::ISENABLER, intid);
        let _ = rig.line(intid, LineState::Pulse);
    }
    physical(&mut rig, TIMER);
    assert_eq!(rig.take_all(), [40, 41, 42, 43, 27]);
}

fn a_shared_interrupt_goes_where_it_is_targeted<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    rig.bit(files::ISENABLER, UART);
    rig.target(UART, 1);
    let _ = rig.line(UART, LineState::High);
    assert_eq!(rig.acknowledge(), None);
    rig.switch(1);
    let taken = rig.acknowledge().unwrap();
    // While it is handled there, it is retargeted; its end is what matters.
    rig.switch(0);
    rig.target(UART, 0);
    assert_eq!(rig.acknowledge(), None);
    rig.switch(1);
    rig.end(taken);
    assert_eq!(rig.acknowledge(), None);
    rig.switch(0);
    assert_eq!(rig.take(), Some(33));
}

fn what_another_vcpu_changes_is_pulled_back_at_the_next_refresh<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    for (register, again) in [(files::ICENABLER, true), (files::ICPENDR, false)] {
        rig.switch(0);
        rig.bit(files::ISENABLER, UART);
        let _ = rig.line(UART, LineState::Pulse);
        rig.switch(1);
        rig.bit(register, UART);
        rig.switch(0);
        assert_eq!(rig.acknowledge(), None);
        rig.switch(1);
        rig.bit(files::ISENABLER, UART);
        rig.switch(0);
        assert_eq!(rig.take().is_some(), again);
    }
    // The line drops while its interrupt is in the other's list register.
    let _ = rig.line(UART, LineState::High);
    rig.switch(1);
    let _ = rig.line(UART, LineState::Low);
    rig.switch(0);
    assert_eq!(rig.acknowledge(), None);
}

fn another_vms_vcpu_is_never_here<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, UART);
    let mut other = evisor_contract::Context::of_vm(3, 5);
    let reply = evisor_contract::Notify::notify(&mut rig.gic, UART, 1, &mut other);
    assert_eq!(reply, Reply::DONE);
    assert_eq!(rig.list(0), 0);
    assert_eq!(rig.take(), Some(33));
}

/// Reading what another vCPU has in its list registers asks it first.
fn what_another_vcpu_acknowledged_reads_back<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    rig.edge(UART);
    rig.bit(files::ISENABLER, UART);
    let _ = rig.line(UART, LineState::Pulse);
    let taken = rig.acknowledge().unwrap();
    rig.switch(1);
    let reply = rig.gic.read(rig.word(files::ISACTIVER, UART), Width::Word, &mut rig.cx());
    assert_eq!(reply.status, Status::Again);
    assert!(rig.is_set(files::ISACTIVER, UART) && !rig.is_set(files::ISPENDR, UART));
    rig.switch(0);
    rig.end(taken);
    rig.switch(1);
    assert!(!rig.is_set(files::ISACTIVER, UART));
    // Nobody has anything: it is known at once.
    let reply = rig.gic.read(rig.word(files::ISACTIVER, UART), Width::Word, &mut rig.cx());
    assert_eq!(reply, Reply::value(0));
}

/// A question that is never asked again is not answered with what was known then.
fn a_forgotten_question_is_asked_anew<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    rig.bit(files::ISENABLER, UART);
    rig.bit(files::ISPENDR, UART);
    rig.switch(1);
    let word = rig.word(files::ISACTIVER, UART);
    let read = |rig: &mut Rig<G>| rig.gic.read(word, Width::Word, &mut rig.cx());
    assert_eq!(read(&mut rig).status, Status::Again);
    rig.refresh_all();
    rig.priority(200, 8);
    rig.switch(0);
    rig.acknowledge().unwrap();
    rig.switch(1);
    assert_eq!(read(&mut rig).status, Status::Again);
    assert!(rig.is_set(files::ISACTIVER, UART));
}

/// Written for an interrupt that another vCPU has.
fn active_is_set_and_cleared_from_elsewhere<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    rig.edge(UART);
    rig.bit(files::ISENABLER, UART);
    let _ = rig.line(UART, LineState::Pulse);
    rig.switch(1);
    rig.bit(files::ISACTIVER, UART);
    assert!(rig.is_set(files::ISACTIVER, UART) && rig.is_set(files::ISPENDR, UART));
    rig.switch(0);
    assert_eq!(rig.acknowledge(), None);
    rig.switch(1);
    rig.bit(files::ICACTIVER, UART);
    assert!(!rig.is_set(files::ISACTIVER, UART));
    rig.switch(0);
    assert_eq!(rig.take_all(), [33]);
}

/// A vCPU goes off: what is shared goes to others, what is private waits.
fn a_vcpu_that_leaves_keeps_nothing<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    rig.bit(files::ISENABLER, TIMER);
    for intid in [UART, 34] {
        rig.edge(intid);
        rig.bit(files::ISENABLER, intid);
    }
    rig.send(5, 1);
    physical(&mut rig, TIMER);
    let _ = rig.line(UART, LineState::Pulse);
    rig.leave();
    rig.switch(1);
    // Pending still, and known without asking who cannot answer.
    assert!(rig.is_set(files::ISPENDR, UART));
    rig.target(UART, 1);
    assert_eq!(rig.take_all(), [33]);
    let _ = rig.line(34, LineState::Pulse);
    rig.switch(0);
    // The physical interrupt was deactivated with the start; the SGI waited.
    rig.start();
    assert_eq!(rig.take_all(), [5, 34]);
}

/// IHI 0048B.b §4.1.4: the Distributor keeps what is active when a CPU interface
/// is reset.
fn a_vcpu_starts_anew_with_what_was_active<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    rig.bit(files::ISENABLER, TIMER);
    rig.bit(files::ISPENDR, TIMER);
    let taken = rig.acknowledge().unwrap();
    rig.leave();
    rig.start();
    assert!(rig.is_set(files::ISACTIVER, TIMER));
    assert_eq!(rig.acknowledge(), None);
    rig.end(taken);
    assert!(!rig.is_set(files::ISACTIVER, TIMER));
}

/// The maintenance interrupt of a vCPU that left brings nothing back.
fn nothing_comes_to_a_vcpu_that_left<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, UART);
    rig.leave();
    let _ = rig.line(UART, LineState::High);
    let _ = rig.notify(tag::MAINTENANCE, 0);
    assert_eq!(rig.acknowledge(), None);
    rig.start();
    assert_eq!(rig.take(), Some(33));
}

/// From another core, without taking back what is there.
fn many_that_come_from_elsewhere<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    for intid in 40..46 {
        rig.edge(intid);
        rig.bit(files::ISENABLER, intid);
        rig.priority(intid, 8 * (46 - intid) as u8);
    }
    rig.switch(1);
    for intid in [40, 45, 41, 44, 42, 43] {
        let _ = rig.line(intid, LineState::Pulse);
        rig.refresh_all();
    }
    rig.send(1, 1);
    rig.switch(0);
    assert_eq!(rig.take_all(), [1, 45, 44, 43, 42, 41, 40]);
}

/// A load of two words is tried again as a whole.
fn two_words_at_once<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    for intid in [UART, 64] {
        rig.edge(intid);
        rig.bit(files::ISENABLER, intid);
        let _ = rig.line(intid, LineState::Pulse);
        rig.acknowledge().unwrap();
    }
    rig.switch(1);
    let words = [rig.word(files::ISACTIVER, UART), rig.word(files::ISACTIVER, 64)];
    for _ in 0..4 {
        let read = |word: &u64| rig.gic.read(*word, Width::Word, &mut rig.cx());
        let replies: alloc::vec::Vec<_> =
            words.iter().map(read).take_while(|reply| reply.status == Status::Done).collect();
        if let [first, second] = replies.as_slice() {
            assert_eq!((first.value, second.value), (2, 1));
            return;
        }
        rig.refresh_all();
    }
    panic!("they are never read");
}

/// Eight handlers, each of which is interrupted by the next.
fn more_nest_than_there_are_list_registers<G: Controller>() {
    for lists in [2, 4] {
        let mut rig = Rig::<G>::started(1, lists);
        let mut taken = alloc::vec::Vec::new();
        for n in 0..8 {
            let intid = 40 + n;
            rig.edge(intid);
            rig.bit(files::ISENABLER, intid);
            rig.priority(intid, 0x80 - 8 * n as u8);
            let _ = rig.line(intid, LineState::Pulse);
            taken.push(rig.acknowledge().unwrap());
            assert_eq!(taken.last().unwrap().intid, intid as usize);
        }
        assert_eq!(rig.read(rig.word(files::ISACTIVER, 40)), 0xff << 8);
        while let Some(last) = taken.pop() {
            rig.end(last);
            assert_eq!(
                rig.read(rig.word(files::ISACTIVER, 40)),
                (0xff << 8) & ((1 << (last.intid % 32)) - 1)
            );
        }
        assert!(!rig.gic.underflow());
    }
}

/// The board's interrupt 153 as the guest's UART.
const DEVICE: LineState = LineState::Physical(153);

/// An SPI is acknowledged by EL2 on one core and deactivated by the guest's end on
/// another (IHI 0048B.b §3.2.1: the state of an SPI is one).
fn a_devices_interrupt_is_linked_on_any_core<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    rig.bit(files::ISENABLER, UART);
    rig.target(UART, 1);
    for here in [0, 1, 0] {
        rig.switch(here);
        assert_eq!(rig.line(UART, DEVICE), Reply::HELD);
        if here == 0 {
            assert_eq!(rig.acknowledge(), None);
        }
        rig.switch(1);
        let taken = rig.acknowledge().unwrap();
        assert_eq!((taken.intid, taken.physical), (33, Some(153)));
        rig.end(taken);
        assert_eq!(rig.acknowledge(), None);
    }
}

fn a_devices_interrupt_comes_by_way_of_another_vm<G: Controller>() {
    let mut rig = Rig::<G>::started(1, 4);
    rig.bit(files::ISENABLER, UART);
    let mut other = evisor_contract::Context::of_vm(3, 0);
    let reply = evisor_contract::Notify::notify(&mut rig.gic, UART, DEVICE.encode(), &mut other);
    assert_eq!(reply, Reply::HELD);
    assert_eq!(rig.list(0), 0, "the list registers of that core are another VM's");
    assert_eq!(rig.acknowledge().unwrap().physical, Some(153));
}

/// It comes again, retargeted, while the list register that it was in last is on
/// the core that it has left.
fn a_devices_interrupt_follows_its_target<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    rig.bit(files::ISENABLER, UART);
    let _ = rig.line(UART, DEVICE);
    assert_eq!(rig.take(), Some(33));
    rig.switch(1);
    rig.target(UART, 1);
    let _ = rig.line(UART, DEVICE);
    assert_eq!(rig.acknowledge(), None, "where it was has to be looked at first");
    rig.switch(0);
    assert_eq!(rig.acknowledge(), None);
    rig.switch(1);
    assert_eq!(rig.acknowledge().unwrap().physical, Some(153));
}

/// Disabled before it is acknowledged: it waits, active on the board, so that it
/// cannot come again there; and its link is not lost.
fn a_devices_interrupt_is_pulled_back_and_stays_linked<G: Controller>() {
    let mut rig = Rig::<G>::started(2, 4);
    rig.bit(files::ISENABLER, UART);
    let _ = rig.line(UART, DEVICE);
    rig.switch(1);
    rig.bit(files::ICENABLER, UART);
    rig.switch(0);
    assert_eq!(rig.acknowledge(), None);
    assert!(rig.is_set(files::ISPENDR, UART));
    rig.bit(files::ICPENDR, UART);
    assert!(rig.is_set(files::ISPENDR, UART), "only its end lets go of it");
    rig.bit(files::ISENABLER, UART);
    assert_eq!(rig.acknowledge().unwrap().physical, Some(153));
}
