//! Random lines, enables and acknowledgements, against a model that knows for
//! each interrupt only: enabled, pending, active.

use super::{Acknowledged, Controller, Rig};
use crate::spec::files;
use crate::v2::GicV2;
use crate::v3::GicV3;
use alloc::vec::Vec;
use evisor_contract::LineState;
use proptest::prelude::*;

/// GICD_CTLR.
const CTLR: u64 = 0;
const FIRST: u32 = 32;
const COUNT: u32 = 12;

/// Even INTIDs are edges, odd ones levels.
#[derive(Clone, Copy, Default)]
struct Model {
    enabled: bool,
    latch: bool,
    line: bool,
    active: bool,
    priority: u8,
    target: usize,
}

impl Model {
    fn pending(&self, edge: bool) -> bool {
        self.latch || (self.line && !edge)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Line(u32, bool),
    Enable(u32, bool),
    Priority(u32, u8),
    Pend(u32, bool),
    Acknowledge,
    End,
    Forward(bool),
    Target(u32, usize),
    Switch(usize),
}

fn step(vcpus: usize) -> impl Strategy<Value = Step> {
    let intid = FIRST..FIRST + COUNT;
    prop_oneof![
        6 => (intid.clone(), any::<bool>()).prop_map(|(i, up)| Step::Line(i, up)),
        2 => (intid.clone(), any::<bool>()).prop_map(|(i, on)| Step::Enable(i, on)),
        1 => (intid.clone(), 0u8..32).prop_map(|(i, p)| Step::Priority(i, p << 3)),
        1 => (intid.clone(), any::<bool>()).prop_map(|(i, on)| Step::Pend(i, on)),
        1 => (intid, 0..vcpus).prop_map(|(i, target)| Step::Target(i, target)),
        3 => (0..vcpus).prop_map(Step::Switch),
        4 => Just(Step::Acknowledge),
        4 => Just(Step::End),
        1 => any::<bool>().prop_map(Step::Forward),
    ]
}

struct World<G> {
    rig: Rig<G>,
    model: Vec<Model>,
    forward: bool,
    here: usize,
    stacks: Vec<Vec<Acknowledged>>,
}

impl<G: Controller> World<G> {
    fn new(vcpus: usize, lists: usize) -> Self {
        let mut rig = Rig::<G>::started(vcpus, lists);
        rig.write(files::ICFGR + 8, 0x2222_2222);
        let model = alloc::vec![Model::default(); COUNT as usize];
        let stacks = alloc::vec![Vec::new(); vcpus];
        Self { rig, model, forward: true, here: 0, stacks }
    }

    fn at(&mut self, intid: u32) -> &mut Model {
        &mut self.model[(intid - FIRST) as usize]
    }

    /// The one to be acknowledged next.
    fn best(&self) -> Option<usize> {
        let ready = (0..).zip(&self.model).filter(|(n, m)| {
            let open = self.forward && m.enabled && m.target == self.here;
            open && !m.active && m.pending(n % 2 == 0)
        });
        ready.min_by_key(|(n, m)| (m.priority, *n)).map(|(n, _)| n + FIRST as usize)
    }

    fn acknowledge(&mut self) {
        // What does not preempt is not signalled.
        let expected = self.best();
        let next = expected.map_or(0xff, |intid| self.model[intid - FIRST as usize].priority);
        let mut handled = self.stacks[self.here].iter();
        if handled.any(|taken| self.model[taken.intid - FIRST as usize].priority <= next) {
            return;
        }
        let taken = self.rig.acknowledge();
        assert_eq!(taken.map(|t| t.intid), expected);
        if let Some(taken) = taken {
            let model = self.at(taken.intid as u32);
            model.active = true;
            model.latch = false;
            self.stacks[self.here].push(taken);
        }
    }

    fn end(&mut self) {
        if let Some(taken) = self.stacks[self.here].pop() {
            self.at(taken.intid as u32).active = false;
            self.rig.end(taken);
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Line(intid, up) => {
                let model = self.at(intid);
                model.latch |= intid % 2 == 0 && up && !model.line;
                model.line = up;
                let state = if up { LineState::High } else { LineState::Low };
                let _ = self.rig.line(intid, state);
            }
            Step::Enable(intid, on) => {
                self.at(intid).enabled = on;
                self.rig.bit(if on { files::ISENABLER } else { files::ICENABLER }, intid);
            }
            // The running priority is that at which it was acknowledged.
            Step::Priority(intid, _) if self.at(intid).active => {}
            Step::Priority(intid, priority) => {
                self.at(intid).priority = priority;
                self.rig.priority(intid, priority);
            }
            Step::Pend(intid, on) => {
                self.at(intid).latch = on;
                self.rig.bit(if on { files::ISPENDR } else { files::ICPENDR }, intid);
            }
            Step::Forward(on) => {
                self.forward = on;
                self.rig.write(CTLR, on.into());
            }
            Step::Target(intid, target) => {
                self.at(intid).target = target;
                self.rig.target(intid, target);
            }
            Step::Switch(vcpu) => {
                self.here = vcpu;
                self.rig.switch(vcpu);
            }
            Step::Acknowledge => self.acknowledge(),
            Step::End => self.end(),
        }
        self.rig.refresh_all();
        self.compare();
    }

    fn compare(&mut self) {
        let fold = |f: &dyn Fn(usize, &Model) -> bool| {
            self.model.iter().enumerate().fold(0, |all, (n, m)| all | u32::from(f(n, m)) << n)
        };
        let pending = fold(&|n, m| m.pending(n % 2 == 0));
        let active = fold(&|_, m| m.active);
        assert_eq!(self.rig.read(files::ISPENDR + 4), pending, "pending");
        assert_eq!(self.rig.read(files::ISACTIVER + 4), active, "active");
    }
}

/// All that is left comes, on whichever vCPU; nothing else does.
fn drain<G: Controller>(world: &mut World<G>) {
    world.step(Step::Forward(true));
    for vcpu in 0..world.stacks.len() {
        world.step(Step::Switch(vcpu));
        while !world.stacks[vcpu].is_empty() {
            world.end();
        }
    }
    for intid in FIRST..FIRST + COUNT {
        world.step(Step::Line(intid, false));
        world.step(Step::Enable(intid, true));
    }
    for vcpu in 0..world.stacks.len() {
        world.step(Step::Switch(vcpu));
        while world.best().is_some() {
            world.acknowledge();
            world.end();
        }
        assert_eq!(world.rig.acknowledge(), None);
    }
}

fn play<G: Controller>(vcpus: usize, lists: usize, steps: Vec<Step>) {
    let mut world = World::<G>::new(vcpus, lists);
    for step in steps {
        world.step(step);
    }
    drain(&mut world);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn gic_v2_as_the_model(
        lists in 2usize..6,
        steps in prop::collection::vec(step(1), 1..300),
    ) {
        play::<GicV2>(1, lists, steps);
    }

    #[test]
    fn gic_v2_as_the_model_with_three_vcpus(
        lists in 2usize..6,
        steps in prop::collection::vec(step(3), 1..300),
    ) {
        play::<GicV2>(3, lists, steps);
    }

    #[test]
    fn gic_v3_as_the_model(
        lists in 2usize..6,
        steps in prop::collection::vec(step(1), 1..300),
    ) {
        play::<GicV3>(1, lists, steps);
    }

    #[test]
    fn gic_v3_as_the_model_with_three_vcpus(
        lists in 2usize..6,
        steps in prop::collection::vec(step(3), 1..300),
    ) {
        play::<GicV3>(3, lists, steps);
    }
}
