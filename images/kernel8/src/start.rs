//! From the first instruction of each core to `main`, and the vectors.
#![allow(unsafe_code, reason = "assembly finds Rust by name")]

use core::arch::global_asm;

// At EL2: EL1 is AArch64, its timers and floating point do not trap, the virtual count is
// the physical one, and it sees the core's own identification (DDI 0487, HCR_EL2,
// CNTHCTL_EL2, CPTR_EL2, CNTVOFF_EL2, VPIDR_EL2, VMPIDR_EL2). What SCTLR_EL1 is at reset is
// UNKNOWN in part: it gets its RES1 bits and nothing else, MMU and caches off. SErrors are
// unmasked, for a register that is tried may answer with one.
//
// Of the vectors those at the current EL with SP_EL1 are expected, but for FIQ.
global_asm!(
    r#"
.section .text.start, "ax"
.global start
start:
    msr     daifset, #0xf
    mrs     x0, CurrentEL
    cmp     x0, #(2 << 2)
    b.ne    1f
    mov     x0, #(1 << 31)
    msr     hcr_el2, x0
    mov     x0, #3
    msr     cnthctl_el2, x0
    msr     cntvoff_el2, xzr
    mov     x0, #0x33ff
    msr     cptr_el2, x0
    msr     hstr_el2, xzr
    mrs     x0, midr_el1
    msr     vpidr_el2, x0
    mrs     x0, mpidr_el1
    msr     vmpidr_el2, x0
    mov     x0, #0x3c5
    msr     spsr_el2, x0
    adr     x0, 1f
    msr     elr_el2, x0
    eret
1:  ldr     x0, =0x30d00800
    msr     sctlr_el1, x0
    ldr     x0, =vectors
    msr     vbar_el1, x0
    msr     cntv_ctl_el0, xzr
    msr     cntp_ctl_el0, xzr
    isb
    mrs     x0, mpidr_el1
    and     x0, x0, #3
    ldr     x1, =stack_top
    sub     x1, x1, x0, lsl #14
    mov     sp, x1
    cbnz    x0, 3f
    ldr     x1, =bss_start
    ldr     x2, =bss_end
2:  cmp     x1, x2
    b.hs    3f
    stp     xzr, xzr, [x1], #16
    b       2b
3:  msr     daifclr, #0x4
    bl      {main}
    .ltorg

.macro enter handler
    .balign 128
    stp     x0, x1, [sp, #-176]!
    stp     x2, x3, [sp, #16]
    adr     x0, \handler
    b       handle
.endm

.balign 2048
vectors:
    .rept   4
    .balign 128
    b       unexpected
    .endr
    enter   {synchronous}
    enter   {interrupt}
    .balign 128
    b       unexpected
    enter   {system_error}
    .rept   8
    .balign 128
    b       unexpected
    .endr
    .balign 128

handle:
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x30, [sp, #144]
    blr     x0
    ldp     x18, x30, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp], #176
    eret
unexpected:
    bl      {unexpected}
"#,
    main = sym crate::program::main,
    synchronous = sym crate::fault::synchronous,
    interrupt = sym crate::program::interrupt,
    system_error = sym crate::fault::system_error,
    unexpected = sym crate::fault::unexpected,
);
