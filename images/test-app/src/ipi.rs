//! Interrupts that one core sends to others (IHI 0048B.b §4.3.15, IHI 0069 §12.2.37).

use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::asm::wfi;
use evisor_guest::gic::{self, SPURIOUS, Target, Version, abandon};
use evisor_guest::{cores, exception, timer};

use crate::check::{Outcome, answer, equal, holds, on, with_cores};
use crate::checks;
use crate::lines::{comes, retire, with};

checks! { "ipi":
    to_one to_self_among_several to_all_others to_a_list every_number source_is_told
    sources_come_apart back_and_forth wakes_from_wfi taken_as_exception
    waits_until_enabled priority_on_the_other_core not_to_a_core_that_is_off
    storm_from_all disabled_on_one_enabled_on_another
}

const SGI: u32 = 5;
const NOTHING: u64 = u64::MAX;

/// How long an interrupt is waited for, in microseconds.
const PATIENCE: u64 = 1_000_000;
/// And how long, if it should not come.
const SHORT: u64 = 2_000;

/// Acknowledges what comes within a time, and ends it: what the register said.
fn take(limit: u64) -> u64 {
    let mut acknowledged = SPURIOUS;
    let came = timer::wait_until(limit, || {
        acknowledged = gic::acknowledge();
        gic::intid(acknowledged) != SPURIOUS
    });
    if !came {
        return NOTHING;
    }
    gic::end(acknowledged);
    acknowledged.into()
}

#[allow(clippy::cast_possible_truncation, reason = "an INTID")]
fn enable(intid: u64) {
    gic::enable_core();
    gic::set_priority(intid as u32, 0x80);
    gic::enable_interrupt(intid as u32);
}

/// On another core: takes one interrupt of this number.
#[allow(clippy::cast_possible_truncation, reason = "an INTID")]
pub fn await_one(intid: u64) -> u64 {
    enable(intid);
    let came = take(PATIENCE);
    retire(intid as u32);
    abandon();
    came
}

/// On another core: expects none of this number.
#[allow(clippy::cast_possible_truncation, reason = "an INTID")]
pub fn await_none(intid: u64) -> u64 {
    enable(intid);
    let came = take(SHORT);
    retire(intid as u32);
    abandon();
    came
}

/// What GICC_IAR says of an SGI from a core: GICv3 does not name it.
fn from(core: u64, sgi: u32) -> u64 {
    let source = if gic::version() == Version::V2 { core << 10 } else { 0 };
    source | u64::from(sgi)
}

fn begin(core: usize, function: cores::Function) -> Outcome {
    holds("the other core is free", cores::begin(core, function, SGI.into()))
}

fn to_one() -> Outcome {
    with_cores(2)?;
    begin(1, await_one)?;
    gic::send(SGI, Target::Cores(0b10));
    equal("on the second core", answer(1)?, from(0, SGI))?;
    comes("not on this one", SPURIOUS)
}

/// One's own bit in a list of one's own and another's.
fn to_self_among_several() -> Outcome {
    with_cores(2)?;
    with(&[SGI], || {
        begin(1, await_one)?;
        gic::send(SGI, Target::Cores(0b11));
        equal("on the second core", answer(1)?, from(0, SGI))?;
        equal("on this one", take(PATIENCE), from(0, SGI))
    })
}

/// TargetListFilter 0b01, ICC_SGI1R_EL1.IRM.
fn to_all_others() -> Outcome {
    with_cores(2)?;
    with(&[SGI], || {
        for core in 1..cores::count() {
            begin(core, await_one)?;
        }
        gic::send(SGI, Target::Others);
        for core in 1..cores::count() {
            equal("on each other core", answer(core)?, from(0, SGI))?;
        }
        comes("not on this one", SPURIOUS)
    })
}

fn to_a_list() -> Outcome {
    with_cores(4)?;
    begin(1, await_one)?;
    begin(2, await_none)?;
    begin(3, await_one)?;
    gic::send(SGI, Target::Cores(0b1010));
    equal("the second core", answer(1)?, from(0, SGI))?;
    equal("the fourth", answer(3)?, from(0, SGI))?;
    equal("not the third", answer(2)?, NOTHING)
}

/// All sixteen, each to the other core, each once.
fn every_number() -> Outcome {
    with_cores(2)?;
    for sgi in 0..16 {
        holds("it is free", cores::begin(1, await_one, sgi.into()))?;
        gic::send(sgi, Target::Cores(0b10));
        equal("on the second core", answer(1)?, from(0, sgi))?;
    }
    Ok(())
}

/// On another core: sends the SGI to the first.
fn send_to_first(sgi: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "an INTID")]
    gic::send(sgi as u32, Target::Cores(1));
    0
}

/// GICC_IAR.CPUID (IHI 0048B.b §4.4.4).
fn source_is_told() -> Outcome {
    with_cores(2)?;
    with(&[SGI], || {
        for core in 1..cores::count() {
            on(core, send_to_first, SGI.into())?;
            equal("on this core", take(PATIENCE), from(core as u64, SGI))?;
        }
        comes("then", SPURIOUS)
    })
}

/// IHI 0048B.b §4.3.17: from three cores at once it comes three times; with GICv3 it
/// is one interrupt.
fn sources_come_apart() -> Outcome {
    with_cores(4)?;
    with(&[SGI], || {
        for core in 1..4 {
            on(core, send_to_first, SGI.into())?;
        }
        let (mut seen, mut times) = (0_u64, 0_u64);
        while times < 5 {
            let came = take(SHORT);
            if came == NOTHING {
                break;
            }
            seen |= 1 << (came >> 10 & 7);
            times += 1;
        }
        let is_v2 = gic::version() == Version::V2;
        let (expected, sources): (u64, u64) = if is_v2 { (3, 0b1110) } else { (1, 1) };
        equal("times", times, expected)?;
        equal("sources", seen, sources)
    })
}

const ROUNDS: u64 = 200;

/// On another core: answers each SGI by one.
fn return_each(sgi: u64) -> u64 {
    enable(sgi);
    let mut count = 0;
    while count < ROUNDS && take(PATIENCE) != NOTHING {
        count += 1;
        send_to_first(sgi);
    }
    #[allow(clippy::cast_possible_truncation, reason = "an INTID")]
    retire(sgi as u32);
    count
}

fn back_and_forth() -> Outcome {
    with_cores(2)?;
    with(&[SGI], || {
        begin(1, return_each)?;
        for _ in 0..ROUNDS {
            gic::send(SGI, Target::Cores(0b10));
            equal("it comes back", take(PATIENCE), from(1, SGI))?;
        }
        equal("rounds", answer(1)?, ROUNDS)
    })
}

static ASLEEP: AtomicU64 = AtomicU64::new(0);

/// On another core: waits by WFI, for ever.
fn sleep_until(sgi: u64) -> u64 {
    enable(sgi);
    ASLEEP.store(1, Ordering::SeqCst);
    let mut came;
    loop {
        wfi();
        came = gic::acknowledge();
        if gic::intid(came) != SPURIOUS {
            break;
        }
    }
    gic::end(came);
    #[allow(clippy::cast_possible_truncation, reason = "an INTID")]
    retire(sgi as u32);
    came.into()
}

/// DDI 0487, "Wait for Interrupt".
fn wakes_from_wfi() -> Outcome {
    with_cores(2)?;
    ASLEEP.store(0, Ordering::SeqCst);
    begin(1, sleep_until)?;
    timer::wait_until(PATIENCE, || ASLEEP.load(Ordering::SeqCst) == 1);
    timer::wait_until(SHORT, || false);
    gic::send(SGI, Target::Cores(0b10));
    equal("it woke", answer(1)?, from(0, SGI))
}

static TAKEN: AtomicU64 = AtomicU64::new(0);

fn count_one() {
    let acknowledged = gic::acknowledge();
    if gic::intid(acknowledged) != SPURIOUS {
        gic::end(acknowledged);
        TAKEN.fetch_add(1, Ordering::SeqCst);
    }
}

/// On another core: takes exceptions until this many came.
fn take_exceptions(number: u64) -> u64 {
    enable(SGI.into());
    exception::on_interrupt(count_one);
    exception::unmask_interrupts();
    timer::wait_until(PATIENCE, || TAKEN.load(Ordering::SeqCst) >= number);
    exception::mask_interrupts();
    retire(SGI);
    TAKEN.load(Ordering::SeqCst)
}

fn taken_as_exception() -> Outcome {
    with_cores(2)?;
    TAKEN.store(0, Ordering::SeqCst);
    holds("it is free", cores::begin(1, take_exceptions, 10))?;
    for number in 1..=10 {
        gic::send(SGI, Target::Cores(0b10));
        let taken = timer::wait_until(PATIENCE, || TAKEN.load(Ordering::SeqCst) == number);
        holds("each is taken", taken)?;
    }
    equal("exceptions", answer(1)?, 10_u64)
}

/// What is sent to a core that has not enabled it is there when it does.
fn waits_until_enabled() -> Outcome {
    with_cores(2)?;
    gic::send(SGI, Target::Cores(0b10));
    timer::wait_until(SHORT, || false);
    equal("it was there", on(1, await_one, SGI.into())?, from(0, SGI))
}

/// On another core: the first of two SGIs, of which the higher is the more urgent.
fn more_urgent_of_two(lower: u64) -> u64 {
    let higher = lower + 1;
    gic::enable_core();
    #[allow(clippy::cast_possible_truncation, reason = "INTIDs")]
    let (lower, higher) = (lower as u32, higher as u32);
    gic::set_priority(lower, 0x80);
    gic::set_priority(higher, 0x40);
    gic::enable_interrupt(lower);
    gic::enable_interrupt(higher);
    let both = || gic::is_pending(lower) && gic::is_pending(higher);
    timer::wait_until(PATIENCE, both);
    let (first, second) = (take(PATIENCE), take(PATIENCE));
    retire(lower);
    retire(higher);
    first << 32 | second
}

/// Each core's private interrupts have its own priorities.
fn priority_on_the_other_core() -> Outcome {
    with_cores(2)?;
    gic::set_priority(SGI, 0x20);
    gic::set_priority(SGI + 1, 0x60);
    begin(1, more_urgent_of_two)?;
    gic::send(SGI, Target::Cores(0b10));
    gic::send(SGI + 1, Target::Cores(0b10));
    let order = answer(1)?;
    gic::set_priority(SGI, 0);
    gic::set_priority(SGI + 1, 0);
    equal("first", order >> 32, from(0, SGI + 1))?;
    equal("second", order & 0xffff_ffff, from(0, SGI))
}

/// On another core: none of this number is left over for a later check.
#[allow(clippy::cast_possible_truncation, reason = "an INTID")]
fn forget(intid: u64) -> u64 {
    retire(intid as u32);
    intid
}

/// Nothing happens, and the sender goes on. It is still pending when the core is on
/// again.
fn not_to_a_core_that_is_off() -> Outcome {
    with_cores(2)?;
    holds("it goes off", cores::shut_down(1))?;
    gic::send(SGI, Target::Cores(0b10));
    equal("it stays off", cores::power(1).cast_unsigned(), 1_u32)?;
    holds("it comes up", cores::bring_up(1))?;
    on(1, forget, SGI.into()).map(drop)
}

/// On another core: sends many.
fn send_many(number: u64) -> u64 {
    for _ in 0..number {
        gic::send(SGI, Target::Cores(1));
    }
    number
}

/// Many from all the others at once: at least one of each source comes, none is left
/// over, and nobody hangs.
fn storm_from_all() -> Outcome {
    with_cores(4)?;
    with(&[SGI], || {
        for core in 1..4 {
            holds("it is free", cores::begin(core, send_many, 500))?;
        }
        let mut taken = 0;
        let end = timer::count() + timer::microseconds(PATIENCE);
        let mut left = 3_u64;
        while left > 0 && timer::count() < end {
            while take(0) != NOTHING {
                taken += 1;
            }
            timer::let_others();
            for core in 1..4 {
                if cores::is_done(core) {
                    answer(core)?;
                    left -= 1;
                }
            }
        }
        equal("senders that did not end", left, 0_u64)?;
        while take(SHORT) != NOTHING {
            taken += 1;
        }
        holds("some came", taken > 0)?;
        holds("not more than were sent", taken <= 1500)?;
        holds("none is pending", !gic::is_pending(SGI))
    })
}

/// The enable bits are each core's own, where SGIs can be disabled at all (IHI 0048B.b
/// §4.3.5).
fn disabled_on_one_enabled_on_another() -> Outcome {
    with_cores(2)?;
    gic::disable_interrupt(SGI);
    begin(1, await_one)?;
    gic::send(SGI, Target::Cores(0b10));
    equal("on the second core", answer(1)?, from(0, SGI))
}
