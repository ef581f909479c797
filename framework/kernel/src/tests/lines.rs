//! Lines that several devices share, from a plan to the controller.

use super::passed::{bound_with, object};
use alloc::vec::Vec;
use evisor_contract::{
    Context, Declaration, Line, Mmio, Needs, Object, Parts, Reply, Rights, Width,
};
use evisor_manifest::{LinePlan, ObjectPlan, WindowPlan};
use evisor_router::{Caches, deliver, write};
use spin::Mutex;

/// What the interrupt controller was told: tag and value.
static TOLD: Mutex<Vec<(u32, u64)>> = Mutex::new(Vec::new());

controller!(|tag, value| {
    TOLD.lock().push((tag, value));
    Reply::DONE
});

/// Its line is what was written to it.
struct Lever(Line);

impl Object for Lever {
    fn reset(&mut self) {}
}

impl Mmio for Lever {
    fn read(&mut self, _: u64, _: Width, _: &mut Context) -> Reply {
        Reply::DONE
    }
    fn write(&mut self, _: u64, _: Width, value: u64, cx: &mut Context) -> Reply {
        self.0.set(value != 0, cx);
        Reply::DONE
    }
}

static LEVER: Declaration = Declaration {
    name: "lever",
    compatible: &["example,lever"],
    needs: Needs { lines: 1, ..Needs::NONE },
    properties: &[],
    build: |_, grants| Ok(Parts::new(Lever(grants.line(0)?)).mmio().done()),
    describe: |_, _| Ok(()),
};

static GREEDY: Declaration = Declaration {
    name: "greedy",
    compatible: &["example,greedy"],
    needs: Needs { lines: 1, ..Needs::NONE },
    properties: &[],
    build: |_, grants| {
        grants.line(0)?;
        grants.line(0).and_then(|_| grants.line(0))?;
        unreachable!("two devices share the line")
    },
    describe: |_, _| Ok(()),
};

fn lever(ipa: u64, intid: u32, shared: bool) -> ObjectPlan {
    ObjectPlan {
        windows: Vec::from([WindowPlan { ipa, size: 0x1000, access: Rights::WRITE }]),
        lines: Vec::from([LinePlan { controller: 0, intid, level: true, shared }]),
        ..object("lever", &LEVER)
    }
}

#[test]
fn a_gate_stands_in_front_of_a_shared_line_and_is_reset_with_the_vm() {
    let levers = [lever(0x1000, 40, true), lever(0x2000, 41, false), lever(0x3000, 40, true)];
    let bound = bound_with(object("controller", &CONTROLLER), Vec::from(levers)).expect("sound");
    let vm = &bound.vms[0];
    assert_eq!(vm.objects.len(), 5, "the controller, three devices, one gate");
    let mut caches = Caches::new(vm.space).expect("a space has routes");
    let mut says = |ipa, up, told: &[(u32, u64)]| {
        let cx = &mut Context::new(0);
        assert_eq!(write(&mut caches.mmio, ipa, Width::Word, up, cx), Reply::DONE);
        let _ = deliver(cx);
        assert_eq!(core::mem::take(&mut *TOLD.lock()), told);
    };
    says(0x1000, 1, &[(40, 1)]);
    says(0x3000, 1, &[]);
    says(0x2000, 1, &[(41, 1)]);
    says(0x1000, 0, &[]);
    says(0x3000, 0, &[(40, 0)]);

    says(0x1000, 1, &[(40, 1)]);
    vm.objects.iter().for_each(|object| object.with(&mut |object| object.reset()));
    says(0x3000, 1, &[(40, 1)]);
}

#[test]
fn who_shares_a_line_without_the_right_does_not_raise_it() {
    let silent = ObjectPlan { rights: Rights::WRITE, ..lever(0x1000, 50, true) };
    let levers = Vec::from([silent, lever(0x2000, 50, true)]);
    let bound = bound_with(object("controller", &CONTROLLER), levers).expect("sound");
    let mut caches = Caches::new(bound.vms[0].space).expect("a space has routes");
    let cx = &mut Context::new(0);
    assert_eq!(write(&mut caches.mmio, 0x1000, Width::Word, 1, cx), Reply::DONE);
    let _ = deliver(cx);
    assert!(!TOLD.lock().contains(&(50, 1)));
}

#[test]
fn a_component_that_asks_for_a_shared_line_twice_is_refused() {
    let greedy = ObjectPlan { declaration: &GREEDY, ..lever(0x1000, 40, true) };
    let devices = Vec::from([greedy, lever(0x2000, 40, true)]);
    let error = bound_with(object("controller", &CONTROLLER), devices).map(|_| ()).unwrap_err();
    assert!(error.message.contains("asks for a line twice"), "{error}");
}
