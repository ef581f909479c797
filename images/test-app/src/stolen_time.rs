//! Stolen time (Paravirtualized Time for Arm-based Systems, DEN 0057A).

use evisor_guest::call::{NOT_SUPPORTED, hvc};
use evisor_guest::{exception, mmio};
use smccc::arch::SMCCC_ARCH_FEATURES;

use crate::check::{Exit, Outcome, equal, exception as refused, holds, only_on_evisor, require};
use crate::checks;

checks! { "stolen_time": all_or_nothing bad_arguments structure structure_is_read_only }

const FEATURES: u32 = 0xC500_0020;
const STOLEN: u32 = 0xC500_0021;

fn ask(function: u32, argument: u32) -> u64 {
    let [answer, ..] = hvc(function, [u64::from(argument), 0, 0]);
    answer
}

/// SMCCC_ARCH_FEATURES and PV_TIME_FEATURES: who says that it is there says so everywhere, and so does who denies it.
fn all_or_nothing() -> Outcome {
    only_on_evisor()?;
    let [there, ..] = hvc(SMCCC_ARCH_FEATURES, [u64::from(FEATURES), 0, 0]);
    let expected = if there == 0 { 0 } else { NOT_SUPPORTED };
    equal("SMCCC_ARCH_FEATURES", there, expected)?;
    equal("PV_TIME_FEATURES", ask(FEATURES, FEATURES), expected)?;
    equal("PV_TIME_FEATURES of PV_TIME_ST", ask(FEATURES, STOLEN), expected)?;
    holds("PV_TIME_ST", (ask(STOLEN, 0) == NOT_SUPPORTED) == (there != 0))
}

fn bad_arguments() -> Outcome {
    only_on_evisor()?;
    for function in [0, 1, 0xC500_001F, 0xC500_0022, 0x8500_0020, u32::MAX] {
        equal("PV_TIME_FEATURES", ask(FEATURES, function), NOT_SUPPORTED)?;
    }
    equal("the 32-bit function", ask(0x8500_0021, 0), NOT_SUPPORTED)?;
    equal("the one behind", ask(0xC500_0022, 0), NOT_SUPPORTED)?;
    // PV_TIME_ST has no argument.
    equal("PV_TIME_ST", ask(STOLEN, u32::MAX), ask(STOLEN, 0))
}

/// The address of this vCPU's structure.
fn here() -> Result<usize, Exit> {
    only_on_evisor()?;
    let answer = ask(STOLEN, 0);
    require("no core is shared", answer != NOT_SUPPORTED)?;
    Ok(answer as usize)
}

/// The stolen time structure.
fn structure() -> Outcome {
    let at = here()?;
    equal("alignment", at as u64 % 64, 0_u64)?;
    equal("revision", mmio::load32(at), 0_u32)?;
    equal("attributes", mmio::load32(at + 4), 0_u32)
}

fn structure_is_read_only() -> Outcome {
    let at = here()?;
    /// Synchronous External abort (DDI 0487, ESR_EL1.DFSC).
    const EXTERNAL: u64 = 0b01_0000;
    let taken = refused("a store", exception::attempt(|| mmio::store32(at, u32::MAX)))?;
    equal("DFSC", taken.fault_status(), EXTERNAL)?;
    equal("revision", mmio::load32(at), 0_u32)
}
