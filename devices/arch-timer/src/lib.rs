//! The Arm generic timer (DDI 0487 §D12) as a guest has it: the virtual timer,
//! and the physical one if its node lists a second interrupt.
//!
//! The virtual timer's registers are the hardware's own, switched with the vCPU, so
//! that nothing traps; what is left for this component is its interrupt. The
//! physical PPI of the virtual timer drives the guest's line through a
//! hardware-linked list register (IHI 0048B.b §5.2.2), and the guest's tree names
//! it.
//!
//! The physical timer is emulated, and CNTPCT_EL0 with it: a VM has one count, and
//! the host's is not the guest's to know. Who uses it at EL0 without CNTKCTL_EL1's
//! leave is taken to EL1 by the hardware, before EL2 is asked.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod physical;
mod spec;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::ops::RangeInclusive;
use evisor_contract::{
    BuildError, Clock, Context, Grants, GuestNode, Line, Needs, Node, Notify, Object, Parts,
    Register, Registers, Reply, Restore, RestoreError, Save, VcpuControl, component, tag,
};
use physical::Physical;

/// The node's first interrupt is the virtual timer's.
const VIRTUAL: usize = 0;
/// The second is the physical timer's.
const PHYSICAL: usize = 1;

/// The host's PPI of the virtual timer as an INTID.
const HOST_INTID: u32 = 16 + spec::VIRTUAL_PPI;

component! {
    compatible: ["arm,armv8-timer", "arm,armv7-timer"],
    needs: Needs { lines: 1, optional_lines: 1, ..Needs::NONE },
    properties: [],
    build: |_node, grants| {
        grants.hardware_line(VIRTUAL, HOST_INTID)?;
        let (physical, clock, vcpus) = (physical(grants)?, grants.clock(), grants.vcpus()?);
        let timer = Timer { physical, clock, vcpus };
        Ok(Parts::new(timer).registers(&RANGES).notify().done())
    },
    describe: |node, guest| {
        guest.set_strings("compatible", &["arm,armv8-timer"]);
        describe_interrupts(node, guest);
        // A vCPU has no state in which its timer stops.
        guest.set_flag("always-on");
        Ok(())
    },
}

/// One a vCPU if the node lists their interrupt, none otherwise.
fn physical(grants: &mut dyn Grants) -> Result<Vec<Physical>, BuildError> {
    let count = grants.vcpu_count();
    let lines: Vec<Line> = (0..count).map_while(|_| grants.line(PHYSICAL).ok()).collect();
    lines.into_iter().map(|line| Ok(Physical::new(line, grants.deadline()?))).collect()
}

/// Bytes of one interrupt: type, number and flags.
const INTERRUPT: usize = 12;

fn interrupts<'a>(node: &Node<'a>) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    node.bytes("interrupts").unwrap_or_default().chunks_exact(INTERRUPT)
}

/// The binding's interrupts are names, or an order that starts with the secure
/// timer's. Not every guest reads the names, so where both timers are there they
/// are put into that order, the others between them with the numbers that they
/// have everywhere: at EL1 nobody can use them.
fn describe_interrupts(node: &Node<'_>, guest: &mut dyn GuestNode) {
    let mut given = interrupts(node);
    let (Some(virt), Some(phys)) = (given.next(), given.next()) else {
        return guest.set_strings("interrupt-names", &["virt"]);
    };
    let flags = virt.get(8..).unwrap_or_default();
    let mut bytes = Vec::new();
    for (_, ppi) in spec::INTERRUPTS {
        match ppi {
            spec::VIRTUAL_PPI => bytes.extend_from_slice(virt),
            spec::PHYSICAL_PPI => bytes.extend_from_slice(phys),
            _ => {
                bytes.extend([1, ppi].into_iter().flat_map(u32::to_be_bytes));
                bytes.extend_from_slice(flags);
            }
        }
    }
    guest.set("interrupts", &bytes);
    guest.set_strings("interrupt-names", &spec::INTERRUPTS.map(|(name, _)| name));
}

const RANGES: [RangeInclusive<Register>; 3] = [
    spec::CNTP_TVAL..=spec::CNTP_TVAL,
    spec::CNTPCT..=spec::CNTP_CTL,
    spec::CNTP_CVAL..=spec::CNTP_CVAL,
];

/// The virtual timer's state is the vCPU's, which the kernel switches, saves and
/// resets.
struct Timer {
    /// By vCPU; or empty.
    physical: Vec<Physical>,
    clock: &'static dyn Clock,
    vcpus: &'static dyn VcpuControl,
}

impl Registers for Timer {
    fn read_register(&mut self, register: Register, cx: &mut Context) -> Reply {
        let now = self.clock.now();
        if register == spec::CNTPCT {
            return Reply::value(now);
        }
        let Some(timer) = self.physical.get(cx.vcpu()) else { return Reply::ABSENT };
        match register {
            spec::CNTP_TVAL => Reply::value(timer.value(now)),
            spec::CNTP_CTL => Reply::value(timer.control(now)),
            spec::CNTP_CVAL => Reply::value(timer.compare()),
            _ => Reply::ABSENT,
        }
    }

    fn write_register(&mut self, register: Register, value: u64, cx: &mut Context) -> Reply {
        let now = self.clock.now();
        let Some(timer) = self.physical.get_mut(cx.vcpu()) else { return Reply::ABSENT };
        match register {
            spec::CNTP_TVAL => timer.set_value(value, now),
            spec::CNTP_CTL => timer.set_control(value),
            spec::CNTP_CVAL => timer.set_compare(value),
            _ => return Reply::ABSENT,
        }
        timer.update(now, cx);
        Reply::DONE
    }
}

impl Notify for Timer {
    /// A deadline comes on the core that asked for it, where its vCPU may not be: another
    /// one may, of another VM too.
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        if tag != tag::DEADLINE || self.physical.is_empty() {
            return Reply::ABSENT;
        }
        let now = self.clock.now();
        for (vcpu, timer) in self.physical.iter().enumerate() {
            match self.vcpus.is_here(vcpu, cx) {
                true => timer.update(now, cx),
                false => timer.expire(vcpu, now, cx),
            }
        }
        Reply::DONE
    }
}

const TAG: [u8; 8] = *b"archtimr";
const VERSION: u32 = 1;

impl Object for Timer {
    fn reset(&mut self) {
        self.physical.iter_mut().for_each(Physical::reset);
    }

    /// Deadlines are not part of it: they are asked for again.
    #[expect(clippy::cast_possible_truncation, reason = "a VM has few vCPUs")]
    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        to.word(self.physical.len() as u32);
        self.physical.iter().for_each(|timer| timer.save(to));
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(TAG, VERSION)?;
        if from.word()? as usize != self.physical.len() {
            return Err(RestoreError::Impossible);
        }
        self.physical.iter_mut().try_for_each(|timer| timer.restore(from))
    }
}
