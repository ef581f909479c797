//! A GICv3's registers: (offset, written, expected), by section of IHI 0069H; and
//! what only it has of SGIs.

use crate::spec::files;
use crate::v3::GicV3;
use crate::v3::spec::{ICC_ASGI1R_EL1, ICC_SGI0R_EL1, ICC_SGI1R_EL1, gicd, gicr};
use evisor_contract::{LineState, Mmio, Registers, Reply, Status, Width};

type Rig = super::Rig<GicV3>;

/// RD_base and SGI_base of a vCPU, as the object sees them.
const fn rd(vcpu: u64) -> u64 {
    0x1_0000 + 0x2_0000 * vcpu
}

const fn sgi(vcpu: u64) -> u64 {
    rd(vcpu) + gicr::FRAME
}

const PIDR2: u64 = 0xffe8;
const IROUTER: u64 = gicd::IROUTER;

#[test]
fn after_reset() {
    let mut rig = Rig::new(4, 4);
    let table = [
        // §12.9: one Security state, affinity routing.
        (gicd::CTLR, 0x50),
        // 256 INTIDs of ten bits; A3V, No1N, RSS; no LPIs, no message-based SPIs.
        (gicd::TYPER, 0x0748_0007),
        (gicd::IIDR, 0x6500_043b),
        (gicd::TYPER2, 0),
        // INTIDs 0 to 31 are the Redistributors'.
        (files::IGROUPR, 0),
        (files::ISENABLER, 0),
        (files::IPRIORITYR, 0),
        (files::ICFGR, 0),
        (files::IGROUPR + 4, 0),
        (files::ISENABLER + 4, 0),
        (files::ICFGR + 8, 0),
        (IROUTER + 8 * 32, 0),
        // RES0 with affinity routing.
        (files::ITARGETSR + 32, 0),
        (0xd04, 0), // GICD_IGRPMODR1
        (0xe00, 0), // GICD_NSACR0
        (0xf00, 0), // GICD_SGIR
        (0xf10, 0), // GICD_CPENDSGIR
        (PIDR2, 0x3b),
        // §12.11
        (rd(0) + gicr::CTLR, 0),
        (rd(0) + gicr::IIDR, 0x6500_043b),
        (rd(0) + gicr::TYPER, 0x0000),
        (rd(0) + gicr::TYPER + 4, 0),
        (rd(1) + gicr::TYPER, 0x0100),
        (rd(1) + gicr::TYPER + 4, 1),
        (rd(2) + gicr::TYPER + 4, 0x100),
        (rd(3) + gicr::TYPER, 0x0310), // the last
        (rd(3) + gicr::TYPER + 4, 0x0102_0011),
        (rd(0) + gicr::WAKER, 6),
        (rd(0) + 0x70, 0), // GICR_PROPBASER: no LPIs
        (rd(0) + PIDR2, 0x3b),
        (sgi(0) + files::IGROUPR, 0),
        (sgi(0) + files::ISENABLER, 0),
        (sgi(0) + files::ISPENDR, 0),
        (sgi(0) + files::IPRIORITYR, 0),
        (sgi(0) + files::ICFGR, 0xaaaa_aaaa),
        (sgi(0) + files::ICFGR + 4, 0),
        (sgi(0) + 0xd00, 0), // GICR_IGRPMODR0
    ];
    for (offset, expected) in table {
        assert_eq!(rig.read(offset), expected, "{offset:#x}");
    }
}

#[test]
fn written_and_read_back() {
    let mut rig = Rig::new(2, 4);
    let table = [
        (gicd::CTLR, u32::MAX, 0x53),
        (gicd::TYPER, 0, 0x0748_0007),
        (files::IGROUPR, u32::MAX, 0),
        (files::ISENABLER, u32::MAX, 0),
        (files::ISPENDR, u32::MAX, 0),
        (files::ISACTIVER, u32::MAX, 0),
        (files::IPRIORITYR + 28, u32::MAX, 0),
        (files::ICFGR + 4, u32::MAX, 0),
        (files::IGROUPR + 4, 0x8000_0001, 0x8000_0001),
        (files::ISENABLER + 4, 6, 6),
        (files::ICENABLER + 4, 2, 4),
        (files::ISENABLER + 0x1c, u32::MAX, u32::MAX),
        (files::ISENABLER + 0x20, u32::MAX, 0),
        (files::ISPENDR + 8, u32::MAX, u32::MAX),
        (files::ICPENDR + 8, u32::MAX, 0),
        (files::ISACTIVER + 8, 6, 6),
        (files::ICACTIVER + 8, 2, 4),
        (files::IPRIORITYR + 32, 0xff07_a0f8, 0xf800_a0f8),
        (files::IPRIORITYR + 0x100, u32::MAX, 0),
        (files::ICFGR + 12, 0x8000_0003, 0x8000_0002),
        (files::ITARGETSR + 32, u32::MAX, 0),
        (IROUTER + 8 * 31, u32::MAX, 0),
        // Interrupt_Routing_Mode is RES0 with No1N.
        (IROUTER + 8 * 32, 0x8000_0001, 0x0000_0001),
        (IROUTER + 8 * 32 + 4, u32::MAX, 0xff),
        (IROUTER + 8 * 255, 0x00ff_ffff, 0x00ff_ffff),
        (IROUTER + 8 * 256, u32::MAX, 0),
        (PIDR2, 0, 0x3b),
        (rd(0) + gicr::CTLR, u32::MAX, 0),
        (rd(0) + gicr::TYPER, u32::MAX, 0),
        (rd(0) + gicr::WAKER, 0, 0),
        (rd(0) + gicr::WAKER, u32::MAX, 6),
        (sgi(0) + files::IGROUPR, 0x8000_ffff, 0x8000_ffff),
        (sgi(0) + files::ISENABLER, 1 << 27 | 1, 1 << 27 | 1),
        (sgi(0) + files::ICENABLER, 1, 1 << 27),
        (sgi(0) + files::ISENABLER + 4, u32::MAX, 0),
        (sgi(0) + files::ISPENDR, u32::MAX, u32::MAX),
        (sgi(0) + files::ICPENDR, u32::MAX, 0),
        (sgi(0) + files::ISACTIVER, 6, 6),
        (sgi(0) + files::ICACTIVER, 2, 4),
        (sgi(0) + files::IPRIORITYR + 28, u32::MAX, 0xf8f8_f8f8),
        (sgi(0) + files::IPRIORITYR + 32, u32::MAX, 0),
        (sgi(0) + files::ICFGR, 0, 0xaaaa_aaaa),
        (sgi(0) + files::ICFGR + 4, u32::MAX, 0xaaaa_aaaa),
        (sgi(0) + files::ICFGR + 8, u32::MAX, 0),
        (sgi(0) + 0xd00, u32::MAX, 0),
    ];
    for (offset, value, expected) in table {
        rig.write(offset, value);
        rig.refresh_all();
        assert_eq!(rig.read(offset), expected, "{offset:#x}");
    }
}

#[test]
fn widths() {
    // §12.1: IPRIORITYR allows bytes; IROUTER and GICR_TYPER have 64 bits.
    let mut rig = Rig::new(2, 4);
    for offset in [files::IPRIORITYR + 41, sgi(1) + files::IPRIORITYR + 27] {
        rig.write_width(offset, Width::Byte, 0x18);
        assert_eq!(rig.read_width(offset, Width::Byte), 0x18, "{offset:#x}");
    }
    let router = IROUTER + 8 * 40;
    rig.write_width(router, Width::Doubleword, u64::MAX);
    assert_eq!(rig.read_width(router, Width::Doubleword), 0xff_00ff_ffff);
    rig.write(router + 4, 1);
    assert_eq!(rig.read_width(router, Width::Doubleword), 0x01_00ff_ffff);
    assert_eq!(rig.read_width(rd(1) + gicr::TYPER, Width::Doubleword), 0x1_0000_0110);
    // Elsewhere they do nothing.
    for (offset, width) in [
        (gicd::CTLR, Width::Byte),
        (gicd::CTLR, Width::Doubleword),
        (files::ISENABLER + 8, Width::Doubleword),
        (files::IPRIORITYR + 40, Width::Doubleword),
        (router, Width::Byte),
        (rd(0) + gicr::WAKER, Width::Byte),
        (sgi(0) + files::ISENABLER, Width::Byte),
    ] {
        let before = rig.read(offset);
        rig.write_width(offset, width, width.mask());
        assert_eq!(rig.read(offset), before, "{offset:#x} {width:?}");
        assert_eq!(rig.read_width(offset, width), 0, "{offset:#x} {width:?}");
    }
}

#[test]
fn nothing_is_behind_the_last_redistributor() {
    let mut rig = Rig::new(2, 4);
    let cx = &mut rig.cx();
    for offset in [rd(2), sgi(2) + files::IPRIORITYR, rd(8), !7] {
        assert_eq!(rig.gic.read(offset, Width::Word, cx), Reply::ABSENT);
        assert_eq!(rig.gic.write(offset, Width::Word, 1, cx), Reply::ABSENT);
    }
}

#[test]
fn any_vcpu_reaches_every_redistributor() {
    // §12.10
    let mut rig = Rig::started(2, 4);
    rig.write(sgi(1) + files::ISENABLER, 1 << 27);
    rig.write(sgi(1) + files::IPRIORITYR + 24, 0x8000_0000);
    rig.write(sgi(1) + files::ISPENDR, 1 << 27);
    assert_eq!(rig.acknowledge(), None);
    assert_eq!(rig.read(sgi(0) + files::ISPENDR), 0);
    rig.switch(1);
    assert_eq!(rig.acknowledge().unwrap().intid, 27);
    rig.switch(0);
    // What the other one has is asked of it.
    let cx = &mut rig.cx();
    let reply = rig.gic.read(sgi(1) + files::ISACTIVER, Width::Word, cx);
    assert_eq!(reply.status, Status::Again);
    assert_eq!(rig.read(sgi(1) + files::ISACTIVER), 1 << 27);
    assert_eq!(rig.read(sgi(1) + files::ISPENDR), 0);
    rig.write(sgi(1) + files::ICACTIVER, 1 << 27);
    assert_eq!(rig.read(sgi(1) + files::ISACTIVER), 0);
}

#[test]
fn writes_that_others_have_yet_to_see_are_told() {
    // §12.9, GICD_CTLR.RWP; §12.11, GICR_CTLR.RWP
    let mut rig = Rig::started(2, 4);
    rig.target(40, 1);
    rig.bit(files::ISENABLER, 40);
    let _ = rig.line(40, LineState::High);
    rig.refresh_all();
    assert_eq!(rig.read(gicd::CTLR) >> 31, 0);
    rig.bit(files::ICENABLER, 40);
    assert_eq!(rig.read(gicd::CTLR) >> 31, 1);
    assert_eq!(rig.read(rd(1) + gicr::CTLR), 8);
    assert_eq!(rig.read(rd(0) + gicr::CTLR), 0);
    rig.refresh_all();
    assert_eq!(rig.read(gicd::CTLR) >> 31, 0);
    rig.switch(1);
    assert_eq!(rig.acknowledge(), None);
}

#[test]
fn shared_interrupts_are_routed_by_affinity() {
    // §12.9, GICD_IROUTER
    let mut rig = Rig::started(4, 4);
    rig.bit(files::ISENABLER, 40);
    for (router, vcpu) in [(0x01_0002_0011, 3), (0x100, 2), (1, 1), (0, 0)] {
        rig.write_width(IROUTER + 8 * 40, Width::Doubleword, router);
        let _ = rig.line(40, LineState::Pulse);
        for other in 0..4 {
            rig.switch(other);
            assert_eq!(rig.take(), (other == vcpu).then_some(40), "{router:#x}");
        }
        rig.switch(0);
    }
    // To nobody: it waits.
    rig.write_width(IROUTER + 8 * 40, Width::Doubleword, 5);
    let _ = rig.line(40, LineState::Pulse);
    rig.refresh_all();
    assert_eq!(rig.acknowledge(), None);
    assert!(rig.is_set(files::ISPENDR, 40));
    rig.write_width(IROUTER + 8 * 40, Width::Doubleword, 0);
    assert_eq!(rig.take(), Some(40));
}

/// Which vCPUs get `sgi`, as bits.
fn taken(rig: &mut Rig, sgi: usize) -> u32 {
    (0..4).fold(0, |all, vcpu| {
        rig.switch(vcpu);
        let taken = rig.take();
        assert!(taken.is_none_or(|intid| intid == sgi));
        all | u32::from(taken.is_some()) << vcpu
    })
}

#[test]
fn sgi_targets() {
    // §12.2, ICC_SGI1R_EL1: the affinities are 0, 1, 0.0.1.0 and 1.2.0.17.
    let table = [
        (1, 0b0001),
        (3, 0b0011),
        (0xffff, 0b0011),
        (1 << 16 | 0xffff, 0b0100),
        (1 << 48 | 2 << 32 | 2, 0),
        (1 << 48 | 2 << 32 | 1 << 44 | 2, 0b1000),
        (1 << 40, 0b1101),          // all but the sender
        (1 << 40 | 0xffff, 0b1101), // the list is not looked at
        (0xffff << 16 & !(0xf << 24) | 3, 0),
        (0, 0),
    ];
    for (to, expected) in table {
        let mut rig = Rig::started(4, 4);
        rig.switch(1);
        let cx = &mut rig.cx();
        let value = to | 7 << 24;
        assert_eq!(rig.gic.write_register(ICC_SGI1R_EL1, value, cx), Reply::DONE);
        assert_eq!(taken(&mut rig, 7), expected, "{to:#x}");
    }
}

#[test]
fn sgis_by_group() {
    // With one Security state the two other registers send Group 0 only.
    for (register, group1, expected) in [
        (ICC_SGI1R_EL1, 0, 1),
        (ICC_SGI1R_EL1, 1, 1),
        (ICC_SGI0R_EL1, 0, 1),
        (ICC_SGI0R_EL1, 1, 0),
        (ICC_ASGI1R_EL1, 0, 1),
        (ICC_ASGI1R_EL1, 1, 0),
    ] {
        let mut rig = Rig::started(4, 4);
        rig.write(gicd::CTLR, 3);
        rig.write(sgi(0) + files::IGROUPR, group1 << 5);
        let cx = &mut rig.cx();
        assert_eq!(rig.gic.write_register(register, 5 << 24 | 1, cx), Reply::DONE);
        assert_eq!(taken(&mut rig, 5), expected, "{register:?} {group1}");
        assert_eq!(rig.gic.read_register(register, cx), Reply::ABSENT);
    }
}

#[test]
fn sgis_to_oneself() {
    let mut rig = Rig::started(2, 4);
    for vcpu in [0, 1] {
        rig.switch(vcpu);
        for _ in 0..3 {
            rig.send(3, 1 << vcpu);
            rig.send(3, 1 << vcpu);
            let taken = rig.acknowledge().unwrap();
            // Again while active.
            rig.send(3, 1 << vcpu);
            assert_eq!(rig.acknowledge(), None);
            rig.end(taken);
            assert_eq!(rig.take_all(), [3]);
        }
    }
    // §12.11, GICR_ICPENDR0: taken back, SGIs too.
    rig.send(3, 2);
    rig.bit(files::ICPENDR, 3);
    assert_eq!(rig.acknowledge(), None);
    rig.bit(files::ISPENDR, 3);
    assert_eq!(rig.take_all(), [3]);
    // Not enabled.
    rig.bit(files::ICENABLER, 3);
    rig.send(3, 2);
    assert_eq!(rig.acknowledge(), None);
    assert!(rig.is_set(files::ISPENDR, 3));
}

#[test]
fn an_sgi_that_another_clears_is_not_the_next_one() {
    let mut rig = Rig::started(2, 4);
    rig.switch(1);
    rig.send(3, 2);
    rig.switch(0);
    rig.write(sgi(1) + files::ICPENDR, 1 << 3);
    // Taken before the other looks, and sent again.
    rig.vcpus.kicked.store(0, core::sync::atomic::Ordering::Relaxed);
    rig.switch(1);
    assert_eq!(rig.take(), Some(3));
    rig.send(3, 2);
    let _ = rig.notify(evisor_contract::tag::REFRESH, 0);
    assert_eq!(rig.take(), Some(3));
}
