//! The register file: SD Host Controller Simplified Specification 3.00, §2.

use super::host::{COMPATIBLE, EMMC2, Host};
use crate::spec::offset::*;
use evisor_contract::{Status, Width, tag};
use evisor_testkit::{Rig, Setup, describe};

/// §2.2: offset, width, value after reset, writable bits.
#[test]
fn registers_reset_and_hold_what_the_specification_says() {
    use Width::{Byte, Halfword, Word};
    let table = [
        (ARGUMENT2, Word, 0x0, 0xffff_ffff),
        (BLOCK_SIZE, Halfword, 0x0, 0x7fff),
        (BLOCK_COUNT, Halfword, 0x0, 0xffff),
        (ARGUMENT, Word, 0x0, 0xffff_ffff),
        (TRANSFER_MODE, Halfword, 0x0, 0x003f),
        (RESPONSE, Word, 0x0, 0x0),
        (RESPONSE + 12, Word, 0x0, 0x0),
        (BUFFER, Word, 0x0, 0x0),
        (HOST_CONTROL, Byte, 0x0, 0xff),
        (0x29, Byte, 0x0, 0x0f),
        (BLOCK_GAP, Byte, 0x0, 0x0d),
        (0x2b, Byte, 0x0, 0x07),
        // The internal clock is stable at once.
        (CLOCK, Halfword, 0x0, 0xffe7),
        (TIMEOUT, Byte, 0x0, 0x0f),
        (0x2f, Byte, 0x0, 0x0),
        (STATUS, Halfword, 0x0, 0x0),
        (ERRORS, Halfword, 0x0, 0x0),
        (STATUS_ENABLE, Halfword, 0x0, 0x1fff),
        (ERRORS_ENABLE, Halfword, 0x0, 0xf7ff),
        (STATUS_SIGNAL, Halfword, 0x0, 0x1fff),
        (ERRORS_SIGNAL, Halfword, 0x0, 0xf7ff),
        (AUTO_ERRORS, Halfword, 0x0, 0x0),
        (HOST_CONTROL2, Halfword, 0x0, 0xc037),
        (CAPABILITIES, Word, 0x0168_64b2, 0x0168_64b2),
        (CAPABILITIES + 4, Word, 0x0, 0x0),
        (0x48, Word, 0x0, 0x0),
        (ADMA_ERROR, Byte, 0x0, 0x0),
        (ADMA_ADDRESS, Word, 0x0, 0xffff_ffff),
        (ADMA_ADDRESS + 4, Word, 0x0, 0x0),
        (PRESET, Halfword, 0x7d, 0x7d),
        (PRESET + 2, Halfword, 0x2, 0x2),
        (PRESET + 4, Halfword, 0x1, 0x1),
        (PRESET + 6, Halfword, 0x0, 0x0),
        (0xe0, Word, 0x0, 0x0),
        (SLOT_STATUS, Halfword, 0x0, 0x0),
        (0xfe, Halfword, 0x2, 0x2),
    ];
    for (offset, width, reset, writable) in table {
        let mut rig = Rig::new(COMPATIBLE);
        assert_eq!(rig.read(offset, width).value, reset, "reset of {offset:#x}");
        // Software reset would undo the others.
        if offset != 0x2f {
            let _ = rig.write(offset, width, 0xffff_ffff);
        }
        assert_eq!(rig.read(offset, width).value, writable, "ones in {offset:#x}");
        rig.reset();
        assert_eq!(rig.read(offset, width).value, reset, "reset again of {offset:#x}");
        let _ = rig.write(offset, width, 0xffff_ffff);
        let _ = rig.write(0x2f, Width::Byte, 1);
        assert_eq!(rig.read(offset, width).value, reset, "software reset of {offset:#x}");
    }
}

/// §2.2.9: a card is there, it may be written, nothing moves, and all lines are up.
#[test]
fn present_state_at_rest() {
    assert_eq!(Rig::new(COMPATIBLE).read32(PRESENT_STATE), 0x01ff_0000);
    let none = Setup { blocks: 0, ..Setup::default() };
    assert_eq!(Rig::with(COMPATIBLE, &none).read32(PRESENT_STATE), 0x01fa_0000);
    let read_only = Setup { read_only: true, ..Setup::default() };
    assert_eq!(Rig::with(COMPATIBLE, &read_only).read32(PRESENT_STATE), 0x01f7_0000);
}

/// Table 2-2: any byte of a register can be accessed, and words hold several.
#[test]
fn narrow_accesses() {
    let mut host = Host::new(COMPATIBLE, &Setup::default());
    host.put32(BLOCK_SIZE, 0x1234_5678);
    assert_eq!((host.get16(BLOCK_SIZE), host.get16(BLOCK_COUNT)), (0x5678, 0x1234));
    host.put8(BLOCK_COUNT + 1, 0xab);
    assert_eq!(host.get32(BLOCK_SIZE), 0xab34_5678);
    host.put8(ARGUMENT + 3, 0xcd);
    host.put8(ARGUMENT, 0x12);
    assert_eq!(host.get32(ARGUMENT), 0xcd00_0012);
    host.put16(0x2a, 0x0705);
    assert_eq!(host.get32(HOST_CONTROL), 0x0705_0f00);
    assert_eq!(host.get8(HOST_CONTROL + 1), 0x0f);
}

/// §2.2.17 to §2.2.22: status is seen if enabled, signalled if that is enabled too,
/// and cleared by ones.
#[test]
fn status_enable_and_signal_enable() {
    let mut rig = Rig::new(COMPATIBLE);
    let no_clock = |rig: &mut Rig| {
        let _ = rig.write(COMMAND, Width::Halfword, 0x0d1a);
    };
    no_clock(&mut rig);
    assert_eq!(rig.read32(STATUS), 0, "not enabled");
    rig.write32(STATUS_ENABLE, 0x0001_0000);
    no_clock(&mut rig);
    assert_eq!((rig.read32(STATUS), rig.line(0)), (0x0001_8000, false), "not signalled");
    rig.write32(STATUS_SIGNAL, 0x0001_0000);
    assert!(rig.line(0));
    assert_eq!(rig.read(SLOT_STATUS, Width::Halfword).value, 1);
    rig.write32(STATUS, 0x0000_8000);
    assert_eq!(rig.read32(STATUS), 0x0001_8000, "the sum cannot be cleared");
    rig.write32(STATUS, 0x0001_0000);
    assert_eq!((rig.read32(STATUS), rig.line(0)), (0, false));
    assert_eq!(rig.read(SLOT_STATUS, Width::Halfword).value, 0);
}

/// §2.2.27, §2.2.28.
#[test]
fn forced_events() {
    let mut host = Host::new(COMPATIBLE, &Setup::default());
    for bit in (0..16).filter(|bit| 0xf7ff >> bit & 1 != 0) {
        host.put16(FORCE_ERRORS, 1 << bit);
        assert_eq!(host.interrupts(), 0x8000 | 1 << (16 + bit));
    }
    host.put16(FORCE_AUTO_ERRORS, 0xffff);
    assert_eq!(host.get16(AUTO_ERRORS), 0x9f);
    assert_eq!(host.interrupts(), 0x0100_8000);
}

#[test]
fn what_is_behind_the_registers_reads_as_zero() {
    let mut rig = Rig::new(COMPATIBLE);
    let before = rig.save();
    for offset in (0x100..0x1000).step_by(4) {
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), 0, "{offset:#x}");
    }
    assert_eq!(rig.save(), before);
}

#[test]
fn foreign_notifications_are_absent() {
    let mut rig = Rig::new(COMPATIBLE);
    assert_eq!(rig.notify(tag::CONSOLE_READY, 0).status, Status::Absent);
    let before = rig.save();
    assert_eq!(rig.notify(tag::DEADLINE, 0).status, Status::Done);
    assert_eq!(rig.notify(tag::BLOCK_DONE, 0).status, Status::Done);
    assert_eq!(rig.save(), before, "what nobody asked for does no harm");
}

#[test]
fn guest_nodes() {
    let common = "\
bus-width = <0x4>
cap-sd-highspeed
";
    let rest = "
no-1-8-v
non-removable
clock 1 = 100000000 Hz";
    let emmc2 = "clocks = <0x1>\ncompatible = \"brcm,bcm2711-emmc2\"";
    let expected = format!("{common}{emmc2}{rest}");
    assert_eq!(describe(Rig::new(EMMC2).declaration(), &[]), expected);
    let arasan = "clock-names = \"clk_xin\", \"clk_ahb\"\nclocks = <0x1 0x1>\n\
                  compatible = \"arasan,sdhci-8.9a\"";
    let expected = format!("{common}{arasan}{rest}");
    assert_eq!(describe(Rig::new(COMPATIBLE).declaration(), &[]), expected);
    let old = describe(Rig::new("brcm,bcm2835-sdhci").declaration(), &[]);
    assert!(old.contains("\"brcm,bcm2835-sdhci\""), "{old}");
}
