//! What a guest's own tables say: stage 1 of the regime that is on this core.

#![allow(unsafe_code, reason = "address translation instructions")]

use aarch64_cpu::registers::PAR_EL1;
use core::arch::asm;
use tock_registers::interfaces::{Readable, Writeable};

/// Who accesses, and how: stage 1 checks the permission.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    ReadEl1,
    WriteEl1,
    ReadEl0,
    WriteEl0,
}

impl Kind {
    pub fn of(el0: bool, write: bool) -> Self {
        match (el0, write) {
            (false, false) => Self::ReadEl1,
            (false, true) => Self::WriteEl1,
            (true, false) => Self::ReadEl0,
            (true, true) => Self::WriteEl0,
        }
    }

    pub fn is_el1(self) -> bool {
        matches!(self, Self::ReadEl1 | Self::WriteEl1)
    }
}

/// PAR_EL1.PA.
const OUTPUT: u64 = 0x0000_ffff_ffff_f000;
/// PAR_EL1.F, and S: the fault is one of stage 2, on the walk.
const FAULT: u64 = 1;
const STAGE2: u64 = 1 << 9;
/// DFSC: synchronous External abort, on a table walk, level 3.
const WALK: u64 = 0b01_0111;

/// The guest-physical address of `address`, or the status of the fault that the
/// guest would take. What the guest has in PAR_EL1 stays.
///
/// It is what the tables, or the TLB, say now; another vCPU may change them at
/// any time, so that it is no more than what the guest alleges.
pub(crate) fn stage1(kind: Kind, address: u64) -> Result<u64, u64> {
    let guests = PAR_EL1.get();
    at(kind, address);
    let par = PAR_EL1.get();
    PAR_EL1.set(guests);
    match par & (FAULT | STAGE2) {
        0 | STAGE2 => Ok(par & OUTPUT | address & 0xfff),
        FAULT => Err(par >> 1 & 0x3f),
        // Its tables are not in its memory.
        _ => Err(WALK),
    }
}

macro_rules! at {
    ($kind:literal, $address:expr) => {
        // SAFETY: 1. changes PAR_EL1 only.
        unsafe { asm!(concat!("at ", $kind, ", {}"), "isb", in(reg) $address, options(nostack)) }
    };
}

fn at(kind: Kind, address: u64) {
    match kind {
        Kind::ReadEl1 => at!("s1e1r", address),
        Kind::WriteEl1 => at!("s1e1w", address),
        Kind::ReadEl0 => at!("s1e0r", address),
        Kind::WriteEl0 => at!("s1e0w", address),
    }
}
