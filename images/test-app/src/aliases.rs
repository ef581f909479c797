//! Accesses without a valid syndrome by other stage 1 tables than the guest's own: where
//! neighbours are none in the machine, and what EL0 may reach.
#![allow(unsafe_code, reason = "instructions that no compiler emits for a device")]

use core::arch::{asm, global_asm};
use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::asm::barrier;
use aarch64_cpu::registers::{ESR_EL1, ID_AA64MMFR1_EL1, TTBR0_EL1};
use evisor_guest::{exception, map, mmio};
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::InMemoryRegister;

use crate::check::{self, Outcome, equal, holds, require};
use crate::checks;
use crate::no_syndrome::{UART_ID, both};

checks! { "no-syndrome":
    unprivileged across_pages across_pages_own_fault across_pages_user_page from_el0
}

/// The UART's page, for EL1; the clock's behind it, for EL0 too; then none.
const ALIAS: usize = 0x8000_0000;
const ALIAS_RTC: usize = ALIAS + 0x1000;
/// RAM as EL0 sees it.
const ALIAS_RAM: u64 = 0xc000_0000 - 0x4000_0000;

#[repr(align(4096))]
struct Table([AtomicU64; 512]);

static TABLES: [Table; 3] = [const { Table([const { AtomicU64::new(0) }; 512]) }; 3];

/// Other stage 1 tables than the guest's own, until it is dropped.
struct Aliases(u64);

impl Aliases {
    fn new() -> Self {
        const ACCESSED: u64 = 1 << 10;
        const EL0: u64 = 1 << 6;
        const DEVICE: u64 = 1 << 2;
        const NO_EXECUTION: u64 = 0b11 << 53;
        let [first, second, third] = &TABLES;
        let at = |table: &Table| (&raw const *table as u64) | 0b11;
        let page = |device: usize| device as u64 | DEVICE | ACCESSED | NO_EXECUTION | 0b11;
        let own = TTBR0_EL1.get();
        for (index, entry) in first.0.iter().take(2).enumerate() {
            entry.store(mmio::load64(own as usize + 8 * index), Ordering::Relaxed);
        }
        first.0[2].store(at(second), Ordering::Relaxed);
        first.0[3].store(0x4000_0000 | ACCESSED | EL0 | 0b11 << 8 | 0b01, Ordering::Relaxed);
        second.0[0].store(at(third), Ordering::Relaxed);
        third.0[0].store(page(map::UART), Ordering::Relaxed);
        third.0[1].store(page(map::RTC) | EL0, Ordering::Relaxed);
        use_table(&raw const *first as u64);
        Self(own)
    }
}

impl Drop for Aliases {
    fn drop(&mut self) {
        use_table(self.0);
    }
}

/// Both tables have the guest's own memory and devices at the same place.
fn use_table(at: u64) {
    barrier::dsb(barrier::SY);
    TTBR0_EL1.set(at);
    // SAFETY: nothing that is in use changes.
    unsafe { asm!("isb", "tlbi vmalle1", "dsb nsh", "isb") };
}

fn unprivileged() -> Outcome {
    let loaded: u64;
    // With stage 1 as it is EL0 may read nothing: the guest's own permission fault.
    let taken = exception::attempt(|| {
        // SAFETY: an identification register is read.
        unsafe { asm!("ldtr {0:w}, [{1}]", out(reg) _, in(reg) UART_ID) };
    });
    let taken = check::exception("load", taken)?;
    holds("permission fault", matches!(taken.fault_status(), 13..=15))?;
    let aliases = Aliases::new();
    // SAFETY: an identification register is read.
    unsafe { asm!("ldtr {0:w}, [{1}]", out(reg) loaded, in(reg) ALIAS_RTC + 0xfe0) };
    drop(aliases);
    equal("loaded", loaded, 0x31_u64)
}

/// Two pages that are neighbours to the guest, and not in its machine.
fn across_pages() -> Outcome {
    let aliases = Aliases::new();
    let (one, time): (u64, u64);
    // SAFETY: an identification register and the clock are read.
    unsafe {
        asm!("ldp {0:w}, {1:w}, [{2}]", out(reg) one, out(reg) time, in(reg) ALIAS + 0xffc);
    }
    drop(aliases);
    equal("UARTPCellID3", one, 0xb1_u64)?;
    holds("the time", u64::from(mmio::load32(map::RTC)).wrapping_sub(time) < 5)
}

/// The guest's own tables have nothing behind the second page.
fn across_pages_own_fault() -> Outcome {
    let aliases = Aliases::new();
    let result = exception::attempt(|| {
        // SAFETY: the fault is expected.
        unsafe {
            asm!("ldp {0:w}, {1:w}, [{2}]",
                out(reg) _, out(reg) _, in(reg) ALIAS_RTC + 0xffc);
        }
    });
    drop(aliases);
    let taken = check::exception("access", result)?;
    equal("EC", taken.class(), 0x25_u64)?;
    equal("translation fault, level 3", taken.fault_status(), 0b111_u64)?;
    equal("FAR", taken.far, ALIAS_RTC as u64 + 0x1000)
}

/// "About PSTATE.PAN": with it set EL1 does not reach what EL0 can.
fn across_pages_user_page() -> Outcome {
    require("no PAN", ID_AA64MMFR1_EL1.get() >> 20 & 0xf != 0)?;
    let aliases = Aliases::new();
    let result = exception::attempt(|| {
        // SAFETY: the fault is expected.
        unsafe {
            asm!(".arch_extension pan", "msr pan, #1", "ldp {0:w}, {1:w}, [{2}]", "msr pan, #0",
                out(reg) _, out(reg) _, in(reg) ALIAS + 0xffc);
        }
    });
    drop(aliases);
    let taken = check::exception("access", result)?;
    equal("permission fault, level 3", taken.fault_status(), 0b1111_u64)?;
    equal("FAR", taken.far, ALIAS_RTC as u64)
}

// EL0 executes one pair and calls back; its vectors are its own, since the
// guest's take every exception from EL0 for a defect.
global_asm!(
    r#"
.section .text.no_syndrome, "ax"
.balign 2048
no_syndrome_vectors:
    .org    no_syndrome_vectors + 0x400
    msr     vbar_el1, x10
    isb
    mrs     x3, esr_el1
    stp     x0, x1, [x9]
    stp     x2, x3, [x9, #16]
    ret

no_syndrome_el0:
    ldp     w0, w1, [x2], #8
    svc     #0

// x0 = where the result goes, x1 = EL0's first instruction, x2 = its x2
no_syndrome_run:
    mov     x9, x0
    mrs     x10, vbar_el1
    adr     x11, no_syndrome_vectors
    msr     vbar_el1, x11
    msr     elr_el1, x1
    mov     x11, #0x3c0
    msr     spsr_el1, x11
    isb
    eret
"#
);

unsafe extern "C" {
    static no_syndrome_el0: u32;
    fn no_syndrome_run(result: *mut [u64; 4], first: u64, operand: usize);
}

fn from_el0() -> Outcome {
    let aliases = Aliases::new();
    let mut result = [0; 4];
    let code = &raw const no_syndrome_el0 as u64 + ALIAS_RAM;
    // SAFETY: EL0 reads two identification registers, and comes back.
    unsafe { no_syndrome_run(&raw mut result, code, ALIAS_RTC + 0xfe0) };
    drop(aliases);
    let [one, other, base, esr] = result;
    let esr = InMemoryRegister::<u64, ESR_EL1::Register>::new(esr);
    equal("EC, of SVC", esr.read(ESR_EL1::EC), 0x15_u64)?;
    both((one, other), (0x31, 0x10))?;
    equal("base", base, ALIAS_RTC as u64 + 0xfe8)
}
