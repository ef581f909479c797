//! The real-time clock, if there is one (ARM DDI 0224, chapter 3).

use evisor_guest::gic;
use evisor_guest::map::RTC_INTID;
use evisor_guest::pl031::{self, Registers};
use evisor_guest::timer::wait_until;
use tock_registers::interfaces::{Readable, Writeable};

use crate::check::{Exit, Outcome, equal, holds};
use crate::checks;

checks! { "pl031":
    identification is_enabled match_readback counts load_sets match_interrupts
    data_is_read_only
}

fn clock() -> Result<&'static Registers, Exit> {
    pl031::registers().ok_or(Exit::Skip("this VM has no PL031"))
}

/// §3.3.9 and §3.3.10: part 0x031, designer 0x41; a PrimeCell.
fn identification() -> Outcome {
    let clock = clock()?;
    let [first, second, third, _] = &clock.periph_id;
    equal("RTCPeriphID0", first.get(), 0x31_u32)?;
    equal("RTCPeriphID1", second.get(), 0x10_u32)?;
    equal("RTCPeriphID2 designer", third.get() & 0xf, 0x4_u32)?;
    let expected = [0x0d_u32, 0xf0, 0x05, 0xb1];
    for (register, expected) in clock.cell_id.iter().zip(expected) {
        equal("RTCPCellID", register.get(), expected)?;
    }
    Ok(())
}

/// §3.3.4: once on, it stays on.
fn is_enabled() -> Outcome {
    let clock = clock()?;
    clock.cr.set(1);
    equal("RTCCR", clock.cr.get() & 1, 1_u32)
}

/// §3.3.2.
fn match_readback() -> Outcome {
    let clock = clock()?;
    clock.mr.set(0xfedc_ba98);
    equal("RTCMR", clock.mr.get(), 0xfedc_ba98_u32)
}

/// §3.3.1: seconds.
fn counts() -> Outcome {
    let clock = clock()?;
    let before = clock.dr.get();
    let moved = wait_until(2_500_000, || clock.dr.get() != before);
    holds("RTCDR moved", moved)?;
    holds("by one or two", clock.dr.get().wrapping_sub(before) <= 2)
}

/// §3.3.3: what is loaded is what counts on from there.
fn load_sets() -> Outcome {
    let clock = clock()?;
    let before = clock.dr.get();
    clock.lr.set(1_000_000);
    let after = clock.dr.get();
    clock.lr.set(before);
    holds("RTCDR", (1_000_000..=1_000_002).contains(&after))
}

/// §3.3.5 to §3.3.8: the match raises the interrupt, which lasts until it is
/// cleared.
fn match_interrupts() -> Outcome {
    let clock = clock()?;
    clock.icr.set(1);
    clock.imsc.set(1);
    clock.mr.set(clock.dr.get().wrapping_add(1));
    gic::enable_interrupt(RTC_INTID);
    let came = wait_until(3_000_000, || gic::intid(gic::acknowledge()) == RTC_INTID);
    let status = (clock.ris.get(), clock.mis.get());
    clock.icr.set(1);
    if came {
        gic::end(RTC_INTID);
    }
    let after = clock.ris.get();
    gic::disable_interrupt(RTC_INTID);
    clock.imsc.set(0);
    holds("interrupt", came)?;
    equal("RTCRIS", status.0, 1_u32)?;
    equal("RTCMIS", status.1, 1_u32)?;
    equal("cleared", after, 0_u32)
}

fn data_is_read_only() -> Outcome {
    let clock = clock()?;
    let before = clock.dr.get();
    evisor_guest::mmio::store32(evisor_guest::map::RTC, 0);
    holds("RTCDR", clock.dr.get().wrapping_sub(before) <= 1)
}
