//! Checked against DDI 0487 §D19.2 and §D19.3.

use evisor_contract::{Register, Reply};
use evisor_testkit::{Rig, Setup, describe, refuses_foreign_state, save_and_restore};

/// Op0 = 3, Op1 = 0, CRn = 0.
fn id(crm: u32, op2: u32) -> Register {
    Register::new(3, 0, 0, crm, op2)
}

fn rig(host: impl Fn(u32, u32) -> u64) -> Rig {
    let all = (1..8).flat_map(|crm| (0..8).map(move |op2| (crm, op2)));
    let host_registers = all.map(|(crm, op2)| (id(crm, op2), host(crm, op2))).collect();
    Rig::with("arm,armv8", &Setup { host_registers, ..Setup::default() })
}

/// A Cortex-A72 r0p3 (DDI 0488, 100095 §4.2), as a GICv3 system would have it.
fn a72() -> Rig {
    rig(|crm, op2| match (crm, op2) {
        (4, 0) => 0x0000_0000_1100_2222,
        (5, 0) => 0x0000_0000_1030_5106,
        (6, 0) => 0x0000_0000_0001_1120,
        (7, 0) => 0x0000_0000_0000_1124,
        (1, 0) => 0x131,
        (1, 1) => 0x1001_1011,
        (1, 2) => 0x0301_0066,
        (2, 0) => 0x0210_1110,
        (3, 0) => 0x1011_0222,
        _ => 0,
    })
}

#[test]
fn what_a_cortex_a72_becomes() {
    let table = [
        ("ID_AA64PFR0_EL1", 4, 0, 0x0000_0012), // no EL2, EL3, AArch32 at EL1, GIC registers
        ("ID_AA64PFR1_EL1", 4, 1, 0),
        ("ID_AA64DFR0_EL1", 5, 0, 0x0010_1006), // no PMU, no trace, two of each
        ("ID_AA64ISAR0_EL1", 6, 0, 0x0001_1120),
        ("ID_AA64MMFR0_EL1", 7, 0, 0x0000_0024),
        ("ID_PFR0_EL1", 1, 0, 0x131),
        ("ID_PFR1_EL1", 1, 1, 0x0001_0001),
        ("ID_DFR0_EL1", 1, 2, 0),
        ("ID_ISAR0_EL1", 2, 0, 0x0210_1110),
        ("MVFR0_EL1", 3, 0, 0x1011_0222),
    ];
    let mut rig = a72();
    for (name, crm, op2, expected) in table {
        assert_eq!(rig.read_register(id(crm, op2)), Reply::value(expected), "{name}");
    }
}

/// A host that implements everything, known or not: (name, CRm, Op2, told).
#[test]
fn what_is_not_allowed_is_hidden() {
    let table: [(&str, u32, u32, u64); 15] = [
        ("ID_AA64PFR0_EL1", 4, 0, 0x1101_0000_00ff_0012),
        ("ID_AA64PFR1_EL1", 4, 1, 0x0000_0001_0000_0021),
        ("ID_AA64ZFR0_EL1", 4, 4, 0),
        ("ID_AA64SMFR0_EL1", 4, 5, 0),
        ("ID_AA64DFR0_EL1", 5, 0, 0x0010_1006),
        ("ID_AA64DFR1_EL1", 5, 1, 0),
        ("ID_AA64AFR0_EL1", 5, 4, 0),
        ("ID_AA64ISAR0_EL1", 6, 0, 0x1221_1111_1021_2120),
        ("ID_AA64ISAR1_EL1", 6, 1, 0x0011_1111_0021_1002),
        ("ID_AA64ISAR2_EL1", 6, 2, 0x0010_0000_1010_0000),
        ("ID_AA64MMFR0_EL1", 7, 0, 0x0000_0000_ff10_0025),
        ("ID_AA64MMFR1_EL1", 7, 1, 0x0001_1020_0030_2002),
        ("ID_AA64MMFR2_EL1", 7, 2, 0x1021_0001_1010_0111),
        ("ID_AA64MMFR3_EL1", 7, 3, 0),
        ("ID_PFR1_EL1", 1, 1, 0x0001_0001),
    ];
    let mut rig = rig(|_, _| u64::MAX);
    for (name, crm, op2, expected) in table {
        let told = rig.read_register(id(crm, op2)).value;
        assert_eq!(told, expected, "{name}: {told:#018x}");
    }
}

/// §D19.1.3: in the signed fields 0b1111 means "not there", and no larger value
/// than the listed one comes through.
#[test]
fn signed_fields() {
    // TGran4 = 1 promises 52 bits; TGran64 is absent.
    let mut rig = rig(|crm, op2| if (crm, op2) == (7, 0) { 0x1f00_0000 } else { 0 });
    assert_eq!(rig.read_register(id(7, 0)), Reply::value(0x0f00_0000));
}

/// §D12.3.1: the space without a name reads as zero; nothing in it is writable.
#[test]
fn the_whole_space_answers_reads_only() {
    let mut rig = rig(|_, _| u64::MAX);
    for (crm, op2) in (1..8).flat_map(|crm| (0..8).map(move |op2| (crm, op2))) {
        assert_ne!(rig.read_register(id(crm, op2)), Reply::ABSENT, "CRm {crm}, Op2 {op2}");
        assert_eq!(rig.write_register(id(crm, op2), 1), Reply::ABSENT, "CRm {crm}, Op2 {op2}");
    }
    for (crm, op2) in [(3, 3), (3, 7), (4, 2), (4, 6), (5, 2), (6, 7), (7, 7)] {
        assert_eq!(rig.read_register(id(crm, op2)).value, 0, "CRm {crm}, Op2 {op2}");
    }
}

#[test]
fn debug_and_control_registers() {
    let quiet = [
        (3, 0, 1, 0, 1), // ACTLR_EL1
        (2, 0, 0, 2, 0), // MDCCINT_EL1
        (2, 0, 0, 2, 2), // MDSCR_EL1
        (2, 0, 0, 0, 2), // OSDTRRX_EL1
        (2, 0, 0, 3, 2), // OSDTRTX_EL1
        (2, 0, 0, 6, 2), // OSECCR_EL1
        (2, 0, 1, 4, 4), // DBGPRCR_EL1
        (2, 0, 0, 1, 4), // DBGBVR1_EL1
        (2, 0, 0, 1, 5), // DBGBCR1_EL1
        (2, 0, 0, 1, 6), // DBGWVR1_EL1
        (2, 0, 0, 0, 7), // DBGWCR0_EL1
        (2, 3, 0, 4, 0), // DBGDTR_EL0
        (2, 3, 0, 5, 0), // DBGDTRRX_EL0, DBGDTRTX_EL0
    ];
    let mut rig = a72();
    for (op0, op1, crn, crm, op2) in quiet {
        let register = Register::new(op0, op1, crn, crm, op2);
        assert_eq!(rig.write_register(register, u64::MAX), Reply::DONE, "{register:?}");
        assert_eq!(rig.read_register(register), Reply::value(0), "{register:?}");
    }
    let read_only = [
        (Register::new(2, 0, 1, 0, 0), 0),  // MDRAR_EL1
        (Register::new(2, 0, 7, 14, 6), 0), // DBGAUTHSTATUS_EL1
        (Register::new(2, 3, 0, 1, 0), 0),  // MDCCSR_EL0
    ];
    for (register, value) in read_only {
        assert_eq!(rig.read_register(register), Reply::value(value), "{register:?}");
        assert_eq!(rig.write_register(register, 0), Reply::ABSENT, "{register:?}");
    }
}

const OSLAR: Register = Register::new(2, 0, 1, 0, 4);
const OSLSR: Register = Register::new(2, 0, 1, 1, 4);
const OSDLR: Register = Register::new(2, 0, 1, 3, 4);
const CLAIMSET: Register = Register::new(2, 0, 7, 8, 6);
const CLAIMCLR: Register = Register::new(2, 0, 7, 9, 6);

/// OSLAR_EL1, OSLSR_EL1: locked after a cold reset; only bit 0 is looked at.
#[test]
fn os_lock() {
    let mut rig = a72();
    assert_eq!(rig.read_register(OSLSR), Reply::value(0xa), "after reset");
    for (written, status) in [(0, 8), (1, 0xa), (0xfffe, 8), (u64::MAX, 0xa)] {
        assert_eq!(rig.write_register(OSLAR, written), Reply::DONE, "{written:#x}");
        assert_eq!(rig.read_register(OSLSR), Reply::value(status), "{written:#x}");
    }
    assert_eq!(rig.read_register(OSLAR), Reply::ABSENT, "write-only");
    assert_eq!(rig.write_register(OSLSR, 0), Reply::ABSENT, "read-only");
}

/// OSDLR_EL1: one bit (ID_AA64DFR0_EL1.DoubleLock is 0: it is there).
#[test]
fn os_double_lock() {
    let mut rig = a72();
    for (written, read) in [(0, 0), (u64::MAX, 1), (2, 0)] {
        assert_eq!(rig.write_register(OSDLR, written), Reply::DONE, "{written:#x}");
        assert_eq!(rig.read_register(OSDLR), Reply::value(read), "{written:#x}");
    }
}

/// DBGCLAIMSET_EL1 says which tags there are, DBGCLAIMCLR_EL1 which are set.
#[test]
fn claim_tags() {
    let mut rig = a72();
    for (register, written, claim) in [
        (CLAIMSET, 0x1_0f, 0x0f),
        (CLAIMSET, 0x30, 0x3f),
        (CLAIMCLR, 0x1_11, 0x2e),
        (CLAIMCLR, 0, 0x2e),
    ] {
        assert_eq!(rig.write_register(register, written), Reply::DONE, "{written:#x}");
        assert_eq!(rig.read_register(CLAIMSET), Reply::value(0xff), "{written:#x}");
        assert_eq!(rig.read_register(CLAIMCLR), Reply::value(claim), "{written:#x}");
    }
}

#[test]
fn locks_and_tags_are_a_vcpus_own() {
    let mut rig = Rig::with("arm,armv8", &Setup { vcpus: 2, ..Setup::default() });
    for (register, value) in [(OSLAR, 0), (OSDLR, 1), (CLAIMSET, 1)] {
        assert_eq!(rig.write_register(register, value), Reply::DONE);
    }
    for (vcpu, expected) in [(0, [8, 1, 1]), (1, [0xa, 0, 0])] {
        rig.switch_to(vcpu);
        let read = [OSLSR, OSDLR, CLAIMCLR].map(|register| rig.read_register(register).value);
        assert_eq!(read, expected, "vCPU {vcpu}");
    }
    rig.reset();
    rig.switch_to(0);
    assert_eq!(rig.read_register(OSLSR), Reply::value(0xa));
    rig.switch_to(2);
    assert_eq!(rig.read_register(OSLSR), Reply::ABSENT, "there is no such vCPU");
}

#[test]
fn saved_and_restored_it_goes_on_alike() {
    let setup = Setup { vcpus: 2, ..Setup::default() };
    save_and_restore("arm,armv8", &setup);
    refuses_foreign_state("arm,armv8", &setup);
}

#[test]
fn what_is_not_there_is_undefined() {
    let mut rig = a72();
    let undefined = [
        ("DBGBVR2_EL1", (2, 0, 0, 2, 4)),
        ("DBGWCR15_EL1", (2, 0, 0, 15, 7)),
        ("reserved", (2, 0, 0, 4, 2)),
        ("TRCPRGCTLR", (2, 1, 0, 1, 0)),
        ("TRCSTATR", (2, 1, 0, 3, 0)),
        ("TRCOSLSR", (2, 1, 1, 1, 4)),
        ("TRCCLAIMSET", (2, 1, 7, 8, 6)),
        ("BRBCR_EL1", (2, 1, 9, 0, 0)),
        ("DBGVCR32_EL2", (2, 4, 0, 7, 0)),
        ("PMCR_EL0", (3, 3, 9, 12, 0)),
        ("PMCNTENSET_EL0", (3, 3, 9, 12, 1)),
        ("PMCCNTR_EL0", (3, 3, 9, 13, 0)),
        ("PMUSERENR_EL0", (3, 3, 9, 14, 0)),
        ("PMINTENSET_EL1", (3, 0, 9, 14, 1)),
        ("PMCCFILTR_EL0", (3, 3, 14, 15, 7)),
        ("PMSCR_EL1", (3, 0, 9, 9, 0)),
        ("TRFCR_EL1", (3, 0, 1, 2, 1)),
        ("LORC_EL1", (3, 0, 10, 4, 3)),
        ("LORID_EL1", (3, 0, 10, 4, 7)),
        ("ERRIDR_EL1", (3, 0, 5, 3, 0)),
        ("AMCR_EL0", (3, 3, 13, 2, 0)),
        ("AMEVCNTR00_EL0", (3, 3, 13, 4, 0)),
        ("SCXTNUM_EL1", (3, 0, 13, 0, 7)),
        ("SCXTNUM_EL0", (3, 3, 13, 0, 7)),
        ("ZCR_EL1", (3, 0, 1, 2, 0)),
        ("GCR_EL1", (3, 0, 1, 0, 6)),
        ("IMPLEMENTATION DEFINED", (3, 1, 15, 2, 0)),
        ("reserved", (3, 0, 1, 0, 3)),
    ];
    for (name, (op0, op1, crn, crm, op2)) in undefined {
        let register = Register::new(op0, op1, crn, crm, op2);
        assert_eq!(rig.read_register(register), Reply::ABSENT, "{name}");
        assert_eq!(rig.write_register(register, 0), Reply::ABSENT, "{name}");
    }
}

/// The router finds registers by sorted ranges: they must be whole and apart.
#[test]
fn ranges_are_in_order_and_apart() {
    let mut ranges = a72().parts().register_ranges.clone();
    ranges.sort_by_key(|range| range.start().key());
    assert!(ranges.iter().all(|range| range.start() <= range.end()));
    assert!(ranges.windows(2).all(|two| two[0].end() < two[1].start()));
}

#[test]
fn any_bytes_are_survived() {
    let mut random = evisor_testkit::Random::new(1);
    let bytes: Vec<u8> = (0..40_000).map(|_| random.number().to_le_bytes()[0]).collect();
    evisor_testkit::drive("arm,armv8", &bytes);
}

#[test]
fn guest_node() {
    let expected = "\
compatible = \"arm,armv8\"
device_type = \"cpu\"";
    assert_eq!(describe(a72().declaration(), &[]), expected);
}
