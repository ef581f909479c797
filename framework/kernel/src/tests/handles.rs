//! Handles of VMs that were bound.

use super::Fake;
use super::passed::{deployment, object, vm};
use crate::{Bound, Change, Entry, Next, bind};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use evisor_contract::abi::vm::{crash, state};
use evisor_contract::abi::{Error, Kind, device, function, rights, vm as operation};
use evisor_contract::{
    Backend, Context, CrashFacts, Declaration, Effect, ExitFacts, Invoke, LastCrash, Line,
    LineState, Mmio, Needs, Object, Parts, Reply, Rights, Status, Through, Width,
};
use evisor_manifest::{
    CapabilitiesPlan, CpuPlan, Deployment, GivenPlan, LinePlan, ManifestError, ObjectPlan, Target,
    VmPlan, WindowPlan,
};
use evisor_router::{Cache, deliver};
use spin::Mutex;

/// What the console was told: whose its ports are, and what was written through which.
static TOLD: Mutex<Vec<(u64, u64)>> = Mutex::new(Vec::new());

struct Console;

impl Object for Console {
    fn reset(&mut self) {}
}

impl Invoke for Console {
    fn invoke(
        &mut self,
        _: u32,
        words: &mut [u64; 5],
        through: &Through,
        _: &mut Context,
    ) -> Reply {
        TOLD.lock().push((through.first, words[0]));
        Reply::DONE
    }
}

impl Backend for Console {
    fn connect(&mut self, _: u32, _: Effect) {}
}

static CONSOLE: Declaration = Declaration {
    name: "console",
    compatible: &["example,console"],
    needs: Needs { root: true, ..Needs::NONE },
    properties: &[],
    build: |_, _| Ok(Parts::new(Console).backend().invoke(Kind::Console, 1).done()),
    describe: |_, _| Ok(()),
};

static SILENT: Declaration = Declaration {
    name: "silent",
    compatible: &["example,silent"],
    needs: Needs::NONE,
    properties: &[],
    build: |_, _| Ok(Parts::new(Console).done()),
    describe: |_, _| Ok(()),
};

pub fn given(target: Target, rights: Rights, label: u64) -> GivenPlan {
    let path = "/vm/capabilities/one".to_string();
    GivenPlan { path, target, rights, label, withheld: false, blocks: None }
}

pub fn holder(name: &str, core: usize, given: Vec<GivenPlan>) -> VmPlan {
    let cpu = CpuPlan { affinity: 3, path: name.into(), core, share: Default::default() };
    let path = "/vm/capabilities".to_string();
    let capabilities = Some(CapabilitiesPlan { path, derivations: 4, given });
    let silent = object("silent", &SILENT);
    VmPlan { cpus: Vec::from([cpu]), capabilities, ..vm(name, Vec::from([silent])) }
}

/// Two VMs that hold each other and the console; and one with nothing.
fn bound(given: [Vec<GivenPlan>; 2]) -> Result<Bound, Box<ManifestError>> {
    let [one, other] = given;
    let nothing = VmPlan { capabilities: None, ..holder("third", 2, Vec::new()) };
    let vms = Vec::from([holder("first", 0, one), holder("second", 1, other), nothing]);
    let console = ObjectPlan { path: "/console".into(), ..object("console", &CONSOLE) };
    let root_objects = Vec::from([console]);
    bind(&Deployment { root_objects, ..deployment(vms) }, Fake::new())
}

fn usual() -> Bound {
    let control = Rights::READ | Rights::CONTROL | Rights::GRANT;
    let first = [
        given(Target::Vm(1), control, 1),
        given(Target::Root(0), Rights::all(), 2),
        given(Target::Vm(2), Rights::READ, 3),
    ];
    let second = [given(Target::Root(0), Rights::all(), 2)];
    bound([first.to_vec(), second.to_vec()]).expect("sound")
}

pub fn call(bound: &Bound, vm: usize, function: u32, arguments: &[u64]) -> (Status, [u64; 4]) {
    let space = bound.vms[vm].space;
    let mut calls = Cache::new(&space.calls).expect("a table");
    let mut registers = [0; 18];
    registers[1..=arguments.len()].copy_from_slice(arguments);
    let mut cx = Context::of_vm(vm as u16, 0);
    let words = evisor_router::call(&mut calls, function, &mut registers, &mut cx);
    let _ = deliver(&mut cx);
    (words.status(), [words.value(), registers[1], registers[2], registers[3]])
}

pub fn done(bound: &Bound, vm: usize, function: u32, arguments: &[u64]) -> [u64; 3] {
    let (status, [x0, x1, x2, x3]) = call(bound, vm, function, arguments);
    assert_eq!((status, Error::of(x0)), (Status::Done, None));
    [x1, x2, x3]
}

pub fn refusal(bound: &Bound, vm: usize, function: u32, arguments: &[u64]) -> Option<Error> {
    let (status, [x0, ..]) = call(bound, vm, function, arguments);
    assert_eq!(status, Status::Done);
    Error::of(x0)
}

pub fn handles(bound: &Bound, vm: usize) -> Vec<u64> {
    let mut at = 0;
    core::iter::from_fn(|| {
        [at, ..] = done(bound, vm, function::NEXT, &[at]);
        (at != 0).then_some(at)
    })
    .collect()
}

/// A record of which word n is 100 + n.
struct Crashed;

impl LastCrash for Crashed {
    fn facts(&self) -> Option<CrashFacts> {
        None
    }
    fn register(&self, _: usize) -> Option<u64> {
        None
    }
    fn exit(&self, _: usize) -> Option<ExitFacts> {
        None
    }
    fn words(&self, index: usize) -> Option<[u64; 3]> {
        let word = |index| if index < crash::WORDS { 100 + index as u64 } else { 0 };
        (index < crash::WORDS).then(|| [word(index), word(index + 1), 1])
    }
}

#[test]
fn a_vm_without_the_node_has_no_such_functions() {
    let bound = usual();
    for function in function::FIRST..=function::LAST {
        assert_eq!(call(&bound, 2, function, &[]).0, Status::Absent);
    }
    assert!(bound.vms[0].handles.is_some() && bound.vms[2].handles.is_none());
}

#[test]
fn a_deployment_without_handles_has_none() {
    let vms = Vec::from([VmPlan { capabilities: None, ..holder("one", 0, Vec::new()) }]);
    let bound = bind(&deployment(vms), Fake::new()).expect("sound");
    assert!(bound.handles.is_none());
}

#[test]
fn a_vm_is_seen_stopped_and_read_by_its_handle() {
    let bound = usual();
    let [control, _, look] = handles(&bound, 0)[..] else { panic!("three") };
    let state = |handle| done(&bound, 0, function::INVOKE, &[handle, operation::STATE.into()]);
    let ask =
        |handle, operation: u32| refusal(&bound, 0, function::INVOKE, &[handle, operation.into()]);
    assert_eq!(state(control), [state::CHANGING, 1, 0], "it is being filled");
    bound.vms[1].vm.changed(None);
    assert_eq!(state(control), [state::OFF, 1, 0]);
    assert_eq!(ask(control, operation::STOP), Some(Error::WrongState));
    assert_eq!(ask(control, operation::START), None);
    assert_eq!(bound.vms[1].vm.next(0), Next::Change(Change::Start));
    for one in &bound.vms {
        one.vm.changed(Some(Entry { pc: 1 << 30, x0: 0 }));
    }
    assert_eq!(state(control), [state::ON, 1, 0]);
    assert_eq!(state(look), [state::ON, 1, 0]);
    for operation in [operation::STOP, operation::RESET, operation::START, operation::PAUSE] {
        assert_eq!(ask(look, operation), Some(Error::NoRight));
    }
    let vcpu = [control, operation::VCPU.into(), 0];
    assert_eq!(done(&bound, 0, function::INVOKE, &vcpu), [2 | 1 << 32, 3, 0]);
    let vcpu = [control, operation::VCPU.into(), u64::MAX];
    assert_eq!(refusal(&bound, 0, function::INVOKE, &vcpu), Some(Error::Outside));
    bound.vms[1].vm.remember(&Crashed);
    let word = |index| [control, operation::CRASH.into(), index];
    let read = done(&bound, 0, function::INVOKE, &word(crash::ELR));
    assert_eq!(read, [100 + crash::ELR, 101 + crash::ELR, 1]);
    let last = crash::WORDS as u64 - 1;
    assert_eq!(done(&bound, 0, function::INVOKE, &word(last)), [100 + last, 0, 1]);
    for beyond in [last + 1, u64::MAX] {
        let refused = refusal(&bound, 0, function::INVOKE, &word(beyond));
        assert_eq!(refused, Some(Error::Outside));
    }
    assert_eq!(ask(control, operation::START), Some(Error::WrongState));
    assert_eq!(ask(control, operation::RESUME), Some(Error::WrongState));
    assert_eq!(ask(control, operation::RESET), None);
    assert_eq!(state(control)[0], state::CHANGING);
    assert_eq!(ask(control, operation::STOP), None);
    assert_eq!(ask(control, 99), Some(Error::NotSupported));
}

#[test]
fn each_writes_through_a_port_of_its_own() {
    let bound = usual();
    let one = handles(&bound, 0)[1];
    let [other] = handles(&bound, 1)[..] else { panic!("one") };
    TOLD.lock().clear();
    done(&bound, 0, function::INVOKE, &[one, 0, 7]);
    done(&bound, 1, function::INVOKE, &[other, 0, 8]);
    assert_eq!(*TOLD.lock(), [(0, 7), (1, 8)]);
}

#[test]
fn it_goes_to_the_vm_at_the_other_end_until_that_restarts() {
    let bound = usual();
    let [control, console, _] = handles(&bound, 0)[..] else { panic!("three") };
    let all = rights::ALL.into();
    let hand = |way| [console, all, 0, 0, 9, way];
    assert_eq!(refusal(&bound, 0, function::HAND_OVER, &hand(console)), Some(Error::NoPeer));
    done(&bound, 0, function::HAND_OVER, &hand(control));
    assert_eq!(handles(&bound, 1).len(), 2);
    assert_eq!(done(&bound, 0, function::QUOTA, &[]), [4, 3, 0]);
    let all_handles = bound.handles.expect("there are");
    while all_handles.retire(1) {}
    assert_eq!(handles(&bound, 1).len(), 1);
    assert_eq!(done(&bound, 0, function::QUOTA, &[]), [4, 4, 0]);
}

#[test]
fn what_offers_nothing_is_refused_by_name() {
    let silent = given(Target::Object { vm: 0, object: 0 }, Rights::all(), 1);
    let error = bound([Vec::from([silent]), Vec::new()]).err().expect("refused");
    assert_eq!(error.node, "/vm/capabilities/one");
    assert_eq!(error.property.as_deref(), Some("evisor,object"));
}

/// What the interrupt controller was told of its lines.
static LINES: Mutex<Vec<(u32, u64)>> = Mutex::new(Vec::new());

controller!(|tag, value| {
    LINES.lock().push((tag, value));
    Reply::DONE
});

/// A word; its line is up while that is not 0.
struct Word {
    word: u64,
    line: Line,
}

impl Object for Word {
    fn reset(&mut self) {
        self.word = 0;
    }
    fn restore(
        &mut self,
        from: &mut evisor_contract::Restore<'_>,
    ) -> Result<(), evisor_contract::RestoreError> {
        self.word = from.word()?.into();
        Ok(())
    }
}

impl Mmio for Word {
    fn read(&mut self, _: u64, _: Width, _: &mut Context) -> Reply {
        Reply::value(self.word)
    }
    fn write(&mut self, _: u64, _: Width, value: u64, cx: &mut Context) -> Reply {
        self.word = value;
        self.line.set(value != 0, cx);
        Reply::DONE
    }
}

static WORD: Declaration = Declaration {
    name: "word",
    compatible: &["example,word"],
    needs: Needs { lines: 1, ..Needs::NONE },
    properties: &[],
    build: |_, grants| {
        let word = Word { word: 0, line: grants.line(0)? };
        Ok(Parts::new(word).mmio().done())
    },
    describe: |_, _| Ok(()),
};

/// The first VM holds devices of two others by handles; the third's is withheld.
fn with_devices() -> Bound {
    let device = |vm, label, withheld| {
        let rights = Rights::READ | Rights::CONTROL;
        GivenPlan { withheld, ..given(Target::Object { vm, object: 1 }, rights, label) }
    };
    let keeper = holder("first", 0, Vec::from([device(1, 1, false), device(2, 2, true)]));
    let has_one = |name: &str, core| {
        let access = Rights::READ | Rights::WRITE;
        let word = ObjectPlan {
            windows: Vec::from([WindowPlan { ipa: 0x1000, size: 0x1000, access }]),
            lines: Vec::from([LinePlan { controller: 0, intid: 40, level: true, shared: false }]),
            ..object("word", &WORD)
        };
        let objects = Vec::from([object("controller", &CONTROLLER), word]);
        VmPlan { objects, capabilities: None, ..holder(name, core, Vec::new()) }
    };
    let vms = Vec::from([keeper, has_one("second", 1), has_one("third", 2)]);
    bind(&deployment(vms), Fake::new()).expect("sound")
}

fn store(bound: &Bound, vm: usize, value: u64) -> Status {
    let mut mmio = Cache::new(&bound.vms[vm].space.mmio).expect("a table");
    let mut cx = Context::new(0);
    let words = evisor_router::write(&mut mmio, 0x1000, Width::Word, value, &mut cx);
    let _ = deliver(&mut cx);
    words.status()
}

fn load(bound: &Bound, vm: usize) -> (Status, u64) {
    let mut mmio = Cache::new(&bound.vms[vm].space.mmio).expect("a table");
    let words = evisor_router::read(&mut mmio, 0x1000, Width::Word, &mut Context::new(0));
    (words.status(), words.value())
}

#[test]
fn a_device_is_taken_from_one_vm_and_given_to_another() {
    let bound = with_devices();
    let [seconds, thirds] = handles(&bound, 0)[..] else { panic!("two") };
    let ask =
        |handle, operation: u32| call(&bound, 0, function::INVOKE, &[handle, operation.into()]);
    let told = || core::mem::take(&mut *LINES.lock());
    assert_eq!(store(&bound, 1, 7), Status::Done);
    assert_eq!(told(), [(40, 1)]);
    assert_eq!(load(&bound, 2).0, Status::Absent, "it is withheld");
    assert_eq!(ask(seconds, device::STATE).1[..2], [0, 1]);
    assert_eq!(ask(thirds, device::STATE).1[..2], [0, 0]);
    // Its line is up: the controller is told that it is down.
    assert_eq!(ask(seconds, device::TAKE).1[0], 0);
    assert_eq!(told(), [(40, 0)]);
    assert_eq!((store(&bound, 1, 8), load(&bound, 1).0), (Status::Absent, Status::Absent));
    assert_eq!(ask(seconds, device::TAKE).1[0], Error::WrongState.code());
    assert_eq!(ask(thirds, device::GIVE).1[0], 0);
    assert_eq!((store(&bound, 2, 9), load(&bound, 2)), (Status::Done, (Status::Done, 9)));
    assert_eq!(told(), [(40, 1)]);
    // As after power-on.
    assert_eq!(ask(seconds, device::GIVE).1[0], 0);
    assert_eq!(load(&bound, 1), (Status::Done, 0));
    assert_eq!(ask(seconds, device::GIVE).1[0], Error::WrongState.code());
    assert_eq!(store(&bound, 1, 1), Status::Done);
    assert_eq!(told(), [(40, 1)]);
    assert_eq!(ask(seconds, 99).1[0], Error::NotSupported.code());
}

/// Its VM is what it was when it had the device, and raised the line.
#[test]
fn a_device_that_was_taken_stays_so_when_its_vm_is_rolled_back() {
    let bound = with_devices();
    let (vm, seconds) = (&bound.vms[1], handles(&bound, 0)[0]);
    assert_eq!(store(&bound, 1, 7), Status::Done);
    vm.stop_time();
    let take = [seconds, device::TAKE.into()];
    assert_eq!(done(&bound, 0, function::INVOKE, &take)[0], 0);
    let mut cx = Context::new(1);
    vm.objects[1].with(&mut |word| {
        let mut state = evisor_contract::Save::default();
        state.word(7);
        let bytes = state.into_bytes();
        word.restore(&mut evisor_contract::Restore::new(&bytes)).expect("it is sound");
    });
    LINES.lock().clear();
    vm.roll_time_back(true);
    vm.start_time(&mut cx);
    assert_eq!(*LINES.lock(), [(40, 0)], "its line is down");
    assert_eq!(load(&bound, 1).0, Status::Absent);
    assert_eq!(call(&bound, 0, function::INVOKE, &[seconds, device::GIVE.into()]).1[0], 0);
    assert_eq!(load(&bound, 1), (Status::Done, 0), "and it is as after power-on");
}

#[test]
fn a_device_that_failed_is_not_given_again() {
    let bound = with_devices();
    let seconds = handles(&bound, 0)[0];
    let all = bound.handles.expect("there are");
    let port = core::ptr::from_ref(bound.vms[1].objects[1]).cast();
    assert!(all.quarantine(port));
    bound.vms[1].space.quarantine(port);
    let give = [seconds, device::GIVE.into()];
    assert_eq!(call(&bound, 0, function::INVOKE, &give).0, Status::Absent);
    assert_eq!(load(&bound, 1).0, Status::Absent);
}

/// As many lines as it has, which only handles lead to.
struct Bell;

impl Object for Bell {
    fn reset(&mut self) {}
}

impl Invoke for Bell {
    fn invoke(&mut self, _: u32, _: &mut [u64; 5], _: &Through, _: &mut Context) -> Reply {
        Reply::DONE
    }
}

static BELL: Declaration = Declaration {
    name: "bell",
    compatible: &["example,bell"],
    needs: Needs { lines: 2, ..Needs::NONE },
    properties: &[],
    build: |_, grants| {
        let _ = (grants.line(0)?, grants.line(1)?);
        Ok(Parts::new(Bell).invoke(Kind::Doorbell, 2).done())
    },
    describe: |_, _| Ok(()),
};

/// Rings that it heard since it was kept are not heard by whom it is again.
#[test]
fn who_is_rolled_back_is_rung_once_by_each_line_of_its_doorbells() {
    let line = |intid| LinePlan { controller: 0, intid, level: false, shared: false };
    let bell = ObjectPlan { lines: Vec::from([line(40), line(41)]), ..object("bell", &BELL) };
    let bell = Vec::from([object("controller", &CONTROLLER), bell]);
    let rings = given(Target::Object { vm: 1, object: 1 }, Rights::CALL, 1);
    let hears = VmPlan { objects: bell, ..holder("second", 1, Vec::new()) };
    let vms = Vec::from([holder("first", 0, Vec::from([rings])), hears]);
    let bound = bind(&deployment(vms), Fake::new()).expect("sound");
    let told = || core::mem::take(&mut *LINES.lock());
    let (vm, mut cx) = (&bound.vms[1], Context::new(1));
    vm.stop_time();
    vm.start_time(&mut cx);
    assert_eq!(told(), [], "it only stood still");
    vm.stop_time();
    vm.roll_time_back(true);
    vm.start_time(&mut cx);
    let pulse = LineState::Pulse.encode();
    assert_eq!(told(), [(40, pulse), (41, pulse)]);
    vm.stop_time();
    vm.start_time(&mut cx);
    assert_eq!(told(), []);
}
