//! SMC Calling Convention (Arm DEN 0028).
#![allow(unsafe_code, reason = "calls with an immediate that no crate offers")]

use core::arch::asm;

use evisor_guest::call::{self, EVISOR_UID, NOT_SUPPORTED, VENDOR_UID, hvc};
use evisor_guest::exception;
use smccc::Smc;
use smccc::arch::{SMCCC_ARCH_FEATURES, SMCCC_VERSION};
use smccc::psci::{PSCI_FEATURES, PSCI_VERSION};

use crate::check::{self, Outcome, equal, holds, only_on_evisor};
use crate::{checks, transfer};

checks! { "smccc":
    version_by_psci_features version arch_features arch_features_unknown
    vendor_uid unknown_fast_hvc unknown_fast_hvc32 unknown_yielding_hvc unknown_smc
    psci_by_smc hvc_with_immediate smc_with_immediate reserved_function_bits
    hvc_preserves smc_preserves unknown_hvc_preserves
}

/// DEN 0028, "SMCCC_VERSION": discovered through PSCI_FEATURES.
fn version_by_psci_features() -> Outcome {
    only_on_evisor()?;
    let [found, ..] = hvc(PSCI_FEATURES, [u64::from(SMCCC_VERSION), 0, 0]);
    equal("PSCI_FEATURES(SMCCC_VERSION)", found, 0_u64)
}

/// 1.1 or later; bit 31 is zero, and major and minor are all there is.
fn version() -> Outcome {
    only_on_evisor()?;
    let [version, ..] = hvc(SMCCC_VERSION, [0; 3]);
    holds("at least 1.1", version >= 0x1_0001)?;
    equal("upper bits", version >> 31, 0_u64)
}

fn arch_features() -> Outcome {
    only_on_evisor()?;
    let [version, ..] = hvc(SMCCC_ARCH_FEATURES, [u64::from(SMCCC_VERSION), 0, 0]);
    equal("SMCCC_VERSION", version, 0_u64)?;
    let [features, ..] = hvc(SMCCC_ARCH_FEATURES, [u64::from(SMCCC_ARCH_FEATURES), 0, 0]);
    equal("SMCCC_ARCH_FEATURES", features, 0_u64)
}

fn arch_features_unknown() -> Outcome {
    only_on_evisor()?;
    let [found, ..] = hvc(SMCCC_ARCH_FEATURES, [0x8000_1234, 0, 0]);
    equal("unknown", found & 0xffff_ffff, NOT_SUPPORTED & 0xffff_ffff)
}

/// DEN 0028, general service queries: what eVisor is known by.
fn vendor_uid() -> Outcome {
    only_on_evisor()?;
    for (got, expected) in hvc(VENDOR_UID, [0; 3]).into_iter().zip(EVISOR_UID) {
        equal("UID", got, expected)?;
    }
    Ok(())
}

/// DEN 0028, "Unknown Function Identifier": -1 in the width of the call.
fn unknown_fast_hvc() -> Outcome {
    let [reply, ..] = hvc(0xC600_4242, [1, 2, 3]);
    equal("x0", reply, NOT_SUPPORTED)
}

fn unknown_fast_hvc32() -> Outcome {
    let [reply, ..] = hvc(0x8600_4242, [1, 2, 3]);
    equal("w0", reply & 0xffff_ffff, NOT_SUPPORTED & 0xffff_ffff)
}

fn unknown_yielding_hvc() -> Outcome {
    let [reply, ..] = hvc(0x0600_0042, [0; 3]);
    equal("w0", reply & 0xffff_ffff, NOT_SUPPORTED & 0xffff_ffff)
}

/// Natively, without EL3, SMC is UNDEFINED; eVisor answers it as it does HVC.
fn smc_or_skip(function: u32, arguments: [u64; 3]) -> Result<u64, check::Exit> {
    let reply = exception::attempt(|| call::call::<Smc>(function, arguments));
    match reply {
        Ok([x0, ..]) => Ok(x0),
        Err(_) if !call::on_evisor() => Err(check::Exit::Skip("no EL3, no hypervisor")),
        Err(_) => check::no_exception("smc", reply).map(|[x0, ..]| x0),
    }
}

fn unknown_smc() -> Outcome {
    equal("x0", smc_or_skip(0xC600_4242, [1, 2, 3])?, NOT_SUPPORTED)
}

fn psci_by_smc() -> Outcome {
    let [by_hvc, ..] = hvc(PSCI_VERSION, [0; 3]);
    equal("PSCI_VERSION", smc_or_skip(PSCI_VERSION, [0; 3])?, by_hvc)
}

/// DEN 0028: a nonzero immediate is not SMCCC's; whatever the answer, the guest
/// goes on.
fn hvc_with_immediate() -> Outcome {
    let result = exception::attempt(|| {
        // SAFETY: everything that a call may change is declared.
        unsafe { asm!("mov w0, #0x84000000", "hvc #0x4b48", clobber_abi("C")) };
    });
    match result {
        Ok(()) => Ok(()),
        Err(taken) => equal("EC", taken.class(), 0_u64),
    }
}

fn smc_with_immediate() -> Outcome {
    let result = exception::attempt(|| {
        // SAFETY: everything that a call may change is declared; the word is
        // `smc #1`.
        unsafe { asm!("mov w0, #0x84000000", ".inst 0xd4000023", clobber_abi("C")) };
    });
    match result {
        Ok(()) => Ok(()),
        Err(taken) => equal("EC", taken.class(), 0_u64),
    }
}

/// DEN 0028, "Function Identifier": bits 23 to 17 must be zero in a fast call.
fn reserved_function_bits() -> Outcome {
    only_on_evisor()?;
    let [reply, ..] = hvc(PSCI_VERSION | 1 << 20, [0; 3]);
    equal("w0", reply & 0xffff_ffff, NOT_SUPPORTED & 0xffff_ffff)
}

/// DEN 0028, "Register use in AArch64 SMC and HVC calls": from 1.1 on, x4 to
/// x17 are preserved as well as x18 to x30.
fn hvc_preserves() -> Outcome {
    transfer::call_preserves(transfer::Call::Hvc, PSCI_VERSION)
}

fn smc_preserves() -> Outcome {
    smc_or_skip(PSCI_VERSION, [0; 3])?;
    transfer::call_preserves(transfer::Call::Smc, PSCI_VERSION)
}

fn unknown_hvc_preserves() -> Outcome {
    transfer::call_preserves(transfer::Call::Hvc, 0xC600_4242)
}
