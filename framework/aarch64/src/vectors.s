// The exception vectors of EL2 and the way of a trap through them.
//
// While a guest runs, SP_EL2 points at its vCPU's block (`Vcpu`), whose start is
// the register frame and below which is the stack that Rust uses: so sp is both
// the frame and the argument. Only what the AAPCS64 lets a call destroy is saved,
// x0-x18, x29 and x30; Rust preserves x19-x28, and they are spilled to the frame
// only where the syndrome names one of them. ELR, SPSR and ESR stay in their
// registers: nothing on the way takes another exception.

.macro save
    stp     x0, x1, [sp, #0]
    stp     x2, x3, [sp, #16]
    stp     x4, x5, [sp, #32]
    stp     x6, x7, [sp, #48]
    stp     x8, x9, [sp, #64]
    stp     x10, x11, [sp, #80]
    stp     x12, x13, [sp, #96]
    stp     x14, x15, [sp, #112]
    stp     x16, x17, [sp, #128]
    str     x18, [sp, #144]
    stp     x29, x30, [sp, #232]
.endm

.macro restore
    ldp     x2, x3, [sp, #16]
    ldp     x4, x5, [sp, #32]
    ldp     x6, x7, [sp, #48]
    ldp     x8, x9, [sp, #64]
    ldp     x10, x11, [sp, #80]
    ldp     x12, x13, [sp, #96]
    ldp     x14, x15, [sp, #112]
    ldp     x16, x17, [sp, #128]
    ldr     x18, [sp, #144]
    ldp     x29, x30, [sp, #232]
    ldp     x0, x1, [sp, #0]
.endm

.macro spill
    stp     x19, x20, [sp, #152]
    stp     x21, x22, [sp, #168]
    stp     x23, x24, [sp, #184]
    stp     x25, x26, [sp, #200]
    stp     x27, x28, [sp, #216]
.endm

.macro unspill
    ldp     x19, x20, [sp, #152]
    ldp     x21, x22, [sp, #168]
    ldp     x23, x24, [sp, #184]
    ldp     x25, x26, [sp, #200]
    ldp     x27, x28, [sp, #216]
.endm

// Behind the instruction that trapped.
.macro advance
    mrs     x0, elr_el2
    add     x0, x0, #4
    msr     elr_el2, x0
.endm

// Back to the guest, unless something is left to do.
.macro leave
    ldr     x0, [sp, #{pending}]
    cbnz    x0, work
    restore
    eret
    // What follows is not speculated into (straight-line speculation).
    dsb     nsh
    isb
.endm

// A vector slot has room for 32 instructions; one that overflowed would move the
// next one. `.org` refuses to go backwards.
.macro slot table, at
    .org    \table + \at
.endm

.macro fatal table, at, kind
    slot    \table, \at
    mov     x0, #\kind
    b       el2_fault
.endm

// A device answered one of the accesses that EL2 made for a guest with an error: the
// access ends as one that failed. It was called, so x16 and x17 are free.
.macro own_synchronous table, at, kind
    slot    \table, \at
    mrs     x16, elr_el2
    adr     x17, device_accesses
    cmp     x16, x17
    b.lo    1f
    adr     x17, device_accesses_end
    cmp     x16, x17
    b.hs    1f
    adr     x17, device_failed
    msr     elr_el2, x17
    eret
    dsb     nsh
    isb
1:  mov     x0, #\kind
    b       el2_fault
.endm

// To what the exception class in w2 is for; x0, x1 and x3 as `trace` left them.
.macro lower_sync
    cmp     w2, #0x18                   // MSR, MRS or SYS from AArch64
    b.hi    lower_abort
    b.lo    lower_call
    b       lower_register
.endm

// Puts the exit into the ring of the last ones: what it was, and where. The
// cursor is the address of the oldest; clearing one bit takes it back to the start.
// Leaves x0, and x3 = what is behind the cursor (`trace.rs`).
// `what` is ESR_EL2, or nothing for an interrupt.
.macro trace what
    mrs     x4, elr_el2
    ldp     x2, x3, [sp, #{cursor}]
    stp     \what, x4, [x2], #16
    and     x2, x2, #{wrap}
    str     x2, [sp, #{cursor}]
.endm

.macro synchronous table, at, shared
    slot    \table, \at
    save
    mrs     x1, esr_el2
    trace   x1
    lsr     w2, w1, #26
.if \shared
    b       shared_sync
.else
    lower_sync
.endif
.endm

.macro interrupt table, at, version
    slot    \table, \at
    save
    trace   xzr
    mov     x0, sp
    bl      exit_interrupt_\version
    tbnz    x0, #{held}, resume         // a guest will deactivate it itself
    cbnz    x0, interrupt_refused_\version
    ldr     x1, [sp, #{acknowledged}]
    deactivate_\version
    b       resume
.endm

// What is in x1, as it was acknowledged: GICC_DIR (IHI 0048B.b 4.4.12), ICC_DIR_EL1.
.macro deactivate_v2
    mov     x2, #{gicc}
    str     w1, [x2, #{dir}]
.endm

// The write takes effect at the latest with `eret`.
.macro deactivate_v3
    msr     S3_0_C12_C11_1, x1
.endm

.macro serror table, at
    slot    \table, \at
    save
    mrs     x1, esr_el2
    orr     x1, x1, #{serror}
    trace   x1
    b       lower_serror
.endm

// One table for each version of the GIC, so that no interrupt asks which it is; and
// for a core that several vCPUs share, so that no other core's trap asks whether it is
// one.
.macro vectors name, version, shared
.balign 2048
.global \name
\name:
    // From EL2 with SP_EL0: never used.
    fatal       \name, 0x000, 0
    fatal       \name, 0x080, 1
    fatal       \name, 0x100, 2
    fatal       \name, 0x180, 3
    // From EL2: a defect of ours. The stack may be what is broken.
    own_synchronous \name, 0x200, 4
    fatal       \name, 0x280, 5
    fatal       \name, 0x300, 6
    fatal       \name, 0x380, 7
    // From a guest in AArch64: IRQ and FIQ alike.
    synchronous \name, 0x400, \shared
    interrupt   \name, 0x480, \version
    interrupt   \name, 0x500, \version
    serror      \name, 0x580
    // From a guest in AArch32: HCR_EL2.RW is set and EL0 may not enter it, or it
    // may: the same answers.
    synchronous \name, 0x600, \shared
    interrupt   \name, 0x680, \version
    interrupt   \name, 0x700, \version
    serror      \name, 0x780
    .org    \name + 0x800
.endm

.section .text.vectors, "ax"
    vectors vectors_v2, v2, 0
    vectors vectors_v3, v3, 0
    vectors shared_vectors_v2, v2, 1
    vectors shared_vectors_v3, v3, 1

// What a core that is shared wants to know of: WFI, WFE, and floating point whose values
// are elsewhere. x1 = ESR_EL2, w2 = its exception class.
shared_sync:
    cmp     w2, #0x01                   // WFI, and WFE while it traps
    b.eq    shared_wait
    cmp     w2, #0x07                   // floating point (CPTR_EL2.TFP)
    b.ne    1f
    mov     x0, sp
    bl      exit_floating_point
    b       resume
1:  lower_sync
shared_wait:
    mrs     x0, elr_el2
    add     x0, x0, #4
    msr     elr_el2, x0
    mov     x0, #{waits}
    tst     w1, #3                      // TI
    b.eq    leave_guest
    mov     x0, #{yields}
    tbnz    w1, #0, leave_guest         // WFE, and WFET, whose deadline its guest looks at
    mov     x0, #{told}                 // WFIT: nobody keeps its deadline, so it is over
    b       leave_guest

// From ESR_EL2 in x1 what the router asks of an access: x1 = its guest-physical address,
// w2 = its size. HPFAR_EL2 has the page, from bit 4 on, and FAR_EL2 the offset in it (valid
// for a stage 2 fault that is not on a table walk).
.macro access
    ubfx    w2, w1, #22, #2             // SAS
    mrs     x1, hpfar_el2
    mrs     x4, far_el2
    lsl     x1, x1, #8
    bfxil   x1, x4, #0, #12
.endm

// x1 = ESR_EL2, x3 = the mask and what it leaves of such a syndrome (`trace.rs`).
lower_abort:
    // One compare: Data Abort from a lower level, 32-bit instruction, valid syndrome,
    // no sign extension, no external abort, cache maintenance or stage 1 walk,
    // translation fault.
    and     w2, w1, w3
    cmp     x2, x3, lsr #32
    b.ne    3f
    ubfx    w2, w1, #16, #5             // SRT
    sub     w3, w2, #19
    cmp     w3, #9
    b.ls    abort_spilled
    mov     x0, sp
    tbnz    w1, #6, store               // WnR, w2 = SRT
    access
    bl      exit_read
    cbnz    x0, 4f
    mrs     x2, esr_el2
    ubfx    x2, x2, #16, #5
    str     x1, [sp, x2, lsl #3]
    str     xzr, [sp, #248]             // slot 31 is XZR's
    advance
    leave
store:
    ldr     x3, [sp, x2, lsl #3]
    access
    bl      exit_write
    cbnz    x0, 4f
    advance
    leave

// x0 is still the guest's, x1 = ESR_EL2.
lower_call:
    mov     w3, #0x5a000000             // HVC from AArch64, and the immediate 0 that
    cmp     w1, w3                      // SMCCC calls have (DEN 0028 2.9)
    b.ne    3f
    mov     x1, sp
    bl      exit_call
    cbnz    x0, 5f
    str     x1, [sp]
    leave

3:  mov     x0, #0                      // all that is rare, not tried yet
4:  spill                               // or refused, x0 = the status
    mov     x1, x0
    mov     x0, sp
    bl      exit_rare
    b       resume_all

5:  cmp     x0, #{absent}
    b.ne    4b
    mov     x1, #-1                     // NOT_SUPPORTED (DEN 0028 5.2)
    str     x1, [sp]
    b       resume

lower_register:
    ubfx    w2, w1, #5, #5              // Rt
    sub     w3, w2, #19
    cmp     w3, #9
    b.ls    register_spilled
    mov     x0, sp
    tbz     w1, #0, register_write      // direction
    bl      exit_read_register
    cbnz    x0, 4b
    mrs     x2, esr_el2
    ubfx    x2, x2, #5, #5
    str     x1, [sp, x2, lsl #3]
    str     xzr, [sp, #248]
    advance
    leave
register_write:
    ldr     x2, [sp, x2, lsl #3]
    bl      exit_write_register
    cbnz    x0, 4b
    advance
    leave

lower_serror:
    spill
    mov     x0, sp
    bl      exit_serror
    b       resume_all

// The same with x19-x28 in the frame, since one of them is the operand. What
// writes leaves them as they are, so that only a load takes them back.
abort_spilled:
    spill
    mov     x0, sp
    tbnz    w1, #6, store
    access
    bl      exit_read
    cbnz    x0, 4b
    mrs     x2, esr_el2
    ubfx    x2, x2, #16, #5
loaded:
    str     x1, [sp, x2, lsl #3]
    advance
resume_all:
    unspill
    b       resume

register_spilled:
    spill
    mov     x0, sp
    tbz     w1, #0, register_write
    bl      exit_read_register
    cbnz    x0, 4b
    mrs     x2, esr_el2
    ubfx    x2, x2, #5, #5
    b       loaded

// An interrupt that nobody took.
.macro interrupt_refused version
interrupt_refused_\version:
    mov     x0, sp
    bl      exit_refused_\version
    b       resume
.endm
    interrupt_refused v2
    interrupt_refused v3

resume:
    leave

work:
    mov     x0, sp
    bl      exit_work
    cbz     x0, resume
leave_guest:
    // Leave the guest: all of it goes to the frame, and the core's own stack
    // comes back where `enter_guest` left it.
    spill
    mrs     x1, elr_el2
    mrs     x2, spsr_el2
    stp     x1, x2, [sp, #{elr}]
    mrs     x1, tpidr_el2
    ldr     x1, [x1]
    mov     sp, x1
    ldp     x19, x20, [sp, #0]
    ldp     x21, x22, [sp, #16]
    ldp     x23, x24, [sp, #32]
    ldp     x25, x26, [sp, #48]
    ldp     x27, x28, [sp, #64]
    ldp     x29, x30, [sp, #80]
    add     sp, sp, #96
    ret

// extern "C" fn enter_guest(vcpu: *mut Vcpu, sp_home: *mut u64) -> u64
// Runs the guest until `exit_work` says to leave; returns what it said.
.global enter_guest
enter_guest:
    sub     sp, sp, #96
    stp     x19, x20, [sp, #0]
    stp     x21, x22, [sp, #16]
    stp     x23, x24, [sp, #32]
    stp     x25, x26, [sp, #48]
    stp     x27, x28, [sp, #64]
    stp     x29, x30, [sp, #80]
    mov     x2, sp
    str     x2, [x1]
    msr     tpidr_el2, x1
    mov     sp, x0
    ldp     x1, x2, [sp, #{elr}]
    msr     elr_el2, x1
    msr     spsr_el2, x2
    unspill
    b       resume

// extern "C" fn device_read(at: u64, width: u32) -> Answer
// extern "C" fn device_write(at: u64, width: u32, value: u64) -> Answer
// One access to a device; the answer is its value, and 0 or 1 for a failure. What an
// abort of it would overwrite is the guest's exit: it is kept in registers.
.macro keep_exit
    mrs     x9, elr_el2
    mrs     x10, spsr_el2
    mrs     x11, esr_el2
    mrs     x12, far_el2
    mrs     x13, hpfar_el2
    mov     x8, x0
    cmp     w1, #1
    mov     x1, #0
.endm

.global device_read
device_read:
    keep_exit
    b.eq    1f
    b.hi    2f
device_accesses:
    ldrb    w0, [x8]
    ret
1:  ldrh    w0, [x8]
    ret
2:  ldr     w0, [x8]
    ret
3:  strb    w2, [x8]
    ret
4:  strh    w2, [x8]
    ret
5:  str     w2, [x8]
    ret
device_accesses_end:

.global device_write
device_write:
    keep_exit
    b.eq    4b
    b.hi    5b
    b       3b

device_failed:
    msr     elr_el2, x9
    msr     spsr_el2, x10
    msr     esr_el2, x11
    msr     far_el2, x12
    msr     hpfar_el2, x13
    mov     x0, #0
    mov     x1, #1
    ret

// A fault of EL2 itself: x0 = which vector. The record is made on a stack that
// nothing else uses, for the fault may be a stack overflow.
el2_fault:
    mov     x1, sp
    ldr     x2, =__fault_stack_top
    mov     sp, x2
    mrs     x2, esr_el2
    mrs     x3, elr_el2
    mrs     x4, far_el2
    bl      evisor_fault
1:  wfe
    b       1b
