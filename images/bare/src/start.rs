//! From the first instruction to `main`, and the vectors.
#![allow(unsafe_code, reason = "assembly finds Rust by name")]

use core::arch::global_asm;

// Written to and read from with the MMU off all the time: there is nothing to
// clean or to invalidate. Of the vectors only the interrupt's is expected (the
// second of those at the current EL with SP_EL1).
global_asm!(
    r#"
.section .text.start, "ax"
.global start
start:
    msr     daifset, #0xf
    ldr     x0, =stack_top
    mov     sp, x0
    ldr     x0, =vectors
    msr     vbar_el1, x0
    isb
    ldr     x0, =bss_start
    ldr     x1, =bss_end
1:  cmp     x0, x1
    b.hs    2f
    stp     xzr, xzr, [x0], #16
    b       1b
2:  bl      {main}
    .ltorg

.balign 2048
vectors:
    .rept   5
    b       unexpected
    .balign 128
    .endr
    stp     x0, x1, [sp, #-176]!
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    stp     x18, x30, [sp, #144]
    bl      {interrupt}
    ldp     x18, x30, [sp, #144]
    ldp     x16, x17, [sp, #128]
    ldp     x14, x15, [sp, #112]
    ldp     x12, x13, [sp, #96]
    b       3f
    .balign 128
    .rept   10
    b       unexpected
    .balign 128
    .endr
3:  ldp     x10, x11, [sp, #80]
    ldp     x8, x9, [sp, #64]
    ldp     x6, x7, [sp, #48]
    ldp     x4, x5, [sp, #32]
    ldp     x2, x3, [sp, #16]
    ldp     x0, x1, [sp], #176
    eret
unexpected:
    mrs     x0, esr_el1
    mrs     x1, elr_el1
    bl      {exception}
"#,
    main = sym crate::program::main,
    interrupt = sym crate::program::interrupt,
    exception = sym crate::program::exception,
);
