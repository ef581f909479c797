//! EL2's own faults: a record is made, then the core halts. None is reachable by
//! what a guest does, or it is a defect.

#![allow(unsafe_code, reason = "called by the vectors")]

use crate::halt;
use spin::Once;

/// What a fault of EL2 left behind.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// Which vector: 0–3 with SP_EL0, 4–7 with SP_EL2; synchronous, IRQ, FIQ,
    /// SError in turn. 11 is an SError that was taken from a guest, and that is known not
    /// to be contained.
    pub vector: u64,
    /// ESR_EL2.
    pub esr: u64,
    /// ELR_EL2: where.
    pub elr: u64,
    /// FAR_EL2: on what.
    pub far: u64,
}

static REPORT: Once<fn(&Fault)> = Once::new();

/// Says how a fault is told. It must wait for no lock and not allocate.
pub fn set_report(report: fn(&Fault)) {
    REPORT.call_once(|| report);
}

/// An SError of which nobody knows where it went: the last thing that this core does is
/// to say so.
#[cold]
pub(crate) fn uncontainable(esr: u64, elr: u64) -> ! {
    evisor_fault(11, 0, esr, elr, 0);
    halt()
}

#[unsafe(no_mangle)]
extern "C" fn evisor_fault(vector: u64, _sp: u64, esr: u64, elr: u64, far: u64) {
    if let Some(report) = REPORT.get() {
        report(&Fault { vector, esr, elr, far });
    }
}
