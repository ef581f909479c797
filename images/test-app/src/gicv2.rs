//! What only GICv2 has (IHI 0048B.b §4.3 and §4.4): groups, sources of SGIs, targets.

use evisor_guest::gic::v2::{CTLR, cpu_interface};
use evisor_guest::gic::{self, SPURIOUS, TYPER, Version, distributor};
use evisor_guest::{cores, map, mmio};
use tock_registers::interfaces::{ReadWriteable, Readable, Writeable};

use crate::check::{Outcome, equal, holds, only_gic, only_on_evisor, require, with_cores};
use crate::checks;
use crate::lines::{A, B, comes, comes_and_ends, with};

checks! { "gicv2":
    interface_identification number_of_cores both_groups_enable
    group_reset group_readback group_1_is_hidden group_1_by_alias group_1_by_ack_control
    group_1_off_at_distributor group_1_off_at_interface group_0_not_by_alias
    group_0_before_group_1
    active_priorities binary_point_alias_readback access_control_reserved
    sgi_pending_is_read_only sgi_sources_pend_apart sgi_clear_one_source sgi_source_acknowledged
    targets_readback targets_as_word targets_of_private targets_of_private_are_read_only
    no_target_stays_pending
}

const GROUP_1_PENDING: u32 = 1022;

/// The bit of A in the second register of a bank.
const A_BIT: u32 = 1 << (A % 32);

fn set_group_1(one: bool) {
    let [_, groups, ..] = &distributor().igroupr;
    let others = groups.get() & !A_BIT;
    groups.set(if one { others | A_BIT } else { others });
}

/// Runs a check with A in Group 1 and both groups on in both parts.
fn with_group_1(body: impl FnOnce() -> Outcome) -> Outcome {
    only_gic(Version::V2)?;
    with(&[A, B], || {
        distributor().ctlr.set(0b11);
        cpu_interface().ctlr.write(CTLR::EnableGrp0::SET + CTLR::EnableGrp1::SET);
        set_group_1(true);
        let outcome = body();
        set_group_1(false);
        cpu_interface().ctlr.write(CTLR::EnableGrp0::SET);
        distributor().ctlr.set(0b01);
        outcome
    })
}

/// §4.4.14, GICC_IIDR: architecture version 2.
fn interface_identification() -> Outcome {
    only_gic(Version::V2)?;
    equal("Architecture version", cpu_interface().iidr.get() >> 16 & 0xf, 2_u32)
}

/// §4.3.2, GICD_TYPER.CPUNumber.
fn number_of_cores() -> Outcome {
    only_gic(Version::V2)?;
    let number = distributor().typer.read(TYPER::CPUNumber) + 1;
    equal("cores", u64::from(number), cores::count() as u64)
}

/// §4.3.1 and §4.4.1: without Security Extensions each part has both enable bits.
fn both_groups_enable() -> Outcome {
    only_gic(Version::V2)?;
    distributor().ctlr.set(0b11);
    let forwards = distributor().ctlr.get() & 0b11;
    distributor().ctlr.set(0b01);
    cpu_interface().ctlr.write(CTLR::EnableGrp0::SET + CTLR::EnableGrp1::SET);
    let signals = cpu_interface().ctlr.is_set(CTLR::EnableGrp1);
    cpu_interface().ctlr.write(CTLR::EnableGrp0::SET);
    equal("GICD_CTLR", forwards, 0b11_u32)?;
    holds("GICC_CTLR", signals)
}

/// §4.3.4: after reset every interrupt is in Group 0.
fn group_reset() -> Outcome {
    only_gic(Version::V2)?;
    let [private, first, second, ..] = &distributor().igroupr;
    equal("GICD_IGROUPR0", private.get(), 0_u32)?;
    equal("GICD_IGROUPR1", first.get(), 0_u32)?;
    equal("GICD_IGROUPR2", second.get(), 0_u32)
}

/// §4.3.4.
fn group_readback() -> Outcome {
    only_gic(Version::V2)?;
    let [private, first, ..] = &distributor().igroupr;
    first.set(0xa5a5_5a5a);
    let written = first.get();
    first.set(0);
    private.set(0x0000_ffff);
    let sgis = private.get() & 0xffff;
    private.set(0);
    equal("GICD_IGROUPR1", written, 0xa5a5_5a5a_u32)?;
    equal("GICD_IGROUPR0", sgis, 0xffff_u32)
}

/// §4.4.4: with AckCtl clear GICC_IAR says 1022 of an interrupt of Group 1, and
/// acknowledges nothing.
fn group_1_is_hidden() -> Outcome {
    with_group_1(|| {
        gic::set_pending(A);
        comes("GICC_IAR", GROUP_1_PENDING)?;
        holds("still pending", gic::is_pending(A))?;
        holds("not active", !gic::is_active(A))?;
        equal("GICC_HPPIR", gic::highest_pending(), GROUP_1_PENDING)
    })
}

/// QEMU 10's GICv2, the real and the virtual CPU interface, leaves GICC_AIAR,
/// GICC_AEOIR and GICC_AHPPIR out: they read as zero, which is no answer of theirs.
fn has_aliases() -> Outcome {
    require("QEMU's GICv2 has no aliased registers", cpu_interface().ahppir.get() == SPURIOUS)
}

/// §4.4.11 to §4.4.13: the aliased registers are for Group 1.
fn group_1_by_alias() -> Outcome {
    only_gic(Version::V2)?;
    has_aliases()?;
    with_group_1(|| {
        gic::set_pending(A);
        equal("GICC_AHPPIR", cpu_interface().ahppir.get(), A)?;
        equal("GICC_AIAR", cpu_interface().aiar.get(), A)?;
        holds("active", gic::is_active(A))?;
        cpu_interface().aeoir.set(A);
        holds("ended", !gic::is_active(A))?;
        equal("GICC_AIAR after", cpu_interface().aiar.get(), SPURIOUS)
    })
}

/// §4.4.1, GICC_CTLR.AckCtl: GICC_IAR acknowledges Group 1 as well.
fn group_1_by_ack_control() -> Outcome {
    with_group_1(|| {
        cpu_interface().ctlr.modify(CTLR::AckCtl::SET);
        gic::set_pending(A);
        comes("GICC_IAR", A)?;
        gic::end(A);
        holds("ended", !gic::is_active(A))
    })
}

/// §4.3.1, EnableGrp1 clear: Group 1 is not forwarded, Group 0 is. (QEMU 10's own
/// distributor chooses the most urgent of both groups before it looks at the bits.)
fn group_1_off_at_distributor() -> Outcome {
    only_on_evisor()?;
    with_group_1(|| {
        distributor().ctlr.set(0b01);
        gic::set_pending(A);
        comes("GICC_IAR", SPURIOUS)?;
        gic::set_pending(B);
        comes_and_ends("Group 0", B)?;
        distributor().ctlr.set(0b11);
        comes("both on", GROUP_1_PENDING)
    })
}

/// §4.4.1, EnableGrp1 clear: not signalled. (QEMU 10's CPU interface, also the virtual
/// one, chooses before it looks at the bit: it lets a Group 1 interrupt stand in the
/// way.)
fn group_1_off_at_interface() -> Outcome {
    with_group_1(|| {
        cpu_interface().ctlr.write(CTLR::EnableGrp0::SET);
        gic::set_pending(A);
        let chosen = gic::highest_pending();
        require("QEMU's GICv2 looks at the bit too late", chosen == SPURIOUS)?;
        gic::set_pending(B);
        comes_and_ends("Group 0", B)?;
        holds("Group 1 is pending", gic::is_pending(A))
    })
}

/// §4.4.11: GICC_AIAR does not acknowledge Group 0.
fn group_0_not_by_alias() -> Outcome {
    only_gic(Version::V2)?;
    has_aliases()?;
    with_group_1(|| {
        gic::set_pending(B);
        equal("GICC_AIAR", cpu_interface().aiar.get(), SPURIOUS)?;
        comes_and_ends("GICC_IAR", B)
    })
}

/// §3.3: the priority decides between groups, too.
fn group_0_before_group_1() -> Outcome {
    with_group_1(|| {
        gic::set_priority(B, 0x40);
        gic::set_pending(A);
        gic::set_pending(B);
        comes_and_ends("the more urgent", B)?;
        comes("the other", GROUP_1_PENDING)
    })
}

/// §4.4.9, GICC_APRn: a bit for each active priority.
fn active_priorities() -> Outcome {
    only_gic(Version::V2)?;
    let active = || cpu_interface().apr.iter().map(|r| r.get().count_ones()).sum::<u32>();
    with(&[A, B], || {
        equal("before", active(), 0_u32)?;
        gic::set_pending(A);
        comes("first", A)?;
        equal("one", active(), 1_u32)?;
        gic::set_priority(B, 0x40);
        gic::set_pending(B);
        comes("second", B)?;
        equal("two", active(), 2_u32)?;
        gic::end(B);
        gic::end(A);
        equal("after", active(), 0_u32)
    })
}

/// §4.4.10, GICC_ABPR.
fn binary_point_alias_readback() -> Outcome {
    only_gic(Version::V2)?;
    let before = cpu_interface().abpr.get();
    cpu_interface().abpr.set(5);
    let written = cpu_interface().abpr.get();
    cpu_interface().abpr.set(before);
    equal("GICC_ABPR", written, 5_u32)
}

/// §4.3.14, GICD_NSACR: without Security Extensions it is reserved.
fn access_control_reserved() -> Outcome {
    only_gic(Version::V2)?;
    mmio::store32(map::GICD + 0xe04, u32::MAX);
    equal("GICD_NSACR1", mmio::load32(map::GICD + 0xe04), 0_u32)
}

/// §4.3.7: for SGIs GICD_ISPENDR0 is read-only.
fn sgi_pending_is_read_only() -> Outcome {
    only_gic(Version::V2)?;
    with(&[3], || {
        let [set, ..] = &distributor().ispendr;
        set.set(1 << 3);
        holds("not pending", !gic::is_pending(3))?;
        gic::send_to_self(3);
        let [clear, ..] = &distributor().icpendr;
        clear.set(1 << 3);
        holds("not cleared", gic::is_pending(3))?;
        comes_and_ends("it comes", 3)
    })
}

fn source_bits(sgi: usize) -> u8 {
    distributor().spendsgir.get(sgi).map_or(0, Readable::get)
}

fn set_source_bits(sgi: usize, bits: u8) {
    if let Some(register) = distributor().spendsgir.get(sgi) {
        register.set(bits);
    }
}

/// §4.3.17: an SGI pends once for each source.
fn sgi_sources_pend_apart() -> Outcome {
    only_gic(Version::V2)?;
    with_cores(2)?;
    with(&[3], || {
        set_source_bits(3, 0b11);
        equal("GICD_SPENDSGIR", source_bits(3), 0b11_u8)?;
        let first = gic::acknowledge();
        gic::end(first);
        let second = gic::acknowledge();
        gic::end(second);
        equal("INTID of the first", gic::intid(first), 3_u32)?;
        equal("INTID of the second", gic::intid(second), 3_u32)?;
        equal("both sources", 1_u32 << (first >> 10) | 1 << (second >> 10), 0b11_u32)?;
        comes("then", SPURIOUS)
    })
}

/// §4.3.16.
fn sgi_clear_one_source() -> Outcome {
    only_gic(Version::V2)?;
    with_cores(2)?;
    with(&[3], || {
        set_source_bits(3, 0b11);
        let [_, _, _, clear, ..] = &distributor().cpendsgir;
        clear.set(0b01);
        equal("GICD_SPENDSGIR", source_bits(3), 0b10_u8)?;
        let acknowledged = gic::acknowledge();
        gic::end(acknowledged);
        equal("GICC_IAR", acknowledged, 1 << 10 | 3_u32)?;
        comes("then", SPURIOUS)
    })
}

/// §4.4.4: with one source acknowledged the other still pends.
fn sgi_source_acknowledged() -> Outcome {
    only_gic(Version::V2)?;
    with_cores(2)?;
    with(&[3], || {
        set_source_bits(3, 0b11);
        let first = gic::acknowledge();
        holds("still pending", gic::is_pending(3))?;
        holds("active", gic::is_active(3))?;
        let acknowledged = 1_u8 << (first >> 10 & 7);
        equal("the other's bit", source_bits(3), 0b11 & !acknowledged)?;
        gic::end(first);
        let second = gic::acknowledge();
        gic::end(second);
        equal("INTID", gic::intid(second), 3_u32)
    })
}

fn targets(intid: u32) -> u8 {
    distributor().itargetsr.get(intid as usize).map_or(0, Readable::get)
}

/// §4.3.12: a bit for each core that is there.
fn targets_readback() -> Outcome {
    only_gic(Version::V2)?;
    with_cores(2)?;
    let there = u8::try_from((1_u32 << cores::count()) - 1).unwrap_or(u8::MAX);
    let Some(target) = distributor().itargetsr.get(A as usize) else { return Ok(()) };
    target.set(0xff);
    let all = target.get();
    target.set(0b10);
    let second = target.get();
    target.set(1);
    equal("the second core", second, 0b10_u8)?;
    equal("its neighbour", targets(B), 1_u8)?;
    // QEMU 10 keeps the bits of cores that are not there.
    only_on_evisor()?;
    equal("all", all, there)
}

/// §4.1.4: bytes or words.
fn targets_as_word() -> Outcome {
    only_gic(Version::V2)?;
    with_cores(2)?;
    let word = map::GICD + 0x800 + A as usize;
    let before = mmio::load32(word);
    mmio::store32(word, 0x0201_0201);
    let written = mmio::load32(word);
    let second = targets(B);
    mmio::store32(word, before);
    equal("word", written, 0x0201_0201_u32)?;
    equal("its second byte", second, 2_u8)
}

/// §4.3.12: GICD_ITARGETSR0 to 7 say which core is reading.
fn targets_of_private() -> Outcome {
    only_gic(Version::V2)?;
    with_cores(2)?;
    for intid in 0..32 {
        equal("own bit", targets(intid), 1_u8)?;
    }
    let second = crate::check::on(1, |intid| targets(intid as u32).into(), 5)?;
    equal("on the second core", second, 2_u64)
}

fn targets_of_private_are_read_only() -> Outcome {
    only_gic(Version::V2)?;
    with_cores(2)?;
    let [target, ..] = &distributor().itargetsr;
    target.set(0b1110);
    equal("GICD_ITARGETSR0", target.get(), 1_u8)
}

/// §4.3.12: an SPI without a target is pending and goes nowhere. (QEMU 10 keeps the
/// pending state by target, so that there it is lost.)
fn no_target_stays_pending() -> Outcome {
    only_gic(Version::V2)?;
    only_on_evisor()?;
    with_cores(2)?;
    require("no SGI is pending", gic::highest_pending() == SPURIOUS)?;
    with(&[A], || {
        let Some(target) = distributor().itargetsr.get(A as usize) else { return Ok(()) };
        target.set(0);
        gic::set_pending(A);
        comes("no target", SPURIOUS)?;
        holds("pending", gic::is_pending(A))?;
        target.set(1);
        comes_and_ends("with a target", A)
    })
}
