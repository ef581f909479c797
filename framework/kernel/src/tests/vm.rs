//! A VM's life: nothing changes while one of its vCPUs is in its guest.

use super::Fake;
use crate::vm::{Attention, Next, Vm};
use alloc::boxed::Box;
use alloc::string::ToString;
use core::sync::atomic::{AtomicU32, Ordering};
use evisor_contract::{Clock, Context, Power, VcpuControl, VmEvent};

fn vm(host: &'static Fake, vcpus: u64) -> (Vm, Box<[&'static AtomicU32]>) {
    let vm = Vm::new(3, "test".to_string(), 0..vcpus, 100, host);
    let words: Box<[&'static AtomicU32]> =
        (0..vcpus).map(|_| &*Box::leak(Box::new(AtomicU32::new(0)))).collect();
    for (index, word) in words.iter().enumerate() {
        vm.connect(index, word);
    }
    (vm, words)
}

#[test]
fn off_before_it_starts_and_on_after() {
    let (vm, _) = vm(Fake::new(), 1);
    assert!(!vm.enter(0), "nobody started it");
    vm.changed(true);
    assert!(vm.enter(0));
    assert_eq!(vm.parked(0), Next::Run);
    assert!(!vm.enter(1), "it has one vCPU");
}

#[test]
fn a_change_waits_for_the_last_vcpu() {
    let host = Fake::new();
    let (vm, words) = vm(host, 2);
    vm.changed(true);
    assert!(vm.enter(0));
    vm.stop_caller(&mut Context::of_vm(3, 1));
    vm.request(VmEvent::Reset);
    assert_eq!(words[0].load(Ordering::Relaxed), Attention::LEAVE);
    assert_eq!(*host.kicked.lock(), [0], "only who is in its guest is kicked");
    assert_eq!(vm.parked(1), Next::Wait, "the first is still in its guest");
    assert_eq!(vm.parked(0), Next::Change(VmEvent::Reset));
    assert!(!vm.enter(0), "not before the change is made");
    vm.changed(true);
    assert!(vm.enter(0));
}

#[test]
fn off_wins_over_reset() {
    for events in [[VmEvent::Off, VmEvent::Reset], [VmEvent::Reset, VmEvent::Off]] {
        let (vm, _) = vm(Fake::new(), 1);
        vm.changed(true);
        assert!(vm.enter(0));
        for event in events {
            vm.request(event);
        }
        assert_eq!(vm.parked(0), Next::Change(VmEvent::Off));
    }
}

#[test]
fn a_verdict_changes_nothing_else() {
    let (vm, words) = vm(Fake::new(), 1);
    vm.changed(true);
    assert!(vm.enter(0));
    vm.request(VmEvent::Verdict(7));
    assert_eq!(vm.verdict(), 7);
    assert_eq!(words[0].load(Ordering::Relaxed), 0);
    assert_eq!(vm.parked(0), Next::Run);
}

#[test]
fn a_crash_is_told_once() {
    let (vm, _) = vm(Fake::new(), 1);
    vm.changed(true);
    assert!(vm.enter(0));
    vm.crashed();
    assert_eq!(vm.parked(0), Next::Change(VmEvent::Off));
    assert!(vm.take_crash());
    assert!(!vm.take_crash());
}

#[test]
fn a_vcpu_that_stops_itself_comes_out_and_stays_out() {
    let (vm, _) = vm(Fake::new(), 1);
    vm.changed(true);
    assert!(vm.enter(0));
    let mut cx = Context::of_vm(3, 0);
    vm.stop_caller(&mut cx);
    assert_eq!(cx.attention.load(Ordering::Relaxed), Attention::LEAVE);
    assert_eq!(vm.parked(0), Next::Wait);
    assert_eq!(vm.power(0), Power::Off);
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
