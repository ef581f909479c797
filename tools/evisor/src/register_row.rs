//! System registers by encoding, eight to a row: which a core gives to EL1 and EL0 without a
//! trap, and which eVisor has trap (ARM DDI 0487 §D19).

/// The Op0, Op1, CRn and CRm that the registers of each Op2 have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    op0: u8,
    op1: u8,
    crn: u8,
    crm: u8,
}

impl Row {
    #[cfg(test)]
    pub const fn new(op0: u8, op1: u8, crn: u8, crm: u8) -> Self {
        Self { op0, op1, crn, crm }
    }

    /// Those that a trap can name: instructions (Op0 1), debug and trace (2), the others (3).
    pub fn all() -> impl Iterator<Item = Self> {
        (1 << 11..4 << 11_u16).map(|bits| {
            let field = |at: u16, width: u16| (bits >> at & ((1 << width) - 1)) as u8;
            Self { op0: field(11, 2), op1: field(8, 3), crn: field(4, 4), crm: field(0, 4) }
        })
    }

    /// As the instruction has them, for images/probe.
    pub fn word(self) -> u64 {
        let [op0, op1, crn, crm] = [self.op0, self.op1, self.crn, self.crm].map(u64::from);
        op0 << 14 | op1 << 11 | crn << 7 | crm << 3
    }

    /// The number by which the report knows a register: its bits in ESR_EL2's ISS of a trap.
    pub fn key(self, op2: u64) -> u64 {
        let [op0, op1, crn, crm] = [self.op0, self.op1, self.crn, self.crm].map(u64::from);
        op0 << 20 | op2 << 17 | op1 << 14 | crn << 10 | crm << 1
    }

    /// A bit for each Op2 of whose key `is` holds.
    pub fn bits(self, is: impl Fn(u64) -> bool) -> u8 {
        (0..8).fold(0, |bits, op2| bits | u8::from(is(self.key(op2))) << op2)
    }

    /// Whether a write of any of its registers traps or is undefined: debug and trace
    /// registers (MDCR_EL2.TDA, TDOSA, TDRA, CPTR_EL2.TTA); what is implementation-defined
    /// (HCR_EL2.TIDCP); identification registers, keys of pointer authentication (APK), error
    /// records (TERR), LORegions (TLOR); counters of performance (MDCR_EL2.TPM) and of
    /// activity (CPTR_EL2.TAM).
    pub fn traps(self) -> bool {
        matches!(
            (self.op0, self.op1, self.crn, self.crm),
            (2, ..)
                | (1 | 3, _, 11 | 15, _)
                | (3, 0, 0, 1..)
                | (3, 0, 2, 1..=3)
                | (3, 0, 5, 3..=5)
                | (3, 0, 10, 4)
                | (3, 0, 9, 14)
                | (3, 3, 9, 12..=14)
                | (3, 3, 14, 8..)
                | (3, 3, 13, 2..)
        )
    }

    /// A bit for each register that a core, if it has it, lets EL1 read whatever EL2 says, or
    /// lets it read as eVisor sets it up; with a GICv3 of a version of its CPU interface
    /// (HCR_EL2.IMO, FMO).
    pub fn untrapped(self, gic: u8) -> u8 {
        if self.op0 != 3 {
            return 0;
        }
        match (self.op1, self.crn, self.crm) {
            (0, 0, 0) => op2([0, 5, 6]),                   // MIDR, MPIDR, REVIDR
            (0, 1, 0) => op2([0, 2]),                      // SCTLR, CPACR
            (0, 2, 0) => op2([0, 1, 2]),                   // TTBR0, TTBR1, TCR
            (0, 4, 0) => op2([0, 1]),                      // SPSR, ELR
            (0, 4, 1) => op2([0]),                         // SP_EL0
            (0, 4, 2) => op2([0, 2, 3, 4]),                // SPSel, CurrentEL, PAN, UAO
            (0, 4, 3) => op2([0]),                         // ALLINT
            (0, 5, 1) => op2([0, 1]),                      // AFSR0, AFSR1
            (0, 5, 2) | (0, 6, 0) | (0, 7, 4) => op2([0]), // ESR, FAR, PAR
            (0, 10, 2 | 3) => op2([0]),                    // MAIR, AMAIR
            (0, 12, 0) => op2([0]),                        // VBAR
            (0, 12, 1) => op2([0, 1]),                     // ISR, DISR
            (0, 13, 0) => op2([1, 4]),                     // CONTEXTIDR, TPIDR
            (0, 14, 1) => op2([0]),                        // CNTKCTL
            (1, 0, 0) => op2([0, 1, 2, 7]),                // CCSIDR, CLIDR, CCSIDR2, AIDR
            (2, 0, 0) => op2([0]),                         // CSSELR
            (3, 0, 0) => op2([1, 7]),                      // CTR, DCZID
            (3, 2, 4) => op2([0, 1]),                      // RNDR, RNDRRS
            (3, 4, 2) => op2([0, 1, 5, 6, 7]),             // NZCV, DAIF, DIT, SSBS, TCO
            (3, 4, 4) => op2([0, 1]),                      // FPCR, FPSR
            (3, 13, 0) => op2([2, 3, 5]),                  // TPIDR_EL0, TPIDRRO, TPIDR2
            (3, 14, 0) => op2([0, 2, 6]),                  // CNTFRQ, CNTVCT, CNTVCTSS
            (3, 14, 3) => op2([0, 1, 2]),                  // CNTV_TVAL, CNTV_CTL, CNTV_CVAL
            _ if gic == 3 => self.cpu_interface(),
            _ => 0,
        }
    }

    /// What can be read of it (IHI 0069, "AArch64 System register descriptions").
    fn cpu_interface(self) -> u8 {
        match (self.op1, self.crn, self.crm) {
            (0, 4, 6) => op2([0]),                     // ICC_PMR
            (0, 12, 8) => op2([0, 2, 3, 4, 5, 6, 7]),  // IAR0, HPPIR0, BPR0, AP0R<n>
            (0, 12, 9) => op2([0, 1, 2, 3]),           // AP1R<n>
            (0, 12, 11) => op2([3]),                   // RPR
            (0, 12, 12) => op2([0, 2, 3, 4, 5, 6, 7]), // IAR1, HPPIR1, BPR1, CTLR, SRE, IGRPEN<n>
            _ => 0,
        }
    }
}

impl Row {
    /// A bit for each debug register that every core has (§D19.3), and QEMU 10.0 leaves
    /// undefined to EL1 before EL2 is asked.
    pub fn missing_in_qemu(self) -> u8 {
        match (self.op0, self.op1, self.crn, self.crm) {
            (2, 0, 1, 4) => op2([4]),  // DBGPRCR_EL1
            (2, 0, 7, 14) => op2([6]), // DBGAUTHSTATUS_EL1
            (2, 3, 0, 4) => op2([0]),  // DBGDTR_EL0
            _ => 0,
        }
    }
}

fn op2<const N: usize>(those: [u32; N]) -> u8 {
    those.iter().fold(0, |bits, op2| bits | 1 << op2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_encodings_that_trap_are_in_a_row_each() {
        let rows: Vec<_> = Row::all().collect();
        assert_eq!(rows.len(), 3 << 11);
        assert_eq!(rows.first(), Some(&Row::new(1, 0, 0, 0)));
        assert_eq!(rows.last(), Some(&Row::new(3, 7, 15, 15)));
        assert!(rows.windows(2).all(|two| matches!(two, [a, b] if a.word() < b.word())));
    }

    #[test]
    fn a_register_is_known_as_its_syndrome_has_it() {
        // S3_0_C0_C4_0 and S3_3_C14_C2_1.
        assert_eq!(Row::new(3, 0, 0, 4).key(0), 0x30_0008);
        assert_eq!(Row::new(3, 3, 14, 2).key(1), 3 << 20 | 1 << 17 | 3 << 14 | 14 << 10 | 2 << 1);
    }

    #[test]
    fn what_traps_is_not_given_without() {
        let both = |row: &Row| row.traps() && row.untrapped(3) != 0;
        assert_eq!(Row::all().find(both), None);
    }
}
