//! The stub: every path from the guest to EL2 and back.
//!
//! The frame holds x0 to x30, a slot that takes what is loaded into XZR, then
//! ELR_EL2 and SPSR_EL2. Everything is saved and restored on every path,
//! although no path needs it: that is what makes this the floor that others
//! are compared with, and not the least number of instructions there is.
#![allow(unsafe_code, reason = "vectors are assembly")]

use core::arch::global_asm;

use crate::machine::{
    GICC, GICC_IAR, GICD, GICD_SGIR, GICH, GICH_LR0, LR_HARDWARE, LR_PENDING,
    LR_PHYSICAL_INTID_SHIFT, TIMER_INTID, UARTDR,
};

const PSCI_SYSTEM_OFF: u32 = 0x8400_0008;

// ESR_EL2.EC of an HVC and of a data abort from below; in the latter's ISS,
// SRT is bits 20 to 16 and WnR is bit 6 (ARM DDI 0487, ESR_EL2). HPFAR_EL2
// holds the page's number from bit 4 up.
global_asm!(
    r#"
.macro save
    sub     sp, sp, #272
    stp     x0, x1, [sp]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x19, [sp, #144]
    stp     x20, x21, [sp, #160]
    stp     x22, x23, [sp, #176]
    stp     x24, x25, [sp, #192]
    stp     x26, x27, [sp, #208]
    stp     x28, x29, [sp, #224]
    str     x30, [sp, #240]
    mrs     x20, elr_el2
    mrs     x21, spsr_el2
    stp     x20, x21, [sp, #256]
.endm

.macro restore
    ldp     x20, x21, [sp, #256]
    msr     elr_el2, x20
    msr     spsr_el2, x21
    ldp     x0, x1, [sp]
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldp     x18, x19, [sp, #144]
    ldp     x20, x21, [sp, #160]
    ldp     x22, x23, [sp, #176]
    ldp     x24, x25, [sp, #192]
    ldp     x26, x27, [sp, #208]
    ldp     x28, x29, [sp, #224]
    ldr     x30, [sp, #240]
    add     sp, sp, #272
    eret
.endm

.section .text.vectors, "ax"
.balign 0x800
.global floor_vectors
floor_vectors:
    .rept 0x400 / 4
    b       .
    .endr
    save
    mrs     x22, esr_el2
    lsr     w23, w22, #26
    cmp     w23, #0x24
    b.eq    floor_abort
    b       floor_call
    .balign 0x80
    save
    b       floor_interrupt
    .balign 0x80
    b       .
    .balign 0x800

floor_call:
    mov     w24, #{system_off_low}
    movk    w24, #{system_off_high}, lsl #16
    cmp     w0, w24
    b.eq    floor_power_off
    str     xzr, [sp]
    cmp     w23, #0x16
    b.eq    1f
    add     x20, x20, #4
    str     x20, [sp, #256]
1:  restore

floor_power_off:
    smc     #0
    b       .

floor_abort:
    add     x20, x20, #4
    str     x20, [sp, #256]
    ubfx    x23, x22, #16, #5
    tbnz    w22, #6, floor_store
    str     xzr, [sp, x23, lsl #3]
    restore

floor_store:
    mrs     x24, hpfar_el2
    mrs     x25, far_el2
    and     x25, x25, #0xfff
    orr     x24, x25, x24, lsl #8
    mov     x25, #{uart}
    cmp     x24, x25
    b.eq    floor_uart
    mov     x25, #{gicd}
    add     x25, x25, #{sgir}
    cmp     x24, x25
    b.eq    floor_sgi
    restore

floor_uart:
    ldr     x26, [sp, x23, lsl #3]
    cmp     w23, #31
    csel    w26, wzr, w26, eq
    str     w26, [x25]
    restore

floor_sgi:
    ldr     x26, [sp, x23, lsl #3]
    and     w26, w26, #0xf
    mov     w27, #{pending}
    orr     w26, w26, w27
    mov     x25, #{gich}
    str     w26, [x25, #{lr0}]
    restore

floor_interrupt:
    mov     x22, #{gicc}
    ldr     w23, [x22, #{iar}]
    str     w23, [x22, #{iar} + 4]
    ldr     w24, ={timer}
    mov     x25, #{gich}
    str     w24, [x25, #{lr0} + 4]
    restore
    .ltorg
"#,
    system_off_low = const PSCI_SYSTEM_OFF & 0xffff,
    system_off_high = const PSCI_SYSTEM_OFF >> 16,
    uart = const UARTDR,
    gicd = const GICD,
    sgir = const GICD_SGIR,
    gicc = const GICC,
    iar = const GICC_IAR,
    gich = const GICH,
    lr0 = const GICH_LR0,
    pending = const LR_PENDING,
    timer = const LR_HARDWARE | LR_PENDING
        | (TIMER_INTID << LR_PHYSICAL_INTID_SHIFT) | TIMER_INTID,
);
