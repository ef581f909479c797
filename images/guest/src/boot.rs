//! From the Linux boot header to the guest's main function.
#![allow(unsafe_code, reason = "the entry point is assembly and finds Rust by name")]

use core::arch::global_asm;
use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::call::verdict;
use crate::{cores, mmu};

// The header is that of Linux, `Documentation/arch/arm64/booting.rst`. Flags:
// little endian, 4 KiB pages, anywhere in memory. The counter is read before
// anything else, so that a guest can tell what it took to get here.
//
// Nothing is written to memory before stage 1 is on: what is written with the
// cache off and read with it on may come back stale.
global_asm!(
    r#"
// Leaves x19 to x21 alone; nothing is on the stack yet.
.macro enable_stage_1
    ldr     x0, ={identity}
    msr     ttbr0_el1, x0
    ldr     x0, ={mair}
    msr     mair_el1, x0
    ldr     x0, ={tcr}
    msr     tcr_el1, x0
    tlbi    vmalle1
    ic      iallu
    dsb     nsh
    isb
    ldr     x0, ={sctlr_on}
    msr     sctlr_el1, x0
    isb
.endm

.macro enter_el1 stack
    msr     daifset, #0xf
    msr     spsel, #1
    ldr     x0, =\stack
    mov     sp, x0
    ldr     x0, =guest_vectors
    msr     vbar_el1, x0
    ldr     x0, ={sctlr_off}
    msr     sctlr_el1, x0
    isb
.endm

.section .text.header, "ax"
.global guest_header
guest_header:
    b       guest_entry
    .long   0
    .quad   TEXT_OFFSET
    .quad   IMAGE_SIZE
    .quad   0b1010
    .quad   0, 0, 0
    .ascii  "ARM\x64"
    .long   0

guest_entry:
    mrs     x20, cntvct_el0
    mov     x21, x0
    enter_el1 stack_top
    ldr     x0, =EVISOR_GUEST_MMU
    ldr     x0, [x0]
    cbz     x0, 1f

    enable_stage_1

1:  ldr     x0, =bss_start
    ldr     x1, =bss_end
2:  cmp     x0, x1
    b.hs    3f
    stp     xzr, xzr, [x0], #16
    b       2b
3:  mov     x0, x20
    mov     x1, x21
    bl      {start}
    .ltorg

// x0, PSCI's context, is the core's number. Each has the stack that ends where the
// next one's begins.
guest_secondary_entry:
    mov     x21, x0
    enter_el1 {stacks}
    mov     x0, #{stack_size}
    madd    x0, x0, x21, x0
    add     sp, sp, x0
    ldr     x0, =EVISOR_GUEST_MMU
    ldr     x0, [x0]
    cbz     x0, 1f
    enable_stage_1
1:  bl      {serve}
    .ltorg
"#,
    sctlr_off = const mmu::SCTLR_OFF,
    sctlr_on = const mmu::SCTLR_ON,
    mair = const mmu::MAIR,
    tcr = const mmu::TCR,
    identity = sym mmu::IDENTITY,
    start = sym start,
    stacks = sym STACKS,
    stack_size = const STACK_SIZE,
    serve = sym serve_as_secondary,
);

/// What a secondary core has for its stack.
const STACK_SIZE: usize = 0x8000;

#[repr(C, align(16))]
struct Stacks(UnsafeCell<[[u8; STACK_SIZE]; cores::MOST]>);

// SAFETY: each core touches its own part, from assembly only.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(UnsafeCell::new([[0; STACK_SIZE]; cores::MOST]));

unsafe extern "C" {
    static guest_secondary_entry: u8;
}

/// Where a secondary core starts; its context is its number.
pub(crate) fn secondary_entry() -> u64 {
    (&raw const guest_secondary_entry) as u64
}

extern "C" fn serve_as_secondary() -> ! {
    cores::serve()
}

static COUNT_AT_ENTRY: AtomicU64 = AtomicU64::new(0);
static DEVICE_TREE: AtomicU64 = AtomicU64::new(0);

unsafe extern "C" {
    safe fn evisor_guest_main() -> u8;
}

extern "C" fn start(count: u64, device_tree: u64) -> ! {
    COUNT_AT_ENTRY.store(count, Ordering::Relaxed);
    DEVICE_TREE.store(device_tree, Ordering::Relaxed);
    verdict(evisor_guest_main())
}

/// The virtual counter as the guest's first instruction read it (its second,
/// strictly: the header's branch comes before).
#[must_use]
pub fn count_at_entry() -> u64 {
    COUNT_AT_ENTRY.load(Ordering::Relaxed)
}

/// x0 at entry: the address of the device tree.
#[must_use]
pub fn device_tree() -> u64 {
    DEVICE_TREE.load(Ordering::Relaxed)
}
