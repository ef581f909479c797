//! Cores turned on and off (Arm DEN 0022, CPU_ON, CPU_OFF and AFFINITY_INFO), and the
//! answers of the functions of PSCI 1.1 that nobody has to have.
#![allow(unsafe_code, reason = "an entry point in assembly")]

use core::arch::global_asm;
use core::sync::atomic::{AtomicU64, Ordering};

use evisor_guest::call::hvc;
use evisor_guest::{cores, gic, timer};
use smccc::psci::{PSCI_AFFINITY_INFO_32, PSCI_CPU_ON_32, PSCI_CPU_SUSPEND_64, PSCI_FEATURES};

use crate::check::{Outcome, equal, holds, on, only_on_evisor, with_cores};
use crate::checks;
use crate::lines::{A, comes_and_ends, with};

checks! { "power":
    optional_functions_agree unallocated_functions off_is_reported on_is_reported
    already_on start_twice cycles context_arrives context_of_32_bits starts_at_el1
    starts_masked starts_with_translation_off starts_on_its_number memory_is_shared
    entry_unaligned off_and_on_by_another all_at_once affinity_info_32 affinity_info_cluster
    suspend_wakes suspend_with_pending_returns_at_once set_suspend_mode_agrees
    interrupts_after_restart private_state_after_restart
}

const NOT_SUPPORTED: i32 = -1;
const INVALID_PARAMETERS: i32 = -2;
const ALREADY_ON: i32 = -4;
const ON_PENDING: i32 = -5;
const INVALID_ADDRESS: i32 = -9;

const IS_ON: i32 = 0;
const IS_OFF: i32 = 1;
const IS_STARTING: i32 = 2;

const PATIENCE: u64 = 1_000_000;

#[allow(clippy::cast_possible_truncation, reason = "the code has 32 bits")]
fn psci(function: u32, arguments: [u64; 3]) -> i32 {
    let [x0, ..] = hvc(function, arguments);
    x0 as i32
}

fn code(what: &'static str, got: i32, expected: i32) -> Outcome {
    equal(what, got.cast_unsigned(), expected.cast_unsigned())
}

/// DEN 0022 §5.1, the optional functions that do not end anything: MEM_PROTECT's
/// range, CPU_FREEZE and others are left out. Number, and arguments that ask little.
const OPTIONAL: [(u32, [u64; 3]); 7] = [
    (0x8400_0006, [0; 3]), // MIGRATE_INFO_TYPE
    (0xC400_0007, [0; 3]), // MIGRATE_INFO_UP_CPU
    (0x8400_000F, [0; 3]), // PSCI_SET_SUSPEND_MODE, platform-coordinated
    (0xC400_000D, [0; 3]), // NODE_HW_STATE
    (0xC400_0010, [0; 3]), // PSCI_STAT_RESIDENCY
    (0xC400_0011, [0; 3]), // PSCI_STAT_COUNT
    (0xC400_0014, [0; 3]), // MEM_PROTECT_CHECK_RANGE
];

/// §5.16, PSCI_FEATURES: what is not there answers NOT_SUPPORTED when it is called.
/// (QEMU 10 has MIGRATE_INFO_TYPE and does not announce it.)
fn optional_functions_agree() -> Outcome {
    for (function, arguments) in OPTIONAL {
        let announced = psci(PSCI_FEATURES, [function.into(), 0, 0]) != NOT_SUPPORTED;
        let answered = psci(function, arguments) != NOT_SUPPORTED;
        holds("what is announced is there", !announced || answered)?;
    }
    only_on_evisor()?;
    for (function, arguments) in OPTIONAL {
        let announced = psci(PSCI_FEATURES, [function.into(), 0, 0]) != NOT_SUPPORTED;
        let answered = psci(function, arguments) != NOT_SUPPORTED;
        equal("what is there is announced", announced, answered)?;
    }
    Ok(())
}

/// Numbers of the range that name nothing, in both widths, and functions that have one
/// width only in the other.
fn unallocated_functions() -> Outcome {
    for function in [0x8400_0016_u32, 0xC400_001F, 0xC400_0000, 0xC400_0008, 0xC400_000A] {
        code("answer", psci(function, [0; 3]), NOT_SUPPORTED)?;
    }
    Ok(())
}

fn off_is_reported() -> Outcome {
    with_cores(2)?;
    holds("it goes off", cores::shut_down(1))?;
    code("AFFINITY_INFO", cores::power(1), IS_OFF)
}

fn on_is_reported() -> Outcome {
    with_cores(2)?;
    for core in 0..cores::count() {
        code("AFFINITY_INFO", cores::power(core), IS_ON)?;
    }
    Ok(())
}

fn already_on() -> Outcome {
    with_cores(2)?;
    for core in 1..cores::count() {
        code("CPU_ON", cores::start(core), ALREADY_ON)?;
    }
    Ok(())
}

/// §5.6: a second CPU_ON before the core is on answers ON_PENDING, after it
/// ALREADY_ON; AFFINITY_INFO in between, ON_PENDING or ON.
fn start_twice() -> Outcome {
    with_cores(2)?;
    holds("it goes off", cores::shut_down(1))?;
    let first = cores::start(1);
    let state = cores::power(1);
    let second = cores::start(1);
    let up = cores::wait_for(1);
    code("the first", first, 0)?;
    holds("on, or about to be", matches!(state, IS_ON | IS_STARTING))?;
    holds("the second", matches!(second, ALREADY_ON | ON_PENDING))?;
    holds("it comes up, once", up)?;
    code("then", cores::start(1), ALREADY_ON)
}

fn cycles() -> Outcome {
    with_cores(2)?;
    for _ in 0..20 {
        holds("it goes off", cores::shut_down(1))?;
        code("off", cores::power(1), IS_OFF)?;
        holds("it comes up", cores::bring_up(1))?;
        code("on", cores::power(1), IS_ON)?;
        equal("it works", on(1, |value| value + 1, 41)?, 42_u64)?;
    }
    Ok(())
}

// What a core finds at its entry: x0, CurrentEL, DAIF, SCTLR_EL1, MPIDR_EL1, SPSel,
// and then a flag; then it turns itself off. Stage 1 is off, so what it writes is
// read with the cache cleaned before and invalidated after.
global_asm!(
    r#"
.section .text.power, "ax"
.balign 8
power_entry:
    ldr     x1, =power_found
    mrs     x2, CurrentEL
    mrs     x3, daif
    mrs     x4, sctlr_el1
    mrs     x5, mpidr_el1
    mrs     x6, spsel
    stp     x0, x2, [x1]
    stp     x3, x4, [x1, #16]
    stp     x5, x6, [x1, #32]
    dsb     sy
    mov     x2, #1
    str     x2, [x1, #48]
    dsb     sy
    ldr     x0, =0x84000002
    hvc     #0
    b       .
    .ltorg
"#
);

unsafe extern "C" {
    static power_entry: u32;
}

#[repr(C, align(64))]
struct Found([AtomicU64; 8]);

#[unsafe(export_name = "power_found")]
static FOUND: Found = Found([const { AtomicU64::new(0) }; 8]);

/// What a core found at its entry.
struct State {
    context: u64,
    level: u64,
    daif: u64,
    sctlr: u64,
    mpidr: u64,
    stack: u64,
}

/// Cleans and drops the line, or lines, of what the other core writes uncached.
fn drop_from_cache() {
    // SAFETY: maintenance of one line.
    unsafe { core::arch::asm!("dc civac, {}", "dsb sy", in(reg) &raw const FOUND) };
}

fn entry() -> u64 {
    (&raw const power_entry) as u64
}

/// Turns the core off, and on at the entry above.
fn found(core: usize, turn_on: impl FnOnce() -> i32) -> Result<State, crate::check::Exit> {
    holds("it goes off", cores::shut_down(core))?;
    let [.., flag, _] = &FOUND.0;
    flag.store(0, Ordering::Relaxed);
    drop_from_cache();
    code("CPU_ON", turn_on(), 0)?;
    let came = timer::wait_until(PATIENCE, || {
        drop_from_cache();
        flag.load(Ordering::Relaxed) == 1
    });
    let off = timer::wait_until(PATIENCE, || cores::power(core) == IS_OFF);
    let up = cores::bring_up(core);
    holds("it came to its entry", came)?;
    holds("it went off again", off)?;
    holds("it comes up at the mailbox", up)?;
    let [context, level, daif, sctlr, mpidr, stack, ..] =
        FOUND.0.each_ref().map(|word| word.load(Ordering::Relaxed));
    Ok(State { context, level, daif, sctlr, mpidr, stack })
}

fn found_plainly(core: usize) -> Result<State, crate::check::Exit> {
    found(core, || cores::turn_on(core, entry(), 0))
}

/// §5.6, context_id: in x0.
fn context_arrives() -> Outcome {
    with_cores(2)?;
    let context = 0x0123_4567_89ab_cdef;
    let state = found(1, || cores::turn_on(1, entry(), context))?;
    equal("x0", state.context, context)
}

/// The 32-bit function takes the lower halves (DEN 0028 §2.7), and hands 32 bits on.
/// (QEMU 10 looks at all of x1.)
fn context_of_32_bits() -> Outcome {
    only_on_evisor()?;
    with_cores(2)?;
    let high = 0xffff_ffff_0000_0000;
    let state = found(1, || psci(PSCI_CPU_ON_32, [1 | high, entry(), 0x89ab_cdef]))?;
    equal("x0", state.context & 0xffff_ffff, 0x89ab_cdef_u64)
}

/// §6.4, the state of a core that starts: at the caller's exception level.
fn starts_at_el1() -> Outcome {
    with_cores(2)?;
    let state = found_plainly(1)?;
    equal("CurrentEL", state.level, 1_u64 << 2)?;
    equal("SPSel", state.stack & 1, 1_u64)
}

/// §6.4: interrupts, SError and debug exceptions masked.
fn starts_masked() -> Outcome {
    with_cores(2)?;
    equal("DAIF", found_plainly(1)?.daif, 0xf_u64 << 6)
}

/// §6.4: MMU and data cache off, little endian.
fn starts_with_translation_off() -> Outcome {
    const M: u64 = 1;
    const C: u64 = 1 << 2;
    const EE: u64 = 1 << 25;
    with_cores(2)?;
    equal("SCTLR_EL1", found_plainly(1)?.sctlr & (M | C | EE), 0_u64)
}

/// MPIDR_EL1 is what CPU_ON was told.
fn starts_on_its_number() -> Outcome {
    with_cores(2)?;
    for core in 1..cores::count() {
        equal("MPIDR_EL1", found_plainly(core)?.mpidr & 0xff_00ff_ffff, core as u64)?;
    }
    Ok(())
}

static SHARED: AtomicU64 = AtomicU64::new(0);

fn add_to_shared(value: u64) -> u64 {
    SHARED.fetch_add(value, Ordering::SeqCst)
}

fn memory_is_shared() -> Outcome {
    with_cores(2)?;
    SHARED.store(5, Ordering::SeqCst);
    equal("there", on(1, add_to_shared, 7)?, 5_u64)?;
    equal("here", SHARED.load(Ordering::SeqCst), 12_u64)
}

/// §5.6: INVALID_ADDRESS, or INVALID_PARAMETERS of what cannot be an address.
fn entry_unaligned() -> Outcome {
    with_cores(2)?;
    holds("it goes off", cores::shut_down(1))?;
    let answer = cores::turn_on(1, entry() + 2, 0);
    let state = cores::power(1);
    let up = cores::bring_up(1);
    holds("refused", matches!(answer, INVALID_ADDRESS | INVALID_PARAMETERS))?;
    code("it stays off", state, IS_OFF)?;
    holds("it comes up", up)
}

fn start_from_here(core: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "a small number")]
    let core = core as usize;
    u64::from(cores::shut_down(core) && cores::power(core) == IS_OFF && cores::bring_up(core))
}

/// Any core may turn any on.
fn off_and_on_by_another() -> Outcome {
    with_cores(4)?;
    equal("the fourth by the third", on(2, start_from_here, 3)?, 1_u64)?;
    equal("the third by the fourth", on(3, start_from_here, 2)?, 1_u64)
}

fn all_at_once() -> Outcome {
    with_cores(4)?;
    for _ in 0..5 {
        for core in 1..4 {
            holds("it goes off", cores::shut_down(core))?;
        }
        for core in 1..4 {
            code("CPU_ON", cores::start(core), 0)?;
        }
        for core in 1..4 {
            holds("it comes up", cores::wait_for(core))?;
        }
    }
    Ok(())
}

/// §5.7, the 32-bit function.
fn affinity_info_32() -> Outcome {
    with_cores(2)?;
    code("on", psci(PSCI_AFFINITY_INFO_32, [1, 0, 0]), IS_ON)?;
    holds("it goes off", cores::shut_down(1))?;
    let off = psci(PSCI_AFFINITY_INFO_32, [1, 0, 0]);
    holds("it comes up", cores::bring_up(1))?;
    code("off", off, IS_OFF)
}

/// §5.7: from 1.0 on, levels above 0 need not be there; if they are, a cluster with a
/// core on is on.
fn affinity_info_cluster() -> Outcome {
    let answer = psci(PSCI_AFFINITY_INFO_32, [0, 1, 0]);
    holds("ON or INVALID_PARAMETERS", matches!(answer, IS_ON | INVALID_PARAMETERS))
}

/// §5.4, CPU_SUSPEND to a standby state: an interrupt ends it, and it returns. If it
/// does not, the guest hangs here.
fn suspend_wakes() -> Outcome {
    with(&[evisor_guest::map::TIMER_INTID], || {
        let deadline = timer::count() + timer::microseconds(2_000);
        timer::arm(deadline);
        let mut answer = 0;
        // As WFI it may return before there is a reason to.
        while answer == 0 && timer::count() < deadline {
            answer = psci(PSCI_CPU_SUSPEND_64, [0; 3]);
        }
        timer::disarm();
        code("answer", answer, 0)
    })
}

/// §5.4: with an interrupt pending already.
fn suspend_with_pending_returns_at_once() -> Outcome {
    with(&[A], || {
        gic::set_pending(A);
        code("answer", psci(PSCI_CPU_SUSPEND_64, [0; 3]), 0)?;
        comes_and_ends("it comes", A)
    })
}

/// §5.17: OS-initiated mode, or not; either way the mode that is set already can be
/// set if the function is there.
fn set_suspend_mode_agrees() -> Outcome {
    let features = psci(PSCI_FEATURES, [PSCI_CPU_SUSPEND_64.into(), 0, 0]);
    let os_initiated = features & 1 != 0;
    let answer = psci(0x8400_000F, [1, 0, 0]);
    if answer == 0 {
        code("back", psci(0x8400_000F, [0; 3]), 0)?;
    }
    holds("only if it is announced", os_initiated || answer != 0)
}

/// Interrupts reach a core after it was off.
fn interrupts_after_restart() -> Outcome {
    with_cores(2)?;
    for _ in 0..3 {
        holds("it goes off", cores::shut_down(1))?;
        with_cores(2)?;
        holds("it is free", cores::begin(1, crate::ipi::await_one, 5))?;
        gic::send(5, gic::Target::Cores(0b10));
        equal("the SGI", crate::check::answer(1)? & 0x3ff, 5_u64)?;
    }
    Ok(())
}

fn running_priority(_: u64) -> u64 {
    gic::running_priority().into()
}

/// A core that went off comes back with nothing running.
fn private_state_after_restart() -> Outcome {
    with_cores(2)?;
    holds("it goes off", cores::shut_down(1))?;
    with_cores(2)?;
    equal("running priority", on(1, running_priority, 0)?, 0xff_u64)?;
    equal("masked", on(1, |_| evisor_guest::read_register!("daif"), 0)?, 0xf_u64 << 6)
}
