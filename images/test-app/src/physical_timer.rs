//! The physical timer, CNTP at EL1, and what both timers share (DDI 0487 §D12): a
//! hypervisor may keep the physical one to itself and emulate it, and it may not show.
#![allow(unsafe_code, reason = "system registers by name")]

use aarch64_cpu::asm::{barrier, wfi};
use evisor_guest::gic::{self, SPURIOUS};
use evisor_guest::map::TIMER_INTID;
use evisor_guest::timer::{self, frequency, microseconds, wait_until};
use evisor_guest::tree::{TimerInterrupt, timer_interrupt};
use evisor_guest::{cores, exception, read_register, write_register};

use crate::check::{self, Exit, Outcome, equal, holds, on, require, with_cores};
use crate::checks;
use crate::lines::with;
use crate::system_register::undefined;

checks! { "physical_timer":
    count_forward count_keeps_step_with_virtual compare_readback control_readback
    value_counts_down value_sets_compare value_sign status_when_due no_status_before
    status_needs_enable fires not_before_its_time masked_has_status_only disabled_does_not_fire
    line_follows_mask line_follows_compare fires_again_while_due many_deadlines wfi_wakes
    both_timers_at_once virtual_is_untouched far_deadline_never_comes
    count_is_read_only frequency_is_read_only el2_timers_undefined secure_timer_undefined
    kernel_control_readback
    virtual_offset_is_one_value count_agrees_between_cores own_virtual_timer_on_each_core
    own_physical_timer_on_each_core deadline_survives_calls
}

fn count() -> u64 {
    barrier::isb(barrier::SY);
    read_register!("cntpct_el0")
}

fn set_compare(value: u64) {
    write_register!("cntp_cval_el0", value);
    barrier::isb(barrier::SY);
}

const ENABLE: u64 = 1;
const IMASK: u64 = 1 << 1;
const ISTATUS: u64 = 1 << 2;

fn control() -> u64 {
    barrier::isb(barrier::SY);
    read_register!("cntp_ctl_el0")
}

fn set_control(value: u64) {
    write_register!("cntp_ctl_el0", value);
    barrier::isb(barrier::SY);
}

fn arm(deadline: u64) {
    set_compare(deadline);
    set_control(ENABLE);
}

fn disarm() {
    set_control(0);
}

/// Whether a guest has the timer at all: only where its registers can be read.
fn present() -> Outcome {
    let there = exception::attempt(|| read_register!("cntp_ctl_el0")).is_ok();
    require("there is no physical timer", there)
}

/// The timer's interrupt, if the tree names it.
fn interrupt() -> Result<u32, Exit> {
    present()?;
    let named = timer_interrupt(TimerInterrupt::Physical);
    named.ok_or(Exit::Skip("the tree names no interrupt of the physical timer"))
}

/// Runs a check with the timer's interrupt enabled.
fn with_interrupt(body: impl FnOnce(u32) -> Outcome) -> Outcome {
    let intid = interrupt()?;
    with(&[intid], || {
        let outcome = body(intid);
        disarm();
        outcome
    })
}

/// Polls for this interrupt; turns the timer off before ending it.
fn fired(intid: u32, limit: u64) -> bool {
    let came = wait_until(limit, || gic::intid(gic::acknowledge()) == intid);
    disarm();
    if came {
        gic::end(intid);
    }
    came
}

/// §D12.1: the system counter never goes back.
fn count_forward() -> Outcome {
    let read = exception::attempt(|| read_register!("cntpct_el0"));
    let start = check::no_exception("CNTPCT_EL0", read)?;
    let mut before = start;
    for _ in 0..1000 {
        let now = count();
        holds("never back", now >= before)?;
        before = now;
    }
    holds("forward", before > start)
}

/// §D12.1.2: the virtual count is the physical one less an offset that stays.
fn count_keeps_step_with_virtual() -> Outcome {
    let offset = || {
        let (first, physical, second) = (timer::count(), count(), timer::count());
        (physical.wrapping_sub(second).cast_signed(), physical.wrapping_sub(first).cast_signed())
    };
    let (low, high) = offset();
    wait_until(1_000, || false);
    let (low_later, high_later) = offset();
    holds("the same offset", low_later <= high && low <= high_later)
}

fn compare_readback() -> Outcome {
    present()?;
    set_compare(0x0123_4567_89ab_cdef);
    let read = read_register!("cntp_cval_el0");
    set_compare(0);
    equal("CNTP_CVAL_EL0", read, 0x0123_4567_89ab_cdef_u64)
}

/// CNTP_CTL_EL0: ENABLE and IMASK, the status not written.
fn control_readback() -> Outcome {
    present()?;
    set_compare(count() + frequency() * 1000);
    set_control(ENABLE | IMASK | ISTATUS);
    let read = control();
    disarm();
    equal("CNTP_CTL_EL0", read, ENABLE | IMASK)?;
    equal("off", control() & ENABLE, 0_u64)
}

#[allow(clippy::cast_possible_truncation, reason = "the upper half is RES0")]
fn value() -> i32 {
    read_register!("cntp_tval_el0") as i32
}

/// CNTP_TVAL_EL0: compare less count, 32 bits, signed.
fn value_counts_down() -> Outcome {
    present()?;
    // It is UNKNOWN while the timer is off.
    set_control(ENABLE | IMASK);
    set_compare(count() + frequency());
    let first = value();
    wait_until(100, || false);
    let second = value();
    disarm();
    let second_of_counts = frequency().cast_signed();
    holds("within a second", (1..=second_of_counts).contains(&i64::from(first)))?;
    holds("down", second < first)
}

fn value_sets_compare() -> Outcome {
    present()?;
    let before = count();
    write_register!("cntp_tval_el0", 50_000);
    let after = count();
    let compare = read_register!("cntp_cval_el0");
    holds("count plus value", (before + 50_000..=after + 50_000).contains(&compare))
}

/// The value is sign-extended.
fn value_sign() -> Outcome {
    present()?;
    set_control(ENABLE | IMASK);
    let before = count();
    write_register!("cntp_tval_el0", u64::from((-1_000_i32).cast_unsigned()));
    let compare = read_register!("cntp_cval_el0");
    let past = value();
    disarm();
    holds("a past compare", (before - 1_000..=count() - 1_000).contains(&compare))?;
    holds("negative", past <= -1_000)
}

fn status_when_due() -> Outcome {
    present()?;
    set_compare(count());
    set_control(ENABLE | IMASK);
    let status = control() & ISTATUS;
    disarm();
    equal("ISTATUS", status, ISTATUS)
}

fn no_status_before() -> Outcome {
    present()?;
    set_compare(count() + frequency() * 1000);
    set_control(ENABLE | IMASK);
    let status = control() & ISTATUS;
    disarm();
    equal("ISTATUS", status, 0_u64)
}

/// Off, the status is UNKNOWN; on, it is the condition's at once.
fn status_needs_enable() -> Outcome {
    present()?;
    disarm();
    set_compare(count());
    set_control(ENABLE | IMASK);
    let due = control() & ISTATUS;
    set_compare(count() + frequency() * 1000);
    let not_due = control() & ISTATUS;
    disarm();
    equal("due", due, ISTATUS)?;
    equal("no longer", not_due, 0_u64)
}

fn fires() -> Outcome {
    with_interrupt(|intid| {
        let deadline = count() + microseconds(500);
        arm(deadline);
        holds("interrupt", fired(intid, 1_000_000))?;
        holds("not early", count() >= deadline)
    })
}

fn not_before_its_time() -> Outcome {
    with_interrupt(|intid| {
        arm(count() + frequency() * 1000);
        holds("no interrupt", !fired(intid, 1_000))
    })
}

fn masked_has_status_only() -> Outcome {
    with_interrupt(|intid| {
        set_compare(count());
        set_control(ENABLE | IMASK);
        equal("ISTATUS", control() & ISTATUS, ISTATUS)?;
        equal("masked", gic::intid(gic::acknowledge()), SPURIOUS)?;
        set_control(ENABLE);
        holds("unmasked", fired(intid, 1_000_000))
    })
}

fn disabled_does_not_fire() -> Outcome {
    with_interrupt(|intid| {
        disarm();
        set_compare(count());
        holds("no interrupt", !fired(intid, 1_000))
    })
}

/// §D12.2.4: the interrupt is level-sensitive; masked, its line falls.
fn line_follows_mask() -> Outcome {
    with_interrupt(|intid| {
        arm(count());
        let up = wait_until(100_000, || gic::is_pending(intid));
        set_control(ENABLE | IMASK);
        let down = wait_until(100_000, || !gic::is_pending(intid));
        let came = gic::intid(gic::acknowledge());
        holds("pending", up)?;
        holds("no longer", down)?;
        equal("withdrawn", came, SPURIOUS)
    })
}

/// And with a compare value that lies ahead.
fn line_follows_compare() -> Outcome {
    with_interrupt(|intid| {
        arm(count());
        let up = wait_until(100_000, || gic::is_pending(intid));
        set_compare(count() + frequency() * 1000);
        let down = wait_until(100_000, || !gic::is_pending(intid));
        let came = gic::intid(gic::acknowledge());
        holds("pending", up)?;
        holds("no longer", down)?;
        equal("withdrawn", came, SPURIOUS)
    })
}

/// A line that stays up comes again after its end.
fn fires_again_while_due() -> Outcome {
    with_interrupt(|intid| {
        arm(count());
        let due = || gic::intid(gic::acknowledge()) == intid;
        holds("first", wait_until(1_000_000, due))?;
        gic::end(intid);
        holds("again", fired(intid, 1_000_000))
    })
}

fn many_deadlines() -> Outcome {
    with_interrupt(|intid| {
        (0..100).try_for_each(|number| {
            arm(count() + microseconds(number));
            holds("interrupt", fired(intid, 1_000_000))
        })
    })
}

/// If it does not, the guest hangs here.
fn wfi_wakes() -> Outcome {
    with_interrupt(|intid| {
        let deadline = count() + microseconds(2_000);
        arm(deadline);
        while count() < deadline {
            wfi();
        }
        holds("interrupt", fired(intid, 1_000_000))
    })
}

/// Each has its own interrupt, and its own time.
fn both_timers_at_once() -> Outcome {
    with_interrupt(|intid| {
        with(&[TIMER_INTID], || {
            // Should this core be held up until both are due, this one still is first.
            gic::set_priority(intid, 0x40);
            arm(count() + microseconds(500));
            timer::arm(timer::count() + microseconds(1_500));
            let first = wait_until(1_000_000, || gic::highest_pending() != SPURIOUS);
            let earlier = gic::intid(gic::acknowledge());
            disarm();
            gic::end(earlier);
            let came = wait_until(1_000_000, || gic::highest_pending() == TIMER_INTID);
            let later = gic::intid(gic::acknowledge());
            timer::disarm();
            gic::end(later);
            holds("one comes", first)?;
            equal("the physical one first", earlier, intid)?;
            holds("the other comes", came)?;
            equal("the virtual one", later, TIMER_INTID)
        })
    })
}

fn virtual_is_untouched() -> Outcome {
    present()?;
    write_register!("cntv_cval_el0", 0x1111_2222_3333_4444);
    arm(count() + frequency() * 1000);
    let (compare, control) = (read_register!("cntv_cval_el0"), read_register!("cntv_ctl_el0"));
    disarm();
    equal("CNTV_CVAL_EL0", compare, 0x1111_2222_3333_4444_u64)?;
    equal("CNTV_CTL_EL0", control & ENABLE, 0_u64)
}

/// The compare is unsigned: all ones is not before the count.
fn far_deadline_never_comes() -> Outcome {
    with_interrupt(|intid| {
        arm(u64::MAX);
        equal("ISTATUS", control() & ISTATUS, 0_u64)?;
        holds("no interrupt", !fired(intid, 1_000))
    })
}

/// CNTPCT_EL0 and CNTVCT_EL0 have no write.
fn count_is_read_only() -> Outcome {
    undefined(exception::attempt(|| write_register!("S3_3_C14_C0_1", 0)))?;
    undefined(exception::attempt(|| write_register!("S3_3_C14_C0_2", 0)))
}

/// CNTFRQ_EL0 is written at the highest exception level only. (Natively under QEMU
/// that is EL1.)
fn frequency_is_read_only() -> Outcome {
    check::only_on_evisor()?;
    let before = frequency();
    undefined(exception::attempt(|| write_register!("cntfrq_el0", 1)))?;
    equal("CNTFRQ_EL0", frequency(), before)
}

/// CNTVOFF_EL2, CNTHP_CTL_EL2, CNTHCTL_EL2.
fn el2_timers_undefined() -> Outcome {
    undefined(exception::attempt(|| read_register!("S3_4_C14_C0_3")))?;
    undefined(exception::attempt(|| read_register!("S3_4_C14_C2_1")))?;
    undefined(exception::attempt(|| write_register!("S3_4_C14_C1_0", 0)))
}

/// CNTPS_CTL_EL1 is for EL3, and Secure EL1.
fn secure_timer_undefined() -> Outcome {
    undefined(exception::attempt(|| read_register!("S3_7_C14_C2_1")))
}

/// CNTKCTL_EL1: what EL0 may use.
fn kernel_control_readback() -> Outcome {
    let before = read_register!("cntkctl_el1");
    write_register!("cntkctl_el1", 0b11);
    let written = read_register!("cntkctl_el1");
    write_register!("cntkctl_el1", before);
    equal("CNTKCTL_EL1", written & 0x3ff, 0b11_u64)
}

fn offset(_: u64) -> u64 {
    let (virtual_count, physical) = (timer::count(), count());
    physical.wrapping_sub(virtual_count)
}

/// §D12.1.2: the guest's cores have one virtual time.
fn virtual_offset_is_one_value() -> Outcome {
    with_cores(2)?;
    for core in 1..cores::count() {
        let before = timer::count();
        let there = on(core, |_| timer::count(), 0)?;
        let after = timer::count();
        holds("between two of ours", (before..=after).contains(&there))?;
        let distance = on(core, offset, 0)?.abs_diff(offset(0));
        holds("the same offset", distance < microseconds(50_000))?;
    }
    Ok(())
}

/// What one core reads after another has, is not less.
fn count_agrees_between_cores() -> Outcome {
    with_cores(2)?;
    let mut last = timer::count();
    for _ in 0..20 {
        for core in 1..cores::count() {
            let there = on(core, |_| timer::count(), 0)?;
            holds("not behind", there >= last)?;
            last = timer::count();
            holds("nor ahead", last >= there)?;
        }
    }
    Ok(())
}

/// On another core: its own virtual timer, some microseconds ahead.
fn own_deadline(ahead: u64) -> u64 {
    gic::enable_core();
    gic::set_priority(TIMER_INTID, 0x80);
    gic::enable_interrupt(TIMER_INTID);
    let deadline = timer::count() + microseconds(ahead);
    timer::arm(deadline);
    let came = wait_until(1_000_000, || gic::intid(gic::acknowledge()) == TIMER_INTID);
    let in_time = timer::count() >= deadline;
    timer::disarm();
    if came {
        gic::end(TIMER_INTID);
    }
    gic::disable_interrupt(TIMER_INTID);
    u64::from(came && in_time)
}

fn own_virtual_timer_on_each_core() -> Outcome {
    with_cores(2)?;
    with(&[TIMER_INTID], || {
        for core in 1..cores::count() {
            holds("it is free", cores::begin(core, own_deadline, 300 * core as u64))?;
        }
        for core in 1..cores::count() {
            equal("it fired there", check::answer(core)?, 1_u64)?;
        }
        equal("not here", gic::intid(gic::acknowledge()), SPURIOUS)
    })
}

fn own_physical_deadline(intid: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "an INTID")]
    let intid = intid as u32;
    gic::enable_core();
    gic::set_priority(intid, 0x80);
    gic::enable_interrupt(intid);
    arm(count() + microseconds(300));
    let came = fired(intid, 1_000_000);
    gic::disable_interrupt(intid);
    came.into()
}

fn own_physical_timer_on_each_core() -> Outcome {
    with_cores(2)?;
    with_interrupt(|intid| {
        for core in 1..cores::count() {
            holds("it is free", cores::begin(core, own_physical_deadline, intid.into()))?;
        }
        for core in 1..cores::count() {
            equal("it fired there", check::answer(core)?, 1_u64)?;
        }
        equal("not here", gic::intid(gic::acknowledge()), SPURIOUS)
    })
}

/// Calls to the hypervisor in between change nothing.
fn deadline_survives_calls() -> Outcome {
    with_interrupt(|intid| {
        let deadline = count() + microseconds(2_000);
        arm(deadline);
        for _ in 0..100 {
            evisor_guest::call::hvc(smccc::psci::PSCI_VERSION, [0; 3]);
        }
        equal("CNTP_CVAL_EL0", read_register!("cntp_cval_el0"), deadline)?;
        holds("interrupt", fired(intid, 1_000_000))
    })
}
