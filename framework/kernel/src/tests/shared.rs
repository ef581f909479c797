//! A core that is shared: no wake-up is lost.

use super::Fake;
use crate::host::Host;
use crate::life::Change;
use crate::shared::SharedCore;
use crate::timers::Timers;
use crate::vm::{Attention, Entry, Next, Vm};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use evisor_contract::{Context, Notify, VcpuControl, VmEvent, tag};
use std::thread;

const FIRST: Entry = Entry { pc: 0x4000_0000, x0: 7 };
const SECOND: Entry = Entry { pc: 0x1000, x0: 5 };

struct Rig {
    host: &'static Fake,
    vm: &'static Vm,
    core: &'static SharedCore,
    words: Vec<&'static AtomicU32>,
}

/// A VM with both of its vCPUs on core 0, started.
fn rig() -> Rig {
    let host = Fake::new();
    let cpus = [(0, 0), (1, 0)].into_iter();
    let vm: &'static Vm = Box::leak(Box::new(Vm::new(0, "test".to_string(), cpus, 0, host)));
    let core: &'static SharedCore = Box::leak(Box::new(SharedCore::new(0, 2)));
    let words: Vec<&'static AtomicU32> =
        (0..2).map(|_| &*Box::leak(Box::new(AtomicU32::new(0)))).collect();
    for (index, word) in words.iter().enumerate() {
        vm.connect(index, word);
        vm.share(index, core, index);
    }
    vm.changed(Some(FIRST));
    VcpuControl::start(vm, 1, SECOND.pc, SECOND.x0);
    core.look();
    for (index, entry) in [FIRST, SECOND].into_iter().enumerate() {
        assert!(vm.is_asked(index));
        assert_eq!(vm.next(index), Next::Start(entry));
        assert_eq!(vm.next(index), Next::Run);
        vm.seat(index).unwrap().came_out();
    }
    host.kicked.lock().clear();
    Rig { host, vm, core, words }
}

#[test]
fn who_wakes_another_member_has_the_core_choose() {
    let Rig { host, vm, core, words } = rig();
    assert_eq!(vm.next(0), Next::Run);
    assert!(core.enter(0));
    vm.kick(1);
    assert_eq!(words[1].load(Ordering::Relaxed), Attention::REFRESH);
    assert_eq!(words[0].load(Ordering::Relaxed), Attention::LEAVE, "who is inside comes out");
    assert_eq!(*host.kicked.lock(), [0]);
    core.leave();
    assert!(!core.enter(1), "it is to look first");
    core.look();
    assert!(core.enter(1));
}

#[test]
fn who_is_inside_is_told_directly() {
    let Rig { host, vm, core, words } = rig();
    assert_eq!(vm.next(1), Next::Run);
    assert!(core.enter(1));
    vm.kick(1);
    assert_eq!(words[1].load(Ordering::Relaxed), Attention::REFRESH);
    assert_eq!(*host.kicked.lock(), [0]);
    core.leave();
    assert!(core.enter(1), "there is nothing to choose");
}

#[test]
fn a_change_asks_every_member() {
    let Rig { vm, core, words, .. } = rig();
    core.look();
    assert_eq!(vm.next(0), Next::Run);
    vm.request(VmEvent::Reset);
    assert!(vm.is_asked(1));
    assert_eq!(vm.next(1), Next::Wait, "the first is in its guest");
    assert!(vm.has_left(1));
    assert!(!vm.has_left(1), "once");
    assert_eq!(vm.next(1), Next::Wait);
    assert!(!vm.is_asked(1));
    assert_eq!(words[1].load(Ordering::Relaxed) & Attention::LEAVE, 0);
    vm.seat(0).unwrap().came_out();
    assert_eq!(vm.next(0), Next::Change(Change::Reset));
    vm.changed(Some(FIRST));
    assert!(!core.enter(0), "it looks again");
    assert!(vm.is_asked(0));
    assert!(!vm.is_asked(1), "it is off");
}

#[test]
fn who_goes_on_is_in_its_guest() {
    let Rig { vm, .. } = rig();
    let [first, second] = [0, 1].map(|index| vm.seat(index).unwrap());
    assert!(first.goes_on());
    vm.request(VmEvent::Off);
    assert!(!second.goes_on(), "there is something to ask");
    assert_eq!(vm.next(1), Next::Wait, "the first is in its guest");
    first.came_out();
    assert!(!first.goes_on());
    assert_eq!(vm.next(0), Next::Change(Change::Off));
}

#[test]
fn who_is_asked_looks_even_out_of_turn() {
    let Rig { vm, core, words, .. } = rig();
    assert!(!core.look());
    vm.ask(1);
    assert_eq!(words[1].load(Ordering::Relaxed), Attention::REFRESH | Attention::ANSWER);
    assert!(!core.enter(0));
    assert!(core.look());
    core.answer();
    assert!(!core.look());
}

#[test]
fn times_add_up() {
    let Rig { vm, .. } = rig();
    let seat = vm.seat(1).unwrap();
    seat.account(10, 3);
    seat.account(20, 0);
    assert_eq!((vm.times(0), vm.times(1), vm.times(2)), ((0, 0), (30, 3), (0, 0)));
}

/// A core's own deadline has it choose, once.
#[test]
fn a_cores_deadline() {
    let host = Fake::new();
    let mut timers = Timers::new(host);
    let slot = timers.add(None, 0);
    let mut cx = Context::new(0);
    let _ = timers.notify(slot, 100, &mut cx);
    assert_eq!(host.timer.load(Ordering::Relaxed), 100);
    for (now, attention, timer) in [(99, 0, 100), (100, Attention::LEAVE, u64::MAX)] {
        host.now.store(now, Ordering::Relaxed);
        let _ = timers.notify(tag::HOST_INTERRUPT, 0, &mut cx);
        assert_eq!(cx.attention.load(Ordering::Relaxed), attention);
        assert_eq!(host.timer.load(Ordering::Relaxed), timer);
    }
    assert!(!host.is_here(0));
}

/// Another core wakes the members by turns while this one runs whoever has something to
/// do, and sleeps for ever if nobody has: each wake-up is seen before that.
#[test]
fn no_wake_up_is_lost() {
    const TIMES: u32 = 20_000;
    let Rig { host, vm, core, words } = rig();
    static DONE: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
    let waker = thread::spawn(move || {
        for n in 0..TIMES {
            for (member, done) in DONE.iter().enumerate() {
                vm.kick(member);
                // The interrupt that was sent comes; if none was, the core saw it itself.
                while done.load(Ordering::SeqCst) <= n {
                    thread::yield_now();
                }
            }
        }
    });
    // What a physical interrupt is: seen by the core that waits or is in a guest.
    let interrupted = || host.kicked.lock().pop().is_some();
    let finished = || DONE.iter().all(|done| done.load(Ordering::SeqCst) == TIMES);
    while !finished() {
        let _ = core.look();
        let awake = (0..2).find(|member| words[*member].load(Ordering::SeqCst) != 0);
        let Some(member) = awake else {
            while !interrupted() && !finished() {
                thread::yield_now();
            }
            continue;
        };
        assert_eq!(vm.next(member), Next::Run);
        if core.enter(member) {
            // In its guest until there is something to do, as `resume` looks.
            while words[member].load(Ordering::SeqCst) == 0 {
                thread::yield_now();
            }
            let seen = words[member].swap(0, Ordering::SeqCst);
            core.leave();
            if seen & Attention::REFRESH != 0 {
                DONE[member].fetch_add(1, Ordering::SeqCst);
            }
        }
        vm.seat(member).unwrap().came_out();
    }
    waker.join().unwrap();
}
