//! Interrupts from where they come in to where the guest ends them.

use super::{Acknowledged, Rig};
use crate::spec::gicd;
use evisor_contract::{LineState, Reply};

const TIMER: u32 = 27;
const UART: u32 = 33;

fn physical(rig: &mut Rig, intid: u32) {
    assert_eq!(rig.line(intid, LineState::Physical(intid as u16)), Reply::HELD);
}

#[test]
fn a_physical_interrupt_is_linked() {
    // §5.2.2: the guest's end deactivates the physical one.
    let mut rig = Rig::started(1, 4);
    rig.bit(gicd::ISENABLER, TIMER);
    for _ in 0..3 {
        physical(&mut rig, TIMER);
        assert!(rig.is_set(gicd::ISPENDR, TIMER));
        let taken = rig.acknowledge().unwrap();
        assert_eq!((taken.intid, taken.physical), (27, Some(27)));
        assert!(rig.is_set(gicd::ISACTIVER, TIMER) && !rig.is_set(gicd::ISPENDR, TIMER));
        rig.end(taken);
        assert!(!rig.is_set(gicd::ISACTIVER, TIMER));
        assert_eq!(rig.acknowledge(), None);
    }
}

#[test]
fn a_physical_interrupt_waits_until_it_is_enabled() {
    let mut rig = Rig::started(1, 4);
    physical(&mut rig, TIMER);
    assert!(rig.is_set(gicd::ISPENDR, TIMER));
    assert_eq!(rig.acknowledge(), None);
    rig.bit(gicd::ISENABLER, TIMER);
    assert_eq!(rig.acknowledge().unwrap().physical, Some(27));
}

#[test]
fn disabled_while_pending_is_pulled_back() {
    let mut rig = Rig::started(1, 4);
    for _ in 0..2 {
        rig.bit(gicd::ISENABLER, TIMER);
        rig.bit(gicd::ISENABLER, UART);
        physical(&mut rig, TIMER);
        let _ = rig.line(UART, LineState::Pulse);
        rig.bit(gicd::ICENABLER, TIMER);
        rig.bit(gicd::ICENABLER, UART);
        assert_eq!(rig.acknowledge(), None);
        assert!(rig.is_set(gicd::ISPENDR, TIMER) && rig.is_set(gicd::ISPENDR, UART));
        rig.bit(gicd::ISENABLER, UART);
        assert_eq!(rig.take(), Some(33));
        rig.bit(gicd::ISENABLER, TIMER);
        let taken = rig.acknowledge().unwrap();
        assert_eq!(taken.physical, Some(27));
        rig.end(taken);
    }
}

#[test]
fn nothing_is_forwarded_while_the_distributor_is_off() {
    // §4.3.1
    let mut rig = Rig::started(1, 4);
    rig.bit(gicd::ISENABLER, TIMER);
    physical(&mut rig, TIMER);
    rig.write(gicd::CTLR, 0);
    assert_eq!(rig.acknowledge(), None);
    // Group 1 only: the interrupt is in Group 0.
    rig.write(gicd::CTLR, 2);
    assert_eq!(rig.acknowledge(), None);
    rig.write(gicd::IGROUPR, 1 << TIMER);
    assert_eq!(rig.take(), Some(27));
}

#[test]
fn a_level_line_comes_again_until_it_drops() {
    // §4.2.4 (figure 4-1), and §5.3.4: the end is told.
    let mut rig = Rig::started(1, 4);
    rig.bit(gicd::ISENABLER, UART);
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

#[test]
fn an_edge_while_active_comes_once_more() {
    let mut rig = Rig::started(1, 4);
    rig.write(gicd::ICFGR + 8, 2 << 2);
    rig.bit(gicd::ISENABLER, UART);
    let _ = rig.line(UART, LineState::High);
    let taken = rig.acknowledge().unwrap();
    let _ = rig.line(UART, LineState::Low);
    assert_eq!(rig.acknowledge(), None);
    let _ = rig.line(UART, LineState::High);
    let _ = rig.line(UART, LineState::Pulse);
    assert!(rig.is_set(gicd::ISPENDR, UART) && rig.is_set(gicd::ISACTIVER, UART));
    assert_eq!(rig.acknowledge(), None);
    rig.end(taken);
    // The line is still up, which means nothing for an edge.
    assert_eq!(rig.take_all(), [33]);
}

#[test]
fn set_and_cleared_by_software() {
    // §4.3.7, §4.3.8
    let mut rig = Rig::started(1, 4);
    rig.bit(gicd::ISENABLER, 40);
    rig.bit(gicd::ISPENDR, 40);
    assert!(rig.is_set(gicd::ISPENDR, 40));
    rig.bit(gicd::ICPENDR, 40);
    assert!(!rig.is_set(gicd::ISPENDR, 40));
    assert_eq!(rig.acknowledge(), None);
    rig.bit(gicd::ISPENDR, 40);
    assert_eq!(rig.take_all(), [40]);
    // A line that is up stays pending.
    let _ = rig.line(40, LineState::High);
    rig.bit(gicd::ICPENDR, 40);
    assert!(rig.is_set(gicd::ISPENDR, 40));
}

#[test]
fn active_by_software() {
    // §4.3.9, §4.3.10: an active interrupt is not given again.
    let mut rig = Rig::started(1, 4);
    rig.bit(gicd::ISENABLER, 40);
    rig.bit(gicd::ISACTIVER, 40);
    let _ = rig.line(40, LineState::Pulse);
    assert_eq!(rig.acknowledge(), None);
    assert!(rig.is_set(gicd::ISACTIVER, 40) && rig.is_set(gicd::ISPENDR, 40));
    rig.bit(gicd::ICACTIVER, 40);
    assert_eq!(rig.take_all(), [40]);
    // The guest may end it too.
    rig.bit(gicd::ISACTIVER, 40);
    let _ = rig.line(40, LineState::Pulse);
    rig.end(Acknowledged { intid: 40, source: 0, physical: None, list: 0 });
    assert_eq!(rig.take_all(), [40]);
}

#[test]
fn deactivated_while_linked_comes_again() {
    let mut rig = Rig::started(1, 4);
    rig.bit(gicd::ISENABLER, TIMER);
    physical(&mut rig, TIMER);
    rig.acknowledge().unwrap();
    rig.bit(gicd::ICACTIVER, TIMER);
    // Only so is the physical interrupt deactivated.
    assert_eq!(rig.acknowledge().unwrap().physical, Some(27));
}

#[test]
fn more_than_there_are_list_registers_in_order_of_priority() {
    for lists in [2, 4, 16] {
        let mut rig = Rig::started(1, lists);
        let mut expected = alloc::vec::Vec::new();
        for n in 0..24 {
            let (intid, priority) = (40 + n, (n * 7 % 24) as u8 * 8);
            rig.bit(gicd::ISENABLER, intid);
            rig.priority(intid, priority);
            let _ = rig.line(intid, LineState::Pulse);
            expected.push((priority, intid as usize));
        }
        expected.sort_unstable();
        let expected: alloc::vec::Vec<_> = expected.into_iter().map(|(_, intid)| intid).collect();
        assert_eq!(rig.take_all(), expected, "{lists}");
        assert!(!rig.gic.interface.underflow());
    }
}

#[test]
fn an_interrupt_that_comes_again_in_overflow_waits_its_turn() {
    let mut rig = Rig::started(1, 2);
    rig.bit(gicd::ISENABLER, TIMER);
    rig.priority(TIMER, 0xf8);
    physical(&mut rig, TIMER);
    assert_eq!(rig.take(), Some(27));
    for intid in 40..44 {
        rig.bit(gicd::ISENABLER, intid);
        let _ = rig.line(intid, LineState::Pulse);
    }
    physical(&mut rig, TIMER);
    assert_eq!(rig.take_all(), [40, 41, 42, 43, 27]);
}

#[test]
fn sgis_keep_their_sources() {
    // §4.3.15, §4.3.16
    let mut rig = Rig::started(4, 4);
    for source in [2, 1, 3] {
        rig.switch(source);
        rig.write(gicd::SGIR, 1 << 16 | 5);
        rig.write(gicd::SGIR, 1 << 16 | 5);
    }
    rig.switch(0);
    rig.refresh();
    assert_eq!(rig.read(gicd::CPENDSGIR + 4), 0b1110 << 8);
    for source in [1, 2, 3] {
        let taken = rig.acknowledge().unwrap();
        assert_eq!((taken.intid, taken.source), (5, source));
        assert_eq!(rig.acknowledge(), None);
        rig.end(taken);
    }
    assert_eq!(rig.acknowledge(), None);
}

#[test]
fn sgi_targets() {
    // §4.3.15: list, all but the requester, the requester; reserved.
    let table =
        [(0, 0b1010, 0b1010), (1, 0, 0b1101), (2, 0b1111, 0b0010), (2, 0, 0b0010), (3, 0b1111, 0)];
    for (filter, list, expected) in table {
        let mut rig = Rig::started(4, 4);
        rig.switch(1);
        rig.write(gicd::SGIR, filter << 24 | list << 16 | 7);
        let mut got = 0;
        for vcpu in 0..4 {
            rig.switch(vcpu);
            if let Some(taken) = rig.acknowledge() {
                assert_eq!((taken.intid, taken.source), (7, 1));
                got |= 1 << vcpu;
            }
        }
        assert_eq!(got, expected, "{filter} {list:#b}");
    }
}

#[test]
fn sgis_to_oneself() {
    let mut rig = Rig::started(1, 4);
    for value in [1 << 16 | 3, 2 << 24 | 3, 1 << 16 | 3, 2 << 24 | 3] {
        rig.write(gicd::SGIR, value);
        rig.write(gicd::SGIR, value);
        let taken = rig.acknowledge().unwrap();
        // Again while active.
        rig.write(gicd::SGIR, value);
        assert_eq!(rig.acknowledge(), None);
        rig.end(taken);
        assert_eq!(rig.take_all(), [3]);
    }
    // §4.3.16: taken back.
    rig.write(gicd::SGIR, 1 << 16 | 3);
    rig.write(gicd::CPENDSGIR, 1 << 24);
    assert_eq!(rig.acknowledge(), None);
}

#[test]
fn a_shared_interrupt_goes_where_it_is_targeted() {
    let mut rig = Rig::started(2, 4);
    rig.bit(gicd::ISENABLER, UART);
    rig.write(gicd::ITARGETSR + 32, 0x0200);
    let _ = rig.line(UART, LineState::High);
    assert_eq!(rig.acknowledge(), None);
    rig.switch(1);
    let taken = rig.acknowledge().unwrap();
    // While it is handled there, it is retargeted; its end is what matters.
    rig.switch(0);
    rig.write(gicd::ITARGETSR + 32, 0x0100);
    assert_eq!(rig.acknowledge(), None);
    rig.switch(1);
    rig.end(taken);
    assert_eq!(rig.acknowledge(), None);
    rig.switch(0);
    assert_eq!(rig.take(), Some(33));
}

#[test]
fn what_another_vcpu_changes_is_pulled_back_at_the_next_refresh() {
    let mut rig = Rig::started(2, 4);
    for (register, again) in [(gicd::ICENABLER, true), (gicd::ICPENDR, false)] {
        rig.switch(0);
        rig.bit(gicd::ISENABLER, UART);
        let _ = rig.line(UART, LineState::Pulse);
        rig.switch(1);
        rig.bit(register, UART);
        rig.switch(0);
        assert_eq!(rig.acknowledge(), None);
        rig.switch(1);
        rig.bit(gicd::ISENABLER, UART);
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

#[test]
fn another_vms_vcpu_is_never_here() {
    let mut rig = Rig::started(1, 4);
    rig.bit(gicd::ISENABLER, UART);
    let mut other = evisor_contract::Context::of_vm(3, 5);
    let reply = evisor_contract::Notify::notify(&mut rig.gic, UART, 1, &mut other);
    assert_eq!(reply, Reply::DONE);
    assert_eq!(rig.gic.interface.list(0), 0);
    assert_eq!(rig.take(), Some(33));
}
