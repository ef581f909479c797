//! Programs at EL0: what they may, and what EL1 hears of the rest.
#![allow(unsafe_code, reason = "a program at EL0")]

use core::arch::asm;

use evisor_guest::{exception, read_register, write_register};

use crate::check::{self, Outcome, equal, holds, require};
use crate::checks;
use crate::traps::scratch;

checks! { "trap": stack_alignment el0_runs_and_calls el0_cannot_touch_el1 }

/// SCTLR_EL1.SA0: a load by a misaligned stack pointer, EC 0x26; at EL0, as EL1's handler
/// needs its own. (QEMU 10 does not check: the program goes on to its call.)
fn stack_alignment() -> Outcome {
    let taken = at_el0(Program::MisalignedStack)?;
    require("the core does not check", taken.class() != 0x15)?;
    equal("EC", taken.class(), 0x26_u64)
}

/// A few instructions for EL0, in a page of the window, and another for its stack.
#[derive(Clone, Copy)]
enum Program {
    /// SVC #0x55.
    Call,
    /// MRS of TTBR0_EL1.
    ReadRegister,
    /// A load from a page that EL0 may not touch: x0.
    Load,
    /// A load by a stack pointer that is not aligned to 16.
    MisalignedStack,
}

impl Program {
    fn code(self) -> [u32; 4] {
        const SVC: u32 = 0xd400_0aa1;
        match self {
            Self::Call => [SVC, SVC, SVC, SVC],
            Self::ReadRegister => [0xd538_2000, SVC, SVC, SVC],
            Self::Load => [0xf940_0001, SVC, SVC, SVC],
            // add sp, sp, #8; ldr x1, [sp]
            Self::MisalignedStack => [0x9100_23ff, 0xf940_03e1, SVC, SVC],
        }
    }
}

/// Pages of the window.
const CODE_PAGE: usize = 500;
const STACK_PAGE: usize = 501;

#[repr(align(4096))]
struct UserPages([core::sync::atomic::AtomicU32; 2048]);

static USER: UserPages = UserPages([const { core::sync::atomic::AtomicU32::new(0) }; 2048]);

/// Runs a program at EL0; the exception that ended it.
fn at_el0(program: Program) -> Result<exception::Exception, check::Exit> {
    use core::sync::atomic::Ordering;
    use evisor_guest::mmu::{Attribute, Page, map, window};
    for (word, instruction) in USER.0.iter().zip(program.code()) {
        word.store(instruction, Ordering::Relaxed);
    }
    let code = (&raw const USER) as usize;
    // SAFETY: maintenance of the lines just written.
    unsafe { asm!("dc cvau, {0}", "dsb ish", "ic ialluis", "dsb ish", "isb", in(reg) code) };
    map(CODE_PAGE, Page::new(code, Attribute::WriteBack).read_only().user());
    map(STACK_PAGE, Page::new(code + 4096, Attribute::WriteBack).user());
    const SA0: u64 = 1 << 4;
    let control = read_register!("sctlr_el1");
    write_register!("sctlr_el1", control | SA0);
    let taken = exception::attempt(|| {
        // SAFETY: EL0 runs what is above and takes an exception, which comes back to the
        // label; it changes x0, x1 and its own stack pointer.
        unsafe {
            asm!("msr elr_el1, {entry}", "msr spsr_el1, {masked}", "msr sp_el0, {stack}",
                "adr x30, 2f", "isb", "eret", "2:",
                entry = in(reg) window(CODE_PAGE), masked = in(reg) 0x3c0_u64,
                stack = in(reg) window(STACK_PAGE) + 2048,
                inout("x0") scratch() => _, out("x1") _, out("x30") _);
        }
    });
    write_register!("sctlr_el1", control);
    map(CODE_PAGE, Page::INVALID);
    map(STACK_PAGE, Page::INVALID);
    check::exception("EL0", taken)
}

/// EL0 runs and calls EL1 (DDI 0487, SVC).
fn el0_runs_and_calls() -> Outcome {
    let taken = at_el0(Program::Call)?;
    equal("EC", taken.class(), 0x15_u64)?;
    equal("immediate", taken.iss() & 0xffff, 0x55_u64)
}

/// EL1's registers are UNDEFINED at EL0, and its memory out of reach.
fn el0_cannot_touch_el1() -> Outcome {
    equal("EC of MRS", at_el0(Program::ReadRegister)?.class(), 0_u64)?;
    let taken = at_el0(Program::Load)?;
    equal("EC of the load", taken.class(), 0x24_u64)?;
    holds("permission fault", matches!(taken.fault_status(), 13..=15))
}
