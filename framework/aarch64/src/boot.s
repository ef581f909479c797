// From the firmware's entry to Rust.
//
// Entered as the Linux boot protocol says (Documentation/arch/arm64/booting.rst):
// x0 = physical address of the device tree, MMU and data cache off, the image
// cleaned to the point of coherency, at any 2 MiB boundary; any page will do, as
// loaders of a Raspberry Pi have been content with 512 KiB. Everything here runs
// at physical addresses until the branch to `virtual_entry`, so it may only use
// PC-relative addresses (adrp), which are physical ones while the MMU is off.
//
// Registers: x19 = device tree, x20 = physical address of the image.

.section .head, "ax"
.global image_head
image_head:
    b       boot_entry
    .word   0
    .quad   0                           // text_offset: the start of a 2 MiB block
    .quad   __image_end - image_head    // image_size, with what follows the file
    .quad   0b1010                      // little endian, 4 KiB pages, placed anywhere
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .word   0

.section .text.boot, "ax"
boot_entry:
    msr     daifset, #0b1111
    msr     spsel, #1
    mov     x19, x0
    mrs     x0, CurrentEL
    cmp     x0, #0b1000                 // EL2
    b.ne    halt
    adrp    x20, image_head

    // E2H clear: FEAT_VHE would change the meaning of what follows.
    mov     x0, #1 << 31                // HCR_EL2.RW
    msr     hcr_el2, x0
    isb
    ldr     x0, =0x30c50830             // SCTLR_EL2: RES1, MMU and caches off
    msr     sctlr_el2, x0
    isb

    // What the loader left in the cache for these lines would hide what is
    // written here with the cache off (DDI 0487, B2.7.2). The heap and the stacks
    // behind them are first written with the cache on.
    adrp    x0, __bss_start
    adrp    x1, __bss_end
    bl      invalidate
    adrp    x0, __bss_start
    adrp    x1, __bss_end
1:  stp     xzr, xzr, [x0], #64         // both are page boundaries
    stp     xzr, xzr, [x0, #-48]
    stp     xzr, xzr, [x0, #-32]
    stp     xzr, xzr, [x0, #-16]
    cmp     x0, x1
    b.lo    1b

    // The image's own addresses: level 1 -> level 2 -> two tables of level 3, which are
    // one behind the other and filled as one, a page a page.
    adrp    x0, boot_level1
    adrp    x1, boot_level2
    adrp    x2, boot_level3
    orr     x3, x1, #3
    str     x3, [x0, #LINK_LEVEL1 * 8]
    orr     x3, x2, #3
    add     x4, x3, #4096
    stp     x3, x4, [x1]
    ldr     x7, =PAGE_TEXT
    adrp    x4, image_head
    adrp    x5, __text_end
    bl      pages
    ldr     x7, =PAGE_RODATA
    adrp    x5, __rodata_end
    bl      pages
    ldr     x7, =PAGE_DATA
    adrp    x5, __image_end
    bl      pages

    // This code, which is in the image's first page, at its physical address,
    // read-only, for the moment of the switch.
    adrp    x1, boot_identity
    ubfx    x2, x20, #30, #9
    orr     x3, x1, #3
    str     x3, [x0, x2, lsl #3]
    ubfx    x2, x20, #21, #9
    ldr     x3, =BLOCK_TEXT
    and     x4, x20, #~0x1fffff
    orr     x3, x3, x4
    str     x3, [x1, x2, lsl #3]

    // And again: a line may have been fetched meanwhile.
    adrp    x0, __bss_start
    adrp    x1, __bss_end
    bl      invalidate
    adrp    x0, boot_level1
    bl      enable_mmu
    ldr     x9, =virtual_entry
    br      x9

virtual_entry:
    ldr     x0, =__boot_stack_top
    mov     sp, x0
    mov     x0, x19
    mov     x1, x20
    mov     x29, xzr
    mov     x30, xzr
    bl      evisor_main
halt:
    wfe
    b       halt

// Where the firmware has another core start, by PSCI's CPU_ON or a spin table. It
// comes by way of the boot's tables, which still have this code at its physical
// address. Nothing that was passed is used: a spin table passes nothing. The core
// finds its `Start`, below which is its stack, by its affinity, and that with the
// MMU on, through the cache that it was written through.
.global secondary_entry
secondary_entry:
    msr     daifset, #0b1111
    msr     spsel, #1
    mrs     x0, CurrentEL
    cmp     x0, #0b1000                 // EL2
    b.ne    halt
    mov     x0, #1 << 31                // as on the first core, above
    msr     hcr_el2, x0
    isb
    ldr     x0, =0x30c50830
    msr     sctlr_el2, x0
    isb
    adrp    x0, boot_level1
    bl      enable_mmu
    ldr     x9, =secondary_virtual
    br      x9
secondary_virtual:
    mrs     x1, mpidr_el1
    ldr     x2, =0xff00ffffff           // Aff3, Aff2, Aff1, Aff0
    and     x1, x1, x2
    ldr     x2, =evisor_waiting
1:  ldp     x3, x0, [x2], #16
    cbz     x0, halt                    // nobody sent for this core
    cmp     x3, x1
    b.ne    1b
    mov     sp, x0
    mov     x29, xzr
    mov     x30, xzr
    bl      evisor_secondary
    b       halt

// Writes one page descriptor for each page from x4 to x5, with attributes x7,
// into the table at x2 (indexed from the image's start); x4 ends at x5.
pages:
    sub     x3, x4, x20
    add     x3, x2, x3, lsr #9          // eight bytes a page
    sub     x6, x5, x20
    add     x8, x2, x6, lsr #9
    orr     x6, x4, x7
    mov     x4, x5
    b       2f
1:  str     x6, [x3], #8
    add     x6, x6, #4096
2:  cmp     x3, x8
    b.lo    1b
    ret

// Invalidates the data cache from x0 to x1 by address to the point of coherency.
invalidate:
    mrs     x2, ctr_el0
    ubfx    x2, x2, #16, #4             // DminLine: log2 of the words of a line
    mov     x3, #4
    lsl     x3, x3, x2
1:  dc      ivac, x0
    add     x0, x0, x3
    cmp     x0, x1
    b.lo    1b
    dsb     sy
    ret

// Turns on the MMU with the root table at x0.
.global enable_mmu
enable_mmu:
    ldr     x1, =MAIR
    msr     mair_el2, x1
    ldr     x1, =TCR
    mrs     x2, id_aa64mmfr0_el1
    and     x2, x2, #0b111              // PARange; 0b110 (52 bits) needs LPA2: cap
    cmp     x2, #0b101
    mov     x3, #0b101
    csel    x2, x2, x3, ls
    orr     x1, x1, x2, lsl #16
    msr     tcr_el2, x1
    msr     ttbr0_el2, x0
    // The tables were written with the cache off and are walked with it on; no
    // line of theirs is in a cache since `invalidate`.
    dsb     sy
    tlbi    alle2
    ic      iallu
    dsb     sy
    isb
    ldr     x1, =SCTLR
    msr     sctlr_el2, x1
    isb
    ret
