//! From one vCPU of a core to the next: what the hypervisor takes from the WFI of one
//! to the other's next instruction.
//!
//! The other one, on the same core, looks all the time whether the first one waits, which
//! says so, and when, before its WFI. Where in that loop it was taken away is chance: the
//! figure is the middle one of many, and up to four instructions high. It wakes the first
//! one by an interrupt that it sends in the same loop.
#![allow(unsafe_code, reason = "loops of exactly known instructions")]

use core::arch::asm;
use core::sync::atomic::{AtomicU64, Ordering};

use evisor_guest::gic::{self, Version};
use evisor_guest::{cores, map};

/// How often it is measured.
const TIMES: usize = 31;
/// The one that is switched to.
const OTHER: usize = 1;
/// From the read before WFI to the trap: the store, and WFI.
const OWN: u64 = 2;
/// What wakes the first one.
const SGI: u32 = 0;

/// When the first one waits; 0 once the other has seen it.
static GIVEN: AtomicU64 = AtomicU64::new(0);
/// How much later the other went on.
static SEEN: AtomicU64 = AtomicU64::new(0);
/// What lets the other go.
static OVER: AtomicU64 = AtomicU64::new(0);

/// In counts; with `floating` each of the two has just used floating point. `None` if
/// there is no other, or it sees nothing.
pub fn from_one_to_another(floating: bool) -> Option<u64> {
    OVER.store(0, Ordering::SeqCst);
    if !cores::bring_up(OTHER) || !cores::begin(OTHER, watch, u64::from(floating)) {
        return None;
    }
    gic::enable_interrupt(SGI);
    let mut all = [0; TIMES];
    for count in &mut all {
        *count = once(floating);
    }
    gic::disable_interrupt(SGI);
    OVER.store(1, Ordering::SeqCst);
    GIVEN.store(1, Ordering::SeqCst);
    cores::finish(OTHER)?;
    all.sort_unstable();
    all.get(TIMES / 2).copied().filter(|count| *count != 0).map(|count| count - OWN)
}

fn once(floating: bool) -> u64 {
    SEEN.store(0, Ordering::SeqCst);
    enable_floating_point();
    if floating {
        use_floating_point();
    }
    // SAFETY: only registers that are declared change, and an atomic; the other's interrupt
    // ends the wait.
    unsafe {
        asm!(
            "isb",
            "mrs {now}, cntvct_el0",
            "str {now}, [{given}]",
            "wfi",
            now = out(reg) _,
            given = in(reg) GIVEN.as_ptr(),
        );
    }
    while SEEN.load(Ordering::SeqCst) == 0 {}
    gic::end(gic::acknowledge());
    SEEN.load(Ordering::SeqCst)
}

fn enable_floating_point() {
    // SAFETY: what is not trapped any more is used by nobody who does not say so.
    unsafe { asm!("msr cpacr_el1, {}", "isb", in(reg) 0b11_u64 << 20) };
}

fn use_floating_point() {
    // SAFETY: this image is built without floating point: nobody has anything there.
    unsafe { asm!(".arch_extension fp", "fmov d0, xzr") };
}

fn watch(floating: u64) -> u64 {
    enable_floating_point();
    let watch = match (gic::version(), floating) {
        (Version::V2, 0) => watch_v2,
        (Version::V2, _) => watch_v2_floating,
        (Version::V3, 0) => watch_v3,
        (Version::V3, _) => watch_v3_floating,
    };
    while OVER.load(Ordering::SeqCst) == 0 {
        let back = watch();
        let given = GIVEN.swap(0, Ordering::SeqCst);
        SEEN.store(back.wrapping_sub(given), Ordering::SeqCst);
    }
    0
}

/// Offset of GICD_SGIR.
const GICD_SGIR: usize = 0xf00;
/// SGI 0 to the first core: CPUTargetList (IHI 0048B.b §4.3.15), TargetList (IHI 0069,
/// ICC_SGI1R_EL1).
const TO_FIRST: [u64; 2] = [1 << 16, 1];

macro_rules! watch {
    ($name:ident, $to:expr, $send:literal, $($first:literal),*) => {
        /// Wakes the first one and waits until it waits; when that was seen.
        fn $name() -> u64 {
            let back: u64;
            // SAFETY: only registers that are declared change, and ones that nobody uses.
            unsafe {
                asm!(
                    ".arch_extension fp",
                    "dsb sy",
                    $send,
                    "1: ldr {back}, [{given}]",
                    "cbz {back}, 1b",
                    $($first,)*
                    "mrs {back}, cntvct_el0",
                    back = out(reg) back,
                    given = in(reg) GIVEN.as_ptr(),
                    in("x16") $to,
                    in("x17") map::GICD + GICD_SGIR,
                );
            }
            back
        }
    };
}

watch!(watch_v2, TO_FIRST[0], "str w16, [x17]",);
watch!(watch_v2_floating, TO_FIRST[0], "str w16, [x17]", "fmov d0, xzr");
watch!(watch_v3, TO_FIRST[1], "msr S3_0_C12_C11_5, x16",);
watch!(watch_v3_floating, TO_FIRST[1], "msr S3_0_C12_C11_5, x16", "fmov d0, xzr");
