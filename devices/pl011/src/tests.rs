//! Checked against DDI 0183G; section numbers are its.

#![expect(clippy::cast_possible_truncation, reason = "bytes are made from small numbers")]

use crate::spec::{CR, FR, IFLS, INT, LCR_H, offset::*};
use evisor_contract::{LineState, Status, Width, tag};
use evisor_testkit::{Event, Rig, Setup, describe, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "arm,pl011";
const TX: u64 = 1 << 5;
const RX: u64 = 1 << 4;
const RT: u64 = 1 << 6;
const OE: u64 = 1 << 10;

fn rig() -> Rig {
    Rig::new(COMPATIBLE)
}

/// With FIFOs on and everything enabled, as drivers leave it.
fn running() -> Rig {
    let mut rig = rig();
    rig.write32(LCR_H, u64::from(LCR_H::FEN::SET.value) | 0x60);
    rig.write32(CR, 0x301);
    rig.events();
    rig
}

fn fr(rig: &mut Rig, flag: tock_registers::fields::Field<u32, FR::Register>) -> bool {
    rig.read32(FR) & u64::from(flag.mask) << flag.shift != 0
}

/// Reads UARTDR until UARTFR.RXFE.
fn read_all(rig: &mut Rig) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !fr(rig, FR::RXFE) {
        bytes.push(rig.read32(DR) as u8);
    }
    bytes
}

/// Table 3-1, and the widths of §3.3: offset, value after reset, writable bits.
#[test]
fn registers_reset_and_hold_what_the_data_sheet_says() {
    let table = [
        (RSR_ECR, 0x0, 0x0),
        (ILPR, 0x0, 0xff),
        (IBRD, 0x0, 0xffff),
        (FBRD, 0x0, 0x3f),
        (LCR_H, 0x0, 0xff),
        (CR, 0x300, 0xff87),
        (IFLS, 0x12, 0x3f),
        (IMSC, 0x0, 0x7ff),
        (RIS, 0x0, 0x0),
        (MIS, 0x0, 0x0),
        (ICR, 0x0, 0x0),
        (DMACR, 0x0, 0x7),
    ];
    for (offset, reset, writable) in table {
        let mut rig = rig();
        assert_eq!(rig.read32(offset), reset, "reset of {offset:#x}");
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), writable, "ones in {offset:#x}");
        rig.write32(offset, 0);
        assert_eq!(rig.read32(offset), 0, "zeros in {offset:#x}");
        rig.reset();
        assert_eq!(rig.read32(offset), reset, "reset again of {offset:#x}");
    }
}

/// §3.3.15, §3.3.16: r1p5, whose FIFOs have 32 entries.
#[test]
fn identification() {
    let expected = [0x11, 0x10, 0x34, 0x00, 0x0d, 0xf0, 0x05, 0xb1];
    let mut rig = rig();
    for (index, value) in expected.into_iter().enumerate() {
        let offset = PERIPH_ID0 + 4 * index as u64;
        rig.write32(offset, 0xff);
        assert_eq!(rig.read32(offset), value, "{offset:#x}");
    }
}

/// §3.2: the rest of the 4 KiB is reserved.
#[test]
fn reserved_offsets_read_as_zero_and_ignore_writes() {
    let mut rig = rig();
    let before = rig.save();
    let reserved = (0x008..0x018).chain(0x01c..0x020).chain(0x04c..0xfe0);
    for offset in reserved.step_by(4) {
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), 0, "{offset:#x}");
    }
    assert_eq!(rig.save(), before);
}

/// The bus gives each byte its lane; a write that does not begin at the register
/// has no meaning there.
#[test]
fn narrow_accesses() {
    let mut rig = rig();
    let _ = rig.write(IBRD, Width::Halfword, 0x1234);
    assert_eq!(rig.read(IBRD, Width::Byte).value, 0x34);
    assert_eq!(rig.read(IBRD + 1, Width::Byte).value, 0x12);
    assert_eq!(rig.read(IBRD, Width::Halfword).value, 0x1234);
    let _ = rig.write(IBRD + 1, Width::Byte, 0xff);
    let _ = rig.write(DR + 1, Width::Byte, 0xff);
    assert_eq!(rig.read32(IBRD), 0x1234);
    let _ = rig.write(DR, Width::Byte, u64::from(b'x'));
    rig.advance(1000);
    assert_eq!(rig.console_output(), b"x");
}

/// A batch goes at once, what is less goes with the deadline.
#[test]
fn output_is_gathered_and_does_not_stay() {
    let mut rig = running();
    for byte in b"0123456789abcdef0123456789abcdefgh" {
        rig.write32(DR, u64::from(*byte));
    }
    let events = rig.events();
    let due = Event::Deadline(Some(200));
    let batch = [Event::Console(b"0123456789abcdef0123456789abcde".into())];
    assert_eq!(events, [&[due][..], &batch].concat());
    rig.advance(199);
    assert_eq!(rig.events(), []);
    rig.advance(1);
    assert_eq!(rig.console_output(), b"fgh");
    rig.write32(DR, u64::from(b'g'));
    assert_eq!(rig.deadline(), Some(400), "the next byte asks for the next deadline");
}

/// §3.3.3: a guest that waits for the transmitter does not wait for a clock.
#[test]
fn whoever_polls_the_flags_sees_output_leave() {
    let mut rig = running();
    rig.write32(DR, u64::from(b'x'));
    assert!(fr(&mut rig, FR::BUSY));
    assert!(!fr(&mut rig, FR::BUSY), "the second look finds it idle");
    assert_eq!(rig.console_output(), b"x");
    assert!(fr(&mut rig, FR::TXFE));
}

/// Before each byte Linux looks once: that must not cost a delivery each.
#[test]
fn looking_before_each_byte_keeps_gathering() {
    let mut rig = running();
    for byte in b"hello, wor" {
        assert!(!fr(&mut rig, FR::TXFF));
        rig.write32(DR, u64::from(*byte));
    }
    assert_eq!(rig.console_output(), b"");
    rig.write32(IMSC, 0);
    assert_eq!(rig.console_output(), b"hello, wor", "writing another register sends it");
}

/// The README's leniency: UARTEN and TXE do not gate transmission.
#[test]
fn a_guest_that_never_enables_the_uart_is_heard() {
    let mut rig = rig();
    rig.write32(CR, 0);
    rig.write32(DR, u64::from(b'!'));
    rig.read32(RIS);
    assert_eq!(rig.console_output(), b"!");
}

/// §2.8.3: set when bytes leave the FIFO, not by unmasking alone; cleared by
/// UARTICR.
#[test]
fn transmit_interrupt() {
    let mut rig = running();
    rig.write32(IMSC, TX);
    assert!(!rig.line(0), "nothing was sent yet");
    rig.write32(DR, u64::from(b'a'));
    assert!(rig.line(0), "unmasked: it comes with the byte");
    assert_eq!(rig.read32(MIS), TX);
    rig.write32(ICR, TX);
    assert!(!rig.line(0));
    assert_eq!(rig.read32(RIS), 0);
    rig.write32(IMSC, 0);
    rig.write32(DR, u64::from(b'b'));
    assert_eq!(rig.read32(RIS), TX, "masked: it is there when one looks");
    assert_eq!(rig.read32(MIS), 0);
    rig.write32(IMSC, TX);
    assert!(rig.line(0));
}

/// Linux's driver: half a FIFO an interrupt, without clearing it.
#[test]
fn interrupt_driven_output_of_any_length() {
    let mut rig = running();
    let text: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
    let mut left = text.as_slice();
    rig.write32(DR, u64::from(left[0]));
    left = &left[1..];
    rig.write32(IMSC, TX);
    let mut sent = Vec::new();
    while !left.is_empty() {
        assert!(rig.line(0), "{} bytes are left", left.len());
        let (now, rest) = left.split_at(left.len().min(16));
        now.iter().for_each(|byte| rig.write32(DR, u64::from(*byte)));
        left = rest;
        sent.extend(rig.console_output());
    }
    rig.write32(IMSC, 0);
    sent.extend(rig.console_output());
    assert_eq!(sent, text);
    assert!(!rig.line(0));
}

/// §3.3.3 TXFF: only a console that takes no more makes the FIFO full. Writes to
/// a full FIFO are lost.
#[test]
fn a_full_console_holds_the_fifo() {
    let mut rig = running();
    rig.write32(IMSC, TX);
    let _ = rig.notify(tag::CONSOLE_FULL, 0);
    for byte in 0..32 {
        assert!(!fr(&mut rig, FR::TXFF), "{byte}");
        rig.write32(DR, byte);
    }
    assert!(fr(&mut rig, FR::TXFF) && fr(&mut rig, FR::BUSY));
    rig.write32(DR, 99);
    rig.advance(1_000_000);
    assert_eq!((rig.console_output(), rig.line(0)), (Vec::new(), false));
    let _ = rig.notify(tag::CONSOLE_READY, 0);
    assert!(rig.line(0), "bytes left the FIFO");
    assert_eq!(rig.console_output(), (0..32).collect::<Vec<u8>>());
    assert!(fr(&mut rig, FR::TXFE));
}

/// §2.8.3: above the level the transmit interrupt is cleared.
#[test]
fn transmit_levels() {
    for (field, level) in [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28)] {
        let mut rig = running();
        rig.write32(IFLS, field);
        rig.write32(DR, 0);
        assert_eq!(rig.read32(RIS), TX);
        let _ = rig.notify(tag::CONSOLE_FULL, 0);
        (0..level).for_each(|_| rig.write32(DR, 0));
        assert_eq!(rig.read32(RIS), TX, "at {level}");
        rig.write32(DR, 0);
        assert_eq!(rig.read32(RIS), 0, "above {level}");
    }
}

/// §2.8.2: set from the level on; §2.8.4: the timeout with anything.
#[test]
fn receive_levels() {
    for (field, level) in [(0, 4), (1, 8), (2, 16), (3, 24), (4, 28)] {
        let mut rig = running();
        rig.write32(IFLS, field << u64::from(IFLS::RX.shift as u32));
        (1..level).for_each(|_| rig.type_in(b"."));
        assert_eq!(rig.read32(RIS), RT, "below {level}");
        rig.type_in(b".");
        assert_eq!(rig.read32(RIS), RT | RX, "at {level}");
        rig.read32(DR);
        assert_eq!(rig.read32(RIS), RT, "below {level} again");
        assert_eq!(read_all(&mut rig).len(), level - 1);
        assert_eq!(rig.read32(RIS), 0, "empty");
    }
}

/// §2.8: the one line follows UARTMIS, and is told only when it changes.
#[test]
fn the_line_follows_the_masked_interrupts() {
    let mut rig = running();
    rig.type_in(b"abc");
    assert_eq!(rig.events(), [], "masked");
    rig.write32(IMSC, RT | RX);
    assert_eq!(rig.events(), [Event::Line { index: 0, state: LineState::High }]);
    rig.type_in(b"def");
    assert_eq!(rig.events(), []);
    assert_eq!(read_all(&mut rig), b"abcdef");
    assert_eq!(rig.events(), [Event::Line { index: 0, state: LineState::Low }]);
    rig.type_in(b"g");
    rig.write32(ICR, RT);
    assert!(!rig.line(0), "cleared though a byte waits");
    rig.type_in(b"h");
    assert!(rig.line(0), "set by the next");
}

/// Text longer than the FIFO waits on the line and comes in as the guest reads.
#[test]
fn pasted_text_arrives_whole() {
    let mut rig = running();
    rig.write32(IMSC, RT | RX);
    let text: Vec<u8> = (0..200).collect();
    rig.type_in(&text);
    assert!(fr(&mut rig, FR::RXFF));
    rig.write32(ICR, RT | RX);
    assert!(!rig.line(0));
    assert_eq!(rig.read32(DR), 0);
    assert!(rig.line(0), "one from the line has come in");
    assert_eq!(read_all(&mut rig), text[1..]);
    assert_eq!(rig.read32(RIS), 0);
}

/// §2.8.5, §3.3.1, §3.3.2: what overruns is lost, and said in three places.
#[test]
fn overrun() {
    let mut rig = running();
    (0..300u32).for_each(|byte| rig.type_in(&[byte as u8]));
    assert_eq!(rig.read32(RIS), RX | RT | OE);
    assert_eq!(rig.read32(RSR_ECR), 1 << 3);
    assert_eq!(rig.read32(DR), 1 << 11, "the first byte, 0, and the overrun");
    rig.type_in(b"!");
    assert_eq!(rig.read32(DR), 1, "there was room again");
    rig.write32(RSR_ECR, 0);
    rig.write32(ICR, OE);
    assert_eq!((rig.read32(RSR_ECR), rig.read32(RIS)), (0, RX | RT));
    let rest = read_all(&mut rig);
    assert_eq!(rest, (2..256u32).map(|n| n as u8).chain(*b"!").collect::<Vec<_>>());
}

/// §2.4.4: without FIFOs there is one holding register.
#[test]
fn character_mode() {
    let mut rig = rig();
    rig.type_in(b"ab");
    assert_eq!(rig.read32(RIS), RX | RT);
    assert!(fr(&mut rig, FR::RXFF));
    assert_eq!(read_all(&mut rig), b"ab");
    assert_eq!(rig.read32(RIS), 0);
    let _ = rig.notify(tag::CONSOLE_FULL, 0);
    rig.write32(DR, 1);
    assert!(fr(&mut rig, FR::TXFF));
    rig.write32(DR, 2);
    let _ = rig.notify(tag::CONSOLE_READY, 0);
    assert_eq!(rig.console_output(), [1]);
}

/// §3.3.8: changing FEN empties the FIFOs.
#[test]
fn turning_the_fifos_off_flushes_them() {
    let mut rig = running();
    rig.type_in(b"abc");
    let _ = rig.notify(tag::CONSOLE_FULL, 0);
    rig.write32(DR, 1);
    rig.write32(LCR_H, 0);
    assert!(fr(&mut rig, FR::RXFE) && fr(&mut rig, FR::TXFE));
    assert_eq!(rig.read32(RIS), 0);
}

/// §3.3.8: LBE feeds transmission back, RXE gates reception.
#[test]
fn loopback_and_a_receiver_that_is_off() {
    let mut rig = running();
    rig.write32(CR, 0x301 | u64::from(CR::LBE::SET.value));
    rig.type_in(b"not heard");
    (0..33).for_each(|byte| rig.write32(DR, byte));
    assert_eq!(rig.read32(RIS), RX | RT | TX | OE, "the 33rd overruns");
    assert_eq!(read_all(&mut rig), (0..32).collect::<Vec<u8>>());
    assert_eq!(rig.console_output(), b"");
    rig.write32(CR, 0x101);
    rig.type_in(b"nor this");
    assert!(fr(&mut rig, FR::RXFE));
}

#[test]
fn foreign_notifications_are_absent() {
    assert_eq!(rig().notify(tag::HOST_INTERRUPT, 0).status, Status::Absent);
}

#[test]
fn bytes_on_their_way_survive_saving() {
    let mut rig = running();
    b"abc".iter().for_each(|byte| rig.write32(DR, u64::from(*byte)));
    rig.type_in(b"xyz");
    let mut other = Rig::new(COMPATIBLE);
    assert_eq!(other.restore(&rig.save()), Ok(()));
    let _ = other.notify(tag::DEADLINE, 0);
    assert_eq!(other.console_output(), b"abc");
    assert_eq!(read_all(&mut other), b"xyz");
}

#[test]
fn impossible_states_are_refused() {
    let state = rig().save();
    for at in 12..state.len() {
        let mut bent = state.clone();
        bent[at] ^= 0x80;
        let mut rig = rig();
        // Bits that do not exist are refused; with others the device still works.
        let _ = rig.restore(&bent);
        rig.type_in(b"x");
        rig.write32(DR, 0);
        rig.read32(RIS);
    }
    let mut bent = state.clone();
    bent[13] = 0xff;
    assert!(rig().restore(&bent).is_err(), "UARTILPR has 8 bits");
}

#[test]
fn save_and_restore_go_on_alike() {
    save_and_restore(COMPATIBLE, &Setup::default());
    refuses_foreign_state(COMPATIBLE, &Setup::default());
}

/// The binding: arm,pl011 is a PrimeCell with two clocks.
#[test]
fn guest_node() {
    let expected = "\
clock-names = \"uartclk\", \"apb_pclk\"
clocks = <0x1 0x1>
compatible = \"arm,pl011\", \"arm,primecell\"
clock 1 = 24000000 Hz";
    assert_eq!(describe(rig().declaration(), &[]), expected);
}

#[test]
fn interrupts_have_the_bits_of_the_data_sheet() {
    let bits =
        [INT::OE, INT::RT, INT::TX, INT::RX].map(|field| u64::from(field.mask) << field.shift);
    assert_eq!(bits, [OE, RT, TX, RX]);
}
