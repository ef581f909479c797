//! Level-sensitive and edge-triggered lines (IHI 0048B.b §3.2.4 and §4.3.7, §4.3.8,
//! §4.3.13; IHI 0069 §4.1). The line is the UART's.

use evisor_guest::gic::{self, SPURIOUS};
use evisor_guest::map::UART_INTID;

use crate::check::{Outcome, equal, holds, require};
use crate::checks;
use crate::lines::{comes, comes_and_ends, lower, raise, with_level};

checks! { "level":
    fires_again pending_reads_the_line line_down_withdraws clear_pending_does_nothing
    active_and_pending line_down_while_active software_pending_is_taken_once
    up_before_enabled edge_fires_once edge_stays_pending edge_while_active
}

/// A line that stays up comes again after its end.
fn fires_again() -> Outcome {
    with_level(|| {
        raise();
        comes_and_ends("first", UART_INTID)?;
        comes("again", UART_INTID)?;
        lower();
        gic::end(UART_INTID);
        comes("with the line down", SPURIOUS)
    })
}

fn pending_reads_the_line() -> Outcome {
    with_level(|| {
        holds("down", !gic::is_pending(UART_INTID))?;
        raise();
        holds("up", gic::is_pending(UART_INTID))?;
        lower();
        holds("down again", !gic::is_pending(UART_INTID))
    })
}

fn line_down_withdraws() -> Outcome {
    with_level(|| {
        raise();
        equal("GICC_HPPIR", gic::highest_pending(), UART_INTID)?;
        lower();
        comes("withdrawn", SPURIOUS)
    })
}

/// §4.3.8: it stays pending as long as the line is up.
fn clear_pending_does_nothing() -> Outcome {
    with_level(|| {
        raise();
        gic::clear_pending(UART_INTID);
        holds("pending", gic::is_pending(UART_INTID))?;
        comes("it comes", UART_INTID)?;
        lower();
        gic::end(UART_INTID);
        Ok(())
    })
}

/// §3.2.4: acknowledged with the line up it is active and pending.
fn active_and_pending() -> Outcome {
    with_level(|| {
        raise();
        comes("it comes", UART_INTID)?;
        holds("active", gic::is_active(UART_INTID))?;
        holds("and pending", gic::is_pending(UART_INTID))?;
        comes("not while active", SPURIOUS)?;
        lower();
        gic::end(UART_INTID);
        Ok(())
    })
}

fn line_down_while_active() -> Outcome {
    with_level(|| {
        raise();
        comes("it comes", UART_INTID)?;
        lower();
        holds("not pending", !gic::is_pending(UART_INTID))?;
        holds("active", gic::is_active(UART_INTID))?;
        gic::end(UART_INTID);
        comes("not again", SPURIOUS)
    })
}

/// §4.3.7: software may make it pending with the line down; that is used up by its
/// acknowledgement.
fn software_pending_is_taken_once() -> Outcome {
    with_level(|| {
        gic::set_pending(UART_INTID);
        holds("pending", gic::is_pending(UART_INTID))?;
        comes("it comes", UART_INTID)?;
        holds("used up", !gic::is_pending(UART_INTID))?;
        gic::end(UART_INTID);
        comes("not again", SPURIOUS)
    })
}

fn up_before_enabled() -> Outcome {
    with_level(|| {
        gic::disable_interrupt(UART_INTID);
        raise();
        holds("pending", gic::is_pending(UART_INTID))?;
        comes("disabled", SPURIOUS)?;
        gic::enable_interrupt(UART_INTID);
        comes("enabled", UART_INTID)?;
        lower();
        gic::end(UART_INTID);
        Ok(())
    })
}

/// Makes the line edge-triggered, if that may be done (§4.3.13).
fn with_edge(body: impl FnOnce() -> Outcome) -> Outcome {
    with_level(|| {
        gic::set_edge(UART_INTID, true);
        let [_, _, icfgr, ..] = &gic::bank(UART_INTID).icfgr;
        let edge = tock_registers::interfaces::Readable::get(icfgr);
        require("the line is always level-sensitive", edge & 0b10 << 2 != 0)?;
        body()
    })
}

/// One rise, one interrupt.
fn edge_fires_once() -> Outcome {
    with_edge(|| {
        raise();
        comes_and_ends("first", UART_INTID)?;
        holds("no longer pending", !gic::is_pending(UART_INTID))?;
        comes("the line is still up", SPURIOUS)?;
        lower();
        raise();
        comes_and_ends("a second rise", UART_INTID)
    })
}

/// The edge is remembered when the line is down again.
fn edge_stays_pending() -> Outcome {
    with_edge(|| {
        raise();
        lower();
        holds("pending", gic::is_pending(UART_INTID))?;
        comes_and_ends("it comes", UART_INTID)?;
        comes("once", SPURIOUS)
    })
}

/// A rise while it is active comes after its end.
fn edge_while_active() -> Outcome {
    with_edge(|| {
        raise();
        comes("first", UART_INTID)?;
        lower();
        raise();
        holds("active and pending", gic::is_pending(UART_INTID))?;
        gic::end(UART_INTID);
        comes_and_ends("second", UART_INTID)
    })
}
