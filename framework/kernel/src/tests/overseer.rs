//! Who oversees VMs sees those that it was given, and asks those.

use super::Fake;
use super::passed::{deployment, object, vm};
use crate::bind;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;
use evisor_contract::{
    Context, Declaration, Mmio, Names, Needs, Object, Oversight, Parts, Power, Reply, Rights,
    VmEvent, VmState, Width,
};
use evisor_manifest::{CpuPlan, Deployment, MemoryPlan, ObjectPlan, VmPlan, WindowPlan};
use evisor_router::deliver;
use spin::Mutex;

struct Nothing;

impl Object for Nothing {
    fn reset(&mut self) {}
}

impl Mmio for Nothing {
    fn read(&mut self, _: u64, _: Width, _: &mut Context) -> Reply {
        Reply::DONE
    }
    fn write(&mut self, _: u64, _: Width, _: u64, _: &mut Context) -> Reply {
        Reply::DONE
    }
}

/// What the overseers were given, by the name of their nodes.
static GIVEN: Mutex<Vec<(&'static str, Oversight)>> = Mutex::new(Vec::new());

static OVERSEER: Declaration = Declaration {
    name: "overseer",
    compatible: &["example,overseer"],
    needs: Needs { root: true, oversees: true, ..Needs::NONE },
    properties: &[],
    build: |node, grants| {
        let path = Box::leak(Box::from(node.path()));
        GIVEN.lock().push((path, grants.oversight()?));
        Ok(Parts::new(Nothing).done())
    },
    describe: |_, _| Ok(()),
};

static DEVICE: Declaration = Declaration {
    name: "device",
    compatible: &["example,device"],
    needs: Needs::NONE,
    properties: &[],
    build: |_, _| Ok(Parts::new(Nothing).mmio().done()),
    describe: |_, _| Ok(()),
};

fn vm_on(name: &str, core: usize) -> VmPlan {
    let access = Rights::READ;
    let device = ObjectPlan {
        windows: Vec::from([WindowPlan { ipa: 0x1000, size: 0x1000, access }]),
        ..object("device", &DEVICE)
    };
    let cpu = CpuPlan { affinity: 5, path: name.into(), core, share: Default::default() };
    let memory = MemoryPlan { ipa: 1 << 30, size: 4096, writable: true, path: name.into() };
    VmPlan { cpus: Vec::from([cpu]), memory: Vec::from([memory]), ..vm(name, Vec::from([device])) }
}

/// Binds two VMs and an overseer of `overseen`.
fn bound(
    path: &'static str,
    rights: Rights,
    overseen: &[usize],
) -> (&'static Fake, crate::Bound, Oversight) {
    let overseer = ObjectPlan {
        path: path.into(),
        rights,
        overseen: overseen.to_vec(),
        ..object("overseer", &OVERSEER)
    };
    let vms = Vec::from([vm_on("first", 0), vm_on("second", 1)]);
    let deployment = Deployment { root_objects: Vec::from([overseer]), ..deployment(vms) };
    let fake = Fake::new();
    let bound = bind(&deployment, fake).expect("sound");
    let mut given = GIVEN.lock();
    let at = given.iter().position(|(name, _)| *name == path).expect("built");
    (fake, bound, given.swap_remove(at).1)
}

#[test]
fn it_sees_what_it_was_given_and_nothing_else() {
    let (_, _bound, Oversight { inspect, controls }) = bound("/one", Rights::all(), &[1]);
    assert_eq!(controls.len(), 1);
    let facts = inspect.vm(0).expect("its VM");
    assert_eq!((facts.name, facts.vcpus, facts.verdict), ("second", 1, 0));
    assert_eq!(inspect.vm(1), None);
    let memory = inspect.memory(0, 0).expect("a region");
    assert_eq!((memory.ipa, memory.size, memory.writable), (1 << 30, 4096, true));
    assert_eq!((inspect.memory(0, 1), inspect.memory(1, 0)), (None, None));
    let route = inspect.route(0, Names::Addresses, 0).expect("its device");
    assert_eq!((route.first, route.last, route.rights), (0x1000, 0x1fff, Rights::READ));
    assert_eq!(route.object, Some("/vm/device"));
    assert_eq!(inspect.route(0, Names::Addresses, 1), None);
    // The kernel's timer is nobody's object.
    let timer = inspect.route(0, Names::Interrupts, 0).expect("the timer");
    assert_eq!(timer.object, None);
}

#[test]
fn a_vcpu_is_where_its_core_last_saw_it() {
    let (fake, bound, Oversight { inspect, .. }) = bound("/two", Rights::all(), &[0, 1]);
    let vm = bound.vms.get(1).expect("the second").vm;
    let vcpu = || inspect.vcpu(1, 0).expect("its vCPU");
    assert_eq!((vcpu().power, vcpu().pc, vcpu().affinity, vcpu().core), (Power::Off, None, 5, 1));
    assert_eq!(inspect.vm(1).map(|vm| vm.state), Some(VmState::Changing), "its memory is filled");
    vm.changed(Some(crate::Entry { pc: 1 << 30, x0: 0 }));
    assert_eq!(inspect.vm(1).map(|vm| vm.state), Some(VmState::On));
    let attention = Box::leak(Box::default());
    vm.connect(0, attention);
    // It waits at EL2: nobody has to come out.
    inspect.look(1);
    assert_eq!(attention.load(Ordering::Relaxed), 0);
    assert!(matches!(vm.next(0), crate::Next::Start(_)));
    fake.kicked.lock().clear();
    inspect.look(1);
    assert_eq!(attention.load(Ordering::Relaxed), crate::Attention::LEAVE);
    assert_eq!(*fake.kicked.lock(), [1]);
    vm.saw(0, 0x4000_1234, 7);
    assert_eq!((vcpu().pc, vcpu().refused), (Some(0x4000_1234), 7));
    assert_eq!(vm.next(0), crate::Next::Run, "nothing changed");
}

#[test]
fn a_change_takes_the_control_right() {
    for (path, rights) in [("/three", Rights::all()), ("/four", Rights::READ)] {
        let (_, bound, Oversight { inspect, controls }) = bound(path, rights, &[1]);
        let may = rights.contains(Rights::CONTROL);
        for one in &bound.vms {
            one.vm.changed(Some(crate::Entry { pc: 1 << 30, x0: 0 }));
        }
        let control = controls.first().expect("one for its VM");
        assert_eq!(control.permitted(), may);
        let mut cx = Context::new(0);
        control.send(VmEvent::Verdict(3), &mut cx);
        control.send(VmEvent::Reset, &mut cx);
        let _ = deliver(&mut cx);
        let state = if may { VmState::Changing } else { VmState::On };
        assert_eq!(inspect.vm(0).map(|vm| (vm.state, vm.verdict)), Some((state, 0)));
        let first = bound.vms.first().expect("the first").vm;
        assert_eq!(first.state(), VmState::On, "it is not its own");
    }
}

#[test]
fn it_sees_how_long_a_vcpu_ran_and_where_and_keeps_it_startable() {
    for (path, rights) in [("/five", Rights::all()), ("/six", Rights::READ)] {
        let (_, bound, Oversight { inspect, .. }) = bound(path, rights, &[1]);
        let [first, second] = [0, 1].map(|n| bound.vms.get(n).expect("two").vm);
        second.ran(0, 30);
        second.ran(0, 12);
        let vcpu = inspect.vcpu(0, 0).expect("its vCPU");
        assert_eq!((vcpu.ran, vcpu.stolen), (42, 0));
        assert_eq!(inspect.core(1).map(|core| core.scheduler), Some(None));
        assert_eq!(inspect.core(2), None, "none of its VMs is there");
        assert_eq!(inspect.exits(0).map(|exits| exits.accesses), Some(0));
        assert_eq!(inspect.exits(1), None);
        assert!(inspect.last_crash(0).is_none());
        assert_eq!(second.is_kept(), rights.contains(Rights::CONTROL));
        assert!(!first.is_kept(), "it is not its own");
    }
}

#[test]
fn it_pauses_stops_and_starts_its_own() {
    let (_, bound, Oversight { inspect, controls }) = bound("/seven", Rights::all(), &[0, 1]);
    let vm = bound.vms.get(1).expect("the second").vm;
    vm.changed(Some(crate::Entry { pc: 1 << 30, x0: 0 }));
    let mut cx = Context::new(0);
    let mut ask = |event| {
        controls.get(1).expect("one for each").send(event, &mut cx);
        let _ = deliver(&mut cx);
        vm.next(0)
    };
    let state = || inspect.vm(1).map(|vm| vm.state);
    assert_eq!(ask(VmEvent::Pause), crate::Next::Change(crate::Change::Pause));
    assert_eq!(state(), Some(VmState::Changing));
    vm.paused();
    assert_eq!(state(), Some(VmState::Paused));
    assert_eq!(ask(VmEvent::Off), crate::Next::Change(crate::Change::Off));
    vm.changed(None);
    assert_eq!(state(), Some(VmState::Off));
    assert_eq!(ask(VmEvent::Start), crate::Next::Change(crate::Change::Start));
}
