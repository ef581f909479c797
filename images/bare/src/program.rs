//! What it does: a greeting, an SGI, five ticks of the virtual timer, off.
#![allow(unsafe_code, reason = "interrupts, a call, and a counter that the handler writes")]

use core::arch::asm;
use core::fmt::Write;
use core::sync::atomic::{AtomicU32, Ordering};

use aarch64_cpu::registers::{CNTFRQ_EL0, CNTV_CTL_EL0, CNTV_TVAL_EL0, CurrentEL, DAIF};
use tock_registers::interfaces::{Readable, Writeable};

use crate::gic;
use crate::uart::{self, Uart};

const SGI: u32 = 5;
/// The virtual timer's PPI (DEN 0094, BSA).
const TIMER: u32 = 27;
const TICKS: u32 = 5;

/// PSCI SYSTEM_OFF (DEN 0022, §5.10).
const SYSTEM_OFF: u64 = 0x8400_0008;

/// Interrupts so far. Loads and stores only: exclusives need caches.
static SEEN: AtomicU32 = AtomicU32::new(0);

macro_rules! say {
    ($($text:tt)*) => {
        _ = writeln!(Uart, $($text)*)
    };
}

pub extern "C" fn main() -> ! {
    uart::init();
    say!("bare: linked at {:#x}, runs at {:#x}", 0x4028_0000, here());
    say!("bare: EL{}", CurrentEL.read(CurrentEL::EL));
    gic::init();
    gic::enable(SGI);
    gic::enable(TIMER);
    DAIF.set(0);
    gic::send_to_self(SGI);
    wait_for(1);
    for tick in 1..=TICKS {
        CNTV_TVAL_EL0.set(CNTFRQ_EL0.get() / 1000);
        CNTV_CTL_EL0.write(CNTV_CTL_EL0::ENABLE::SET);
        wait_for(1 + tick);
    }
    say!("bare: off");
    off()
}

/// The address of this program's start, as the core has it.
fn here() -> u64 {
    let address;
    // SAFETY: 1. computes an address.
    unsafe { asm!("adrp {}, start", out(reg) address, options(nomem, nostack)) };
    address
}

fn wait_for(interrupts: u32) {
    while SEEN.load(Ordering::Relaxed) < interrupts {
        core::hint::spin_loop();
    }
}

pub extern "C" fn interrupt() {
    let acknowledged = gic::acknowledge();
    match acknowledged & 0x3ff {
        SGI => say!("bare: SGI {SGI} from CPU {}", acknowledged >> 10 & 7),
        TIMER => {
            CNTV_CTL_EL0.set(0);
            say!("bare: the virtual timer's interrupt {TIMER}");
        }
        other => say!("bare: interrupt {other}?"),
    }
    gic::end(acknowledged);
    SEEN.store(SEEN.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
}

pub extern "C" fn exception(esr: u64, elr: u64) -> ! {
    say!("bare: exception, ESR {esr:#x} at {elr:#x}");
    off()
}

fn off() -> ! {
    // SAFETY: 1. the machine ends.
    unsafe { asm!("hvc #0", inout("x0") SYSTEM_OFF => _, options(nostack)) };
    say!("bare: still on");
    loop {
        core::hint::spin_loop();
    }
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("bare: {info}");
    off()
}
