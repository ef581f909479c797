//! Handles against a model: trees of sets, where everything happens at once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use evisor_contract::abi::{DEPTH, Error, Kind, VERSION, function, rights};
use evisor_contract::{
    CallPort, CallRegisters, Capability, Clock, Context, Deadline, Invoke, NotifyPort, Object,
    Parts, Reply, Rights, Status, Through, Words, tag,
};
use evisor_router::{
    Allowance, Behind, Delivery, Derivations, Given, HandlePort, Handles, Narrowing, Sweeping,
    deliver, unfilled,
};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};

const VMS: u16 = 3;
const DERIVATIONS: usize = 6;
const GIVEN: u64 = 2;
const COUNT: u64 = 8;

fn allowances(derivations: usize) -> Vec<Allowance> {
    let given = |vm: u16| {
        let through = Through { rights: Rights::all(), first: 0, count: COUNT };
        (1..=GIVEN).map(move |label| Given { object: vm, through, label }).collect()
    };
    (0..VMS).map(|vm| Allowance { derivations, given: given(vm) }).collect()
}

/// A capability in the model.
#[derive(Clone, Debug)]
struct Known {
    owner: u16,
    holder: u16,
    parent: Option<usize>,
    rights: Rights,
    first: u64,
    count: u64,
    label: u64,
    depth: usize,
    named: bool,
    there: bool,
}

#[derive(Default)]
struct Model {
    known: Vec<Known>,
    /// Every handle that there ever was, whose, and what it named.
    handles: BTreeMap<(u16, u64), usize>,
}

impl Model {
    fn get(&self, vm: u16, handle: u64) -> Option<usize> {
        let at = *self.handles.get(&(vm, handle))?;
        let known = self.known.get(at)?;
        (known.there && known.named).then_some(at)
    }

    fn remove_below(&mut self, at: usize) {
        for child in 0..self.known.len() {
            if self.known[child].parent == Some(at) && self.known[child].there {
                self.known[child].there = false;
                self.remove_below(child);
            }
        }
    }

    fn remove(&mut self, at: usize) {
        self.known[at].there = false;
        self.remove_below(at);
    }

    /// Those that `vm` pays for: named, or something named was derived from them.
    fn used(&self, vm: u16) -> usize {
        let below = |at: usize| {
            (0..self.known.len()).any(|other| {
                let mut up = Some(other);
                while let Some(one) = up.filter(|one| *one != at) {
                    up = self.known[one].parent;
                }
                up == Some(at) && self.known[other].there && self.known[other].named
            })
        };
        let paid = |at: &usize| {
            let known = &self.known[*at];
            known.owner == vm && known.parent.is_some() && known.there
        };
        (0..self.known.len()).filter(paid).filter(|at| below(*at)).count()
    }
}

#[derive(Clone, Debug)]
enum Step {
    Derive { vm: u16, handle: usize, rights: u32, first: u64, count: u64, holder: u16 },
    Revoke { vm: u16, handle: usize },
    Drop { vm: u16, handle: usize },
    Retire { vm: u16 },
    Sweep { most: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (vm, handle) = (0..VMS, 0..64_usize);
    let derive = (0..VMS, 0..64_usize, 0..=rights::ALL, 0..COUNT + 2, 0..4_u64, 0..VMS);
    prop_oneof![
        8 => derive.prop_map(|(vm, handle, rights, first, count, holder)| Step::Derive {
            vm, handle, rights: rights | rights::GRANT, first: first / 3, count, holder
        }),
        3 => (vm.clone(), handle.clone()).prop_map(|(vm, handle)| Step::Revoke { vm, handle }),
        3 => (vm.clone(), handle).prop_map(|(vm, handle)| Step::Drop { vm, handle }),
        1 => vm.prop_map(|vm| Step::Retire { vm }),
        2 => (0..3_usize).prop_map(|most| Step::Sweep { most }),
    ]
}

struct Pair {
    real: Derivations,
    model: Model,
}

impl Pair {
    fn new() -> Self {
        let real = Derivations::new(&allowances(DERIVATIONS)).unwrap();
        let mut new = Self { real, model: Model::default() };
        for vm in 0..VMS {
            for (handle, label) in new.held(vm).into_iter().zip(1..) {
                let at = new.model.known.len();
                new.model.known.push(Known {
                    owner: vm,
                    holder: vm,
                    parent: None,
                    rights: Rights::all(),
                    first: 0,
                    count: COUNT,
                    label,
                    depth: 0,
                    named: true,
                    there: true,
                });
                new.model.handles.insert((vm, handle), at);
            }
        }
        assert_eq!(new.model.known.len() as u64, u64::from(VMS) * GIVEN);
        new
    }

    /// What the real one lists and was not revoked.
    fn held(&self, vm: u16) -> BTreeSet<u64> {
        let (mut at, mut held) = (0, BTreeSet::new());
        while let Some((handle, named)) = self.real.next(vm, at).unwrap() {
            assert_eq!(named.is_some(), self.real.get(vm, handle).is_ok());
            if named.is_some() {
                assert!(held.insert(handle), "it is listed twice");
            }
            at = handle;
        }
        held
    }

    /// One of those that `vm` has or had, or that others have; or nonsense.
    fn handle(&self, number: usize) -> u64 {
        let all: Vec<_> = self.model.handles.keys().collect();
        all.get(number % (all.len() + 1)).map_or(number as u64 * 0x1_0001, |(_, handle)| *handle)
    }

    fn derive(&mut self, vm: u16, handle: u64, narrowing: &Narrowing, holder: u16) {
        let found = self.model.get(vm, handle);
        let real = self.real.derive(vm, handle, narrowing, holder);
        let Narrowing { rights, first, count, label } = *narrowing;
        let wanted = found.ok_or(Error::NoHandle).and_then(|at| {
            let from = self.model.known[at].clone();
            let inside = first < from.count && first + count <= from.count;
            if holder != vm && !from.rights.contains(Rights::GRANT) {
                return Err(Error::NoRight);
            }
            if from.depth == DEPTH {
                return Err(Error::TooDeep);
            }
            if !inside {
                return Err(Error::Outside);
            }
            Ok((at, from))
        });
        match (real, wanted) {
            (Ok(new), Ok((parent, from))) => {
                let count = if count == 0 { from.count - first } else { count };
                let known = Known {
                    owner: vm,
                    holder,
                    parent: Some(parent),
                    rights: from.rights & rights,
                    first: from.first + first,
                    count,
                    label,
                    depth: from.depth + 1,
                    named: true,
                    there: true,
                };
                self.model.known.push(known);
                let at = self.model.known.len() - 1;
                let before = self.model.handles.insert((holder, new), at);
                assert_eq!(before, None, "a handle names another capability");
            }
            (Err(Error::NoQuota), Ok(_)) => assert_eq!(self.model.used(vm), DERIVATIONS),
            // What was revoked and not swept takes room.
            (Err(Error::Busy), Ok(_)) => {
                assert!(self.real.sweep(0));
                assert!(self.model.used(vm) <= DERIVATIONS);
            }
            (real, wanted) => assert_eq!(real.err(), wanted.err()),
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Derive { vm, handle, rights, first, count, holder } => {
                let rights = Rights::from_bits_truncate(rights);
                let label = self.model.known.len() as u64;
                let narrowing = Narrowing { rights, first, count, label };
                self.derive(vm, self.handle(handle), &narrowing, holder);
            }
            Step::Revoke { vm, handle } => {
                let handle = self.handle(handle);
                let found = self.model.get(vm, handle);
                assert_eq!(self.real.revoke(vm, handle).is_ok(), found.is_some());
                found.into_iter().for_each(|at| self.model.remove_below(at));
            }
            Step::Drop { vm, handle } => {
                let handle = self.handle(handle);
                let found = self.model.get(vm, handle);
                // What was revoked may be dropped until it is swept.
                let dropped = self.real.drop(vm, handle);
                assert!(dropped.is_ok() || found.is_none());
                found.into_iter().for_each(|at| self.model.known[at].named = false);
            }
            Step::Retire { vm } => self.retire(vm),
            Step::Sweep { most } => _ = self.real.sweep(most),
        }
    }

    fn retire(&mut self, vm: u16) {
        let mut calls = 0;
        while self.real.retire(vm) {
            calls += 1;
            assert!(calls < 8, "it does not end");
        }
        for at in 0..self.model.known.len() {
            let Known { owner, holder, parent, there, .. } = self.model.known[at];
            match parent {
                None if owner == vm => self.model.remove_below(at),
                Some(_) if there && (owner == vm || holder == vm) => self.model.remove(at),
                _ => {}
            }
        }
        // The manifest's that was dropped has another handle now.
        for handle in self.held(vm) {
            if !self.model.handles.contains_key(&(vm, handle)) {
                let label = self.real.get(vm, handle).unwrap().label;
                let known = self.model.known.iter_mut();
                let mine = |known: &(usize, &mut Known)| {
                    known.1.parent.is_none() && known.1.owner == vm && known.1.label == label
                };
                let (at, known) = known.enumerate().find(mine).unwrap();
                assert!(!known.named);
                known.named = true;
                self.model.handles.values_mut().filter(|old| **old == at).for_each(|old| {
                    *old = usize::MAX;
                });
                self.model.handles.insert((vm, handle), at);
            }
        }
    }

    fn compare(&self) {
        for vm in 0..VMS {
            let model = self.model.handles.keys().filter(|(holder, _)| *holder == vm);
            let model = model.filter(|(_, handle)| self.model.get(vm, *handle).is_some());
            let model: BTreeSet<u64> = model.map(|(_, handle)| *handle).collect();
            assert_eq!(self.held(vm), model);
            for (_, handle) in self.model.handles.keys() {
                let known = self.model.get(vm, *handle).map(|at| &self.model.known[at]);
                let real = self.real.get(vm, *handle).ok();
                let wanted = known.map(|known| {
                    let Known { rights, first, count, label, depth, .. } = *known;
                    (Through { rights, first, count }, label, depth)
                });
                let real = real.map(|real| (real.through, real.label, usize::from(real.depth)));
                assert_eq!(real, wanted);
            }
        }
    }

    /// Nothing is left over once all is swept.
    fn settle(&mut self) {
        let mut most = 1000;
        while self.real.sweep(1) {
            most -= 1;
            assert!(most > 0, "it does not end");
        }
        for vm in 0..VMS {
            let used = self.model.used(vm);
            assert_eq!(self.real.quota(vm), (DERIVATIONS, DERIVATIONS - used), "VM {vm}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn it_is_as_the_model_says(steps in prop::collection::vec(step(), 1..60)) {
        let mut pair = Pair::new();
        for step in &steps {
            pair.step(step);
            pair.compare();
        }
        pair.settle();
        pair.compare();
        for vm in 0..VMS {
            pair.retire(vm);
        }
        pair.settle();
        for vm in 0..VMS {
            prop_assert_eq!(pair.real.quota(vm), (DERIVATIONS, DERIVATIONS));
        }
    }
}

const ALL: Narrowing = Narrowing { rights: Rights::all(), first: 0, count: 0, label: 0 };

fn first(derivations: &Derivations, vm: u16) -> u64 {
    derivations.next(vm, 0).unwrap().unwrap().0
}

#[test]
fn a_chain_ends_and_goes_at_once() {
    let mut derivations = Derivations::new(&allowances(DEPTH + 2)).unwrap();
    let root = first(&derivations, 0);
    let mut at = root;
    for _ in 0..DEPTH {
        at = derivations.derive(0, at, &ALL, 0).unwrap();
    }
    assert_eq!(derivations.derive(0, at, &ALL, 0), Err(Error::TooDeep));
    assert!(!derivations.revoke(0, root).unwrap(), "it is short");
    assert_eq!(derivations.get(0, at), Err(Error::NoHandle));
    assert_eq!(derivations.quota(0), (DEPTH + 2, DEPTH + 2));
}

/// More than one slice: nothing of it can be used from the first one on.
#[test]
fn much_is_revoked_at_once_and_swept_in_slices() {
    const MANY: usize = 1000;
    let mut derivations = Derivations::new(&allowances(MANY)).unwrap();
    let root = first(&derivations, 0);
    let handles: Vec<u64> =
        (0..MANY).map(|n| derivations.derive(0, root, &ALL, n as u16 % VMS).unwrap()).collect();
    assert_eq!(derivations.derive(0, root, &ALL, 0), Err(Error::NoQuota));
    assert!(derivations.revoke(0, root).unwrap());
    for (n, handle) in (0..).zip(&handles) {
        assert_eq!(derivations.get(n % VMS, *handle), Err(Error::NoHandle));
    }
    // What comes meanwhile stays.
    let new = derivations.derive(0, root, &ALL, 1).unwrap();
    let mut slices = 0;
    while derivations.sweep(100) {
        slices += 1;
    }
    assert!(slices >= 9);
    assert!(derivations.get(1, new).is_ok());
    assert_eq!(derivations.quota(0), (MANY, MANY - 1));
}

#[test]
fn a_vm_that_goes_gives_up_all_in_slices() {
    const MANY: usize = 200;
    let mut derivations = Derivations::new(&allowances(MANY)).unwrap();
    let mine = first(&derivations, 0);
    let theirs = first(&derivations, 1);
    for n in 0..MANY {
        let handed = derivations.derive(1, theirs, &ALL, 0).unwrap();
        // The deriver pays, and what it derived from may be dropped.
        let from = if n % 2 == 0 { handed } else { mine };
        let at = derivations.derive(0, from, &ALL, 2).unwrap();
        if n % 4 == 0 {
            derivations.drop(0, handed).unwrap();
        }
        assert!(derivations.get(2, at).is_ok());
    }
    assert_eq!((derivations.quota(0).1, derivations.quota(1).1), (0, 0));
    let mut calls = 1;
    while derivations.retire(0) {
        calls += 1;
    }
    assert!((7..100).contains(&calls), "{calls} calls");
    assert_eq!((derivations.quota(0).1, derivations.quota(1).1), (MANY, MANY));
    let held = |vm| {
        let mut at = 0;
        let next = || derivations.next(vm, at).unwrap().map(|(handle, _)| at = handle);
        std::iter::from_fn(next).count() as u64
    };
    assert_eq!((held(0), held(1), held(2)), (GIVEN, GIVEN, GIVEN));
}

#[test]
fn there_are_no_more_than_handles_can_name() {
    assert!(Derivations::new(&allowances(30_000)).is_none());
    assert!(Derivations::new(&allowances(21_000)).is_some());
}

/// Counts what it is told through windows.
struct Probe {
    invoked: &'static AtomicU64,
    number: u64,
}

impl Object for Probe {
    fn reset(&mut self) {}
}

impl Invoke for Probe {
    fn invoke(
        &mut self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        _: &mut Context,
    ) -> Reply {
        self.invoked.fetch_add(1, Ordering::Relaxed);
        match operation {
            0 => {
                *words = [self.number, through.first + words[0], words[4], 9, 9];
                Reply::DONE
            }
            1 => Reply::value(Error::WrongState.code()),
            2 => Reply::FAILED,
            _ => Reply::ABSENT,
        }
    }
}

struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> u64 {
        100
    }
    fn frequency(&self) -> u64 {
        1_000_000
    }
    fn unix_seconds(&self) -> u64 {
        0
    }
}

/// The last deadline that was asked for.
struct Bell(AtomicU64);

impl NotifyPort for Bell {
    extern "C" fn notify(&self, _: u32, value: u64, _: &mut Context) -> Words {
        self.0.store(value, Ordering::Relaxed);
        Reply::DONE.into()
    }
}

struct Rig {
    handles: &'static Handles,
    ports: Vec<&'static HandlePort>,
    invoked: &'static AtomicU64,
    bell: &'static Bell,
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

/// Each VM has two capabilities to an object of its own at whose other end is its peer; the
/// last VM takes no capabilities.
fn rig_of(derivations: usize, peers: [u16; VMS as usize]) -> Rig {
    let handles = unfilled();
    let ports: Vec<_> = (0..VMS).map(|vm| leak(HandlePort::new(handles, vm))).collect();
    let invoked = leak(AtomicU64::new(0));
    let behind = peers.into_iter().zip(0..).map(|(peer, number)| {
        let probe = Parts::new(Probe { invoked, number }).invoke(Kind::Channel, COUNT);
        Behind::new(probe.done().invoke.unwrap(), Some(peer))
    });
    let bell = leak(Bell(AtomicU64::new(0)));
    let to = leak(Capability::new(bell as &dyn NotifyPort, Rights::CALL, 0));
    let sweeping = Sweeping { deadline: Deadline::new(to, 0), clock: &Stopped };
    let behind = behind.collect();
    let inner = ports[..2].to_vec();
    assert!(handles.fill(behind, inner, &allowances(derivations), sweeping));
    Rig { handles, ports, invoked, bell }
}

fn rig(derivations: usize) -> Rig {
    rig_of(derivations, [1, 2, 0])
}

fn call(port: &HandlePort, function: u32, arguments: &[u64]) -> (Status, [u64; 4]) {
    let mut registers: CallRegisters = [0; 18];
    registers[1..=arguments.len()].copy_from_slice(arguments);
    let mut cx = Context::new(0);
    let words = port.call(function, &mut registers, &mut cx);
    assert!(matches!(deliver(&mut cx), Delivery::Done));
    (words.status(), [words.value(), registers[1], registers[2], registers[3]])
}

fn refused(error: Error, port: &HandlePort, function: u32, arguments: &[u64]) {
    let (status, [x0, ..]) = call(port, function, arguments);
    assert_eq!((status, x0), (Status::Done, error.code()));
}

fn done(port: &HandlePort, function: u32, arguments: &[u64]) -> [u64; 3] {
    let (status, [x0, x1, x2, x3]) = call(port, function, arguments);
    assert_eq!((status, x0), (Status::Done, 0), "{:?}", Error::of(x0));
    [x1, x2, x3]
}

const EVERY: u64 = rights::ALL as u64;

#[test]
fn calls_lead_to_objects() {
    let Rig { ports, invoked, .. } = rig(4);
    let (one, two) = (ports[0], ports[1]);
    assert_eq!(call(one, function::VERSION, &[]).1[0], VERSION);
    assert_eq!(done(one, function::QUOTA, &[]), [4, 4, 0]);
    let [mine, what, label] = done(one, function::NEXT, &[0]);
    assert_eq!((what, label), (EVERY << 32 | Kind::Channel as u64, 1));
    assert_eq!(done(one, function::DESCRIBE, &[mine]), [0, COUNT, 0]);
    assert_eq!(done(one, function::INVOKE, &[mine, 0, 5, 0, 0, 0, 7]), [0, 5, 7]);
    refused(Error::WrongState, one, function::INVOKE, &[mine, 1]);
    assert_eq!(call(one, function::INVOKE, &[mine, 77]).0, Status::Absent);
    refused(Error::NoHandle, two, function::INVOKE, &[mine, 0]);
    refused(Error::NoHandle, one, function::INVOKE, &[mine + (1 << 40), 0]);
    refused(Error::NoHandle, one, function::INVOKE, &[mine | 1 << 63, 0]);
    assert_eq!(invoked.load(Ordering::Relaxed), 3);
    let [part, ..] = done(one, function::DERIVE, &[mine, EVERY & !0x800, 3, 2, 44]);
    assert_eq!(done(one, function::DESCRIBE, &[part]), [3, 2, 1]);
    assert_eq!(done(one, function::INVOKE, &[part, 0, 1]), [0, 4, 0]);
    refused(Error::Outside, one, function::DERIVE, &[part, EVERY, 2, 0, 0]);
    refused(Error::Outside, one, function::DERIVE, &[part, EVERY, u64::MAX, u64::MAX, 0]);
    done(one, function::DROP, &[part]);
    refused(Error::NoHandle, one, function::DROP, &[part]);
    refused(Error::NotSupported, one, function::LAST, &[mine]);
}

#[test]
fn one_is_handed_over_used_and_revoked() {
    let Rig { ports, invoked, .. } = rig(4);
    let (one, two) = (ports[0], ports[1]);
    let [mine, ..] = done(one, function::NEXT, &[0]);
    let [theirs, ..] = done(two, function::NEXT, &[0]);
    assert_eq!(done(one, function::HAND_OVER, &[mine, 0x3ff, 0, 1, 99, mine]), [0; 3]);
    let [second, ..] = done(two, function::NEXT, &[theirs]);
    let [handed, what, label] = done(two, function::NEXT, &[second]);
    assert_eq!((what >> 32, label), (0x3ff, 99));
    assert_eq!(done(two, function::NEXT, &[handed]), [0; 3]);
    assert_eq!(done(two, function::INVOKE, &[handed, 0, 0]), [0; 3]);
    assert_eq!(invoked.load(Ordering::Relaxed), 1);
    // Without the right to grant it goes no further, and is no way to anybody.
    let [narrower, ..] = done(two, function::DERIVE, &[handed, EVERY, 0, 0, 0]);
    refused(Error::NoRight, two, function::HAND_OVER, &[theirs, EVERY, 0, 0, 0, narrower]);
    refused(Error::NoHandle, two, function::HAND_OVER, &[theirs, EVERY, 0, 0, 0, 0]);
    refused(Error::NoPeer, two, function::HAND_OVER, &[theirs, EVERY, 0, 0, 0, theirs]);
    assert_eq!(done(one, function::QUOTA, &[]), [4, 3, 0]);
    assert_eq!(done(one, function::REVOKE, &[mine]), [0; 3]);
    for gone in [handed, narrower] {
        refused(Error::NoHandle, two, function::INVOKE, &[gone, 0, 0]);
    }
    assert_eq!(invoked.load(Ordering::Relaxed), 1);
    assert_eq!(done(one, function::QUOTA, &[]), [4, 4, 0]);
    assert_eq!(done(two, function::QUOTA, &[]), [4, 4, 0]);
}

#[test]
fn what_is_left_of_a_revocation_is_swept_by_time() {
    const MANY: u64 = 300;
    let Rig { handles, ports, bell, .. } = rig(MANY as usize);
    let one = ports[0];
    let [mine, ..] = done(one, function::NEXT, &[0]);
    for _ in 0..MANY {
        done(one, function::DERIVE, &[mine, EVERY, 0, 0, 0]);
    }
    assert_eq!(done(one, function::REVOKE, &[mine]), [1, 0, 0]);
    let mut times = 0;
    let mut cx = Context::new(0);
    while bell.0.swap(0, Ordering::Relaxed) == 200 {
        times += 1;
        let _ = handles.notify(tag::DEADLINE, 0, &mut cx);
        let _ = deliver(&mut cx);
    }
    assert!(times > 5);
    assert_eq!(done(one, function::QUOTA, &[]), [MANY, MANY, 0]);
}

#[test]
fn an_object_that_fails_is_found_behind_the_handle() {
    let Rig { handles, ports, .. } = rig(4);
    let [mine, ..] = done(ports[0], function::NEXT, &[0]);
    assert_eq!(handles.take_failed(), None);
    assert_eq!(call(ports[0], function::INVOKE, &[mine, 2]).0, Status::Failed);
    let way = core::ptr::from_ref(ports[0]).cast();
    assert!(!handles.quarantine(way));
    let failed = handles.take_failed().unwrap();
    assert_eq!(handles.take_failed(), None);
    assert!(handles.quarantine(failed));
    assert_eq!(call(ports[0], function::INVOKE, &[mine, 0]).0, Status::Absent);
    // The others are as they were.
    let [theirs, ..] = done(ports[1], function::NEXT, &[0]);
    assert_eq!(done(ports[1], function::INVOKE, &[theirs, 0, 0]), [1, 0, 0]);
}

/// What `port`'s VM holds that is called `label`.
fn called(port: &HandlePort, label: u64) -> Option<u64> {
    let mut at = 0;
    loop {
        let (_, [x0, handle, what, found]) = call(port, function::NEXT, &[at]);
        match (x0, handle) {
            (0, 0) => return None,
            (0, _) if found == label && what != 0 => return Some(handle),
            (0, _) => at = handle,
            // It was revoked meanwhile.
            _ => at = 0,
        }
    }
}

/// Two cores that hand over to each other and revoke from each other at once.
#[test]
fn two_revoke_from_each_other() {
    const TIMES: u32 = 10_000;
    let Rig { ports, invoked, .. } = rig_of(8, [1, 0, 2]);
    let work = |port: &'static HandlePort| {
        move || {
            let [base, ..] = done(port, function::NEXT, &[0]);
            for _ in 0..TIMES {
                let (_, [x0, ..]) = call(port, function::HAND_OVER, &[base, EVERY, 0, 0, 5, base]);
                // What the other one does not revoke in time stays paid for.
                let known = [0, Error::Busy.code(), Error::NoQuota.code()];
                assert!(known.contains(&x0), "{:?}", Error::of(x0));
                // Where cores are few, it is the other's turn.
                std::thread::yield_now();
                if let Some(theirs) = called(port, 5) {
                    let (_, [x0, own, ..]) =
                        call(port, function::DERIVE, &[theirs, EVERY, 0, 0, 6]);
                    let known = known.into_iter().chain([Error::NoHandle.code()]);
                    assert!({ known }.any(|one| one == x0), "{:?}", Error::of(x0));
                    let (_, [x0, ..]) = call(port, function::INVOKE, &[own, 0]);
                    assert!([0, Error::NoHandle.code()].contains(&x0), "{:?}", Error::of(x0));
                }
                done(port, function::REVOKE, &[base]);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work(ports[0]));
        scope.spawn(work(ports[1]));
    });
    for port in &ports[..2] {
        let [base, ..] = done(port, function::NEXT, &[0]);
        done(port, function::REVOKE, &[base]);
    }
    for port in &ports[..2] {
        assert_eq!(done(port, function::QUOTA, &[]), [8, 8, 0]);
    }
    assert!(invoked.load(Ordering::Relaxed) > 0);
}
