//! The identification registers that a guest sees (HCR_EL2.TID3 traps them), as
//! an allow-list; and quiet answers for the debug and control registers that
//! EL2 keeps a guest from.
//!
//! What the guest is told is worked out once, when the object is built; a read
//! is an index. The README has every register with its answer.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
#[cfg(test)]
mod tests;

use core::ops::RangeInclusive;
use evisor_contract::{
    Context, Grants, Needs, Object, Parts, Register, Registers, Reply, component,
};

component! {
    compatible: ["arm,armv8"],
    needs: Needs::NONE,
    properties: [],
    build: |_node, grants| {
        Ok(Parts::new(IdRegisters::new(grants)).registers(&RANGES).done())
    },
    describe: |_node, guest| {
        guest.set_strings("compatible", &["arm,armv8"]);
        guest.set_strings("device_type", &["cpu"]);
        guest.set_strings("enable-method", &["psci"]);
        Ok(())
    },
}

/// Keys order by Op2 before CRn and CRm: a range is some CRm of one Op2.
const fn range(op0: u32, op1: u32, crn: u32, op2: u32, crm: [u32; 2]) -> RangeInclusive<Register> {
    let [first, last] = crm;
    Register::new(op0, op1, crn, first, op2)..=Register::new(op0, op1, crn, last, op2)
}

const IDENTIFICATION: [u32; 2] = [spec::FIRST_CRM, spec::LAST_CRM];

const RANGES: [RangeInclusive<Register>; 19] = [
    range(3, 0, 0, 0, IDENTIFICATION),
    range(3, 0, 0, 1, IDENTIFICATION),
    range(3, 0, 0, 2, IDENTIFICATION),
    range(3, 0, 0, 3, IDENTIFICATION),
    range(3, 0, 0, 4, IDENTIFICATION),
    range(3, 0, 0, 5, IDENTIFICATION),
    range(3, 0, 0, 6, IDENTIFICATION),
    range(3, 0, 0, 7, IDENTIFICATION),
    range(3, 0, 1, 1, [0, 0]),  // ACTLR_EL1
    range(2, 0, 0, 0, [2, 2]),  // MDCCINT_EL1
    range(2, 0, 0, 2, [0, 6]),  // OSDTRRX_EL1, MDSCR_EL1, OSDTRTX_EL1, OSECCR_EL1
    range(2, 0, 0, 4, [0, 15]), // DBGBVR<n>_EL1
    range(2, 0, 0, 5, [0, 15]), // DBGBCR<n>_EL1
    range(2, 0, 0, 6, [0, 15]), // DBGWVR<n>_EL1
    range(2, 0, 0, 7, [0, 15]), // DBGWCR<n>_EL1
    range(2, 0, 1, 0, [0, 0]),  // MDRAR_EL1
    range(2, 0, 1, 4, [0, 4]),  // OSLAR_EL1, OSLSR_EL1, OSDLR_EL1, DBGPRCR_EL1
    range(2, 0, 7, 6, [8, 14]), // DBGCLAIMSET_EL1, DBGCLAIMCLR_EL1, DBGAUTHSTATUS_EL1
    range(2, 3, 0, 0, [1, 5]),  // MDCCSR_EL0, DBGDTR_EL0, DBGDTRRX_EL0, DBGDTRTX_EL0
];

/// OSLSR_EL1: the lock is there and open (OSLM = 0b10, OSLK = 0).
const OS_LOCK_OPEN: u64 = 1 << 3;

/// How many breakpoints and how many watchpoints ID_AA64DFR0_EL1 admits.
const POINTS: u32 = 2;

struct IdRegisters {
    values: [u64; spec::COUNT],
}

/// What there is to say to a register.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Reads as this; not writable.
    Fixed(u64),
    /// Reads as this; writes are ignored.
    Quiet(u64),
    /// Only writable, and ignored.
    Sink,
    /// UNDEFINED.
    Undefined,
}

impl IdRegisters {
    fn new(grants: &mut dyn Grants) -> Self {
        // Only a host with a GICv3 lends it, and such a one gives VMs nothing else.
        let gicv3 = grants.system_interface().is_ok();
        let mut values = [0; spec::COUNT];
        for (index, value) in (0..).zip(values.iter_mut()) {
            let (crm, op2) = (spec::FIRST_CRM + index / 8, index % 8);
            let host = grants.host_register(Register::new(3, 0, 0, crm, op2)).unwrap_or(0);
            let more = if gicv3 { spec::fields_with_gicv3(crm, op2) } else { &[] };
            let fields = spec::fields(crm, op2).iter().chain(more);
            *value = fields.fold(0, |told, field| told | field.of(host));
        }
        Self { values }
    }

    fn kind(&self, register: Register) -> Kind {
        match register.fields() {
            (3, 0, 0, crm @ spec::FIRST_CRM..=spec::LAST_CRM, op2) => self.identification(crm, op2),
            (3, 0, 1, 0, 1) => Kind::Quiet(0),
            (2, op1, crn, crm, op2) => debug(op1, crn, crm, op2),
            _ => Kind::Undefined,
        }
    }

    fn identification(&self, crm: u32, op2: u32) -> Kind {
        let index = (crm - spec::FIRST_CRM) * 8 + op2;
        Kind::Fixed(self.values.get(index as usize).copied().unwrap_or(0))
    }
}

/// The debug registers (DDI 0487 §D19.3): all there, none doing anything. An
/// operating system resets them as it boots.
fn debug(op1: u32, crn: u32, crm: u32, op2: u32) -> Kind {
    match (op1, crn, crm, op2) {
        (0, 0, 0..POINTS, 4..=7) => Kind::Quiet(0),
        (0, 0, 2, 0) | (0, 0, 0 | 2 | 3 | 6, 2) => Kind::Quiet(0),
        (0, 1, 0, 0) => Kind::Fixed(0),
        (0, 1, 0, 4) => Kind::Sink,
        (0, 1, 1, 4) => Kind::Fixed(OS_LOCK_OPEN),
        (0, 1, 3 | 4, 4) => Kind::Quiet(0),
        (0, 7, 8 | 9, 6) => Kind::Quiet(0),
        (0, 7, 14, 6) => Kind::Fixed(0),
        (3, 0, 1, 0) => Kind::Fixed(0),
        (3, 0, 4 | 5, 0) => Kind::Quiet(0),
        _ => Kind::Undefined,
    }
}

impl Object for IdRegisters {
    /// There is no state.
    fn reset(&mut self) {}
}

impl Registers for IdRegisters {
    fn read_register(&mut self, register: Register, _cx: &mut Context) -> Reply {
        match self.kind(register) {
            Kind::Fixed(value) | Kind::Quiet(value) => Reply::value(value),
            Kind::Sink | Kind::Undefined => Reply::ABSENT,
        }
    }

    fn write_register(&mut self, register: Register, _value: u64, _cx: &mut Context) -> Reply {
        match self.kind(register) {
            Kind::Quiet(_) | Kind::Sink => Reply::DONE,
            Kind::Fixed(_) | Kind::Undefined => Reply::ABSENT,
        }
    }
}
