//! Checked against DEN 0057A; a node's window is at 0 here.

use evisor_testkit::{Rig, Setup, describe};

const FEATURES: u32 = 0xc500_0020;
const STOLEN: u32 = 0xc500_0021;
const NOT_SUPPORTED: u64 = u64::MAX;

fn rig(stolen_time: bool) -> Rig {
    Rig::with("evisor,stolen-time", &Setup { vcpus: 65, stolen_time, ..Setup::default() })
}

/// PV_TIME_FEATURES: of the two functions, and of nothing else.
#[test]
fn features() {
    let mut rig = rig(true);
    let asked = [
        (u64::from(FEATURES), 0),
        (u64::from(STOLEN), 0),
        (0x1_c500_0021, 0), // the upper half is not an argument's
        (0xc500_0022, NOT_SUPPORTED),
        (0x8500_0021, NOT_SUPPORTED),
        (0, NOT_SUPPORTED),
        (u64::MAX, NOT_SUPPORTED),
    ];
    for (function, answer) in asked {
        assert_eq!(rig.call(FEATURES, &[function])[0], answer, "{function:#x}");
    }
}

/// PV_TIME_ST: a structure of 64 bytes a vCPU, aligned to as many, in the page.
#[test]
fn each_vcpu_has_its_structure() {
    let mut rig = rig(true);
    let base = rig.call(STOLEN, &[])[0];
    assert!(base.is_multiple_of(0x1000), "{base:#x}");
    for vcpu in [1, 2, 63] {
        rig.switch_to(vcpu);
        assert_eq!(rig.call(STOLEN, &[u64::MAX])[0], base + 64 * vcpu as u64);
    }
    rig.switch_to(64);
    assert_eq!(rig.call(STOLEN, &[])[0], NOT_SUPPORTED, "the page is full");
}

#[test]
fn where_nobody_shares_a_core_there_is_nothing() {
    let mut rig = rig(false);
    assert_eq!(rig.call(FEATURES, &[u64::from(FEATURES)])[0], NOT_SUPPORTED);
    assert_eq!(rig.call(FEATURES, &[u64::from(STOLEN)])[0], NOT_SUPPORTED);
    assert_eq!(rig.call(STOLEN, &[])[0], NOT_SUPPORTED);
}

#[test]
fn a_guest_is_told_by_calls_alone() {
    assert_eq!(describe(rig(true).declaration(), &[]), "");
}
