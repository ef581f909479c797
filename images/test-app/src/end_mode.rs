//! Priority drop apart from deactivation, and what of a priority decides about preemption,
//! on either controller.

use evisor_guest::gic::{self, SPURIOUS};
use evisor_guest::read_register;

use crate::check::{Outcome, equal, holds};
use crate::checks;
use crate::interrupts::with_two;
use crate::lines::{A, B, comes, comes_and_ends};

checks! { "interrupt":
    end_mode_readback drop_keeps_active drop_lets_equal_in deactivate_out_of_order
    binary_point_stops_preemption binary_point_allows_preemption sub_priority_orders
}

/// GICC_CTLR.EOImode (IHI 0048B.b §4.4.1), ICC_CTLR_EL1.EOImode.
fn end_mode_readback() -> Outcome {
    use gic::{Version, v2};
    use tock_registers::interfaces::Readable;
    let read = || match gic::version() {
        Version::V2 => v2::cpu_interface().ctlr.is_set(v2::CTLR::EOImode),
        Version::V3 => read_register!("S3_0_C12_C12_4") & 0b10 != 0,
    };
    gic::set_end_mode(true);
    let set = read();
    gic::set_end_mode(false);
    holds("set", set)?;
    holds("clear", !read())
}

/// §3.2.1, priority drop and deactivation: the end drops, and no more.
fn drop_keeps_active() -> Outcome {
    with_two(|| {
        gic::set_end_mode(true);
        gic::set_pending(A);
        comes("first", A)?;
        gic::end(A);
        equal("GICC_RPR", gic::running_priority(), 0xff_u32)?;
        holds("active", gic::is_active(A))?;
        gic::set_pending(A);
        comes("while active", SPURIOUS)?;
        gic::deactivate(A);
        comes("deactivated", A)?;
        gic::end(A);
        gic::deactivate(A);
        holds("inactive", !gic::is_active(A))
    })
}

/// §3.2.1: another of the same priority comes after the drop.
fn drop_lets_equal_in() -> Outcome {
    with_two(|| {
        gic::set_end_mode(true);
        gic::set_pending(A);
        gic::set_pending(B);
        comes("first", A)?;
        comes("before the drop", SPURIOUS)?;
        gic::end(A);
        comes("after the drop", B)?;
        holds("both active", gic::is_active(A) && gic::is_active(B))?;
        gic::end(B);
        gic::deactivate(B);
        gic::deactivate(A);
        Ok(())
    })
}

/// §3.2.1: deactivation has no order.
fn deactivate_out_of_order() -> Outcome {
    with_two(|| {
        gic::set_end_mode(true);
        gic::set_priority(B, 0x40);
        gic::set_pending(A);
        comes("first", A)?;
        gic::set_pending(B);
        comes("preempts", B)?;
        gic::end(B);
        gic::end(A);
        gic::deactivate(A);
        holds("the first is inactive", !gic::is_active(A))?;
        holds("the second is active", gic::is_active(B))?;
        gic::deactivate(B);
        holds("the second is inactive", !gic::is_active(B))
    })
}

/// Two priorities whose difference is bit 5.
fn with_bit_5(point: u32, body: impl FnOnce() -> Outcome) -> Outcome {
    with_two(|| {
        gic::set_binary_point(point);
        gic::set_priority(A, 0xa0);
        gic::set_priority(B, 0x80);
        body()
    })
}

/// IHI 0048B.b §3.3.3, IHI 0069 §4.8.2, priority grouping: 6 leaves bit 7, or
/// bits 7 and 6, to decide about preemption.
fn binary_point_stops_preemption() -> Outcome {
    with_bit_5(6, || {
        gic::set_pending(A);
        comes("first", A)?;
        gic::set_pending(B);
        comes("of the same group", SPURIOUS)?;
        gic::end(A);
        comes_and_ends("after", B)
    })
}

/// As above; 4 leaves bits 7 to 5, or 7 to 4.
fn binary_point_allows_preemption() -> Outcome {
    with_bit_5(4, || {
        gic::set_pending(A);
        comes("first", A)?;
        gic::set_pending(B);
        comes_and_ends("of another group", B)?;
        gic::end(A);
        Ok(())
    })
}

/// §3.3.3: the bits that do not decide about preemption still order what is pending.
fn sub_priority_orders() -> Outcome {
    with_bit_5(6, || {
        gic::set_pending(A);
        gic::set_pending(B);
        comes_and_ends("first", B)?;
        comes_and_ends("second", A)
    })
}
