//! The other cores: started by PSCI CPU_ON (Arm DEN 0022), each with a stack of its
//! own, waiting at a mailbox for a function to run.
//!
//! A core's number is its Aff0 (DDI 0487, MPIDR_EL1), which is how the virt machine
//! and eVisor number the few cores that there are. Nothing here waits for ever.
#![allow(unsafe_code, reason = "a function comes through the mailbox as a pointer")]

use core::mem;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use aarch64_cpu::asm::{sev, wfe};
use aarch64_cpu::registers::MPIDR_EL1;
use smccc::psci::{PSCI_AFFINITY_INFO_64, PSCI_CPU_OFF, PSCI_CPU_ON_64};
use tock_registers::interfaces::Readable;

use crate::boot::secondary_entry;
use crate::call::hvc;
use crate::timer::wait_until;
use crate::tree;

/// The most that are made use of.
pub const MOST: usize = 8;

/// How long a core may take over what is asked of it, in microseconds.
pub const PATIENCE: u64 = 5_000_000;

/// A function for another core.
pub type Function = fn(u64) -> u64;

const OFF: u32 = 0;
const IDLE: u32 = 1;
const ASKED: u32 = 2;
const DONE: u32 = 3;

/// Where a core is asked to run something.
struct Mailbox {
    state: AtomicU32,
    function: AtomicPtr<()>,
    argument: AtomicU64,
    result: AtomicU64,
}

static MAILBOXES: [Mailbox; MOST] = [const {
    Mailbox {
        state: AtomicU32::new(OFF),
        function: AtomicPtr::new(ptr::null_mut()),
        argument: AtomicU64::new(0),
        result: AtomicU64::new(0),
    }
}; MOST];

/// This core's number.
#[must_use]
pub fn number() -> usize {
    (MPIDR_EL1.get() & 0xff) as usize % MOST
}

/// How many cores the device tree lists, at most [`MOST`].
#[must_use]
pub fn count() -> usize {
    tree::count_of_cores().clamp(1, MOST)
}

/// Starts a core at the mailbox; the code that CPU_ON returns.
pub fn start(core: usize) -> i32 {
    turn_on(core, secondary_entry(), core as u64)
}

/// CPU_ON with an entry point of the caller's.
#[allow(clippy::cast_possible_truncation, reason = "the code has 32 bits")]
pub fn turn_on(core: usize, entry: u64, context: u64) -> i32 {
    let [code, ..] = hvc(PSCI_CPU_ON_64, [core as u64, entry, context]);
    code as i32
}

/// AFFINITY_INFO of a core: 0 on, 1 off, 2 about to be on.
#[must_use]
#[allow(clippy::cast_possible_truncation, reason = "the code has 32 bits")]
pub fn power(core: usize) -> i32 {
    let [state, ..] = hvc(PSCI_AFFINITY_INFO_64, [core as u64, 0, 0]);
    state as i32
}

/// Starts a core that is not on and waits until it is at its mailbox.
pub fn bring_up(core: usize) -> bool {
    is_up(core) || start(core) == 0 && wait_for(core)
}

fn is_up(core: usize) -> bool {
    MAILBOXES.get(core).is_some_and(|mailbox| mailbox.state.load(Ordering::Acquire) != OFF)
}

/// Waits until a core that [`start`] started is at its mailbox.
#[must_use]
pub fn wait_for(core: usize) -> bool {
    wait_until(PATIENCE, || is_up(core))
}

/// Asks a core at its mailbox to run a function; false if it is not there. What it
/// ran before and nobody asked about is forgotten; if that has not ended yet, this
/// waits for it.
pub fn begin(core: usize, function: Function, argument: u64) -> bool {
    let Some(mailbox) = MAILBOXES.get(core) else { return false };
    let free = || matches!(mailbox.state.load(Ordering::Acquire), IDLE | DONE);
    if mailbox.state.load(Ordering::Acquire) == OFF || !wait_until(PATIENCE, free) {
        return false;
    }
    mailbox.function.store(function as *mut (), Ordering::Relaxed);
    mailbox.argument.store(argument, Ordering::Relaxed);
    mailbox.state.store(ASKED, Ordering::Release);
    aarch64_cpu::asm::barrier::dsb(aarch64_cpu::asm::barrier::ISHST);
    sev();
    true
}

/// Whether what [`begin`] began has ended: [`finish`] would not wait.
#[must_use]
pub fn is_done(core: usize) -> bool {
    MAILBOXES.get(core).is_some_and(|mailbox| mailbox.state.load(Ordering::Acquire) == DONE)
}

/// Waits for what [`begin`] began; what the function returned, or nothing if that
/// takes too long.
pub fn finish(core: usize) -> Option<u64> {
    let mailbox = MAILBOXES.get(core)?;
    let done = || mailbox.state.load(Ordering::Acquire) == DONE;
    if !wait_until(PATIENCE, done) {
        return None;
    }
    mailbox.state.store(IDLE, Ordering::Relaxed);
    Some(mailbox.result.load(Ordering::Relaxed))
}

/// Runs a function on a core, which is brought up for it.
pub fn run(core: usize, function: Function, argument: u64) -> Option<u64> {
    let begun = bring_up(core) && begin(core, function, argument);
    if begun { finish(core) } else { None }
}

/// Turns a core off that is at its mailbox, and waits until it is.
pub fn shut_down(core: usize) -> bool {
    begin(core, |_| turn_off(), 0) && wait_until(PATIENCE, || power(core) == 1)
}

/// Turns this core off. Returns if that is refused.
#[must_use]
pub fn turn_off() -> u64 {
    if let Some(mailbox) = MAILBOXES.get(number()) {
        mailbox.state.store(OFF, Ordering::Release);
    }
    let [code, ..] = hvc(PSCI_CPU_OFF, [0; 3]);
    code
}

/// What a core does that was started here, for ever.
pub(crate) fn serve() -> ! {
    let Some(mailbox) = MAILBOXES.get(number()) else {
        loop {
            let _ = turn_off();
        }
    };
    mailbox.state.store(IDLE, Ordering::Release);
    loop {
        while mailbox.state.load(Ordering::Acquire) != ASKED {
            wfe();
        }
        let function = mailbox.function.load(Ordering::Relaxed);
        // SAFETY: only `begin` stores it, from a `Function`.
        let function = unsafe { mem::transmute::<*mut (), Function>(function) };
        let result = function(mailbox.argument.load(Ordering::Relaxed));
        mailbox.result.store(result, Ordering::Relaxed);
        mailbox.state.store(DONE, Ordering::Release);
    }
}
