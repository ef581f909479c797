//! A GICv2's registers: (offset, written, expected), by section of IHI 0048B.b; and
//! what only it has of SGIs.

use crate::v2::GicV2;

use crate::spec::files;
use crate::v2::spec::gicd;
use evisor_contract::{Reply, Width};

type Rig = super::Rig<GicV2>;

#[test]
fn after_reset() {
    let mut rig = Rig::new(2, 4);
    let table = [
        (gicd::CTLR, 0),                      // §4.3.1
        (gicd::TYPER, 7 | 1 << 5),            // §4.3.2: 256 INTIDs, two CPUs
        (gicd::IIDR, 0x6500_043b),            // §4.3.3
        (files::IGROUPR, 0),                  // §4.3.4: all Group 0
        (files::ISENABLER, 0xffff),           // §4.3.5: SGIs are always enabled
        (files::ICENABLER, 0xffff),           // §4.3.6
        (files::ISENABLER + 4, 0),            // §4.3.5
        (files::ISPENDR, 0),                  // §4.3.7
        (files::ISACTIVER, 0),                // §4.3.9
        (files::IPRIORITYR, 0),               // §4.3.11
        (files::ITARGETSR, 0x0101_0101),      // §4.3.12: the CPU that reads
        (files::ITARGETSR + 28, 0x0101_0101), // §4.3.12
        (files::ITARGETSR + 32, 0),           // §4.3.12
        (files::ICFGR, 0xaaaa_aaaa),          // §4.3.13: SGIs are edge-triggered
        (files::ICFGR + 4, 0),                // §4.3.13
        (gicd::NSACR, 0),                     // §4.3.14: no Security Extensions
        (gicd::SGIR, 0),                      // §4.3.15: write-only
        (gicd::CPENDSGIR, 0),                 // §4.3.16
        (gicd::IDENTIFICATION + 0x18, 0x2b),  // §4.3.18: ICPIDR2.ArchRev is 2
        (gicd::IDENTIFICATION + 0x20, 0x0d),  // ICCIDR0
        (gicd::IDENTIFICATION + 0x2c, 0xb1),  // ICCIDR3
        (0x00c, 0),                           // reserved
        (files::ISENABLER + 0x20, 0),         // no such INTIDs
        (files::ICFGR + 0x40, 0),             // no such INTIDs
        (0xfcc, 0),                           // reserved
    ];
    for (offset, expected) in table {
        assert_eq!(rig.read(offset), expected, "{offset:#x}");
    }
    rig.switch(1);
    assert_eq!(rig.read(files::ITARGETSR), 0x0202_0202);
}

#[test]
fn written_and_read_back() {
    let mut rig = Rig::new(2, 4);
    let table = [
        (gicd::CTLR, u32::MAX, 3),                          // §4.3.1
        (gicd::TYPER, 0, 7 | 1 << 5),                       // §4.3.2: read-only
        (files::IGROUPR + 4, 0x8000_0001, 0x8000_0001),     // §4.3.4
        (files::ISENABLER, 1 << 27, 1 << 27 | 0xffff),      // §4.3.5
        (files::ICENABLER, u32::MAX, 0xffff),               // §4.3.6
        (files::ISENABLER + 0x1c, u32::MAX, u32::MAX),      // §4.3.5: the last
        (files::ISENABLER + 0x20, u32::MAX, 0),             // beyond
        (files::ISPENDR, u32::MAX, 0xffff_0000),            // §4.3.7: not SGIs
        (files::ICPENDR, u32::MAX, 0),                      // §4.3.8
        (files::ISACTIVER + 8, 6, 6),                       // §4.3.9
        (files::ICACTIVER + 8, 2, 4),                       // §4.3.10
        (files::IPRIORITYR + 32, 0xff07_a0f8, 0xf800_a0f8), // §4.3.11: five bits
        (files::ITARGETSR, 0, 0x0101_0101),                 // §4.3.12: read-only
        (files::ITARGETSR + 32, 0xff02_0100, 0x0302_0100),  // §4.3.12: who is there
        (files::ICFGR, 0, 0xaaaa_aaaa),                     // §4.3.13: SGIs are fixed
        (files::ICFGR + 4, u32::MAX, 0xaaaa_aaaa),          // §4.3.13: PPIs are not
        (files::ICFGR + 12, 0x8000_0003, 0x8000_0002),      // §4.3.13
        (gicd::NSACR, u32::MAX, 0),                         // §4.3.14
        (gicd::IDENTIFICATION + 0x18, 0, 0x2b),             // §4.3.18
        (gicd::SPENDSGIR, 0x0000_ff01, 0x0000_0301),        // §4.3.17: who is there
        (gicd::CPENDSGIR, 0x0000_0100, 0x0000_0201),        // §4.3.16
    ];
    for (offset, value, expected) in table {
        rig.write(offset, value);
        assert_eq!(rig.read(offset), expected, "{offset:#x}");
    }
}

#[test]
fn bytes_where_they_are_allowed() {
    // §4.1.3: IPRIORITYR, ITARGETSR, CPENDSGIR and SPENDSGIR.
    let mut rig = Rig::new(2, 4);
    for offset in [files::IPRIORITYR + 41, files::ITARGETSR + 42, gicd::SPENDSGIR + 3] {
        rig.write_width(offset, Width::Byte, 2 << 3 | 2);
        let expected = if offset < files::ITARGETSR { 0x10 } else { 2 };
        assert_eq!(rig.read_width(offset, Width::Byte), expected, "{offset:#x}");
    }
    assert_eq!(rig.read(files::IPRIORITYR + 40), 0x1000);
    assert_eq!(rig.read(files::ITARGETSR + 40), 2 << 16);
    // Elsewhere a byte does nothing.
    rig.write_width(gicd::CTLR, Width::Byte, 1);
    rig.write_width(files::ISENABLER + 4, Width::Byte, 1);
    rig.write_width(gicd::SGIR, Width::Byte, 1);
    assert_eq!(rig.read(gicd::CTLR), 0);
    assert_eq!(rig.read(files::ISENABLER + 4), 0);
    assert_eq!(rig.read_width(gicd::TYPER, Width::Byte), 0);
}

#[test]
fn one_processor_has_no_targets() {
    // §4.3.12: in a uniprocessor implementation ITARGETSR is RAZ/WI.
    let mut rig = Rig::new(1, 4);
    for offset in [files::ITARGETSR, files::ITARGETSR + 32] {
        rig.write(offset, u32::MAX);
        assert_eq!(rig.read(offset), 0);
    }
    assert_eq!(rig.read(gicd::TYPER), 7);
}

#[test]
fn private_registers_are_banked() {
    // §4.1.4
    let mut rig = Rig::new(2, 4);
    rig.write(files::ISENABLER, 1 << 27);
    rig.priority(27, 0x80);
    rig.switch(1);
    assert_eq!(rig.read(files::ISENABLER), 0xffff);
    assert_eq!(rig.read(files::IPRIORITYR + 24), 0);
    rig.switch(0);
    assert_eq!(rig.read(files::ISENABLER), 1 << 27 | 0xffff);
    assert_eq!(rig.read(files::IPRIORITYR + 24), 0x8000_0000);
}

#[test]
fn what_is_not_an_interrupt_is_absent() {
    let mut rig = Rig::new(1, 4);
    for tag in [0, 15, 256, 1020, 0xfffe_ffff, evisor_contract::tag::DEADLINE] {
        for value in [0, 1, 2, 3 | 27 << 16] {
            assert_eq!(rig.notify(tag, value), Reply::ABSENT, "{tag} {value}");
        }
    }
}

#[test]
fn sgis_keep_their_sources() {
    // §4.3.15, §4.3.16
    let mut rig = Rig::started(4, 4);
    for source in [2, 1, 3] {
        rig.switch(source);
        rig.write(gicd::SGIR, 1 << 16 | 5);
        rig.write(gicd::SGIR, 1 << 16 | 5);
    }
    rig.switch(0);
    rig.refresh();
    assert_eq!(rig.read(gicd::CPENDSGIR + 4), 0b1110 << 8);
    for source in [1, 2, 3] {
        let taken = rig.acknowledge().unwrap();
        assert_eq!((taken.intid, taken.source), (5, source));
        assert_eq!(rig.acknowledge(), None);
        rig.end(taken);
    }
    assert_eq!(rig.acknowledge(), None);
}

#[test]
fn sgi_targets() {
    // §4.3.15: list, all but the requester, the requester; reserved.
    let table =
        [(0, 0b1010, 0b1010), (1, 0, 0b1101), (2, 0b1111, 0b0010), (2, 0, 0b0010), (3, 0b1111, 0)];
    for (filter, list, expected) in table {
        let mut rig = Rig::started(4, 4);
        rig.switch(1);
        rig.write(gicd::SGIR, filter << 24 | list << 16 | 7);
        let mut got = 0;
        for vcpu in 0..4 {
            rig.switch(vcpu);
            if let Some(taken) = rig.acknowledge() {
                assert_eq!((taken.intid, taken.source), (7, 1));
                got |= 1 << vcpu;
            }
        }
        assert_eq!(got, expected, "{filter} {list:#b}");
    }
}

#[test]
fn sgis_to_oneself() {
    let mut rig = Rig::started(1, 4);
    for value in [1 << 16 | 3, 2 << 24 | 3, 1 << 16 | 3, 2 << 24 | 3] {
        rig.write(gicd::SGIR, value);
        rig.write(gicd::SGIR, value);
        let taken = rig.acknowledge().unwrap();
        // Again while active.
        rig.write(gicd::SGIR, value);
        assert_eq!(rig.acknowledge(), None);
        rig.end(taken);
        assert_eq!(rig.take_all(), [3]);
    }
    // §4.3.16: taken back.
    rig.write(gicd::SGIR, 1 << 16 | 3);
    rig.write(gicd::CPENDSGIR, 1 << 24);
    assert_eq!(rig.acknowledge(), None);
}
