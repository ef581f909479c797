//! A VM's life: nothing changes while one of its vCPUs is in its guest.

use super::Fake;
use crate::life::Change;
use crate::vm::{Attention, Entry, Next, Vm};
use alloc::boxed::Box;
use alloc::string::ToString;
use core::sync::atomic::{AtomicU32, Ordering};
use evisor_contract::{Clock, Context, Power, VcpuControl, VmEvent, VmState};

fn vm(host: &'static Fake, vcpus: u64) -> (Vm, Box<[&'static AtomicU32]>) {
    let vm = Vm::new(3, "test".to_string(), (0..vcpus).map(|n| (n, n as usize)), 100, host);
    let words: Box<[&'static AtomicU32]> =
        (0..vcpus).map(|_| &*Box::leak(Box::new(AtomicU32::new(0)))).collect();
    for (index, word) in words.iter().enumerate() {
        vm.connect(index, word);
    }
    (vm, words)
}

const FIRST: Entry = Entry { pc: 0x4000_0000, x0: 7 };

/// One whose first vCPU runs.
fn running(host: &'static Fake, vcpus: u64) -> (Vm, Box<[&'static AtomicU32]>) {
    let (vm, words) = vm(host, vcpus);
    vm.changed(Some(FIRST));
    assert_eq!(vm.next(0), Next::Start(FIRST));
    assert_eq!(vm.next(0), Next::Run);
    host.kicked.lock().clear();
    (vm, words)
}

#[test]
fn off_before_it_starts_and_on_after() {
    let (vm, _) = vm(Fake::new(), 2);
    assert_eq!(vm.next(0), Next::Wait, "nobody started it");
    assert_eq!(vm.next(1), Next::Wait);
    vm.changed(Some(FIRST));
    assert_eq!(vm.power(0), Power::Pending);
    assert_eq!(vm.next(1), Next::Wait, "the first is started, not this one");
    assert_eq!(vm.next(0), Next::Start(FIRST));
    assert_eq!(vm.power(0), Power::On);
    assert_eq!(vm.next(0), Next::Run);
    assert_eq!(vm.next(2), Next::Wait, "it has two vCPUs");
}

#[test]
fn a_vm_has_the_cores_from_its_first_on() {
    let host = Fake::new();
    let vm = Vm::new(1, "test".to_string(), [(0, 2), (1, 3)].into_iter(), 0, host);
    assert_eq!(
        [0, 1, 2, 3, 4].map(|core| vm.vcpus_on(core).next()),
        [None, None, Some(0), Some(1), None]
    );
    vm.changed(Some(FIRST));
    assert_eq!(VcpuControl::start(&vm, 1, 0x1000, 5), Power::Off);
    assert_eq!(*host.kicked.lock(), [2, 3], "the cores of its vCPUs");
}

#[test]
fn a_vcpu_starts_where_it_is_told_once() {
    let host = Fake::new();
    let (vm, _) = running(host, 2);
    assert_eq!(vm.power(1), Power::Off);
    assert_eq!(VcpuControl::start(&vm, 1, 0x1000, 5), Power::Off);
    assert_eq!(*host.kicked.lock(), [1], "its core waits");
    assert_eq!(VcpuControl::start(&vm, 1, 0x2000, 6), Power::Pending);
    assert_eq!(vm.next(1), Next::Start(Entry { pc: 0x1000, x0: 5 }));
    assert_eq!(VcpuControl::start(&vm, 1, 0x2000, 6), Power::On);
    assert_eq!(vm.next(1), Next::Run);
    assert_eq!(VcpuControl::start(&vm, 2, 0x2000, 6), Power::On, "there is no third");
}

#[test]
fn a_change_waits_for_the_last_vcpu() {
    let host = Fake::new();
    let (vm, words) = running(host, 3);
    assert_eq!(VcpuControl::start(&vm, 1, 0x1000, 0), Power::Off);
    assert_eq!(vm.next(1), Next::Start(Entry { pc: 0x1000, x0: 0 }));
    host.kicked.lock().clear();
    vm.request(VmEvent::Reset);
    assert_eq!(words[0].load(Ordering::Relaxed), Attention::LEAVE);
    assert_eq!(*host.kicked.lock(), [0, 1], "only who is in its guest is kicked");
    assert_eq!(vm.next(1), Next::Wait, "the first is still in its guest");
    assert_eq!(vm.next(0), Next::Change(Change::Reset));
    assert_eq!(vm.next(1), Next::Wait, "one core makes the change");
    assert_eq!(vm.next(0), Next::Wait, "not before the change is made");
    vm.changed(Some(FIRST));
    assert_eq!(vm.next(1), Next::Wait, "all but the first are off again");
    assert_eq!(vm.next(0), Next::Start(FIRST));
}

#[test]
fn who_is_started_during_a_change_starts_with_the_vm() {
    let host = Fake::new();
    let (vm, _) = vm(host, 3);
    let word = Entry { pc: 0, x0: 0xe8 };
    for _ in 0..2 {
        assert_eq!(VcpuControl::start(&vm, 2, word.pc, word.x0), Power::Off);
        assert_eq!(vm.next(2), Next::Wait, "not before the change is made");
        host.kicked.lock().clear();
        vm.changed(Some(FIRST));
        assert_eq!(*host.kicked.lock(), [0, 2]);
        assert_eq!(vm.next(2), Next::Start(word));
        assert_eq!(vm.next(1), Next::Wait);
        assert_eq!(vm.next(0), Next::Start(FIRST));
        vm.request(VmEvent::Reset);
        assert_eq!(vm.next(2), Next::Wait);
        assert_eq!(vm.next(0), Next::Change(Change::Reset));
    }
}

#[test]
fn off_wins_over_reset() {
    for events in [[VmEvent::Off, VmEvent::Reset], [VmEvent::Reset, VmEvent::Off]] {
        let (vm, _) = running(Fake::new(), 1);
        for event in events {
            vm.request(event);
        }
        assert_eq!(vm.next(0), Next::Change(Change::Off));
    }
}

#[test]
fn what_is_asked_for_while_a_vcpu_starts_is_not_lost() {
    let (vm, _) = vm(Fake::new(), 1);
    vm.changed(Some(FIRST));
    assert_eq!(vm.next(0), Next::Start(FIRST));
    vm.request(VmEvent::Off);
    assert_eq!(vm.next(0), Next::Change(Change::Off));
    vm.changed(None);
    assert_eq!(vm.next(0), Next::Wait, "off for good");
}

#[test]
fn a_verdict_changes_nothing_else() {
    let (vm, words) = running(Fake::new(), 1);
    vm.request(VmEvent::Verdict(7));
    assert_eq!(vm.verdict(), 7);
    assert_eq!(words[0].load(Ordering::Relaxed), 0);
    assert_eq!(vm.next(0), Next::Run);
}

#[test]
fn a_crash_is_told_once() {
    let (vm, _) = running(Fake::new(), 1);
    vm.crashed();
    assert_eq!(vm.next(0), Next::Change(Change::Crash));
    vm.changed(None);
    assert_eq!((vm.next(0), vm.state()), (Next::Wait, VmState::Crashed));
}

#[test]
fn a_vcpu_that_stops_itself_comes_out_and_can_be_started_again() {
    let (vm, _) = running(Fake::new(), 2);
    assert_eq!(VcpuControl::start(&vm, 1, 0x1000, 0), Power::Off);
    assert_eq!(vm.next(1), Next::Start(Entry { pc: 0x1000, x0: 0 }));
    let mut cx = Context::of_vm(3, 0);
    vm.stop_caller(&mut cx);
    assert_eq!(cx.attention.load(Ordering::Relaxed), Attention::LEAVE);
    assert_eq!(vm.power(0), Power::Off);
    assert_eq!(vm.next(0), Next::Wait, "the other one may start it");
    assert_eq!(VcpuControl::start(&vm, 0, 0x3000, 9), Power::Off);
    assert_eq!(vm.next(0), Next::Start(Entry { pc: 0x3000, x0: 9 }));
}

#[test]
fn a_vm_whose_vcpus_are_all_off_is_off() {
    let (vm, _) = running(Fake::new(), 2);
    vm.stop_caller(&mut Context::of_vm(3, 0));
    assert_eq!(vm.next(0), Next::Change(Change::Off));
}

#[test]
fn where_a_vcpu_is() {
    let (vm, words) = vm(Fake::new(), 2);
    assert!(vm.is_here(1, &Context::of_vm(3, 1)));
    assert!(!vm.is_here(0, &Context::of_vm(3, 1)));
    assert!(!vm.is_here(1, &Context::of_vm(2, 1)), "the vCPU of another VM");
    VcpuControl::kick(&vm, 1);
    assert_eq!(words[1].load(Ordering::Relaxed), Attention::REFRESH);
}

#[test]
fn its_time_lags_behind_the_hosts() {
    let host = Fake::new();
    let (vm, _) = vm(host, 1);
    host.now.store(250, Ordering::Relaxed);
    assert_eq!(Clock::now(&vm), 150);
}
