//! A core has one vCPU, and no timer interrupts it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

#[cfg(test)]
mod tests;

use evisor_contract::{BuildError, Choice, Grants, Needs, Object, Parts, Scheduler, component};

component! {
    compatible: ["evisor,partitioned"],
    needs: Needs { root: true, cores: true, ..Needs::NONE },
    properties: [],
    build: |_node, grants| Ok(Parts::new(build(grants)?).scheduler().done()),
    describe: |_node, _guest| Ok(()),
}

#[derive(Default)]
struct Partitioned {
    awake: bool,
}

fn build(grants: &dyn Grants) -> Result<Partitioned, BuildError> {
    match grants.members() {
        [] | [_] => Ok(Partitioned::default()),
        several => {
            let problem =
                alloc::format!("a core of it has one vCPU, and {} run on one", several.len());
            let remedy = "put them on cores of their own, or use another scheduler";
            Err(BuildError::property("evisor,cores", problem, remedy))
        }
    }
}

impl Object for Partitioned {
    fn reset(&mut self) {
        self.awake = false;
    }
}

impl Scheduler for Partitioned {
    fn wake(&mut self, member: usize, _now: u64) {
        self.awake |= member == 0;
    }

    fn sleep(&mut self, member: usize, _now: u64) {
        self.awake &= member != 0;
    }

    fn give_way(&mut self, _member: usize, _now: u64) {}

    fn choose(&mut self, _now: u64) -> Choice {
        if self.awake { Choice::alone(0, u64::MAX) } else { Choice::nobody(u64::MAX) }
    }
}
