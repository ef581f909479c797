//! Instructions made at run time: each core has a line of code of its own.
#![allow(unsafe_code, reason = "code written at run time")]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering};

use evisor_guest::cores;
use evisor_guest::exception::{self, Exception};

const RET: u32 = 0xd65f_03c0;

/// A page a core, so that one's writing does not take another's code from its cache.
#[repr(C, align(4096))]
struct Line([AtomicU32; 1024]);

static LINES: [Line; cores::MOST] =
    [const { Line([const { AtomicU32::new(0) }; 1024]) }; cores::MOST];

/// The registers that an instruction may use: x0 to x3.
pub type Registers = [u64; 4];

/// Executes one instruction with these registers, of which it may change any, and no
/// other but x4 to x17, and memory that is not Rust's. What they hold after, or the
/// exception that it took.
pub fn execute(instruction: u32, registers: Registers) -> Result<Registers, Exception> {
    let Some(Line([first, second, ..])) = LINES.get(cores::number()) else {
        return Ok(registers);
    };
    first.store(instruction, Ordering::Relaxed);
    second.store(RET, Ordering::Relaxed);
    let [mut x0, mut x1, mut x2, mut x3] = registers;
    // SAFETY: maintenance of the line just written.
    unsafe {
        asm!("dc cvau, {0}", "dsb ish", "ic ivau, {0}", "dsb ish", "isb", in(reg) first.as_ptr());
    }
    let run = exception::attempt(|| {
        // SAFETY: the callers make instructions that keep to the registers above, and to
        // memory that is nobody's; what faults is stepped over.
        unsafe {
            asm!("blr {code}", code = in(reg) first.as_ptr(), inout("x0") x0, inout("x1") x1,
                inout("x2") x2, inout("x3") x3, out("x30") _, out("x4") _, out("x5") _,
                out("x6") _, out("x7") _, out("x8") _, out("x9") _, out("x10") _,
                out("x11") _, out("x12") _, out("x13") _, out("x14") _, out("x15") _,
                out("x16") _, out("x17") _);
        }
    });
    run.map(|()| [x0, x1, x2, x3])
}

/// What an exception was, without where.
pub fn summary(result: Result<Registers, Exception>) -> u64 {
    result.map_or_else(|taken| 1 << 63 | taken.esr, |_| 0)
}
