//! Handles against a model: trees of sets, where everything happens at once.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests")]

use evisor_contract::abi::{DEPTH, Error, Kind, VERSION, function, rights};
use evisor_contract::{
    CallPort, CallRegisters, Capability, Clock, Context, Deadline, Invoke, NotifyPort, Object,
    Parts, Reply, Rights, Status, Through, Words, tag,
};
use evisor_router::{
    Behind, Delivery, Derivations, HandlePort, Handles, Narrowing, Sweeping, deliver, unfilled,
};
use proptest::prelude::*;
use std::sync::atomic::{AtomicU64, Ordering};

mod model;

use model::{COUNT, DERIVATIONS, GIVEN, Pair, Step, VMS, allowances};

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
    assert!(derivations.revoke(0, root).unwrap(), "its nodes come back in slices");
    assert_eq!(derivations.get(0, at), Err(Error::NoHandle));
    while derivations.sweep(1) {}
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
