//! Power State Coordination Interface (DEN 0022), version 1.1, for the vCPUs of
//! one VM.
//!
//! Turning the VM off or resetting it takes the node's control right. Without it
//! those functions do not exist: PSCI_FEATURES says so, and calling them anyway
//! answers NOT_SUPPORTED.
//!
//! PSCI_FEATURES announces SMCCC_VERSION, which the component `smccc-services`
//! answers: a VM has both or neither.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod spec;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::ops::RangeInclusive;
use evisor_contract::{
    CallRegisters, Calls, Context, Needs, Object, Parts, Power, Reply, VcpuControl, VmControl,
    VmEvent, component,
};
use spec::{affinity, code, function};

component! {
    compatible: ["arm,psci-1.0", "arm,psci-0.2", "arm,psci"],
    needs: Needs::NONE,
    properties: [],
    build: |_node, grants| {
        let psci = Psci {
            vm: grants.vm()?,
            vcpus: grants.vcpus()?,
            count: grants.vcpu_count(),
            addresses: grants.addresses(),
        };
        let narrow = function::VERSION..=function::LAST;
        let wide = narrow.start() | function::SMC64..=narrow.end() | function::SMC64;
        Ok(Parts::new(psci).calls(&[narrow, wide]).done())
    },
    describe: |_node, guest| {
        guest.set_strings("compatible", &["arm,psci-1.0", "arm,psci-0.2"]);
        guest.set_strings("method", &["hvc"]);
        Ok(())
    },
}

struct Psci {
    vm: VmControl,
    vcpus: &'static dyn VcpuControl,
    count: usize,
    /// Where a vCPU may start.
    addresses: Vec<RangeInclusive<u64>>,
}

impl Object for Psci {
    /// The vCPUs' state is the VM's; this has none.
    fn reset(&mut self) {}
}

impl Calls for Psci {
    #[inline(always)]
    fn call(&mut self, function: u32, registers: &mut CallRegisters, cx: &mut Context) -> Reply {
        if function == function::VERSION {
            return Reply::value(spec::VERSION_1_1);
        }
        Reply::value(self.dispatch(function, registers, cx))
    }
}

impl Psci {
    #[inline(never)]
    fn dispatch(&self, function: u32, registers: &CallRegisters, cx: &mut Context) -> u64 {
        if !self.has(function) {
            return code::NOT_SUPPORTED;
        }
        let [_, x1, x2, x3, ..] = registers.map(|value| narrow(function, value));
        match function & !function::SMC64 {
            function::CPU_SUSPEND => self.suspend(x1, cx),
            function::CPU_OFF => {
                self.vcpus.stop_caller(cx);
                code::INTERNAL_FAILURE
            }
            function::CPU_ON => self.start(x1, x2, x3),
            function::AFFINITY_INFO => self.affinity_info(x1, x2),
            function::MIGRATE_INFO_TYPE => spec::NO_TRUSTED_OS,
            function::SYSTEM_OFF => self.end(VmEvent::Off, cx),
            function::SYSTEM_RESET => self.end(VmEvent::Reset, cx),
            function::SYSTEM_RESET2 => self.reset(x1, cx),
            function::FEATURES => self.features(registers),
            _ => code::NOT_SUPPORTED,
        }
    }

    /// Whether `function` is there: by its width, and by the control right.
    fn has(&self, function: u32) -> bool {
        match function {
            function::VERSION
            | function::CPU_OFF
            | function::MIGRATE_INFO_TYPE
            | function::FEATURES => true,
            function::SYSTEM_OFF | function::SYSTEM_RESET => self.vm.permitted(),
            _ if function & !function::SMC64 == function::SYSTEM_RESET2 => self.vm.permitted(),
            _ => matches!(
                function & !function::SMC64,
                function::CPU_SUSPEND | function::CPU_ON | function::AFFINITY_INFO
            ),
        }
    }

    /// PSCI_FEATURES. No function has feature flags set: CPU_SUSPEND takes the original
    /// form of its parameter and knows no OS-initiated mode.
    #[expect(clippy::cast_possible_truncation, reason = "the argument has 32 bits")]
    fn features(&self, registers: &CallRegisters) -> u64 {
        let asked = registers[1] as u32;
        if asked == function::SMCCC_VERSION || self.has(asked) {
            code::SUCCESS
        } else {
            code::NOT_SUPPORTED
        }
    }

    /// Which vCPU an MPIDR value names.
    fn find(&self, target: u64) -> Option<usize> {
        let named = |index: &usize| self.vcpus.affinity(*index) == Some(target);
        (0..self.count).find(named).filter(|_| target & !spec::MPIDR == 0)
    }

    /// CPU_SUSPEND. Every state is a standby, which the implementation may choose in
    /// place of a deeper one: the caller comes back, and not through its entry point.
    fn suspend(&self, power_state: u64, cx: &mut Context) -> u64 {
        if power_state & spec::POWER_STATE_RESERVED != 0 {
            return code::INVALID_PARAMETERS;
        }
        self.vcpus.wait(cx);
        code::SUCCESS
    }

    /// CPU_ON. The entry point is an address in AArch64 state, so it is aligned; and
    /// something is there.
    fn start(&self, target: u64, entry: u64, context: u64) -> u64 {
        let Some(index) = self.find(target) else {
            return code::INVALID_PARAMETERS;
        };
        if entry & 3 != 0 || !self.addresses.iter().any(|range| range.contains(&entry)) {
            return code::INVALID_ADDRESS;
        }
        match self.vcpus.start(index, entry, context) {
            Power::Off => code::SUCCESS,
            Power::On => code::ALREADY_ON,
            Power::Pending => code::ON_PENDING,
        }
    }

    /// AFFINITY_INFO. Only for single cores, as version 1.0 and later allow.
    fn affinity_info(&self, target: u64, lowest_level: u64) -> u64 {
        match self.find(target) {
            Some(index) if lowest_level == 0 => match self.vcpus.power(index) {
                Power::On => affinity::ON,
                Power::Off => affinity::OFF,
                Power::Pending => affinity::ON_PENDING,
            },
            _ => code::INVALID_PARAMETERS,
        }
    }

    /// SYSTEM_RESET2. A warm reset is a reset, and the vendor has no types of its own.
    fn reset(&self, reset_type: u64, cx: &mut Context) -> u64 {
        if reset_type & 0xffff_ffff != spec::SYSTEM_WARM_RESET {
            return code::INVALID_PARAMETERS;
        }
        self.end(VmEvent::Reset, cx)
    }

    /// The VM ends or restarts; its caller does not come back to see an answer.
    fn end(&self, event: VmEvent, cx: &mut Context) -> u64 {
        self.vm.send(event, cx);
        code::INTERNAL_FAILURE
    }
}

/// A 32-bit function takes the low halves of the registers (DEN 0028 §2.7).
fn narrow(function: u32, value: u64) -> u64 {
    if function & function::SMC64 == 0 { value & 0xffff_ffff } else { value }
}
