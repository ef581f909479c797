//! System registers and system instructions by random encodings (DDI 0487, "System
//! instruction class encoding overview").

use evisor_guest::random::Random;

use crate::access::scratch;
use crate::code::{execute, summary};
use crate::trace::Trace;

/// Of an encoding: L, op0, op1, CRn, CRm, op2.
struct Encoding {
    read: bool,
    op0: u32,
    op1: u32,
    crn: u32,
    crm: u32,
    op2: u32,
}

impl Encoding {
    fn random(random: &mut Random) -> Self {
        // CRn and op1 where there is something, more often than not.
        let crns = [0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 12, 13, 14, 15];
        let crn = random.one_of(&crns).unwrap_or(0);
        Self {
            read: random.one_in(2),
            op0: 1 + random.bits(2) % 3,
            op1: random.one_of(&[0, 0, 0, 3, 3, 4, 1, 2, 5, 6, 7]).unwrap_or(0),
            crn,
            crm: random.bits(4),
            op2: random.bits(3),
        }
    }

    /// MRS, MSR, SYS or SYSL with x1.
    fn instruction(&self) -> u32 {
        let operation = u32::from(self.read) << 21 | self.op0 << 19 | self.op1 << 16;
        0xd500_0000 | operation | self.crn << 12 | self.crm << 8 | self.op2 << 5 | 1
    }

    /// Whether a write of it takes the guest's own ground away, or data, or time.
    fn is_own_ground(&self) -> bool {
        match (self.op0, self.op1, self.crn) {
            // DC IVAC, ISW: they drop data.
            (1, 0, 7) => self.crm == 6,
            (1, ..) => false,
            // SCTLR_EL1 and its like; TTBR, TCR and keys; SPSR, ELR, SP_EL0, SPSel, PAN;
            // MAIR; VBAR.
            (3, 0, 1) => self.crm == 0 || self.crm == 4,
            (3, 0, 2 | 4 | 10) => true,
            (3, 0, 12) => self.crm == 0,
            // NZCV, DAIF, FPCR; CNTFRQ_EL0, which natively is EL1's.
            (3, 3, 4) => true,
            (3, 3, 14) => self.crm == 0,
            // RMR_EL1 is in (3, 0, 12) above. Breakpoints are harmless: debug
            // exceptions are masked.
            _ => false,
        }
    }
}

/// What is read does not count: it may be a time, or this core's number.
pub fn any(random: &mut Random, trace: &mut Trace) {
    let encoding = Encoding::random(random);
    let value = random.value();
    if !encoding.read && encoding.is_own_ground() {
        return;
    }
    // An instruction of the system takes an address: one that may be touched.
    let operand = if encoding.op0 == 1 { scratch() as u64 } else { value };
    trace.add(summary(execute(encoding.instruction(), [0, operand, 0, 0])));
}
