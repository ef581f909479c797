//! Stolen time, by Arm's paravirtualized time (DEN 0057A): how long a vCPU could have run
//! while others had its core.
//!
//! The calls are here, and say where the guest finds it. What it finds there the kernel
//! keeps, in a page that the guest may only read: no trap has a part in it.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::{
    BuildError, CallRegisters, Calls, Context, Grants, Needs, Node, Object, Parts, Reply,
    STOLEN_TIME_WINDOW, WindowNeed, component,
};
use spec::{STRUCTURE, code, function};

component! {
    compatible: ["evisor,stolen-time"],
    needs: Needs {
        windows: &[WindowNeed::new(STOLEN_TIME_WINDOW)],
        stolen_time: true,
        ..Needs::NONE
    },
    properties: [],
    build: |node, grants| {
        Ok(Parts::new(build(node, grants)?).calls(&[function::FEATURES..=function::STOLEN]).done())
    },
    describe: |_node, _guest| Ok(()),
}

struct StolenTime {
    /// Where the page is, guest-physical, if there is anything to tell.
    page: Option<u64>,
}

fn build(node: &Node<'_>, grants: &dyn Grants) -> Result<StolenTime, BuildError> {
    let page = node.window(0).map(|(page, _)| page);
    if page.is_some_and(|page| !page.is_multiple_of(STOLEN_TIME_WINDOW)) {
        let problem = "is a page of the guest's, and does not begin as one";
        return Err(BuildError::property("reg", problem, "begin it at a multiple of 0x1000"));
    }
    Ok(StolenTime { page: page.filter(|_| grants.tells_stolen_time()) })
}

impl Object for StolenTime {
    fn reset(&mut self) {}
}

impl Calls for StolenTime {
    fn call(&mut self, function: u32, registers: &mut CallRegisters, cx: &mut Context) -> Reply {
        let answer = match function {
            function::FEATURES => self.features(registers[1]),
            function::STOLEN => self.structure(cx.vcpu() as u64),
            _ => None,
        };
        Reply::value(answer.unwrap_or(code::NOT_SUPPORTED))
    }
}

impl StolenTime {
    /// PV_TIME_FEATURES.
    #[expect(clippy::cast_possible_truncation, reason = "the argument has 32 bits")]
    fn features(&self, asked: u64) -> Option<u64> {
        let known = matches!(asked as u32, function::FEATURES | function::STOLEN);
        self.page.filter(|_| known).map(|_| code::SUCCESS)
    }

    /// PV_TIME_ST. Of a vCPU that has a core to itself too, where another of its VM has not:
    /// Linux starts none that has no structure.
    fn structure(&self, vcpu: u64) -> Option<u64> {
        let offset = Some(vcpu * STRUCTURE).filter(|offset| *offset < STOLEN_TIME_WINDOW);
        self.page.zip(offset).map(|(page, offset)| page + offset)
    }
}
