//! From reset to the guest's first instruction.
#![allow(
    unsafe_code,
    reason = "entry point, device registers, and the way to EL1"
)]

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

use aarch64_cpu::asm::{barrier, wfi};
use aarch64_cpu::registers::{
    CNTHCTL_EL2, CNTVOFF_EL2, ELR_EL2, HCR_EL2, MIDR_EL1, MPIDR_EL1, SPSR_EL2, VBAR_EL2, VMPIDR_EL2,
};
use tock_registers::interfaces::{Readable, Writeable};

use crate::{machine, stage2};

/// Where the bench guest is linked, and has its header.
const GUEST: u64 = 0x4020_0000;

// The header of Linux, `Documentation/arch/arm64/booting.rst`; the loader
// leaves what follows the file zero.
global_asm!(
    r#"
.section .text.header, "ax"
.global floor_header
floor_header:
    b       floor_entry
    .long   0
    .quad   TEXT_OFFSET
    .quad   IMAGE_SIZE
    .quad   0b0010
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

floor_entry:
    ldr     x0, =stack_top
    mov     sp, x0
    bl      {start}
    .ltorg
"#,
    start = sym start,
);

unsafe extern "C" {
    static floor_vectors: u8;
}

extern "C" fn start() -> ! {
    stage2::set_up();
    interrupts();
    processor();
    enter()
}

/// Lets the virtual timer's interrupt come to EL2, which will only drop its
/// priority: the guest's end of interrupt deactivates it, through the list
/// register (IHI 0048B.b §3.2.1 and §5.2.2).
fn interrupts() {
    const EOI_MODE: u32 = 1 << 9;
    // SAFETY: these are the machine's devices, and nothing else uses them now.
    let distributor = unsafe { &*(machine::GICD as *const machine::Distributor) };
    // SAFETY: as above.
    let interface = unsafe { &*(machine::GICC as *const machine::CpuInterface) };
    // SAFETY: as above.
    let hypervisor = unsafe { &*(machine::GICH as *const machine::Hypervisor) };
    distributor.isenabler[0].set(1 << machine::TIMER_INTID);
    distributor.ctlr.set(1);
    interface.pmr.set(0xff);
    interface.ctlr.set(EOI_MODE | 1);
    hypervisor.hcr.set(1);
}

fn processor() {
    VBAR_EL2.set(&raw const floor_vectors as u64);
    HCR_EL2.write(
        HCR_EL2::VM::Enable
            + HCR_EL2::RW::EL1IsAarch64
            + HCR_EL2::IMO::EnableVirtualIRQ
            + HCR_EL2::FMO::EnableVirtualFIQ
            + HCR_EL2::AMO::SET
            + HCR_EL2::TSC::EnableTrapEl1SmcToEl2,
    );
    CNTHCTL_EL2.write(CNTHCTL_EL2::EL1PCTEN::SET + CNTHCTL_EL2::EL1PCEN::SET);
    CNTVOFF_EL2.set(0);
    VMPIDR_EL2.set(MPIDR_EL1.get());
    let midr = MIDR_EL1.get();
    // SAFETY: it changes what EL1 reads as MIDR_EL1, and nothing else.
    unsafe { asm!("msr vpidr_el2, {}", in(reg) midr) };
}

fn enter() -> ! {
    ELR_EL2.set(GUEST);
    SPSR_EL2.write(
        SPSR_EL2::M::EL1h
            + SPSR_EL2::D::Masked
            + SPSR_EL2::A::Masked
            + SPSR_EL2::I::Masked
            + SPSR_EL2::F::Masked,
    );
    barrier::dsb(barrier::SY);
    // SAFETY: EL1 starts afresh with x0 = 0 (no device tree); EL2 keeps only
    // its stack pointer, at the top of a stack that nothing else is on.
    unsafe {
        asm!(
            "tlbi vmalls12e1",
            "dsb sy",
            "ldr x0, =stack_top",
            "mov sp, x0",
            "mov x0, #0",
            "eret",
            options(noreturn)
        )
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        wfi();
    }
}
