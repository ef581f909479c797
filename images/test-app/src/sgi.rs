//! Software-generated interrupts on one core (IHI 0048B.b §4.3.15, IHI 0069 §12.2.37).

use evisor_guest::cores;
use evisor_guest::gic::{self, SPURIOUS, Target, Version, distributor};
use tock_registers::interfaces::Writeable;

use crate::check::{Outcome, equal, holds, require};
use crate::checks;

checks! { "sgi":
    to_self_fires_once source_is_self by_target_list all_but_self_is_nobody
    sent_twice_is_once by_set_pending every_number disabled
}

fn with_all_enabled(body: impl FnOnce() -> Outcome) -> Outcome {
    (0..16).for_each(gic::enable_interrupt);
    let outcome = body();
    for sgi in 0..16 {
        gic::clear_pending(sgi);
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

/// §4.4.4: GICC_IAR.CPUID says who sent it, and this is core 0; GICv3 does not say.
fn source_is_self() -> Outcome {
    with_all_enabled(|| {
        gic::send_to_self(2);
        let acknowledged = gic::acknowledge();
        gic::end(acknowledged);
        equal("INTID", gic::intid(acknowledged), 2_u32)?;
        equal("the rest", acknowledged >> 10, 0_u32)
    })
}

/// TargetListFilter 0b00, with this core's bit and with others' only.
fn by_target_list() -> Outcome {
    with_all_enabled(|| {
        gic::send(7, Target::Cores(1));
        comes("listed", 7)?;
        gic::send(7, Target::Cores(0x80));
        comes("a core listed that is not there", SPURIOUS)?;
        gic::send(7, Target::Cores(0));
        comes("nobody listed", SPURIOUS)
    })
}

/// TargetListFilter 0b01, ICC_SGI1R_EL1.IRM: all but the sender.
fn all_but_self_is_nobody() -> Outcome {
    require("there are others", cores::count() == 1)?;
    with_all_enabled(|| {
        gic::send(7, Target::Others);
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

/// §4.3.17: GICv2 has registers for it; GICR_ISPENDR0 works for SGIs too.
fn by_set_pending() -> Outcome {
    with_all_enabled(|| {
        match (gic::version(), distributor().spendsgir.get(4)) {
            (Version::V2, Some(set)) => set.set(1),
            _ => gic::set_pending(4),
        }
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
