//! A device of the board that goes from one VM to another: what happens, in which order.

use super::Fake;
use super::passed::{deployment, object, vm};
use crate::{Bound, Entry, Pages, bind};
use alloc::boxed::Box;
use alloc::string::ToString;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use evisor_contract::abi::{Error, device, function};
use evisor_contract::{
    Context, Declaration, LineState, Mmio, Needs, Object, Parts, Reply, Rights, Status, Width,
};
use evisor_manifest::{
    CapabilitiesPlan, CpuPlan, GivenPlan, HostDevicePlan, HostInterrupt, HostWindowPlan, LinePlan,
    ObjectPlan, Target, VmPlan, WindowPlan,
};
use evisor_router::Cache;
use spin::{Mutex, MutexGuard};

/// One test at a time has these.
pub static ALONE: Mutex<()> = Mutex::new(());
static NOTED: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
/// What the controllers answer when they are told to let go: the last first; else nothing.
static ANSWERS: Mutex<Vec<Reply>> = Mutex::new(Vec::new());
/// Which line was told of a physical interrupt last.
static TOLD: Mutex<Option<(u32, u64)>> = Mutex::new(None);

pub fn note(what: &'static str) {
    NOTED.lock().push(what);
}

pub fn noted() -> Vec<&'static str> {
    core::mem::take(&mut *NOTED.lock())
}

controller!(|tag, value| {
    if value == LineState::RETIRE {
        note("told to let go");
        return ANSWERS.lock().pop().unwrap_or(Reply::value(0));
    }
    *TOLD.lock() = Some((tag, value));
    Reply::HELD
});

struct Device;

impl Object for Device {
    fn reset(&mut self) {
        note("reset");
    }
}

impl Mmio for Device {
    fn read(&mut self, _: u64, _: Width, _: &mut Context) -> Reply {
        Reply::value(0)
    }
    fn write(&mut self, _: u64, _: Width, _: u64, _: &mut Context) -> Reply {
        Reply::DONE
    }
}

static DEVICE: Declaration = Declaration {
    name: "device",
    compatible: &["example,device"],
    needs: Needs { host_device: true, ..Needs::NONE },
    properties: &[],
    build: |_, grants| {
        grants.host_window(0)?;
        grants.host_window(1)?;
        grants.host_line(0)?;
        Ok(Parts::new(Device).mmio().done())
    },
    describe: |_, _| Ok(()),
};

static LAST: Declaration = Declaration {
    name: "last",
    compatible: &["example,last"],
    needs: Needs::NONE,
    properties: &[],
    build: |_, _| Ok(Parts::new(Device).mmio().done()),
    describe: |_, _| Ok(()),
};

struct Shown;

impl Pages for Shown {
    fn hide(&self) {
        note("hidden");
    }
    fn show(&self) {
        note("shown");
    }
}

pub const INTID: u32 = 72;

fn tenant(name: &str, core: usize, line: u32) -> VmPlan {
    tenant_with(&CONTROLLER, name, core, line)
}

pub fn tenant_with(controller: &'static Declaration, name: &str, core: usize, line: u32) -> VmPlan {
    let access = Rights::READ | Rights::WRITE;
    let window = |ipa, size| WindowPlan { ipa, size, access };
    let device = ObjectPlan {
        path: alloc::format!("/{name}/device"),
        windows: Vec::from([window(0x1000, 0x1000), window(0x3010, 0x20)]),
        lines: Vec::from([LinePlan { controller: 0, intid: line, level: true, shared: false }]),
        host: Some(HostDevicePlan {
            path: "/device".to_string(),
            known: true,
            windows: Vec::from([
                HostWindowPlan { physical: 0xfe40_0000, direct: true },
                HostWindowPlan { physical: 0xfe40_2010, direct: false },
            ]),
            interrupts: Vec::from([HostInterrupt { intid: INTID, level: true }]),
        }),
        ..object("device", &DEVICE)
    };
    let cpu = CpuPlan { affinity: 0, path: name.into(), core, share: Default::default() };
    let objects = [object("controller", controller), device, object("last", &LAST)];
    let objects = Vec::from(objects);
    VmPlan { cpus: Vec::from([cpu]), ..vm(name, objects) }
}

/// The first holds both by handles, and has it; the second comes to have it.
fn bound() -> (Bound, &'static Fake, MutexGuard<'static, ()>) {
    let alone = ALONE.lock();
    let given = |vm, withheld| GivenPlan {
        path: "/first/capabilities/one".to_string(),
        target: Target::Object { vm, object: 1 },
        rights: Rights::READ | Rights::CONTROL,
        label: vm as u64,
        withheld,
        blocks: None,
    };
    let given = Vec::from([given(0, false), given(1, true)]);
    let path = "/first/capabilities".to_string();
    let capabilities = Some(CapabilitiesPlan { path, derivations: 0, given });
    let first = VmPlan { capabilities, ..tenant("first", 0, 40) };
    let plans = Vec::from([first, tenant("second", 1, 41)]);
    let host = Fake::new();
    let bound = bind(&deployment(plans), host).expect("sound");
    for one in &bound.vms {
        one.passed.tenures.iter().for_each(|tenure| tenure.shown_by(Box::leak(Box::new(Shown))));
        one.vm.changed(Some(Entry { pc: 1 << 30, x0: 0 }));
    }
    assert_eq!(noted(), ["hidden"], "of who does not have it at first");
    (bound, host, alone)
}

pub fn call(bound: &Bound, function: u32, arguments: &[u64]) -> [u64; 4] {
    let mut calls = Cache::new(&bound.vms[0].space.calls).expect("a table");
    let mut registers = [0; 18];
    registers[1..=arguments.len()].copy_from_slice(arguments);
    let words = evisor_router::call(&mut calls, function, &mut registers, &mut Context::new(0));
    assert_eq!(words.status(), Status::Done);
    [words.value(), registers[1], registers[2], registers[3]]
}

/// What becomes of an operation on the device of the first or second VM.
fn ask(bound: &Bound, vm: usize, operation: u32) -> Result<u64, Error> {
    let [_, first, ..] = call(bound, function::NEXT, &[0]);
    let [_, second, ..] = call(bound, function::NEXT, &[first]);
    let handle = [first, second][vm];
    let [x0, x1, ..] = call(bound, function::INVOKE, &[handle, operation.into()]);
    Error::of(x0).map_or(Ok(x1), Err)
}

pub fn reaches(bound: &Bound, vm: usize) -> bool {
    let mut mmio = Cache::new(&bound.vms[vm].space.mmio).expect("a table");
    let read = evisor_router::read(&mut mmio, 0x3010, Width::Word, &mut Context::new(0));
    read.status() == Status::Done
}

/// The line that the device's interrupt leads to, if it leads anywhere.
fn leads(bound: &Bound) -> Option<u32> {
    let words = bound.root.interrupts.notify_shared(INTID as usize, &mut Context::new(0));
    let (line, value) = TOLD.lock().take()?;
    assert_eq!((words.status(), value), (Status::Held, LineState::Physical(72).encode()));
    Some(line)
}

/// It is no object that its VM's reset resets, and those behind it in the manifest are.
#[test]
fn each_object_goes_by_its_own_name() {
    let (bound, _, _alone) = bound();
    let first = &bound.vms[0];
    let plan = tenant("first", 0, 40);
    let is = |path: &str, object| {
        let found = first.named(&plan).find(|(_, name)| *name == path);
        found.is_some_and(|(found, _)| core::ptr::addr_eq(found, object))
    };
    assert_eq!(first.named(&plan).count(), 3);
    assert!(is(&plan.objects[0].path, first.objects[0]));
    assert!(is("/first/device", first.passed.tenures[0].object));
    assert!(is(&plan.objects[2].path, first.objects[1]));
}

#[test]
fn it_is_out_of_reach_before_it_is_quieted_and_reset() {
    let (bound, host, _alone) = bound();
    assert_eq!((reaches(&bound, 0), reaches(&bound, 1), leads(&bound)), (true, false, Some(40)));
    assert!(!bound.vms[0].passed.lacks("/first/device"));
    assert_eq!(ask(&bound, 0, device::TAKE), Ok(0));
    assert_eq!(noted(), ["hidden", "disabled", "reset", "told to let go"]);
    assert_eq!(*host.interrupts.lock(), [("disabled", INTID)], "its guest had none in hand");
    assert_eq!((reaches(&bound, 0), reaches(&bound, 1), leads(&bound)), (false, false, None));
    assert_eq!(ask(&bound, 0, device::TAKE), Err(Error::WrongState));
    assert_eq!(ask(&bound, 0, device::STATE), Ok(0));
    let passed = &bound.vms[0].passed;
    assert!(passed.lacks("/first/device") && !passed.lacks("/first/last"));
}

#[test]
fn it_is_reset_and_led_before_it_is_shown() {
    let (bound, host, _alone) = bound();
    assert_eq!(ask(&bound, 1, device::GIVE), Err(Error::WrongState), "the first has it");
    assert_eq!(ask(&bound, 0, device::TAKE), Ok(0));
    noted();
    host.interrupts.lock().clear();
    assert_eq!(ask(&bound, 1, device::GIVE), Ok(0));
    let asked = ["told to let go", "told to let go"];
    assert_eq!(noted()[..2], asked);
    assert_eq!((reaches(&bound, 0), reaches(&bound, 1), leads(&bound)), (false, true, Some(41)));
    assert_eq!(*host.interrupts.lock(), [("cleared", 72), ("led", 72), ("allowed", 72)]);
    assert_eq!((ask(&bound, 0, device::STATE), ask(&bound, 1, device::STATE)), (Ok(0), Ok(1)));
    assert_eq!(ask(&bound, 0, device::GIVE), Err(Error::WrongState));
    assert_eq!(ask(&bound, 1, device::TAKE), Ok(0));
    noted();
    assert_eq!(ask(&bound, 0, device::GIVE), Ok(0));
    assert_eq!(noted()[2..], ["reset", "led to core 0", "shown", "allowed"]);
    assert_eq!((reaches(&bound, 0), reaches(&bound, 1), leads(&bound)), (true, false, Some(40)));
}

/// The guest that had it could end another's interrupt.
#[test]
fn nobody_has_it_while_an_interrupt_of_it_is_in_hand() {
    let (bound, host, _alone) = bound();
    ANSWERS.lock().push(Reply::AGAIN);
    assert_eq!(ask(&bound, 0, device::TAKE), Ok(0), "nobody waits");
    ANSWERS.lock().push(Reply::AGAIN);
    assert_eq!(ask(&bound, 1, device::GIVE), Err(Error::Busy), "a vCPU is to look");
    host.in_hand.store(true, Ordering::Relaxed);
    assert_eq!(ask(&bound, 1, device::GIVE), Err(Error::Busy), "a core is on its way with one");
    assert!(!noted().contains(&"shown") && leads(&bound).is_none());
    host.in_hand.store(false, Ordering::Relaxed);
    host.interrupts.lock().clear();
    // Its controller let go of one that was active.
    ANSWERS.lock().push(Reply::value(1));
    assert_eq!(ask(&bound, 1, device::GIVE), Ok(0));
    let done = [("cleared", 72), ("cleared", 72), ("led", 72), ("allowed", 72)];
    assert_eq!(*host.interrupts.lock(), done);
}

/// As its vCPUs are, it does not run: its interrupts are on when it starts.
#[test]
fn one_that_is_off_has_it_and_its_interrupts_stay_off() {
    let (bound, host, _alone) = bound();
    assert_eq!(ask(&bound, 0, device::TAKE), Ok(0));
    let second = bound.vms[1].vm;
    assert!(second.order(evisor_contract::VmEvent::Off));
    assert_eq!(ask(&bound, 1, device::GIVE), Err(Error::Busy), "it changes");
    assert!(matches!(second.next(0), crate::Next::Change(_)));
    second.changed(None);
    noted();
    host.interrupts.lock().clear();
    assert_eq!(ask(&bound, 1, device::GIVE), Ok(0));
    assert!(!noted().contains(&"allowed"));
    let mut done = 0;
    let passed = &bound.vms[1].passed;
    passed.while_had("/second/device", || done += 1);
    bound.vms[0].passed.while_had("/first/device", || done += 10);
    bound.vms[0].passed.while_had_last("/first/device", || done += 100);
    assert_eq!(done, 1, "what the first does when it stops leaves the second's alone");
    passed.reset();
    assert_eq!(noted(), ["reset"]);
    bound.vms[0].passed.reset();
    assert!(noted().is_empty());
}
