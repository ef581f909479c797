//! Discovery by the SMC Calling Convention (DEN 0028), version 1.2, and eVisor's
//! own hypervisor services.
//!
//! The one service of our own is the verdict: a guest that tests something says
//! how that ended. It takes the control right of *this* node, which is not that
//! of the PSCI node: a VM may give a verdict without being able to turn itself
//! off, and the other way about. Without the right the function does not exist.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod processor;
mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::{
    CallRegisters, Calls, Context, Needs, Object, Parts, Reply, VmControl, VmEvent, component,
};
use processor::Processor;
use spec::{code, function};

component! {
    compatible: ["evisor,smccc"],
    needs: Needs::NONE,
    properties: [],
    build: |_node, grants| {
        let (vm, tells_stolen_time) = (grants.vm()?, grants.tells_stolen_time());
        let services = Services { vm, processor: Processor::new(grants), tells_stolen_time };
        let architecture = function::VERSION..=function::ARCH_LAST;
        // The rest of the hypervisor's range is free for other components.
        let general = function::GENERAL..=function::GENERAL_LAST;
        let own = function::OWN..=function::OWN_LAST;
        let wide = own.start() | function::SMC64..=own.end() | function::SMC64;
        Ok(Parts::new(services).calls(&[architecture, general, own, wide]).done())
    },
    describe: |_node, _guest| Ok(()),
}

struct Services {
    vm: VmControl,
    processor: Processor,
    /// Another component tells it.
    tells_stolen_time: bool,
}

impl Object for Services {
    fn reset(&mut self) {}
}

impl Calls for Services {
    fn call(&mut self, function: u32, registers: &mut CallRegisters, cx: &mut Context) -> Reply {
        Reply::value(match function {
            function::VERSION..=function::ARCH_LAST => self.architecture(function, registers[1]),
            function::UID => uid(registers),
            function::REVISION => revision(registers),
            function::VERDICT if self.vm.permitted() => self.verdict(registers[1], cx),
            _ => code::NOT_SUPPORTED,
        })
    }
}

impl Services {
    /// Arm architecture calls.
    #[inline(never)]
    fn architecture(&self, function: u32, asked: u64) -> u64 {
        match function {
            function::VERSION => spec::VERSION_1_2,
            function::ARCH_FEATURES => self.features(asked),
            // Who calls it without need has what it wants.
            function::ARCH_WORKAROUND_1 if self.processor.is_safe_from_variant_2() => code::SUCCESS,
            function::ARCH_WORKAROUND_3 if self.processor.is_safe_from_bhb() => code::SUCCESS,
            _ => code::NOT_SUPPORTED,
        }
    }

    /// §7.3. The workarounds are firmware's, and a guest's calls are not passed on to
    /// it: what the core does not need is said to be so, the rest is not there.
    #[expect(clippy::cast_possible_truncation, reason = "the argument has 32 bits")]
    fn features(&self, asked: u64) -> u64 {
        match asked as u32 {
            function::VERSION | function::ARCH_FEATURES => code::SUCCESS,
            function::PV_TIME_FEATURES if self.tells_stolen_time => code::SUCCESS,
            function::ARCH_WORKAROUND_1 if self.processor.is_safe_from_variant_2() => {
                code::UNAFFECTED
            }
            function::ARCH_WORKAROUND_2 if self.processor.is_safe_from_variant_4() => {
                code::NOT_REQUIRED
            }
            function::ARCH_WORKAROUND_3 if self.processor.is_safe_from_bhb() => code::UNAFFECTED,
            _ => code::NOT_SUPPORTED,
        }
    }

    fn verdict(&self, verdict: u64, cx: &mut Context) -> u64 {
        match u8::try_from(verdict) {
            Ok(verdict) => {
                self.vm.send(VmEvent::Verdict(verdict), cx);
                code::SUCCESS
            }
            Err(_) => code::INVALID_PARAMETER,
        }
    }
}

fn uid(registers: &mut CallRegisters) -> u64 {
    let [first, second, third, fourth] = spec::UID;
    (registers[1], registers[2], registers[3]) = (second, third, fourth);
    first
}

fn revision(registers: &mut CallRegisters) -> u64 {
    let (major, minor) = spec::REVISION;
    registers[1] = minor;
    major
}
