//! The identification registers that a guest sees (HCR_EL2.TID3 traps them), as
//! an allow-list; and answers for the debug and control registers that EL2 keeps a
//! guest from.
//!
//! What the guest is told is worked out once, when the object is built; a read
//! is an index. The README has every register with its answer.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod debug;
mod spec;
#[cfg(test)]
mod tests;

use alloc::vec;
use alloc::vec::Vec;
use core::ops::RangeInclusive;
use debug::Debug;
use evisor_contract::{
    Context, Grants, Needs, Object, Parts, Register, Registers, Reply, Restore, RestoreError, Save,
    component,
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
        Ok(())
    },
}

/// The registers of one Op2 from `first` to `last`, each CRn and CRm: keys order by
/// Op2 before the rest.
const fn range(op0: u32, op2: u32, first: [u32; 3], last: [u32; 3]) -> RangeInclusive<Register> {
    let ([first_op1, first_crn, first_crm], [last_op1, last_crn, last_crm]) = (first, last);
    Register::new(op0, first_op1, first_crn, first_crm, op2)
        ..=Register::new(op0, last_op1, last_crn, last_crm, op2)
}

const fn identification(op2: u32) -> RangeInclusive<Register> {
    range(3, op2, [0, 0, spec::FIRST_CRM], [0, 0, spec::LAST_CRM])
}

/// Of the debug registers as few ranges as hold them all: what lies between is
/// UNDEFINED, trace registers among it.
const RANGES: [RangeInclusive<Register>; 15] = [
    range(2, 0, [0, 0, 2], [3, 0, 5]), // MDCCINT_EL1 … MDRAR_EL1 … DBGDTRRX_EL0
    range(2, 2, [0, 0, 0], [0, 0, 6]), // OSDTRRX_EL1, MDSCR_EL1, OSDTRTX_EL1, OSECCR_EL1
    range(2, 4, [0, 0, 0], [0, 1, 4]), // DBGBVR<n>_EL1, OSLAR_EL1 … DBGPRCR_EL1
    range(2, 5, [0, 0, 0], [0, 0, 15]), // DBGBCR<n>_EL1
    range(2, 6, [0, 0, 0], [0, 7, 14]), // DBGWVR<n>_EL1, DBGCLAIMSET_EL1 … DBGAUTHSTATUS_EL1
    range(2, 7, [0, 0, 0], [0, 0, 15]), // DBGWCR<n>_EL1
    identification(0),
    identification(1),
    range(3, 1, [0, 1, 0], [0, 1, 0]), // ACTLR_EL1
    identification(2),
    identification(3),
    identification(4),
    identification(5),
    identification(6),
    identification(7),
];

struct IdRegisters {
    values: [u64; spec::COUNT],
    /// By vCPU.
    debug: Vec<Debug>,
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
        Self { values, debug: vec![Debug::RESET; grants.vcpu_count()] }
    }

    fn identification(&self, crm: u32, op2: u32) -> Option<u64> {
        let row = crm.checked_sub(spec::FIRST_CRM)?;
        self.values.get((row * 8 + op2) as usize).copied()
    }
}

impl Registers for IdRegisters {
    fn read_register(&mut self, register: Register, cx: &mut Context) -> Reply {
        let value = match register.fields() {
            (3, 0, 0, crm, op2) => self.identification(crm, op2),
            (3, 0, 1, 0, 1) => Some(0),
            (2, op1, crn, crm, op2) => {
                self.debug.get(cx.vcpu()).and_then(|debug| debug.read((op1, crn, crm, op2)))
            }
            _ => None,
        };
        value.map_or(Reply::ABSENT, Reply::value)
    }

    fn write_register(&mut self, register: Register, value: u64, cx: &mut Context) -> Reply {
        match (register.fields(), self.debug.get_mut(cx.vcpu())) {
            ((3, 0, 1, 0, 1), _) => Reply::DONE,
            ((2, op1, crn, crm, op2), Some(debug)) => debug.write((op1, crn, crm, op2), value),
            _ => Reply::ABSENT,
        }
    }
}

const TAG: [u8; 8] = *b"idregs\0\0";
const VERSION: u32 = 1;

impl Object for IdRegisters {
    fn reset(&mut self) {
        self.debug.fill(Debug::RESET);
    }

    /// What the guest is told is the host's, and no part of it.
    #[expect(clippy::cast_possible_truncation, reason = "a VM has few vCPUs")]
    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        to.word(self.debug.len() as u32);
        self.debug.iter().for_each(|debug| debug.save(to));
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(TAG, VERSION)?;
        if from.word()? as usize != self.debug.len() {
            return Err(RestoreError::Impossible);
        }
        self.debug.iter_mut().try_for_each(|debug| debug.restore(from))
    }
}
