//! Power State Coordination Interface (Arm DEN 0022), by HVC.

use aarch64_cpu::registers::MPIDR_EL1;
use evisor_guest::call::hvc;
use smccc::psci::{
    PSCI_AFFINITY_INFO_32, PSCI_AFFINITY_INFO_64, PSCI_CPU_OFF, PSCI_CPU_ON_32, PSCI_CPU_ON_64,
    PSCI_CPU_SUSPEND_64, PSCI_FEATURES, PSCI_MIGRATE_INFO_TYPE, PSCI_SYSTEM_OFF, PSCI_SYSTEM_RESET,
    PSCI_VERSION,
};
use tock_registers::interfaces::Readable;

use crate::check::{Outcome, equal, holds, only_on_evisor};
use crate::checks;

checks! { "psci":
    version features_mandatory features_cpu_suspend features_unknown
    affinity_info_self affinity_info_self_32 affinity_info_nonexistent affinity_info_level
    cpu_on_self cpu_on_nonexistent cpu_on_nonexistent_32 migrate_info_type
}

/// DEN 0022, "Return error codes": 32-bit, also in a 64-bit call.
const NOT_SUPPORTED: i32 = -1;
const INVALID_PARAMETERS: i32 = -2;
const ALREADY_ON: i32 = -4;

/// An affinity that no VM of a few cores has.
const NONEXISTENT: u64 = 0x00aa_bbcc;

#[allow(
    clippy::cast_possible_truncation,
    reason = "the upper half is not the code's"
)]
fn psci(function: u32, arguments: [u64; 3]) -> i32 {
    let [x0, ..] = hvc(function, arguments);
    x0 as i32
}

fn code(what: &'static str, got: i32, expected: i32) -> Outcome {
    equal(what, got.cast_unsigned(), expected.cast_unsigned())
}

/// This core's affinity, as PSCI takes it: MPIDR without its other bits.
fn own_affinity() -> u64 {
    MPIDR_EL1.get() & 0xff_00ff_ffff
}

fn entry_point() -> u64 {
    entry_point as fn() -> u64 as usize as u64
}

/// DEN 0022, PSCI_VERSION: major in bits 30 to 16; 1.1 is 0x10001.
fn version() -> Outcome {
    let version = psci(PSCI_VERSION, [0; 3]);
    holds("at least 1.1", version >= 0x1_0001)?;
    equal("major", (version >> 16).cast_unsigned(), 1_u32)
}

/// DEN 0022, PSCI_FEATURES: 0 or feature bits for what is implemented. These are
/// mandatory in 1.0 and later.
fn features_mandatory() -> Outcome {
    for function in [
        PSCI_VERSION,
        PSCI_CPU_OFF,
        PSCI_CPU_ON_32,
        PSCI_CPU_ON_64,
        PSCI_AFFINITY_INFO_32,
        PSCI_AFFINITY_INFO_64,
        PSCI_SYSTEM_OFF,
        PSCI_SYSTEM_RESET,
        PSCI_FEATURES,
    ] {
        code(
            "feature",
            psci(PSCI_FEATURES, [u64::from(function), 0, 0]),
            0,
        )?;
    }
    Ok(())
}

/// CPU_SUSPEND is mandatory, too; its feature bits say which format of power
/// state it takes.
fn features_cpu_suspend() -> Outcome {
    let features = psci(PSCI_FEATURES, [u64::from(PSCI_CPU_SUSPEND_64), 0, 0]);
    holds("implemented", features >= 0)?;
    equal("reserved bits", features.cast_unsigned() & !0b11, 0_u32)
}

fn features_unknown() -> Outcome {
    let vendor = psci(PSCI_FEATURES, [0xC600_4242, 0, 0]);
    code("not a PSCI function", vendor, NOT_SUPPORTED)?;
    let unallocated = psci(PSCI_FEATURES, [0x8400_00ff, 0, 0]);
    code("unallocated", unallocated, NOT_SUPPORTED)
}

/// DEN 0022, AFFINITY_INFO: 0 is ON.
fn affinity_info_self() -> Outcome {
    let state = psci(PSCI_AFFINITY_INFO_64, [own_affinity(), 0, 0]);
    code("state", state, 0)
}

fn affinity_info_self_32() -> Outcome {
    let state = psci(PSCI_AFFINITY_INFO_32, [own_affinity(), 0, 0]);
    code("state", state, 0)
}

fn affinity_info_nonexistent() -> Outcome {
    let state = psci(PSCI_AFFINITY_INFO_64, [NONEXISTENT, 0, 0]);
    code("state", state, INVALID_PARAMETERS)
}

/// From 1.0 on, levels above 0 need not be supported; nothing but 0 to 3 is a
/// level at all. (QEMU's own PSCI does not look.)
fn affinity_info_level() -> Outcome {
    only_on_evisor()?;
    let state = psci(PSCI_AFFINITY_INFO_64, [own_affinity(), 4, 0]);
    code("state", state, INVALID_PARAMETERS)
}

/// DEN 0022, CPU_ON.
fn cpu_on_self() -> Outcome {
    let result = psci(PSCI_CPU_ON_64, [own_affinity(), entry_point(), 0]);
    code("result", result, ALREADY_ON)
}

fn cpu_on_nonexistent() -> Outcome {
    let result = psci(PSCI_CPU_ON_64, [NONEXISTENT, entry_point(), 0]);
    code("result", result, INVALID_PARAMETERS)
}

fn cpu_on_nonexistent_32() -> Outcome {
    let result = psci(PSCI_CPU_ON_32, [NONEXISTENT, entry_point(), 0]);
    code("result", result, INVALID_PARAMETERS)
}

/// DEN 0022, MIGRATE_INFO_TYPE: no Trusted OS that cares (2), or not there.
fn migrate_info_type() -> Outcome {
    let kind = psci(PSCI_MIGRATE_INFO_TYPE, [0; 3]);
    holds("2 or NOT_SUPPORTED", matches!(kind, 2 | NOT_SUPPORTED))
}
