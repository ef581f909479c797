//! Calls by HVC and SMC with random functions and arguments (Arm DEN 0028, DEN 0022,
//! DEN 0098).

use evisor_guest::call::VERDICT;
use evisor_guest::random::Random;

use crate::code::{execute, summary};
use crate::trace::Trace;

/// The first functions of ranges in which some are there.
const RANGES: [u32; 10] = [
    0x8000_0000,
    0x8000_3ff0,
    0x8000_7ff0,
    0x8400_0000,
    0xC400_0000,
    0x8400_0050,
    0xC400_0050,
    0x8600_0000,
    0xC600_0000,
    0x8600_ff00,
];

/// Those that stop the VM or the core, or wait, by right: CPU_SUSPEND, CPU_OFF,
/// SYSTEM_OFF, SYSTEM_RESET, CPU_FREEZE, CPU_DEFAULT_SUSPEND, SYSTEM_SUSPEND,
/// SYSTEM_RESET2, in both widths; and the verdict.
fn ends(function: u32) -> bool {
    const PSCI: [u32; 8] = [0x1, 0x2, 0x8, 0x9, 0xb, 0xc, 0xe, 0x12];
    let of_psci = matches!(function & 0xbfff_ffe0, 0x8400_0000);
    of_psci && PSCI.contains(&(function & 0x1f)) || function == VERDICT
}

/// Those whose answers are random numbers, or may be.
fn is_random(function: u32) -> bool {
    matches!(function & 0xbfff_ffff, 0x8400_0053)
}

pub fn any(random: &mut Random, trace: &mut Trace) {
    let within = random.number();
    let function = match random.one_of(&RANGES) {
        Some(range) if !random.one_in(4) => range + random.bits(5) % 0x20,
        _ => within as u32,
    };
    if ends(function) {
        return;
    }
    let immediate = if random.one_in(8) { random.bits(16) << 5 } else { 0 };
    let conduit = if random.one_in(2) { 0xd400_0002 } else { 0xd400_0003 };
    let x0 = if random.one_in(8) { within << 32 } else { 0 } | u64::from(function);
    let small = random.below(4) as u64;
    let x1 = if random.one_in(2) { small } else { random.value() };
    let result = execute(conduit | immediate, [x0, x1, random.value(), random.value()]);
    trace.add(summary(result));
    if let (Ok([x0, ..]), false) = (result, is_random(function)) {
        trace.add(x0);
    }
}
