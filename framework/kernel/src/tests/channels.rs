//! A channel, from a plan to who is rung and how.

use super::Fake;
use super::passed::{deployment, object, vm};
use crate::{Bound, bind};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use evisor_contract::{
    ChannelEnd, Context, Declaration, LineState, Needs, Object, Parts, Reply, Rights, Share, Words,
    tag,
};
use evisor_manifest::{
    ChannelPlan, CpuPlan, Deployment, LinePlan, ManifestError, ObjectPlan, SchedulerPlan, VmPlan,
    WindowPlan,
};
use evisor_router::deliver;
use spin::Mutex;

const SIZE: u64 = 0x4000;

static SHARED: Declaration = Declaration {
    name: "channel",
    compatible: &["example,channel"],
    needs: Needs { root: true, shared: true, ..Needs::NONE },
    properties: &[],
    build: |_, _| Ok(Parts::new(Silent).done()),
    describe: |_, _| Ok(()),
};

struct Silent;

impl Object for Silent {
    fn reset(&mut self) {}
}

/// A guest's end: a doorbell and a window.
static END: Declaration = Declaration {
    name: "end",
    compatible: &["example,end"],
    needs: Needs { channel: true, ..Needs::NONE },
    properties: &[],
    build: |_, grants| {
        let _ = grants.channel()?;
        grants.doorbell(0)?;
        grants.channel_window(0)?;
        Ok(Parts::new(Silent).done())
    },
    describe: |_, _| Ok(()),
};

/// A device's end: it is told, and has the memory.
static DEVICE: Declaration = Declaration {
    name: "device",
    compatible: &["example,device-end"],
    needs: Needs { channel: true, ..Needs::NONE },
    properties: &[],
    build: |_, grants| {
        let _ = (grants.channel()?, grants.channel_memory()?);
        Ok(Parts::new(Controller).notify().done())
    },
    describe: |_, _| Ok(()),
};

/// What was notified: tag and value.
static TOLD: Mutex<Vec<(u32, u64)>> = Mutex::new(Vec::new());
/// One test at a time reads it.
static ONE: Mutex<()> = Mutex::new(());

// A device's end is told the same way.
controller!(|tag, value| {
    TOLD.lock().push((tag, value));
    Reply::DONE
});

fn end(end: u32, rights: Rights, level: bool) -> ObjectPlan {
    let access = Rights::READ | Rights::WRITE;
    ObjectPlan {
        rights,
        windows: Vec::from([WindowPlan { ipa: 0x8000, size: SIZE, access }]),
        lines: Vec::from([LinePlan { controller: 0, intid: 52 + end, level, shared: false }]),
        channel: Some(ChannelPlan { channel: 0, end, size: SIZE }),
        ..object("end", &END)
    }
}

fn device() -> ObjectPlan {
    let channel = Some(ChannelPlan { channel: 0, end: 1, size: SIZE });
    ObjectPlan { channel, ..object("device", &DEVICE) }
}

fn on_core(core: usize, end: ObjectPlan) -> VmPlan {
    let share = Share::default();
    let cpus = Vec::from([CpuPlan { affinity: 0, path: String::new(), core, share }]);
    let objects = Vec::from([object("controller", &CONTROLLER), end]);
    VmPlan { cpus, ..vm("vm", objects) }
}

fn of(vms: [VmPlan; 2]) -> Deployment {
    let shared = ObjectPlan { storage: Some(SIZE), ..object("shared", &SHARED) };
    Deployment { root_objects: Vec::from([shared]), ..deployment(Vec::from(vms)) }
}

/// End 0 of a VM on core 0, and `other` of one on core 1.
fn bound(host: &'static Fake, other: ObjectPlan) -> Result<Bound, Box<ManifestError>> {
    let vms = [on_core(0, end(0, Rights::all(), false)), on_core(1, other)];
    bind(Box::leak(Box::new(of(vms))), host)
}

/// Rings from VM `from`, and gives who was told by that.
fn ring(bound: &Bound, from: usize) -> Vec<(u32, u64)> {
    TOLD.lock().clear();
    let mut cx = Context::new(0);
    bound.vms[from].ends[0].end.ring(&mut cx);
    let _ = deliver(&mut cx);
    core::mem::take(&mut TOLD.lock())
}

const RUNG: u64 = LineState::Pulse.encode();

#[test]
fn a_core_of_its_own_is_sent_an_interrupt_that_leads_to_the_line() {
    let _one = ONE.lock();
    let host = Fake::new();
    let bound = bound(host, end(1, Rights::all(), false)).expect("sound");
    assert_eq!(ring(&bound, 0), [], "no lock of the other VM is taken");
    assert_eq!(core::mem::take(&mut *host.signalled.lock()), [(1, 1)]);
    let there = &bound.vms[1];
    assert!(there.private.contains(&1), "it is enabled there");
    let _: Words = there.space.interrupts.notify_private(1, &mut Context::of_vm(1, 0));
    assert_eq!(core::mem::take(&mut *TOLD.lock()), [(53, LineState::PULSE_HERE)]);
    assert_eq!(ring(&bound, 1), []);
    assert_eq!(*host.signalled.lock(), [(0, 1)]);
}

#[test]
fn a_core_that_is_shared_is_told_by_an_effect() {
    let _one = ONE.lock();
    let host = Fake::new();
    let vms = [on_core(0, end(0, Rights::all(), false)), on_core(1, end(1, Rights::all(), false))];
    let scheduler = SchedulerPlan { core: 1, object: object("turns", &SCHEDULER) };
    let deployment = Deployment { schedulers: Vec::from([scheduler]), ..of(vms) };
    let bound = bind(&deployment, host).expect("sound");
    assert_eq!(ring(&bound, 0), [(53, RUNG)]);
    assert_eq!(*host.signalled.lock(), []);
}

#[test]
fn a_device_is_told_itself_and_has_the_memory() {
    let _one = ONE.lock();
    let host = Fake::new();
    let bound = bound(host, device()).expect("sound");
    assert_eq!(ring(&bound, 0), [(tag::RUNG, 0)]);
    assert!(bound.channels[0].slot.is_some());
    assert_eq!(bound.channels[0].size, SIZE);
    let [window] = bound.vms[0].shared.as_slice() else { panic!("the guest's end has one") };
    assert_eq!((window.ipa, window.size, window.writable, window.channel), (0x8000, SIZE, true, 0));
    assert!(bound.vms[1].shared.is_empty());
}

#[test]
fn who_has_not_the_right_is_not_rung() {
    let _one = ONE.lock();
    let bound = bound(Fake::new(), end(1, Rights::READ | Rights::WRITE, false)).expect("sound");
    assert_eq!(ring(&bound, 0), []);
    let there = &bound.vms[1].space.interrupts;
    let _: Words = there.notify_private(1, &mut Context::of_vm(1, 0));
    assert_eq!(*TOLD.lock(), []);
}

#[test]
fn who_stops_rings() {
    let _one = ONE.lock();
    let host = Fake::new();
    let bound = bound(host, device()).expect("sound");
    TOLD.lock().clear();
    bound.vms[0].settle(&mut Context::new(0));
    assert_eq!(*TOLD.lock(), [(tag::RUNG, 0)]);
    bound.vms[1].settle(&mut Context::of_vm(1, 0));
    assert_eq!(*host.signalled.lock(), [(0, 1)]);
}

#[test]
fn who_is_rolled_back_begins_again_with_the_other() {
    let _one = ONE.lock();
    let host = Fake::new();
    let bound = bound(host, device()).expect("sound");
    TOLD.lock().clear();
    let mut cx = Context::new(0);
    for vm in &bound.vms {
        let _ = vm.start_time(&mut cx);
        assert_eq!(*TOLD.lock(), [], "it only stood still");
        vm.roll_time_back(false);
        // Once, however often it stands still after that.
        for _ in 0..2 {
            let _ = vm.start_time(&mut cx);
        }
        assert_eq!(core::mem::take(&mut *TOLD.lock()), [(tag::BEGINS, 0)]);
        assert_eq!(core::mem::take(&mut *host.signalled.lock()), [(0, 1)]);
    }
}

#[test]
fn an_end_whose_vm_is_off_is_down() {
    let _one = ONE.lock();
    let bound = bound(Fake::new(), device()).expect("sound");
    let there = &bound.vms[1];
    assert!(!there.ends[0].end.is_up());
    there.vm.changed(Some(crate::Entry { pc: 0, x0: 0 }));
    assert!(there.ends[0].end.is_up());
    assert!(there.vm.order(evisor_contract::VmEvent::Pause));
    assert!(!there.ends[0].end.is_up(), "from when that is asked for");
}

#[test]
fn ends_know_of_each_other() {
    let _one = ONE.lock();
    let bound = bound(Fake::new(), device()).expect("sound");
    let [one, other] = [0, 1].map(|vm| bound.vms[vm].ends[0].end);
    assert_eq!((one.number(), other.number(), one.size()), (0, 1, SIZE));
    other.start();
    other.start();
    assert_eq!((other.starts(), one.other_starts(), other.other_starts()), (2, 2, 0));
    assert!(!one.other_is_up(), "its VM has not started");
}

#[test]
fn a_doorbell_by_level_is_refused() {
    let error = bound(Fake::new(), end(1, Rights::all(), true)).err().expect("by level");
    assert_eq!(
        alloc::string::ToString::to_string(&error),
        "/vm/end: interrupts: a doorbell comes by edge; write 1 as its flags"
    );
}

struct Never;

impl Object for Never {
    fn reset(&mut self) {}
}

impl evisor_contract::Scheduler for Never {
    fn give_way(&mut self, _: usize, _: u64) {}
    fn wake(&mut self, _: usize, _: u64) {}
    fn sleep(&mut self, _: usize, _: u64) {}
    fn choose(&mut self, _: u64) -> evisor_contract::Choice {
        evisor_contract::Choice::nobody(u64::MAX)
    }
}

static SCHEDULER: Declaration = Declaration {
    name: "turns",
    compatible: &["example,turns"],
    needs: Needs { cores: true, ..Needs::NONE },
    properties: &[],
    build: |_, _| Ok(Parts::new(Never).scheduler().done()),
    describe: |_, _| Ok(()),
};
