//! Checked against DEN 0022, version 1.1.

use evisor_contract::VmEvent;
use evisor_testkit::{Event, Rig, Setup, describe};

const NOT_SUPPORTED: u64 = u64::MAX;
const INVALID_PARAMETERS: u64 = u64::MAX - 1;
const ALREADY_ON: u64 = u64::MAX - 3;
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
        0xc400_0001,
        0xc400_0003,
        0xc400_0004,
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
    assert_eq!(rig.call(0xc400_0003, &[2, 0x8000_0000_0000, 77])[0], 0);
    let started = Event::Started { index: 2, entry: 0x8000_0000_0000, context: 77 };
    assert_eq!(rig.events(), [started]);
    assert_eq!(rig.call(0xc400_0003, &[2, 0x4000, 0])[0], ALREADY_ON);
    assert_eq!(rig.call(0xc400_0003, &[0, 0x4000, 0])[0], ALREADY_ON, "the caller");
    assert_eq!(rig.call(0xc400_0003, &[3, 0x4000, 0])[0], INVALID_PARAMETERS);
    assert_eq!(rig.call(0xc400_0003, &[1 | 1 << 31, 0x4000, 0])[0], INVALID_PARAMETERS);
    assert_eq!(rig.call(0xc400_0003, &[1, 0x4002, 0])[0], INVALID_ADDRESS);
    assert_eq!(rig.events(), []);
}

/// DEN 0028 §2.7: a 32-bit call does not see the upper halves.
#[test]
fn narrow_calls_take_low_halves() {
    let mut rig = rig(2, true);
    let upper = 0xdead_beef << 32;
    assert_eq!(rig.call(0x8400_0003, &[upper | 1, upper | 0x4000, upper | 7])[0], 0);
    assert_eq!(rig.events(), [Event::Started { index: 1, entry: 0x4000, context: 7 }]);
}

/// AFFINITY_INFO.
#[test]
fn affinity_info() {
    let mut rig = rig(2, true);
    assert_eq!(rig.call(0xc400_0004, &[0, 0])[0], 0, "on");
    assert_eq!(rig.call(0xc400_0004, &[1, 0])[0], 1, "off");
    assert_eq!(rig.call(0xc400_0004, &[2, 0])[0], INVALID_PARAMETERS);
    assert_eq!(rig.call(0xc400_0004, &[0, 1])[0], INVALID_PARAMETERS, "a cluster");
}

/// CPU_SUSPEND and CPU_OFF.
#[test]
fn suspend_waits_and_off_stops() {
    let mut rig = rig(1, true);
    assert_eq!(rig.call(0xc400_0001, &[0, 0, 0])[0], 0);
    assert_eq!(rig.events(), [Event::Waits]);
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

/// The control right: without it the power functions do not exist.
#[test]
fn no_power_without_the_control_right() {
    let mut rig = rig(1, false);
    for function in [0x8400_0008, 0x8400_0009] {
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
