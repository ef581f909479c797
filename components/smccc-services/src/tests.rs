//! Checked against DEN 0028; section numbers are issue D's.

use evisor_contract::{Register, VmEvent};
use evisor_testkit::{Event, Rig, Setup, describe};

const NOT_SUPPORTED: u64 = u64::MAX;

fn rig() -> Rig {
    Rig::new("evisor,smccc")
}

/// §7.2, §7.3: every id that might be asked for, and the answer.
#[test]
fn discovery() {
    let mut rig = rig();
    assert_eq!(rig.call(0x8000_0000, &[])[0], 0x1_0002);
    let asked = [
        (0x8000_0000, 0),
        (0x8000_0001, 0),
        (0x8000_0002, NOT_SUPPORTED), // SMCCC_ARCH_SOC_ID
        (0x8000_3fff, NOT_SUPPORTED), // SMCCC_ARCH_WORKAROUND_3, of an unknown core
        (0x8000_7fff, NOT_SUPPORTED), // SMCCC_ARCH_WORKAROUND_2
        (0x8000_8000, NOT_SUPPORTED), // SMCCC_ARCH_WORKAROUND_1
        (0x1_8000_0000, 0),           // the upper half is not an argument's
        (0x8400_0000, NOT_SUPPORTED),
        (0xc500_0020, NOT_SUPPORTED), // PV_TIME_FEATURES, of a VM that nothing is stolen from
    ];
    for (function, answer) in asked {
        assert_eq!(rig.call(0x8000_0001, &[function])[0], answer, "{function:#x}");
    }
    for function in [0x8000_0002, 0x8000_3fff, 0x8000_7fff, 0x8000_8000] {
        assert_eq!(rig.call(function, &[])[0], NOT_SUPPORTED, "{function:#x}");
    }
}

/// DEN 0057A: who asks finds stolen time so.
#[test]
fn stolen_time_is_there_where_it_is_told() {
    let setup = Setup { stolen_time: true, ..Setup::default() };
    let mut rig = Rig::with("evisor,smccc", &setup);
    assert_eq!(rig.call(0x8000_0001, &[0xc500_0020])[0], 0);
    assert_eq!(rig.call(0x8000_0001, &[0xc500_0021])[0], NOT_SUPPORTED);
}

/// §7.5 to §7.7: (core, MIDR_EL1, ID_AA64PFR0_EL1.CSV2, ID_AA64PFR1_EL1.SSBS, and
/// SMCCC_ARCH_FEATURES of workarounds 1, 2 and 3). 1 is "not affected", -2 "not
/// required".
#[test]
fn workarounds_by_core() {
    let cores: [(&str, u64, u64, u64, [i64; 3]); 11] = [
        ("Cortex-A53 r0p4", 0x410f_d034, 0, 0, [1, -2, 1]),
        ("Cortex-A35", 0x410f_d040, 0, 0, [1, -2, 1]),
        ("Cortex-A55 r2p0", 0x412f_d050, 1, 0, [1, -2, 1]),
        ("Cortex-A57 r1p0", 0x411f_d070, 0, 0, [-1, -1, -1]),
        ("Cortex-A72 r0p3", 0x410f_d083, 0, 0, [-1, -1, -1]),
        ("Cortex-A72 r1p0", 0x411f_d080, 1, 0, [1, -1, -1]),
        ("Cortex-A76 r4p1", 0x414f_d0b1, 1, 1, [1, -2, -1]),
        ("Neoverse-N1 r4p1", 0x414f_d0c1, 1, 2, [1, -2, -1]),
        ("a core with FEAT_CSV2_3", 0x410f_d840, 3, 2, [1, -2, 1]),
        ("another's part 0xd03", 0x610f_d034, 0, 0, [-1, -1, -1]),
        ("an unknown core", 0x000f_0510, 2, 0, [1, -1, -1]),
    ];
    for (name, midr, csv2, ssbs, expected) in cores {
        let registers = [((0, 0), midr), ((4, 0), csv2 << 56), ((4, 1), ssbs << 4)];
        let host_registers =
            registers.map(|((crm, op2), value)| (Register::new(3, 0, 0, crm, op2), value)).to_vec();
        let mut rig = Rig::with("evisor,smccc", &Setup { host_registers, ..Setup::default() });
        let workarounds = [0x8000_8000_u32, 0x8000_7fff, 0x8000_3fff];
        let told = workarounds.map(|id| rig.call(0x8000_0001, &[u64::from(id)])[0].cast_signed());
        assert_eq!(told, expected, "{name}");
        for (id, told) in workarounds.into_iter().zip(told) {
            let answer = if told >= 0 { 0 } else { NOT_SUPPORTED };
            assert_eq!(rig.call(id, &[])[0], answer, "{name}: {id:#x}");
        }
    }
}

/// §6.2: the UUID's bytes in order, four a register, the first lowest.
#[test]
fn uid_and_revision() {
    let text = "d0f8a2c16e0b4c559f0ee0150b5e0001";
    let expected: Vec<u64> = (0..4)
        .map(|word| {
            let bytes = (0..4).map(|byte| {
                let at = word * 8 + byte * 2;
                u64::from_str_radix(&text[at..at + 2], 16).unwrap() << (8 * byte)
            });
            bytes.sum()
        })
        .collect();
    let mut rig = rig();
    assert_eq!(rig.call(0x8600_ff01, &[]).to_vec(), expected);
    assert_eq!(rig.call(0x8600_ff03, &[])[..2], [1, 0]);
    assert_eq!(rig.call(0x8600_ff00, &[])[0], NOT_SUPPORTED, "the call count is deprecated");
}

#[test]
fn verdict() {
    let mut rig = rig();
    for code in [0u8, 7, 255] {
        assert_eq!(rig.call(0xc600_0001, &[u64::from(code)])[0], 0);
        assert_eq!(rig.events(), [Event::Vm(VmEvent::Verdict(code))]);
    }
    for code in [256, 1 << 32, u64::MAX] {
        assert_eq!(rig.call(0xc600_0001, &[code])[0] as i64, -3, "{code:#x}");
    }
    assert_eq!(rig.events(), []);
}

#[test]
fn no_verdict_without_the_control_right() {
    let setup = Setup { control: false, ..Setup::default() };
    let mut rig = Rig::with("evisor,smccc", &setup);
    assert_eq!(rig.call(0xc600_0001, &[0])[0], NOT_SUPPORTED);
    assert_eq!(rig.events(), []);
}

#[test]
fn other_ids_are_not_supported() {
    let mut rig = rig();
    for function in [0x8000_ffff, 0x8600_0000, 0x8600_0001, 0xc600_0000, 0xc600_0002, 0xc600_ff01] {
        assert_eq!(rig.call(function, &[])[0], NOT_SUPPORTED, "{function:#x}");
    }
}

#[test]
fn any_bytes_are_survived() {
    let mut random = evisor_testkit::Random::new(1);
    let bytes: Vec<u8> = (0..40_000).map(|_| random.number().to_le_bytes()[0]).collect();
    evisor_testkit::drive("evisor,smccc", &bytes);
}

#[test]
fn guest_node() {
    assert_eq!(describe(rig().declaration(), &[]), "");
}
