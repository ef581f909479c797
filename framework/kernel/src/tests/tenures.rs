//! A device of the board among several VMs, whatever is asked of it and of them and whenever
//! their vCPUs come and go, beside a model of it.

use super::Fake;
use super::passed::deployment;
use super::tenure::{ALONE, INTID, call, noted, reaches, tenant_with};
use crate::host::Host;
use crate::life::Change;
use crate::{Bound, Entry, Next, Pages, bind};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use evisor_contract::abi::{Error, device, function};
use evisor_contract::{Context, LineState, Reply, Rights, Status, VmEvent, VmState};
use evisor_manifest::{CapabilitiesPlan, GivenPlan, Target, VmPlan};
use proptest::prelude::*;
use spin::{Mutex, MutexGuard};

const VMS: usize = 3;
const FIRST: Entry = Entry { pc: 1 << 30, x0: 0 };
/// The line of the first VM's controller, and of the others' behind it.
const LINE: u32 = 40;

/// What the VMs' interrupt controllers know.
struct Controllers {
    /// Whose list register has the interrupt.
    with: Option<usize>,
    /// Whose vCPU is in its guest, and so has its list registers.
    inside: [bool; VMS],
    /// Whose line was told of it last.
    told: Option<usize>,
}

const NOTHING: Controllers = Controllers { with: None, inside: [false; VMS], told: None };
static CONTROLLERS: Mutex<Controllers> = Mutex::new(NOTHING);

fn number(line: u32) -> usize {
    (line - LINE) as usize
}

controller!(|tag, value| {
    let mut all = CONTROLLERS.lock();
    if value != LineState::RETIRE {
        assert_eq!(value, LineState::Physical(INTID as u16).encode());
        all.told = Some(number(tag));
        return Reply::HELD;
    }
    if all.with != Some(number(tag)) {
        return Reply::value(0);
    }
    if all.inside[number(tag)] {
        return Reply::AGAIN;
    }
    all.with = None;
    Reply::value(1)
});

static SHOWN: [AtomicBool; VMS] = [const { AtomicBool::new(true) }; VMS];

struct Shown(usize);

impl Pages for Shown {
    fn hide(&self) {
        SHOWN[self.0].store(false, Ordering::Relaxed);
    }
    fn show(&self) {
        SHOWN[self.0].store(true, Ordering::Relaxed);
    }
}

/// What can happen, to a VM.
#[derive(Clone, Copy, Debug)]
enum Event {
    Take,
    Give,
    /// Its vCPU leaves its guest.
    Leave,
    /// It goes into it, or its core does what was asked of its VM.
    Enter,
    /// Its guest ends the interrupt that it has.
    End,
    Asked(VmEvent),
}

#[derive(Clone, Copy, Debug)]
enum Step {
    To(usize, Event),
    /// A core takes the device's interrupt, and the machine's interrupts say where it goes.
    Taken,
    Arrives,
}

fn steps() -> impl Strategy<Value = Step> {
    let asked = prop_oneof![
        Just(VmEvent::Off),
        Just(VmEvent::Start),
        Just(VmEvent::Reset),
        Just(VmEvent::Pause),
        Just(VmEvent::Resume),
    ];
    let event = prop_oneof![
        2 => Just(Event::Take),
        3 => Just(Event::Give),
        2 => Just(Event::Leave),
        4 => Just(Event::Enter),
        1 => Just(Event::End),
        2 => asked.prop_map(Event::Asked),
    ];
    let to = (0..VMS, event).prop_map(|(vm, event)| Step::To(vm, event));
    prop_oneof![12 => to, 2 => Just(Step::Taken), 2 => Just(Step::Arrives)]
}

struct World {
    bound: Bound,
    host: &'static Fake,
    handles: Vec<u64>,
    holder: Option<usize>,
    /// Whose core the interrupt comes to, and whether that is on its way with it: then it
    /// does nothing else.
    led: usize,
    on_its_way: bool,
    /// Whose first vCPU starts anew.
    fresh: [bool; VMS],
    _alone: MutexGuard<'static, ()>,
}

impl World {
    fn new() -> Self {
        let alone = ALONE.lock();
        *CONTROLLERS.lock() = NOTHING;
        SHOWN.iter().for_each(|shown| shown.store(true, Ordering::Relaxed));
        let given = |vm| GivenPlan {
            path: "/0/capabilities/one".to_string(),
            target: Target::Object { vm, object: 1 },
            rights: Rights::READ | Rights::CONTROL,
            label: vm as u64,
            withheld: vm != 0,
            blocks: None,
        };
        let path = "/0/capabilities".to_string();
        let given = (0..VMS).map(given).collect();
        let mut capabilities = Some(CapabilitiesPlan { path, derivations: 0, given });
        let plans = (0..VMS).map(|n| VmPlan {
            capabilities: capabilities.take(),
            ..tenant_with(&CONTROLLER, &n.to_string(), n, LINE + n as u32)
        });
        let host = Fake::new();
        let bound = bind(&deployment(plans.collect()), host).expect("sound");
        for (n, one) in bound.vms.iter().enumerate() {
            let pages = Box::leak(Box::new(Shown(n)));
            one.passed.tenures.iter().for_each(|tenure| tenure.shown_by(pages));
            one.vm.changed(Some(FIRST));
        }
        let next = |last: &u64| Some(call(&bound, function::NEXT, &[*last])[1]);
        let handles = core::iter::successors(next(&0), next).take(VMS).collect();
        let fresh = [true; VMS];
        Self {
            bound,
            host,
            handles,
            holder: Some(0),
            led: 0,
            on_its_way: false,
            fresh,
            _alone: alone,
        }
    }

    fn ask(&self, vm: usize, operation: u32) -> Result<(), Error> {
        let [x0, ..] = call(&self.bound, function::INVOKE, &[self.handles[vm], operation.into()]);
        Error::of(x0).map_or(Ok(()), Err)
    }

    fn state(&self, vm: usize) -> VmState {
        self.bound.vms[vm].vm.state()
    }

    fn is_enabled(&self) -> bool {
        let all = self.host.interrupts.lock();
        let mut turns =
            all.iter().rev().filter(|(what, _)| matches!(*what, "allowed" | "disabled"));
        turns.next().is_some_and(|(what, _)| *what == "allowed")
    }

    /// Who may have it is asked of nobody but the model.
    fn may_have(&self, vm: usize) -> Result<(), Error> {
        if self.holder.is_some() {
            return Err(Error::WrongState);
        }
        let off = |vm| matches!(self.state(vm), VmState::Off | VmState::Crashed);
        let all = CONTROLLERS.lock();
        let kept = all.with.is_some_and(|with| all.inside[with] && !off(with));
        match self.state(vm) == VmState::Changing || kept || self.on_its_way {
            true => Err(Error::Busy),
            false => Ok(()),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::To(vm, Event::Enter | Event::End | Event::Leave)
                if self.on_its_way && vm == self.led => {}
            Step::To(vm, event) => self.happens(vm, event),
            Step::Taken => {
                let can = self.is_enabled() && !self.host.in_hand.load(Ordering::Relaxed);
                if can && !self.on_its_way {
                    self.on_its_way = true;
                    self.host.in_hand.store(true, Ordering::Relaxed);
                }
            }
            Step::Arrives if self.on_its_way => self.arrives(),
            Step::Arrives => {}
        }
    }

    /// Whoever is told has the device; if nobody is, the core ends it.
    fn arrives(&mut self) {
        self.on_its_way = false;
        CONTROLLERS.lock().told = None;
        let root = self.bound.root;
        let words = root.interrupts.notify_shared(INTID as usize, &mut Context::new(0));
        let mut all = CONTROLLERS.lock();
        assert_eq!(all.told, self.holder);
        if words.status() == Status::Held {
            all.with = all.told;
            self.host.in_hand.store(true, Ordering::Relaxed);
        } else {
            self.host.in_hand.store(false, Ordering::Relaxed);
        }
    }

    fn happens(&mut self, vm: usize, event: Event) {
        match event {
            Event::Take => {
                let has = self.holder == Some(vm);
                let wanted = if has { Ok(()) } else { Err(Error::WrongState) };
                assert_eq!(self.ask(vm, device::TAKE), wanted);
                self.holder = self.holder.filter(|_| !has);
            }
            Event::Give => {
                let wanted = self.may_have(vm);
                assert_eq!(self.ask(vm, device::GIVE), wanted);
                if wanted.is_ok() {
                    (self.holder, self.led) = (Some(vm), vm);
                    assert_eq!(CONTROLLERS.lock().with, None, "another could end its interrupt");
                    assert!(!self.host.in_hand.load(Ordering::Relaxed));
                }
            }
            Event::Leave => CONTROLLERS.lock().inside[vm] = false,
            Event::Enter if !CONTROLLERS.lock().inside[vm] => self.enter(vm),
            Event::Enter => {}
            Event::End => {
                let mut all = CONTROLLERS.lock();
                if all.inside[vm] && all.with == Some(vm) {
                    all.with = None;
                    self.host.in_hand.store(self.on_its_way, Ordering::Relaxed);
                }
            }
            Event::Asked(event) => {
                self.bound.vms[vm].vm.order(event);
            }
        }
    }

    /// As the machine does it (framework/machine/src/{lives,devices}.rs).
    fn enter(&mut self, vm: usize) {
        let (its, host) = (&self.bound.vms[vm], self.host);
        let path = alloc::format!("/{vm}/device");
        let had = |f: &dyn Fn()| its.passed.while_had(&path, f);
        match its.vm.next(0) {
            Next::Start(_) | Next::Resume | Next::Run => {
                if core::mem::take(&mut self.fresh[vm]) {
                    had(&|| host.allow_interrupt(INTID));
                }
                CONTROLLERS.lock().inside[vm] = true;
            }
            Next::Change(Change::Pause) => {
                had(&|| host.disable_interrupt(INTID));
                its.vm.stop_time();
                its.vm.paused();
            }
            Next::Change(Change::Resume) => {
                if !self.fresh[vm] {
                    had(&|| host.allow_interrupt(INTID));
                }
                its.vm.start_time();
                its.vm.resumed();
            }
            Next::Change(change) => {
                had(&|| host.disable_interrupt(INTID));
                its.passed.reset();
                let mut all = CONTROLLERS.lock();
                all.with = all.with.filter(|with| *with != vm);
                drop(all);
                its.passed.while_had_last(&path, || host.clear_interrupt(INTID));
                let starts = matches!(change, Change::Start | Change::Reset);
                self.fresh[vm] = starts;
                its.vm.changed(starts.then_some(FIRST));
            }
            _ => {}
        }
    }

    fn is_sound(&self) {
        for (vm, shown) in SHOWN.iter().enumerate() {
            let has = self.holder == Some(vm);
            assert_eq!(reaches(&self.bound, vm), has, "by addresses that trap");
            assert_eq!(shown.load(Ordering::Relaxed), has, "by its pages");
            assert_eq!(self.bound.vms[vm].passed.lacks(&alloc::format!("/{vm}/device")), !has);
        }
        match self.holder {
            None => assert!(!self.is_enabled(), "its interrupts are off"),
            Some(vm) if CONTROLLERS.lock().inside[vm] => {
                assert!(self.is_enabled(), "its guest runs");
            }
            Some(vm) => {
                let stands = matches!(self.state(vm), VmState::Off | VmState::Paused);
                assert!(!stands || !self.is_enabled(), "nothing comes to who stands still");
            }
        }
    }

    /// All vCPUs leave their guests, and what was asked for is done.
    fn settle(&mut self) {
        if self.on_its_way {
            self.arrives();
        }
        for vm in 0..VMS {
            CONTROLLERS.lock().inside[vm] = false;
            for _ in 0..8 {
                if self.state(vm) == VmState::Changing {
                    self.enter(vm);
                    CONTROLLERS.lock().inside[vm] = false;
                }
            }
        }
    }
}

proptest! {
    /// It is with one VM at most, nobody else reaches it, its interrupts are off while nobody
    /// has it, and who is told `Busy` is so only as long as there is a reason.
    #[test]
    fn a_device_is_with_who_has_it(all in proptest::collection::vec(steps(), 1..120)) {
        let mut world = World::new();
        for step in all {
            world.step(step);
            world.is_sound();
        }
        world.settle();
        world.is_sound();
        for vm in 0..VMS {
            if let Some(holder) = world.holder {
                world.happens(holder, Event::Take);
            }
            assert_eq!(world.may_have(vm), Ok(()), "nobody has it, and nobody is in the way");
            world.happens(vm, Event::Give);
            world.is_sound();
        }
        noted();
    }
}
