//! From the Linux boot header to the guest's main function.
#![allow(
    unsafe_code,
    reason = "the entry point is assembly and finds Rust by name"
)]

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::call::verdict;
use crate::mmu;

// The header is that of Linux, `Documentation/arch/arm64/booting.rst`. Flags:
// little endian, 4 KiB pages, anywhere in memory. The counter is read before
// anything else, so that a guest can tell what it took to get here.
//
// Nothing is written to memory before stage 1 is on: what is written with the
// cache off and read with it on may come back stale.
global_asm!(
    r#"
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
    msr     daifset, #0xf
    msr     spsel, #1
    ldr     x0, =stack_top
    mov     sp, x0
    ldr     x0, =guest_vectors
    msr     vbar_el1, x0
    ldr     x0, ={sctlr_off}
    msr     sctlr_el1, x0
    isb
    ldr     x0, =EVISOR_GUEST_MMU
    ldr     x0, [x0]
    cbz     x0, 1f

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
"#,
    sctlr_off = const mmu::SCTLR_OFF,
    sctlr_on = const mmu::SCTLR_ON,
    mair = const mmu::MAIR,
    tcr = const mmu::TCR,
    identity = sym mmu::IDENTITY,
    start = sym start,
);

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
