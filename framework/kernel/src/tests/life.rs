//! What is asked of a VM, in whatever order and whenever its vCPUs come out: nothing is
//! lost, and nothing changes while one of them is in its guest.

use super::Fake;
use crate::life::{Change, Place};
use crate::vm::{Attention, Entry, Next, Vm};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use evisor_contract::{Clock, Power, VcpuControl, VmEvent, VmState};
use proptest::prelude::*;
use std::thread;

const FIRST: Entry = Entry { pc: 0x4000_0000, x0: 7 };

fn vm(host: &'static Fake, vcpus: u64) -> (&'static Vm, Vec<&'static AtomicU32>) {
    let cpus = (0..vcpus).map(|n| (n, n as usize));
    let vm: &'static Vm = Box::leak(Box::new(Vm::new(3, "test".to_string(), cpus, 100, host)));
    let words: Vec<&'static AtomicU32> =
        (0..vcpus).map(|_| &*Box::leak(Box::new(AtomicU32::new(0)))).collect();
    for (index, word) in words.iter().enumerate() {
        vm.connect(index, word);
    }
    (vm, words)
}

fn running(vcpus: u64) -> (&'static Fake, &'static Vm) {
    let host = Fake::new();
    let (vm, _) = vm(host, vcpus);
    vm.changed(Some(FIRST));
    assert_eq!([vm.next(0), vm.next(0)], [Next::Start(FIRST), Next::Run]);
    (host, vm)
}

/// What a core does with a change.
fn make(vm: &Vm, change: Change) {
    match change {
        Change::Pause => {
            vm.stop_time();
            vm.paused();
        }
        Change::Resume => {
            vm.start_time();
            vm.resumed();
        }
        Change::Checkpoint => {
            vm.keep_vcpus();
            serve(vm, Next::Save);
            vm.stands();
        }
        Change::RollBack => {
            vm.bring_vcpus_back();
            serve(vm, Next::Restore);
            vm.stands();
        }
        Change::Start | Change::Reset => vm.changed(Some(FIRST)),
        Change::Off | Change::Crash | Change::End => vm.changed(None),
    }
}

/// What the cores of its vCPUs do with their state meanwhile.
fn serve(vm: &Vm, duty: Next) {
    for vcpu in 0..vm.vcpus() {
        if vm.next(vcpu) == duty {
            assert!(!vm.all_served());
            vm.served(vcpu);
        }
        assert_eq!(vm.next(vcpu), Next::Wait, "it does it once, and the change is in hand");
    }
    assert!(vm.all_served());
}

#[test]
fn a_stop_while_a_restart_fills_memory_is_not_lost() {
    let (_, vm) = running(1);
    vm.request(VmEvent::Reset);
    assert_eq!(vm.next(0), Next::Change(Change::Reset));
    vm.order(VmEvent::Off);
    assert_eq!(vm.next(0), Next::Wait, "the restart is in hand");
    vm.changed(Some(FIRST));
    assert_eq!(vm.next(0), Next::Change(Change::Off));
    vm.changed(None);
    assert_eq!((vm.next(0), vm.state()), (Next::Wait, VmState::Off));
}

#[test]
fn a_pause_keeps_vcpus_and_stops_the_count() {
    let (host, vm) = running(3);
    VcpuControl::start(vm, 1, 0x1000, 5);
    assert!(matches!(vm.next(1), Next::Start(_)));
    host.now.store(1100, Ordering::Relaxed);
    vm.order(VmEvent::Pause);
    assert_eq!(vm.next(1), Next::Wait, "the first is in its guest");
    assert_eq!(vm.next(0), Next::Change(Change::Pause));
    make(vm, Change::Pause);
    assert_eq!([0, 1, 2].map(|n| vm.power(n)), [Power::On, Power::On, Power::Off]);
    assert_eq!([0, 1].map(|n| vm.next(n)), [Next::Wait, Next::Wait]);
    assert_eq!(vm.state(), VmState::Paused);
    host.now.store(5100, Ordering::Relaxed);
    host.kicked.lock().clear();
    vm.order(VmEvent::Resume);
    assert_eq!(host.kicked.lock().first(), Some(&0), "its cores wait");
    assert_eq!(vm.next(0), Next::Change(Change::Resume));
    make(vm, Change::Resume);
    assert_eq!((vm.offset(), Clock::now(vm)), (4100, 1000));
    assert_eq!([vm.next(1), vm.next(1)], [Next::Resume, Next::Run]);
    assert_eq!([vm.next(0), vm.next(0)], [Next::Resume, Next::Run]);
    assert_eq!(vm.next(2), Next::Wait, "it is off as it was");
}

#[test]
fn what_it_asks_of_itself_while_it_changes_is_of_its_old_life() {
    for event in [VmEvent::Off, VmEvent::Reset] {
        let (_, vm) = running(1);
        vm.request(VmEvent::Reset);
        assert_eq!(vm.next(0), Next::Change(Change::Reset));
        // A watchdog of before.
        vm.request(event);
        vm.changed(Some(FIRST));
        assert_eq!([vm.next(0), vm.next(0)], [Next::Start(FIRST), Next::Run]);
    }
}

#[test]
fn it_cannot_start_pause_or_end_itself() {
    let (_, vm) = running(1);
    for event in [VmEvent::Start, VmEvent::Pause, VmEvent::Resume, VmEvent::End] {
        assert!(!vm.request(event));
    }
    assert_eq!(vm.next(0), Next::Run);
}

#[test]
fn a_crash_is_the_manifests_to_answer_and_a_stop_is_not() {
    let (_, vm) = running(1);
    vm.crashed();
    vm.order(VmEvent::Off);
    assert_eq!(vm.next(0), Next::Change(Change::Off), "it would start anew");
    let (_, vm) = running(1);
    vm.crashed();
    vm.request(VmEvent::Off);
    assert_eq!(vm.next(0), Next::Change(Change::Crash));
    vm.becomes(Place::On);
    vm.order(VmEvent::Start);
    vm.changed(Some(FIRST));
    assert_eq!((vm.next(0), vm.state()), (Next::Start(FIRST), VmState::On));
}

#[test]
fn what_is_off_for_good_stays_off() {
    let (_, vm) = running(1);
    vm.keep();
    vm.order(VmEvent::End);
    assert_eq!(vm.next(0), Next::Change(Change::End));
    assert!(vm.is_gone());
    vm.changed(None);
    vm.order(VmEvent::Start);
    assert_eq!((vm.next(0), vm.state()), (Next::Wait, VmState::Off));
}

#[test]
fn a_reset_by_the_guest_does_not_end_a_pause() {
    let (_, vm) = running(1);
    vm.order(VmEvent::Pause);
    vm.request(VmEvent::Reset);
    assert_eq!(vm.next(0), Next::Change(Change::Reset));
    make(vm, Change::Reset);
    assert_eq!(vm.next(0), Next::Change(Change::Pause));
    make(vm, Change::Pause);
    assert_eq!(vm.state(), VmState::Paused);
    vm.order(VmEvent::Resume);
    assert_eq!(vm.next(0), Next::Change(Change::Resume));
    make(vm, Change::Resume);
    assert_eq!(vm.next(0), Next::Start(FIRST), "where the pause found it");
}

/// A VM with three vCPUs, of which two are on and one is about to be, kept as it is.
fn kept() -> (&'static Fake, &'static Vm) {
    let host = Fake::new();
    host.now.store(1000, Ordering::Relaxed);
    let (vm, _) = vm(host, 3);
    vm.may_keep();
    vm.changed(Some(FIRST));
    VcpuControl::start(vm, 1, 0x1000, 1);
    for vcpu in 0..2 {
        assert!(matches!(vm.next(vcpu), Next::Start(_)));
        assert_eq!(vm.next(vcpu), Next::Run);
    }
    VcpuControl::start(vm, 2, 0x2000, 2);
    vm.order(VmEvent::Checkpoint);
    assert_eq!(vm.next(0), Next::Wait, "another one is in its guest");
    for change in [Change::Pause, Change::Checkpoint, Change::Resume] {
        assert_eq!(vm.next(1), Next::Change(change));
        make(vm, change);
    }
    let wanted = [Next::Resume, Next::Resume, Next::Start(Entry { pc: 0x2000, x0: 2 })];
    assert_eq!([0, 1, 2].map(|vcpu| vm.next(vcpu)), wanted, "it goes on where it was");
    assert_eq!([0, 1, 2].map(|vcpu| vm.next(vcpu)), [Next::Run; 3]);
    (host, vm)
}

/// Brings it back, whose vCPUs are all out, and sees that each is what it was.
fn goes_back(vm: &Vm, changes: &[Change]) {
    assert!(vm.order(VmEvent::RollBack));
    for change in changes.iter().chain(&[Change::RollBack, Change::Resume]) {
        let made = (0..3).map(|vcpu| vm.next(vcpu)).find(|next| *next != Next::Wait);
        assert_eq!(made, Some(Next::Change(*change)));
        make(vm, *change);
    }
    let wanted = [Next::Resume, Next::Resume, Next::Start(Entry { pc: 0x2000, x0: 2 })];
    assert_eq!([0, 1, 2].map(|vcpu| vm.next(vcpu)), wanted);
    assert_eq!(vm.state(), VmState::On);
}

#[test]
fn a_vm_that_runs_is_what_it_was() {
    let (_, vm) = kept();
    vm.stop_caller(&mut evisor_contract::Context::of_vm(3, 1));
    assert_eq!(vm.power(1), Power::Off);
    vm.order(VmEvent::RollBack);
    assert_eq!([0, 1].map(|vcpu| vm.next(vcpu)), [Next::Wait; 2], "one is in its guest");
    goes_back(vm, &[Change::Pause]);
}

#[test]
fn one_that_is_off_or_crashed_is_what_it_was() {
    for (end, crashed) in [(Change::Off, false), (Change::Crash, true)] {
        let (_, vm) = kept();
        vm.keep();
        vm.request(VmEvent::Verdict(9));
        if crashed {
            vm.crashed();
        } else {
            vm.order(VmEvent::Off);
        }
        assert_eq!([0, 1].map(|vcpu| vm.next(vcpu)), [Next::Wait; 2]);
        assert_eq!(vm.next(2), Next::Change(end));
        make(vm, end);
        assert_eq!([0, 1, 2].map(|vcpu| vm.next(vcpu)), [Next::Wait; 3]);
        goes_back(vm, &[]);
        assert_eq!(vm.verdict(), 0, "it said nothing then");
    }
}

#[test]
fn its_count_is_what_it_was() {
    let (host, vm) = kept();
    let count = vm.kept_count();
    host.now.fetch_add(5_000, Ordering::Relaxed);
    assert!(vm.now() > count + 4_000);
    vm.stop_time();
    host.now.fetch_add(700, Ordering::Relaxed);
    vm.roll_time_back();
    host.now.fetch_add(60, Ordering::Relaxed);
    vm.start_time();
    assert_eq!(vm.now(), count);
}

#[test]
fn what_is_not_there_cannot_be_asked_for() {
    let (_, vm) = running(1);
    assert!(!vm.order(VmEvent::Checkpoint), "nothing is set aside");
    assert!(!vm.order(VmEvent::RollBack));
    vm.may_keep();
    assert!(!vm.order(VmEvent::RollBack), "it was never kept");
    assert_eq!(vm.next(0), Next::Run);
    assert!(vm.order(VmEvent::Checkpoint) && vm.order(VmEvent::RollBack));
}

#[test]
fn one_that_is_gone_does_not_come_back() {
    let (_, vm) = kept();
    vm.order(VmEvent::End);
    assert_eq!([0, 1].map(|vcpu| vm.next(vcpu)), [Next::Wait; 2]);
    assert_eq!(vm.next(2), Next::Change(Change::End));
    make(vm, Change::End);
    assert!(!vm.order(VmEvent::RollBack));
    assert_eq!([0, 1, 2].map(|vcpu| vm.next(vcpu)), [Next::Wait; 3]);
}

#[test]
fn a_crash_leaves_what_was_kept_before() {
    let (_, vm) = kept();
    vm.crashed();
    vm.order(VmEvent::Checkpoint);
    assert_eq!([0, 1].map(|vcpu| vm.next(vcpu)), [Next::Wait; 2]);
    assert_eq!(vm.next(2), Next::Change(Change::Crash));
    vm.becomes(Place::On);
    vm.changed(Some(FIRST));
    assert_eq!([0, 0].map(|vcpu| vm.next(vcpu)), [Next::Start(FIRST), Next::Run]);
}

/// Where the VM ends up, by who asks: each sees what was asked before as done.
fn follow(state: VmState, event: VmEvent) -> VmState {
    match (state, event) {
        (_, VmEvent::Off) => VmState::Off,
        (VmState::Off, VmEvent::Start) | (VmState::Paused, VmEvent::Resume) => VmState::On,
        (VmState::On, VmEvent::Pause) => VmState::Paused,
        (VmState::Paused, VmEvent::Reset) => VmState::On,
        (VmState::Off, VmEvent::RollBack) => VmState::On,
        _ => state,
    }
}

#[derive(Clone, Debug)]
enum Step {
    Ask(VmEvent),
    /// The vCPU comes out, or its core asks again.
    Leave(usize),
    /// The change in hand is made.
    Make,
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        Just(VmEvent::Off),
        Just(VmEvent::Start),
        Just(VmEvent::Pause),
        Just(VmEvent::Resume),
        Just(VmEvent::Reset),
        Just(VmEvent::Checkpoint),
        Just(VmEvent::RollBack),
    ];
    prop_oneof![
        event.prop_map(Step::Ask),
        (0..3_usize).prop_map(Step::Leave),
        (0..3_usize).prop_map(Step::Leave),
        Just(Step::Make),
    ]
}

struct Cores {
    vm: &'static Vm,
    inside: [bool; 3],
    in_hand: Option<Change>,
    /// It was asked to start anew and has not yet.
    owed: bool,
}

impl Cores {
    fn leave(&mut self, vcpu: usize) {
        self.inside[vcpu] = false;
        match self.vm.next(vcpu) {
            Next::Run => self.inside[vcpu] = true,
            Next::Start(_) | Next::Resume => assert_eq!(self.in_hand, None),
            Next::Change(change) => {
                assert_eq!((self.inside, self.in_hand), ([false; 3], None), "{change:?}");
                self.in_hand = Some(change);
            }
            Next::Save | Next::Restore => unreachable!("`make` has them served"),
            Next::Wait => {}
        }
        assert!(self.in_hand.is_none() || self.inside == [false; 3]);
    }

    fn make(&mut self) {
        let Some(change) = self.in_hand.take() else { return };
        if matches!(change, Change::Start | Change::Reset) {
            self.owed = false;
            // Its first vCPU starts the others.
            for vcpu in 1..3 {
                VcpuControl::start(self.vm, vcpu, 0x1000, 0);
            }
        }
        make(self.vm, change);
    }
}

proptest! {
    #[test]
    fn nothing_that_is_asked_for_is_lost(steps in prop::collection::vec(step(), 0..60)) {
        let (vm, _) = vm(Fake::new(), 3);
        let in_hand = Some(Change::Start);
        let mut cores = Cores { vm, inside: [false; 3], in_hand, owed: true };
        vm.may_keep();
        vm.order(VmEvent::Checkpoint);
        for vcpu in (0..3).cycle().take(30) {
            cores.make();
            cores.leave(vcpu);
        }
        prop_assert_eq!((vm.state(), cores.inside), (VmState::On, [true; 3]));
        let mut wanted = VmState::On;
        for step in steps {
            match step {
                Step::Ask(event) => {
                    let anew = match event {
                        VmEvent::Start => wanted == VmState::Off,
                        VmEvent::Reset => wanted != VmState::Off,
                        _ => false,
                    };
                    let undone = matches!(event, VmEvent::Off | VmEvent::RollBack);
                    cores.owed = (cores.owed || anew) && !undone;
                    wanted = follow(wanted, event);
                    vm.order(event);
                }
                Step::Leave(vcpu) => cores.leave(vcpu),
                Step::Make => cores.make(),
            }
        }
        for vcpu in (0..3).cycle().take(60) {
            cores.leave(vcpu);
            cores.make();
        }
        prop_assert_eq!(vm.state(), wanted);
        prop_assert!(!cores.owed, "it did not start anew");
        prop_assert_eq!(cores.inside, [wanted == VmState::On; 3]);
    }
}

/// The same by cores at once, each of which asks only when it is told to.
#[test]
fn cores_that_park_at_once_leave_one_to_make_the_change() {
    const ORDERS: u32 = 3_000;
    static INSIDE: AtomicU32 = AtomicU32::new(0);
    static MADE: AtomicU32 = AtomicU32::new(0);
    let host = Fake::new();
    let (vm, words) = vm(host, 2);
    VcpuControl::start(vm, 1, 0x1000, 0);
    vm.changed(Some(FIRST));
    let cores = words.into_iter().enumerate().map(|(index, word)| {
        thread::spawn(move || {
            loop {
                match vm.next(index) {
                    Next::Run => {
                        INSIDE.fetch_add(1, Ordering::SeqCst);
                        while word.load(Ordering::SeqCst) & Attention::LEAVE == 0 {
                            thread::yield_now();
                        }
                        INSIDE.fetch_sub(1, Ordering::SeqCst);
                        word.store(0, Ordering::SeqCst);
                    }
                    Next::Change(change) => {
                        assert_eq!(INSIDE.load(Ordering::SeqCst), 0, "{change:?}");
                        if matches!(change, Change::Reset | Change::Start) {
                            VcpuControl::start(vm, 1, 0x1000, 0);
                        }
                        MADE.fetch_add(1, Ordering::SeqCst);
                        make(vm, change);
                    }
                    Next::Wait if vm.is_gone() && vm.state() == VmState::Off => return,
                    Next::Wait => thread::yield_now(),
                    Next::Start(_) | Next::Resume | Next::Save | Next::Restore => {}
                }
            }
        })
    });
    let cores: Vec<_> = cores.collect();
    vm.keep();
    let events = [VmEvent::Pause, VmEvent::Reset, VmEvent::Resume, VmEvent::Off, VmEvent::Start];
    let mut wanted = VmState::On;
    for n in 0..ORDERS {
        let event = events[(n.wrapping_mul(2_654_435_761) >> 16) as usize % events.len()];
        wanted = follow(wanted, event);
        vm.order(event);
        if n % 7 == 0 {
            while vm.state() == VmState::Changing {
                thread::yield_now();
            }
            assert_eq!(vm.state(), wanted, "after order {n}, {event:?}");
        }
    }
    vm.order(VmEvent::End);
    cores.into_iter().for_each(|core| core.join().unwrap());
    assert!(MADE.load(Ordering::SeqCst) > ORDERS / 7);
}
