//! SGIs and timers, many and at once. Nothing of it counts: it is all a matter of time.
#![allow(unsafe_code, reason = "system registers by name")]

use core::sync::atomic::{AtomicU64, Ordering};

use evisor_guest::gic::{self, SPURIOUS, Target, Version};
use evisor_guest::random::Random;
use evisor_guest::{exception, map, timer, write_register};
use tock_registers::interfaces::{Readable, Writeable};
use tock_registers::registers::ReadWrite;

static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Takes one, and whatever it was lets it come no more.
fn take() {
    let acknowledged = gic::acknowledge();
    let intid = gic::intid(acknowledged);
    timer::disarm();
    if intid < 1020 {
        if intid >= 16 && intid != map::TIMER_INTID {
            gic::disable_interrupt(intid);
        }
        gic::end(acknowledged);
        TAKEN.fetch_add(1, Ordering::Relaxed);
    } else if intid != SPURIOUS {
        // 1022: another core is making groups of what is ours.
        calm();
    }
}

/// Puts the interrupt controller's part of this core back, with nothing on but the SGIs
/// and the timer.
pub fn calm() {
    timer::disarm();
    let banks = if gic::version() == Version::V2 { 1 } else { 2 };
    for bank in [gic::bank(0), gic::distributor()].into_iter().take(banks) {
        for registers in [&bank.icenabler, &bank.icpendr, &bank.icactiver] {
            registers.iter().take(4).for_each(|register| register.set(u32::MAX));
        }
        if gic::version() == Version::V2 {
            bank.igroupr.iter().take(4).for_each(|register| register.set(0));
        }
    }
    (0..16).for_each(gic::clear_pending);
    gic::enable();
    gic::abandon();
    for intid in (0..16).chain([map::TIMER_INTID]) {
        gic::set_priority(intid, 0x80);
        gic::enable_interrupt(intid);
    }
}

fn target(random: &mut Random) -> Target {
    match random.below(4) {
        0 => Target::Own,
        1 => Target::Others,
        _ => Target::Cores(random.bits(8) as u8),
    }
}

/// Sends many, by the proper register, and takes what comes by polling.
pub fn sgis(random: &mut Random) {
    for _ in 0..=random.below(16) {
        gic::send(random.bits(4), target(random));
    }
    for _ in 0..32 {
        let acknowledged = gic::acknowledge();
        if gic::intid(acknowledged) >= 1020 {
            break;
        }
        gic::end(acknowledged);
        TAKEN.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sends some, and sets deadlines, unmasked: everything is an exception.
pub fn exceptions(random: &mut Random) {
    calm();
    exception::on_interrupt(take);
    exception::unmask_interrupts();
    for _ in 0..=random.below(8) {
        if random.one_in(3) {
            gic::send(random.bits(4), target(random));
        }
        deadline(random);
        for _ in 0..random.below(64) {
            timer::let_others();
        }
    }
    exception::mask_interrupts();
    timer::disarm();
}

/// A deadline in the past, now, or soon.
fn deadline(random: &mut Random) {
    let ahead = random.below(5_000) as u64;
    timer::arm((timer::count() + ahead).saturating_sub(1_000));
}

/// The words of a bit an interrupt that SPIs have.
const SPIS: core::ops::Range<usize> = 1..8;

/// All that changes 32 interrupts at once in the distributor, while every SPI is enabled,
/// pending and active, at one of many priorities; masked. Nothing that a guest writes
/// takes EL2 longer.
pub fn distributor() {
    let bank = gic::distributor();
    let all = |registers: &[ReadWrite<u32>; 32]| {
        registers.iter().take(SPIS.end).skip(SPIS.start).for_each(|word| word.set(u32::MAX));
    };
    let each_byte = |registers: &[ReadWrite<u8>; 1024], value: fn(usize) -> u8| {
        let spis = registers.iter().enumerate().take(32 * SPIS.end).skip(32 * SPIS.start);
        spis.for_each(|(intid, register)| register.set(value(intid)));
    };
    each_byte(&bank.ipriorityr, |intid| (intid as u8).reverse_bits());
    if gic::version() == Version::V2 {
        each_byte(&bank.itargetsr, |_| 1);
    }
    let clears = [&bank.icenabler, &bank.icpendr, &bank.icactiver];
    for clear in clears {
        [&bank.isenabler, &bank.ispendr, &bank.isactiver].into_iter().for_each(all);
        for word in bank.igroupr.iter().take(SPIS.end).skip(SPIS.start) {
            let group = word.get();
            word.set(!group);
            word.set(group);
        }
        let control = bank.ctlr.get();
        bank.ctlr.set(0);
        bank.ctlr.set(control);
        all(clear);
    }
    clears.into_iter().for_each(all);
}

/// The timers' registers, with anything in them; masked.
pub fn timers(random: &mut Random) {
    for _ in 0..8 {
        let (register, value) = (random.below(6), random.value());
        // The physical timer may be undefined; that is a matter of `register`.
        let _ = exception::attempt(|| match register {
            0 => write_register!("cntv_ctl_el0", value),
            1 => write_register!("cntv_cval_el0", value),
            2 => write_register!("cntv_tval_el0", value),
            3 => write_register!("cntp_ctl_el0", value),
            4 => write_register!("cntp_cval_el0", value),
            _ => write_register!("cntp_tval_el0", value),
        });
    }
}

/// How many interrupts were taken, by all cores.
pub fn taken() -> u64 {
    TAKEN.load(Ordering::Relaxed)
}
