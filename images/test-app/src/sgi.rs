//! Software-generated interrupts on one core (IHI 0048B.b §4.3.15).

use evisor_guest::gic::{self, IAR, SPURIOUS, distributor};
use tock_registers::interfaces::Writeable;

use crate::check::{Outcome, equal, holds};
use crate::checks;

checks! { "sgi":
    to_self_fires_once source_is_self by_target_list all_but_self_is_nobody
    sent_twice_is_once by_set_pending every_number disabled
}

fn with_all_enabled(body: impl FnOnce() -> Outcome) -> Outcome {
    (0..16).for_each(gic::enable_interrupt);
    let outcome = body();
    for sgi in 0..16 {
        if let Some(clear) = distributor().cpendsgir.get(sgi as usize) {
            clear.set(1);
        }
        gic::clear_active(sgi);
        gic::set_priority(sgi, 0);
    }
    outcome
}

fn comes(what: &'static str, intid: u32) -> Outcome {
    let acknowledged = gic::acknowledge();
    if gic::intid(acknowledged) != SPURIOUS {
        gic::end(acknowledged);
    }
    equal(what, gic::intid(acknowledged), intid)
}

fn to_self_fires_once() -> Outcome {
    with_all_enabled(|| {
        gic::send_to_self(5);
        holds("pending", gic::is_pending(5))?;
        comes("first", 5)?;
        comes("then", SPURIOUS)
    })
}

/// §4.4.4: GICC_IAR.CPUID says who sent it; the only core is number 0.
fn source_is_self() -> Outcome {
    with_all_enabled(|| {
        gic::send_to_self(2);
        let acknowledged = gic::acknowledge();
        gic::end(acknowledged);
        equal("INTID", gic::intid(acknowledged), 2_u32)?;
        equal("CPUID", IAR::CPUID.read(acknowledged), 0_u32)
    })
}

/// TargetListFilter 0b00, with this core's bit and with others' only.
fn by_target_list() -> Outcome {
    with_all_enabled(|| {
        distributor().sgir.set(1 << 16 | 7);
        comes("listed", 7)?;
        distributor().sgir.set(0xfe << 16 | 7);
        comes("others listed", SPURIOUS)?;
        distributor().sgir.set(7);
        comes("nobody listed", SPURIOUS)
    })
}

/// TargetListFilter 0b01.
fn all_but_self_is_nobody() -> Outcome {
    with_all_enabled(|| {
        distributor().sgir.set(0b01 << 24 | 7);
        comes("all but self", SPURIOUS)
    })
}

fn sent_twice_is_once() -> Outcome {
    with_all_enabled(|| {
        gic::send_to_self(9);
        gic::send_to_self(9);
        comes("first", 9)?;
        comes("then", SPURIOUS)
    })
}

/// §4.3.17.
fn by_set_pending() -> Outcome {
    with_all_enabled(|| {
        let [_, _, _, _, set, ..] = &distributor().spendsgir;
        set.set(1);
        comes("first", 4)?;
        comes("then", SPURIOUS)
    })
}

/// All at once, the highest number the most urgent.
fn every_number() -> Outcome {
    with_all_enabled(|| {
        for (sgi, rank) in (0..16).zip((0..16_u8).rev()) {
            gic::set_priority(sgi, rank * 16);
            gic::send_to_self(sgi);
        }
        (0..16).rev().try_for_each(|sgi| comes("next", sgi))?;
        comes("then", SPURIOUS)
    })
}

/// §4.3.5: whether SGIs can be disabled is the implementation's choice.
fn disabled() -> Outcome {
    with_all_enabled(|| {
        gic::disable_interrupt(6);
        let enabled = gic::is_enabled(6);
        gic::send_to_self(6);
        comes("while disabled", if enabled { 6 } else { SPURIOUS })?;
        gic::enable_interrupt(6);
        comes("enabled again", if enabled { SPURIOUS } else { 6 })
    })
}
