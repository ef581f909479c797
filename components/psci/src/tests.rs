//! Checked against DEN 0022, version 1.1.

use evisor_contract::VmEvent;
use evisor_testkit::{Event, MEMORY, Rig, Setup, describe};

const NOT_SUPPORTED: u64 = u64::MAX;
const INVALID_PARAMETERS: u64 = u64::MAX - 1;
const ALREADY_ON: u64 = u64::MAX - 3;
const ON_PENDING: u64 = u64::MAX - 4;
const INVALID_ADDRESS: u64 = u64::MAX - 8;

fn rig(vcpus: usize, control: bool) -> Rig {
    Rig::with("arm,psci-1.0", &Setup { vcpus, control, ..Setup::default() })
}

/// Every id of both ranges, by what PSCI_FEATURES says and by what a call
/// answers.
#[test]
fn what_is_there_and_what_is_not() {
    let there = [
        0x8400_0000,
        0x8400_0001,
        0x8400_0002,
        0x8400_0003,
        0x8400_0004,
        0x8400_0006,
        0x8400_0008,
        0x8400_0009,
        0x8400_000a,
        0x8400_0012,
        0xc400_0001,
        0xc400_0003,
        0xc400_0004,
        0xc400_0012,
    ];
    let mut rig = rig(1, true);
    let ranges = rig.parts().call_ranges.clone();
    assert_eq!(ranges, [0x8400_0000..=0x8400_001f, 0xc400_0000..=0xc400_001f]);
    for function in ranges.into_iter().flatten() {
        let announced = rig.call(0x8400_000a, &[u64::from(function)])[0];
        let expected = if there.contains(&function) { 0 } else { NOT_SUPPORTED };
        assert_eq!(announced, expected, "PSCI_FEATURES of {function:#x}");
        if !there.contains(&function) {
            assert_eq!(rig.call(function, &[])[0], NOT_SUPPORTED, "{function:#x}");
        }
    }
    assert_eq!(rig.events(), []);
}

/// PSCI_VERSION, PSCI_FEATURES, MIGRATE_INFO_TYPE.
#[test]
fn version_and_discovery() {
    let mut rig = rig(1, true);
    assert_eq!(rig.call(0x8400_0000, &[])[0], 0x1_0001);
    assert_eq!(rig.call(0x8400_000a, &[0x8000_0000])[0], 0, "SMCCC_VERSION");
    assert_eq!(rig.call(0x8400_000a, &[0x1234])[0], NOT_SUPPORTED);
    assert_eq!(rig.call(0x8400_0006, &[])[0], 2, "no Trusted OS");
}

/// CPU_ON and its errors.
#[test]
fn cpu_on() {
    let mut rig = rig(3, true);
    let entry = *MEMORY.start();
    assert_eq!(rig.call(0xc400_0003, &[2, entry, 77])[0], 0);
    assert_eq!(rig.events(), [Event::Started { index: 2, entry, context: 77 }]);
    assert_eq!(rig.call(0xc400_0003, &[2, entry, 0])[0], ON_PENDING);
    rig.arrive(2);
    assert_eq!(rig.call(0xc400_0003, &[2, entry, 0])[0], ALREADY_ON);
    assert_eq!(rig.call(0xc400_0003, &[0, entry, 0])[0], ALREADY_ON, "the caller");
    for target in [3, 1 | 1 << 31, 1 << 8, 1 << 32, u64::MAX] {
        assert_eq!(
            rig.call(0xc400_0003, &[target, entry, 0])[0],
            INVALID_PARAMETERS,
            "{target:#x}"
        );
    }
    let (before, after) = (MEMORY.start() - 4, MEMORY.end() + 1);
    for entry in [entry + 1, entry + 2, before, after, 0, entry | 1 << 63] {
        assert_eq!(rig.call(0xc400_0003, &[1, entry, 0])[0], INVALID_ADDRESS, "{entry:#x}");
    }
    assert_eq!(rig.events(), []);
    assert_eq!(rig.call(0xc400_0003, &[1, MEMORY.end() - 3, 0])[0], 0, "the last instruction");
}

/// DEN 0028 §2.7: a 32-bit call does not see the upper halves, so it cannot name
/// Aff3.
#[test]
fn narrow_calls_take_low_halves() {
    let mut rig = rig(2, true);
    let (upper, entry) = (0xdead_beef << 32, *MEMORY.start());
    assert_eq!(rig.call(0x8400_0003, &[upper | 1, upper | entry, upper | 7])[0], 0);
    assert_eq!(rig.events(), [Event::Started { index: 1, entry, context: 7 }]);
    assert_eq!(rig.call(0x8400_0004, &[upper | 1, upper])[0], 2, "AFFINITY_INFO");
}

/// The functions of 1.1 that are left out, by their names.
#[test]
fn optional_functions_are_not_supported() {
    for (name, function) in [
        ("MIGRATE", 0x8400_0005),
        ("MIGRATE, 64 bits", 0xc400_0005),
        ("MIGRATE_INFO_UP_CPU", 0x8400_0007),
        ("MIGRATE_INFO_UP_CPU, 64 bits", 0xc400_0007),
        ("CPU_FREEZE", 0x8400_000b),
        ("CPU_DEFAULT_SUSPEND", 0x8400_000c),
        ("CPU_DEFAULT_SUSPEND, 64 bits", 0xc400_000c),
        ("NODE_HW_STATE", 0x8400_000d),
        ("NODE_HW_STATE, 64 bits", 0xc400_000d),
        ("SYSTEM_SUSPEND", 0x8400_000e),
        ("SYSTEM_SUSPEND, 64 bits", 0xc400_000e),
        ("PSCI_SET_SUSPEND_MODE", 0x8400_000f),
        ("PSCI_STAT_RESIDENCY", 0x8400_0010),
        ("PSCI_STAT_RESIDENCY, 64 bits", 0xc400_0010),
        ("PSCI_STAT_COUNT", 0x8400_0011),
        ("PSCI_STAT_COUNT, 64 bits", 0xc400_0011),
        ("MEM_PROTECT", 0x8400_0013),
        ("MEM_PROTECT_CHECK_RANGE", 0x8400_0014),
        ("MEM_PROTECT_CHECK_RANGE, 64 bits", 0xc400_0014),
        ("PSCI_VERSION with the bit of a 64-bit call", 0xc400_0000),
        ("SYSTEM_OFF with the bit of a 64-bit call", 0xc400_0008),
    ] {
        let mut rig = rig(1, true);
        assert_eq!(rig.call(function, &[0, 0, 0])[0], NOT_SUPPORTED, "{name}");
        assert_eq!(rig.events(), [], "{name}");
    }
}

/// AFFINITY_INFO.
#[test]
fn affinity_info() {
    let mut rig = rig(2, true);
    assert_eq!(rig.call(0xc400_0004, &[0, 0])[0], 0, "on");
    assert_eq!(rig.call(0xc400_0004, &[1, 0])[0], 1, "off");
    rig.call(0xc400_0003, &[1, *MEMORY.start(), 0]);
    assert_eq!(rig.call(0xc400_0004, &[1, 0])[0], 2, "on its way");
    rig.arrive(1);
    assert_eq!(rig.call(0xc400_0004, &[1, 0])[0], 0, "on");
    assert_eq!(rig.call(0xc400_0004, &[2, 0])[0], INVALID_PARAMETERS);
    for level in [1, 2, 3, 4, u64::MAX] {
        assert_eq!(rig.call(0xc400_0004, &[0, level])[0], INVALID_PARAMETERS, "level {level}");
    }
}

/// CPU_SUSPEND and CPU_OFF.
#[test]
fn suspend_waits_and_off_stops() {
    let mut rig = rig(1, true);
    assert_eq!(rig.call(0xc400_0001, &[0, 0, 0])[0], 0);
    assert_eq!(rig.events(), [Event::Waits]);
    assert_eq!(rig.call(0xc400_0001, &[1 << 16 | 1 << 24 | 7, 0, 0])[0], 0, "a power-down state");
    assert_eq!(rig.events(), [Event::Waits]);
    for reserved in [1 << 17, 1 << 23, 1 << 26, 1 << 31] {
        let answer = rig.call(0xc400_0001, &[reserved, 0, 0])[0];
        assert_eq!(answer, INVALID_PARAMETERS, "{reserved:#x}");
    }
    assert_eq!(rig.events(), []);
    rig.call(0x8400_0002, &[]);
    assert_eq!(rig.events(), [Event::Stopped]);
    assert_eq!(rig.call(0xc400_0004, &[0, 0])[0], 1, "off");
}

/// SYSTEM_OFF and SYSTEM_RESET.
#[test]
fn power() {
    let mut rig = rig(1, true);
    rig.call(0x8400_0008, &[]);
    rig.call(0x8400_0009, &[]);
    assert_eq!(rig.events(), [Event::Vm(VmEvent::Off), Event::Vm(VmEvent::Reset)]);
}

/// SYSTEM_RESET2: the warm reset, and no type of a vendor's.
#[test]
fn reset_by_type() {
    let mut rig = rig(1, true);
    for (function, reset_type) in [
        (0x8400_0012, 1),
        (0x8400_0012, 1 << 31),
        (0xc400_0012, 0x8000_0001),
        (0xc400_0012, 0x7fff_ffff),
    ] {
        let answer = rig.call(function, &[reset_type, 0])[0];
        assert_eq!(answer, INVALID_PARAMETERS, "{function:#x}: {reset_type:#x}");
    }
    assert_eq!(rig.events(), []);
    rig.call(0x8400_0012, &[1 << 32, 5]);
    rig.call(0xc400_0012, &[0, 5]);
    assert_eq!(rig.events(), [Event::Vm(VmEvent::Reset), Event::Vm(VmEvent::Reset)]);
}

/// The control right: without it the power functions do not exist.
#[test]
fn no_power_without_the_control_right() {
    let mut rig = rig(1, false);
    for function in [0x8400_0008, 0x8400_0009, 0x8400_0012, 0xc400_0012] {
        assert_eq!(rig.call(0x8400_000a, &[u64::from(function)])[0], NOT_SUPPORTED);
        assert_eq!(rig.call(function, &[])[0], NOT_SUPPORTED);
    }
    assert_eq!(rig.events(), []);
    assert_eq!(rig.call(0x8400_0002, &[])[0] as i64, -6, "one's own vCPU may still stop");
    assert_eq!(rig.events(), [Event::Stopped]);
}

#[test]
fn any_bytes_are_survived() {
    for seed in 0..50 {
        let mut random = evisor_testkit::Random::new(seed);
        let bytes: Vec<u8> = (0..4000).map(|_| random.number().to_le_bytes()[0]).collect();
        evisor_testkit::drive("arm,psci", &bytes);
    }
}

#[test]
fn guest_node() {
    let expected = "compatible = \"arm,psci-1.0\", \"arm,psci-0.2\"\nmethod = \"hvc\"";
    assert_eq!(describe(rig(1, true).declaration(), &[]), expected);
}
