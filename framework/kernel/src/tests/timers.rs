//! Deadlines in front of one timer.

use super::Fake;
use crate::timers::Timers;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use evisor_contract::{
    Capability, Context, EFFECTS, Notify, NotifyPort, Object, Parts, Reply, Rights, tag,
};
use evisor_router::deliver;

/// Remembers when it was told.
#[derive(Default)]
struct Waiter {
    told: Vec<u64>,
}

impl Object for Waiter {
    fn reset(&mut self) {}
}

impl Notify for Waiter {
    fn notify(&mut self, tag: u32, value: u64, _: &mut Context) -> Reply {
        assert_eq!(tag, tag::DEADLINE);
        self.told.push(value);
        Reply::DONE
    }
}

struct Rig {
    host: &'static Fake,
    timers: Timers,
    waiters: Vec<Parts>,
    cx: Context,
}

impl Rig {
    fn new(offsets: &[u64]) -> Self {
        let host = Fake::new();
        let mut timers = Timers::new(host);
        let mut waiters = Vec::new();
        for &offset in offsets {
            let parts = Parts::new(Waiter::default()).notify().done();
            let port: &'static dyn NotifyPort = parts.notify.unwrap();
            let slot = timers.add(Some(waiters.len() as u16), offset);
            timers.connect(slot, Box::leak(Box::new(Capability::new(port, Rights::CALL, 0))));
            waiters.push(parts);
        }
        Self { host, timers, waiters, cx: Context::new(0) }
    }

    fn set(&mut self, slot: u32, count: u64) {
        assert_eq!(self.timers.notify(slot, count, &mut self.cx), Reply::DONE);
    }

    fn at(&mut self, now: u64) {
        self.host.now.store(now, Ordering::Relaxed);
        assert_eq!(self.timers.notify(tag::HOST_INTERRUPT, 0, &mut self.cx), Reply::DONE);
        let _ = deliver(&mut self.cx);
    }

    fn armed(&self) -> u64 {
        self.host.timer.load(Ordering::Relaxed)
    }

    fn told(&self, waiter: usize) -> Vec<u64> {
        let mut told = Vec::new();
        self.waiters[waiter].object.with(&mut |object| {
            told = core::mem::take(&mut object.downcast_mut::<Waiter>().unwrap().told);
        });
        told
    }
}

#[test]
fn the_earliest_is_armed_and_each_is_told_in_its_vms_time() {
    let mut rig = Rig::new(&[0, 1000]);
    rig.set(0, 500);
    assert_eq!(rig.armed(), 500);
    rig.set(1, 50);
    assert_eq!(rig.armed(), 500, "1050 by the host's count is later");
    rig.at(500);
    assert_eq!((rig.told(0), rig.told(1)), (Vec::from([500]), Vec::new()));
    assert_eq!(rig.armed(), 1050);
    rig.at(1060);
    assert_eq!(rig.told(1), [60]);
    assert_eq!(rig.armed(), u64::MAX);
}

#[test]
fn one_that_was_withdrawn_is_not_told() {
    let mut rig = Rig::new(&[0]);
    rig.set(0, 100);
    rig.set(0, u64::MAX);
    rig.at(100);
    assert_eq!(rig.told(0), []);
}

#[test]
fn nobody_has_that_slot() {
    let mut rig = Rig::new(&[0]);
    assert_eq!(rig.timers.notify(1, 5, &mut rig.cx), Reply::ABSENT);
}

#[test]
fn more_than_the_queue_holds_are_told_the_next_time() {
    let many = EFFECTS + 3;
    let mut rig = Rig::new(&[0].repeat(many));
    for slot in 0..many {
        rig.set(slot as u32, 10);
    }
    rig.at(10);
    assert_eq!(rig.armed(), 10, "at once again for the rest");
    rig.at(11);
    assert!((0..many).all(|waiter| rig.told(waiter).len() == 1));
}

/// Past the host's last count is never; wrapped around it would be due at once,
/// and again whenever it is asked for.
#[test]
fn a_count_that_never_comes_is_never() {
    let mut rig = Rig::new(&[1000]);
    rig.set(0, u64::MAX - 10);
    rig.at(2000);
    assert_eq!(rig.told(0), []);
    assert_eq!(rig.armed(), u64::MAX);
}

#[test]
fn each_core_is_told_of_what_was_asked_for_on_it() {
    let mut rig = Rig::new(&[0, 0]);
    rig.set(0, 100);
    rig.cx = Context::new(0).on_core(1);
    rig.set(1, 200);
    assert_eq!(rig.armed(), 200, "core 1 has a timer of its own");
    rig.at(300);
    assert_eq!((rig.told(0), rig.told(1)), (Vec::new(), Vec::from([300])));
    rig.cx = Context::new(0);
    rig.at(301);
    assert_eq!(rig.told(0), [301]);
}

/// A machine whose interrupt controller has to be looked after is, deadline or not.
#[test]
fn the_timer_comes_at_the_latest_after_a_tick() {
    let mut rig = Rig::new(&[0]);
    rig.host.tick.store(50, Ordering::Relaxed);
    rig.at(100);
    assert_eq!(rig.armed(), 150, "nobody asked for anything");
    rig.set(0, 120);
    assert_eq!(rig.armed(), 120);
    rig.at(120);
    assert_eq!((rig.told(0), rig.armed()), (Vec::from([120]), 170));
    rig.set(0, 1000);
    rig.at(170);
    assert_eq!((rig.told(0), rig.armed()), (Vec::new(), 220));
}

#[test]
fn a_vm_that_stands_still_is_not_told_and_its_deadlines_are_later() {
    let mut rig = Rig::new(&[100, 0]);
    rig.set(0, 400);
    rig.set(1, 700);
    rig.at(200);
    rig.timers.hold(0);
    rig.at(600);
    assert_eq!(rig.told(0), [], "its VM stands still");
    assert_eq!(rig.armed(), 700, "the other's");
    rig.at(700);
    assert_eq!((rig.told(0), rig.told(1)), (Vec::new(), Vec::from([700])));
    // From 200 to 1000.
    rig.host.now.store(1000, Ordering::Relaxed);
    rig.timers.release(0, 800, 0);
    assert_eq!(rig.armed(), 1300);
    rig.at(1300);
    assert_eq!(rig.told(0), [400], "by the count that it reads");
    rig.set(0, 500);
    assert_eq!(rig.armed(), 1400);
}

#[test]
fn what_is_set_while_it_stands_still_passes_when_it_goes_on() {
    let mut rig = Rig::new(&[0]);
    rig.set(0, 5000);
    rig.timers.hold(0);
    rig.cx = Context::new(0).on_core(1);
    rig.set(0, 300);
    rig.at(400);
    assert_eq!(rig.told(0), []);
    rig.timers.release(0, 400, 0);
    rig.cx = Context::new(0);
    assert_eq!(rig.armed(), 300, "on the core that it goes on on");
    rig.at(401);
    assert_eq!(rig.told(0), [1]);
}
