//! Level lines: told by several cores, and shared by several devices.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod orders;

use evisor_contract::{
    Capability, Context, Line, LineState, Notify, NotifyPort, Object, ObjectPort, Parts, Reply,
    Restore, RestoreError, Rights, Save, Status, Words,
};
use evisor_router::{Delivery, Gate, deliver};
use orders::Turns;
use proptest::prelude::*;
use std::sync::Mutex;
use std::thread;

/// The line's number at the controller.
const LINE: u32 = 158;

/// An interrupt controller as far as one line goes: its level, and how often it was
/// told of one.
#[derive(Default)]
struct Controller {
    up: bool,
    told: usize,
}

impl Object for Controller {
    fn reset(&mut self) {
        *self = Self::default();
    }
}

impl Notify for Controller {
    fn notify(&mut self, tag: u32, value: u64, _: &mut Context) -> Reply {
        assert_eq!(tag, LINE);
        self.up = match LineState::decode(value) {
            LineState::High => true,
            LineState::Low => false,
            other => panic!("{other:?}"),
        };
        self.told += 1;
        Reply::DONE
    }
}

/// A port at which other cores may come first, before and after.
struct Paused {
    port: &'static dyn NotifyPort,
    turns: &'static Turns,
}

impl NotifyPort for Paused {
    extern "C" fn notify(&self, tag: u32, value: u64, cx: &mut Context) -> Words {
        self.turns.pause(cx.core());
        let reply = self.port.notify(tag, value, cx);
        self.turns.pause(cx.core());
        reply
    }
}

/// Devices behind their locks, one line, and its controller.
struct World {
    devices: Vec<Mutex<Device>>,
    controller: &'static dyn ObjectPort,
}

struct Device {
    line: Line,
    up: bool,
}

fn line(port: &'static dyn NotifyPort, tag: u32) -> Line {
    let capability = Capability::new(port, Rights::INTERRUPT, u64::from(tag));
    Line::new(Box::leak(Box::new(capability)), tag)
}

impl World {
    /// `count` devices on the line, through a gate if there are several; those in `up`
    /// have it up. With `turns`, every notification is a place to pause at.
    fn new(count: u32, up: u32, turns: Option<&'static Turns>) -> Self {
        let paused = |port: &'static dyn NotifyPort| match turns {
            Some(turns) => &*Box::leak(Box::new(Paused { port, turns })),
            None => port,
        };
        let controller = Parts::new(Controller::default()).notify().done();
        let output = line(paused(controller.notify.unwrap()), LINE);
        let gate = (count > 1).then(|| Parts::new(Gate::new(output, count)).notify().done());
        let input = gate.as_ref().map(|gate| paused(gate.notify.unwrap()));
        let line = |n| input.map_or(output, |port| line(port, n));
        let device = |n| Mutex::new(Device { line: line(n), up: false });
        let world =
            Self { devices: (0..count).map(device).collect(), controller: controller.object };
        // Before anybody pauses.
        let (gate, controller) = (gate.and_then(|gate| gate.notify), controller.notify.unwrap());
        for n in (0..u32::BITS.min(count)).filter(|n| up >> n & 1 != 0) {
            let cx = &mut Context::new(0);
            let mut device = world.devices[n as usize].lock().unwrap();
            device.up = true;
            device.line.set(true, cx);
            let effect = cx.pop().unwrap();
            let (port, tag) = gate.map_or((controller, LINE), |gate| (gate, effect.tag));
            let _: Words = port.notify(tag, 1, cx);
            cx.pop().map(|_| controller.notify(LINE, 1, cx));
        }
        world
    }

    /// What an exit does: the device under its lock, then what it asked for.
    fn say(&self, device: usize, up: bool, cx: &mut Context) {
        let mut device = self.devices[device].lock().unwrap();
        device.up = up;
        device.line.set(up, cx);
        drop(device);
        assert!(matches!(deliver(cx), Delivery::Done));
    }

    fn controller(&self) -> (bool, usize) {
        let mut seen = None;
        self.controller.with(&mut |object| {
            let controller = object.downcast_ref::<Controller>().unwrap();
            seen = Some((controller.up, controller.told));
        });
        seen.unwrap()
    }

    /// The line is up if and only if a device says so.
    fn check(&self) {
        let up = self.devices.iter().any(|device| device.lock().unwrap().up);
        assert_eq!(self.controller().0, up);
    }
}

/// All orders of what cores say, each in turn, of devices of which `up` begin so.
fn orders(devices: u32, up: u32, cores: &[&[(usize, bool)]]) -> usize {
    orders::all(
        cores.len(),
        |turns| (turns, World::new(devices, up, Some(turns))),
        |(turns, world), core| {
            let cx = &mut Context::new(core as u16);
            for (n, &(device, up)) in cores[core].iter().enumerate() {
                if n > 0 {
                    turns.pause(core);
                }
                world.say(device, up, cx);
            }
        },
        |(_, world)| world.check(),
    )
}

const UP: bool = true;
const DOWN: bool = false;

#[test]
fn a_line_is_as_its_device_said_last_in_whatever_order_cores_deliver() {
    for up in [0, 1] {
        let two = orders(1, up, &[&[(0, UP), (0, DOWN)], &[(0, UP)]]);
        assert!(two >= 84, "{two}");
    }
}

#[test]
fn a_shared_line_is_up_while_a_device_says_so_in_whatever_order_cores_deliver() {
    let cases = [
        (0, (0, UP), (1, UP)),
        (1, (0, DOWN), (1, UP)),
        (1, (0, DOWN), (0, UP)),
        (3, (0, DOWN), (1, DOWN)),
    ];
    for (up, one, other) in cases {
        let orders = orders(2, up, &[&[one], &[other]]);
        assert!(orders >= 20, "{orders}");
    }
}

#[test]
fn a_device_goes_up_and_down_while_another_goes_up_in_whatever_order() {
    let orders = orders(2, 0, &[&[(0, UP), (0, DOWN)], &[(1, UP)]]);
    assert!(orders >= 1000, "{orders}");
}

#[test]
fn cores_that_all_use_one_line_leave_it_right() {
    const CORES: usize = 4;
    for round in 0..200 {
        let world = World::new(2, 0, None);
        thread::scope(|scope| {
            for core in 0..CORES {
                let world = &world;
                scope.spawn(move || {
                    let cx = &mut Context::new(core as u16);
                    for n in 0..50 {
                        world.say((core + n) % 2, (core + n + round) % 3 == 0, cx);
                    }
                });
            }
        });
        world.check();
    }
}

proptest! {
    /// One core: after each word the controller has heard of every change and of
    /// nothing else, and of no input but its own.
    #[test]
    fn a_gate_is_an_or(
        devices in 2_u32..=Gate::MOST,
        says in prop::collection::vec((0..Gate::MOST as usize, any::<bool>()), 0..100),
    ) {
        let world = World::new(devices, 0, None);
        let cx = &mut Context::new(0);
        let mut changes = 0;
        for (device, up) in says {
            let was = world.controller().0;
            world.say(device % devices as usize, up, cx);
            let up = world.devices.iter().any(|device| device.lock().unwrap().up);
            changes += usize::from(up != was);
            prop_assert_eq!(world.controller(), (up, changes));
        }
    }
}

/// A gate of two by itself, with what it asks for.
fn gate() -> (Gate, Context) {
    let controller = Parts::new(Controller::default()).notify().done();
    (Gate::new(line(controller.notify.unwrap(), LINE), 2), Context::new(0))
}

fn value(cx: &mut Context) -> Option<u64> {
    cx.pop().map(|effect| effect.value)
}

#[test]
fn a_device_that_is_reset_lowers_its_own_input_only() {
    let (mut gate, mut cx) = gate();
    let cx = &mut cx;
    assert_eq!(gate.notify(0, 1, cx), Reply::DONE);
    assert_eq!(value(cx), Some(1));
    let _: Reply = gate.notify(1, 1, cx);
    let _: Reply = gate.notify(1, 1, cx);
    let _: Reply = gate.notify(0, 0, cx);
    assert_eq!(value(cx), None);
    let _: Reply = gate.notify(1, 0, cx);
    assert_eq!(value(cx), Some(0));
}

#[test]
fn a_gate_has_no_other_inputs_and_passes_no_edges() {
    let (mut gate, mut cx) = gate();
    let physical = LineState::Physical(40).encode();
    for (tag, value) in [(2, 1), (64, 1), (u32::MAX, 0), (0, 2), (1, physical)] {
        assert_eq!(gate.notify(tag, value, &mut cx).status, Status::Absent);
    }
    assert_eq!(cx.queued(), 0);
}

#[test]
fn a_gate_is_reset_saved_and_restored() {
    let (mut first, mut cx) = gate();
    let cx = &mut cx;
    let _: Reply = first.notify(1, 1, cx);
    let _ = cx.pop();
    let mut saved = Save::default();
    first.save(&mut saved);
    let saved = saved.into_bytes();
    let (mut second, _) = gate();
    second.restore(&mut Restore::new(&saved)).unwrap();
    // The controller's level is restored with the controller: nobody is told.
    let _: Reply = second.notify(0, 1, cx);
    assert_eq!(value(cx), None);
    second.reset();
    let _: Reply = second.notify(0, 1, cx);
    assert_eq!(value(cx), Some(1));

    let mut third = saved;
    *third.last_mut().unwrap() = 0x80;
    assert_eq!(second.restore(&mut Restore::new(&third)), Err(RestoreError::Impossible));
    assert_eq!(second.restore(&mut Restore::new(&third[..5])), Err(RestoreError::Truncated));
}
