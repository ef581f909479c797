//! Exceptions that are not interrupts: expected where a register is tried, and the end
//! everywhere else.

use core::sync::atomic::{AtomicU32, Ordering};

use aarch64_cpu::registers::{ELR_EL1, ESR_EL1, FAR_EL1};
use tock_registers::interfaces::{Readable, Writeable};

use crate::pm;
use crate::uart::say;

/// The first core expects an abort.
static EXPECTED: AtomicU32 = AtomicU32::new(0);
/// It came.
static CAME: AtomicU32 = AtomicU32::new(0);

/// Whether the first core does this without an abort. The instruction that aborts is
/// passed over.
pub fn survive(tried: impl FnOnce()) -> bool {
    CAME.store(0, Ordering::SeqCst);
    EXPECTED.store(1, Ordering::SeqCst);
    tried();
    EXPECTED.store(0, Ordering::SeqCst);
    CAME.load(Ordering::SeqCst) == 0
}

pub extern "C" fn synchronous() {
    let abort = ESR_EL1.matches_all(ESR_EL1::EC::DataAbortCurrentEL);
    if !abort || EXPECTED.load(Ordering::SeqCst) == 0 {
        unexpected();
    }
    CAME.store(1, Ordering::SeqCst);
    ELR_EL1.set(ELR_EL1.get() + 4);
}

/// It belongs to no instruction: there is none to pass over.
pub extern "C" fn system_error() {
    if EXPECTED.load(Ordering::SeqCst) == 0 {
        unexpected();
    }
    CAME.store(1, Ordering::SeqCst);
}

pub extern "C" fn unexpected() -> ! {
    let (esr, elr, far) = (ESR_EL1.get(), ELR_EL1.get(), FAR_EL1.get());
    say!("exception, ESR {esr:#x} at {elr:#x}, address {far:#x}");
    pm::off()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    say!("{info}");
    pm::off()
}
