//! SMCCC and PSCI calls, and the verdict.
#![allow(unsafe_code, reason = "stopping the core for good, and crashing, take assembly")]

use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, Ordering};

use smccc::psci::{PSCI_CPU_OFF, PSCI_SYSTEM_OFF};
use smccc::{Call, Hvc};

use crate::println;

/// eVisor's own call: x1 is the guest's verdict.
pub const VERDICT: u32 = 0xC600_0001;

/// The verdict of a guest that panicked or met an unexpected exception.
pub const PANICKED: u8 = 101;

/// Call UID of vendor-specific hypervisor services (DEN 0028, general
/// service queries).
pub const VENDOR_UID: u32 = 0x8600_FF01;

/// eVisor's UID, d0f8a2c1-6e0b-4c55-9f0e-e0150b5e0001, as it comes back in w0
/// to w3: DEN 0028 puts bytes 0 to 3 into w0, byte 0 lowest.
pub const EVISOR_UID: [u32; 4] = [0xc1a2_f8d0, 0x554c_0b6e, 0x15e0_0e9f, 0x0100_5e0b];

/// SMCCC and PSCI: the function id is not known.
pub const NOT_SUPPORTED: u64 = -1_i64 as u64;

/// Makes a call by the conduit `C` with up to three arguments; returns x0 to x3.
pub fn call<C: Call>(function: u32, [x1, x2, x3]: [u64; 3]) -> [u64; 4] {
    let mut arguments = [0; 17];
    arguments[0] = x1;
    arguments[1] = x2;
    arguments[2] = x3;
    let reply = C::call64(function, arguments);
    [reply[0], reply[1], reply[2], reply[3]]
}

/// Makes a call by HVC, the conduit that eVisor's guests are told to use.
pub fn hvc(function: u32, arguments: [u64; 3]) -> [u64; 4] {
    call::<Hvc>(function, arguments)
}

/// Whether the hypervisor below is eVisor.
#[must_use]
pub fn on_evisor() -> bool {
    hvc(VENDOR_UID, [0; 3]) == EVISOR_UID.map(u64::from)
}

/// Ends the guest: tells eVisor the verdict, which anything else ignores, and
/// powers off, or stops its core where it may not.
pub fn verdict(code: u8) -> ! {
    hvc(VERDICT, [u64::from(code), 0, 0]);
    hvc(PSCI_SYSTEM_OFF, [0; 3]);
    // Without control over power it can still stop its only core.
    hvc(PSCI_CPU_OFF, [0; 3]);
    loop {
        aarch64_cpu::asm::wfi();
    }
}

/// Crashes: an instruction abort whose own vector cannot be fetched either.
pub fn crash() -> ! {
    // SAFETY: nothing runs after it.
    unsafe {
        core::arch::asm!(
            "msr vbar_el1, {nowhere}",
            "isb",
            "br {nowhere}",
            nowhere = in(reg) 0x7f_0000_0000_u64,
            options(noreturn),
        );
    }
}

/// Reports what went wrong and ends the guest; says nothing if reporting is
/// what went wrong.
#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    static REPORTED: AtomicBool = AtomicBool::new(false);
    if !REPORTED.swap(true, Ordering::Relaxed) {
        println!("guest: {info}");
    }
    verdict(PANICKED)
}
