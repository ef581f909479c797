//! Checked against BCM2711 ARM Peripherals (2022-01-18); section numbers are its.

#![expect(clippy::cast_possible_truncation, reason = "bytes are made from small numbers")]

use crate::spec::{FIFO, aux, offset::*};
use evisor_contract::{LineState, Status, Width, tag};
use evisor_testkit::{Event, Rig, Setup, describe, refuses_foreign_state, save_and_restore};

const COMPATIBLE: &str = "brcm,bcm2835-aux-uart";
const BLOCK: &str = "brcm,bcm2835-aux";
const RECEIVE: u64 = 1 << 0;
const TRANSMIT: u64 = 1 << 1;
const READY: u64 = 1 << 0;
const OVERRUN: u64 = 1 << 1;
const ROOM: u64 = 1 << 5;
const IDLE: u64 = 1 << 6;
/// AUX_MU_STAT_REG with both FIFOs empty, transmitter and receiver idle, RTS high.
const QUIET: u64 = 0b11_0100_1110;

fn rig() -> Rig {
    Rig::new(COMPATIBLE)
}

fn full() -> Rig {
    let mut rig = rig();
    let _ = rig.notify(tag::CONSOLE_FULL, 0);
    rig
}

fn send(rig: &mut Rig, text: &[u8]) {
    text.iter().for_each(|byte| rig.write32(IO, u64::from(*byte)));
}

/// Reads AUX_MU_IO_REG until there is nothing.
fn read_all(rig: &mut Rig) -> Vec<u8> {
    let mut bytes = Vec::new();
    while rig.read32(LSR) & READY != 0 {
        bytes.push(rig.read32(IO) as u8);
    }
    bytes
}

/// §2.2.2: offset, value after reset, what ones and zeros leave.
#[test]
fn registers_reset_and_hold_what_the_data_sheet_says() {
    let table = [
        (IER, 0x0, 0xf, 0x0),
        (IIR, 0xc1, 0xc1, 0xc1),
        (LCR, 0x0, 0xc3, 0x0),
        (MCR, 0x0, 0x2, 0x0),
        (LSR, IDLE | ROOM, IDLE | ROOM, IDLE | ROOM),
        (MSR, 0x20, 0x20, 0x20),
        (SCRATCH, 0x0, 0xff, 0x0),
        (CNTL, 0x3, 0xff, 0x0),
        (STAT, QUIET, QUIET, QUIET),
        (BAUD, 0x0, 0xffff, 0x0),
    ];
    for (offset, reset, ones, zeros) in table {
        let mut rig = rig();
        assert_eq!(rig.read32(offset), reset, "reset of {offset:#x}");
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), ones, "ones in {offset:#x}");
        rig.write32(offset, 0);
        assert_eq!(rig.read32(offset), zeros, "zeros in {offset:#x}");
        rig.reset();
        assert_eq!(rig.read32(offset), reset, "reset again of {offset:#x}");
    }
}

/// §2.1.1, Table 2: nothing behind AUX_MU_BAUD_REG.
#[test]
fn reserved_offsets_read_as_zero_and_ignore_writes() {
    let mut rig = rig();
    let before = rig.save();
    for offset in (0x2c..0x40).step_by(4) {
        rig.write32(offset, 0xffff_ffff);
        assert_eq!(rig.read32(offset), 0, "{offset:#x}");
    }
    assert_eq!(rig.save(), before);
}

/// §2.2.2, DLAB: the first two registers are the divisor's bytes, as an 8250's.
#[test]
fn the_divisor_is_at_two_places() {
    let mut rig = rig();
    rig.write32(IER, 0x5);
    rig.write32(LCR, 0x80);
    rig.write32(IO, 0x1234);
    rig.write32(IER, 0x5612);
    assert_eq!([IO, IER, BAUD].map(|offset| rig.read32(offset)), [0x34, 0x12, 0x1234]);
    rig.write32(BAUD, 0x10e);
    assert_eq!([IO, IER].map(|offset| rig.read32(offset)), [0x0e, 0x01]);
    rig.write32(LCR, 0x3);
    assert_eq!([IO, IER].map(|offset| rig.read32(offset)), [0, 0x5]);
    send(&mut rig, b"x");
    rig.write32(LCR, 0x83);
    assert_eq!(rig.console_output(), b"x", "and no divisor was sent");
}

/// The bus gives each byte its lane; a write that does not begin at the register has
/// no meaning there. Linux's driver writes bytes.
#[test]
fn narrow_accesses() {
    let mut rig = rig();
    let _ = rig.write(BAUD, Width::Halfword, 0x1234);
    assert_eq!(rig.read(BAUD, Width::Byte).value, 0x34);
    assert_eq!(rig.read(BAUD + 1, Width::Byte).value, 0x12);
    let _ = rig.write(BAUD + 1, Width::Byte, 0xff);
    let _ = rig.write(IO + 1, Width::Byte, 0xff);
    assert_eq!(rig.read32(BAUD), 0x1234);
    let _ = rig.write(IO, Width::Byte, u64::from(b'x'));
    rig.advance(1000);
    assert_eq!(rig.console_output(), b"x");
}

/// A batch goes at once, what is less goes with the deadline.
#[test]
fn output_is_gathered_and_does_not_stay() {
    let mut rig = rig();
    send(&mut rig, b"0123456789abcdef0123456789abcdefgh");
    let batch = Event::Console(b"0123456789abcdef0123456789abcde".into());
    assert_eq!(rig.events(), [Event::Deadline(Some(200)), batch]);
    rig.advance(199);
    assert_eq!(rig.events(), []);
    rig.advance(1);
    assert_eq!(rig.console_output(), b"fgh");
    send(&mut rig, b"i");
    assert_eq!(rig.deadline(), Some(400), "the next byte asks for the next deadline");
}

/// §2.2.2, LSR: a guest that waits for the transmitter does not wait for a clock.
#[test]
fn whoever_polls_the_status_sees_output_leave() {
    let mut rig = rig();
    send(&mut rig, b"x");
    assert_eq!(rig.read32(LSR), ROOM);
    assert_eq!(rig.read32(LSR), ROOM | IDLE, "the second look finds it idle");
    assert_eq!(rig.console_output(), b"x");
    send(&mut rig, b"y");
    assert_eq!(rig.read32(STAT), QUIET, "the extra status at the first");
    assert_eq!(rig.console_output(), b"y");
}

/// Before each byte Linux looks once, and once more in each interrupt: that must not
/// cost a delivery each.
#[test]
fn looking_before_each_byte_keeps_gathering() {
    let mut rig = rig();
    for byte in b"hello, wor" {
        rig.read32(IIR);
        assert_eq!(rig.read32(LSR) & ROOM, ROOM);
        send(&mut rig, &[*byte]);
        assert_eq!(rig.read32(LSR) & ROOM, ROOM);
    }
    assert_eq!(rig.console_output(), b"");
    rig.write32(IER, 0);
    assert_eq!(rig.console_output(), b"hello, wor", "writing another register sends it");
}

/// §2.2.2, IER and IIR: the transmit interrupt is the level of an empty FIFO.
#[test]
fn interrupt_driven_output_of_any_length() {
    let mut rig = rig();
    let text: Vec<u8> = (0..1000u32).map(|n| n as u8).collect();
    rig.write32(IER, TRANSMIT);
    assert_eq!(rig.read32(IIR), 0xc2);
    for part in text.chunks(FIFO) {
        assert!(rig.line(0));
        send(&mut rig, part);
    }
    rig.write32(IER, 0);
    assert_eq!((rig.console_output(), rig.line(0)), (text, false));
    assert_eq!(rig.read32(IIR), 0xc1);
}

/// §2.2.2, LSR and STAT: only a console that takes no more makes the FIFO full. Writes
/// to a full FIFO are lost.
#[test]
fn a_full_console_holds_the_fifo() {
    let mut rig = full();
    rig.write32(IER, TRANSMIT);
    for byte in 0..8 {
        assert_eq!(rig.read32(LSR) & ROOM, ROOM, "{byte}");
        send(&mut rig, &[byte]);
        assert_eq!(rig.read32(STAT) >> 24, u64::from(byte) + 1);
    }
    assert_eq!((rig.read32(LSR), rig.read32(STAT)), (0, 0x0800_0064));
    send(&mut rig, &[99]);
    rig.advance(1_000_000);
    assert_eq!((rig.console_output(), rig.line(0)), (Vec::new(), false));
    let _ = rig.notify(tag::CONSOLE_READY, 0);
    assert!(rig.line(0), "the FIFO is empty");
    assert_eq!(rig.console_output(), (0..8).collect::<Vec<u8>>());
    assert_eq!(rig.read32(LSR), ROOM | IDLE);
}

/// What was gathered before the console was full is more than the FIFO has.
#[test]
fn what_was_gathered_waits_for_the_console() {
    let mut rig = rig();
    send(&mut rig, b"0123456789");
    let _ = rig.notify(tag::CONSOLE_FULL, 0);
    assert_eq!((rig.read32(LSR), rig.read32(STAT) >> 24), (0, 8));
    send(&mut rig, b"lost");
    let _ = rig.notify(tag::CONSOLE_READY, 0);
    assert_eq!(rig.console_output(), b"0123456789");
}

/// §2.2.2, CNTL: a transmitter that is off keeps what is in the FIFO.
#[test]
fn transmitter_and_receiver_that_are_off() {
    let mut rig = rig();
    send(&mut rig, b"first ");
    rig.write32(CNTL, 0);
    assert_eq!(rig.console_output(), b"first ");
    rig.type_in(b"not heard");
    send(&mut rig, b"0123456789");
    rig.advance(1_000_000);
    assert_eq!((rig.console_output(), rig.read32(LSR)), (Vec::new(), 0));
    rig.write32(CNTL, 3);
    assert_eq!(rig.console_output(), b"01234567");
    rig.type_in(b"heard");
    assert_eq!(read_all(&mut rig), b"heard");
}

/// §2.2.2, IIR: bits 1 and 2 clear the FIFOs.
#[test]
fn clearing_the_fifos() {
    let mut rig = full();
    rig.type_in(b"0123456789");
    send(&mut rig, b"0123456789");
    rig.write32(IIR, 1);
    assert_eq!(rig.read32(STAT) & 0x0f0f_0000, 0x0808_0000);
    rig.write32(IIR, 1 << 1);
    assert_eq!(rig.read32(STAT) >> 24, 8);
    assert_eq!(read_all(&mut rig), b"89", "what was on the line comes after");
    rig.write32(IIR, 1 << 2);
    let _ = rig.notify(tag::CONSOLE_READY, 0);
    assert_eq!((rig.console_output(), rig.read32(STAT)), (Vec::new(), QUIET));
}

/// §2.2.2, IER and IIR: receive goes first. The line is told only when it changes.
#[test]
fn the_line_follows_the_interrupts() {
    let mut rig = rig();
    rig.type_in(b"abc");
    assert_eq!((rig.events(), rig.read32(IIR)), (Vec::new(), 0xc1));
    rig.write32(IER, RECEIVE | TRANSMIT);
    assert_eq!(rig.events(), [Event::Line { index: 0, state: LineState::High }]);
    assert_eq!(rig.read32(IIR), 0xc4);
    rig.type_in(b"def");
    assert_eq!(read_all(&mut rig), b"abcdef");
    assert_eq!((rig.events(), rig.read32(IIR)), (Vec::new(), 0xc2));
    rig.write32(IER, RECEIVE);
    assert_eq!(rig.events(), [Event::Line { index: 0, state: LineState::Low }]);
    rig.type_in(b"g");
    assert!(rig.line(0));
    assert_eq!(rig.read32(IO), u64::from(b'g'));
    assert!(!rig.line(0));
}

/// Text longer than the FIFO waits on the line and comes in as the guest reads.
#[test]
fn pasted_text_arrives_whole() {
    let mut rig = rig();
    let text: Vec<u8> = (0..200).collect();
    rig.type_in(&text);
    assert_eq!(rig.read32(STAT), QUIET | 0x0008_0001);
    assert_eq!(read_all(&mut rig), text);
    assert_eq!(rig.read32(IO), 0);
}

/// §2.2.2, LSR and STAT: what overruns is lost, and said until LSR is read.
#[test]
fn overrun() {
    let mut rig = rig();
    (0..300u32).for_each(|byte| rig.type_in(&[byte as u8]));
    assert_eq!(rig.read32(STAT) & 1 << 4, 1 << 4);
    assert_eq!(rig.read32(LSR), IDLE | ROOM | OVERRUN | READY);
    assert_eq!(rig.read32(LSR), IDLE | ROOM | READY);
    assert_eq!(rig.read32(STAT) & 1 << 4, 0);
    assert_eq!(read_all(&mut rig), (0..=255).collect::<Vec<u8>>());
}

/// §2.2.2, MCR and STAT: the line is low when RTS is on.
#[test]
fn request_to_send() {
    let mut rig = rig();
    assert_eq!(rig.read32(STAT) & 1 << 6, 1 << 6);
    rig.write32(MCR, 1 << 1);
    assert_eq!(rig.read32(STAT) & 1 << 6, 0);
}

/// §2.1.1: AUX_ENABLES has three bits; AUX_IRQ may be pending for the UART that is on.
#[test]
fn the_block_keeps_what_is_on() {
    let table = [(0, 0, 0), (1, 1, 1), (6, 6, 0), (0xffff_ffff, 7, 1)];
    for (value, enables, irq) in table {
        let mut rig = Rig::new(BLOCK);
        rig.write32(aux::ENABLES, value);
        rig.write32(aux::IRQ, 0xffff_fff8);
        assert_eq!((rig.read32(aux::ENABLES), rig.read32(aux::IRQ)), (enables, irq));
        assert_eq!(rig.read(aux::ENABLES + 1, Width::Byte).value, 0);
        rig.reset();
        assert_eq!(rig.read32(aux::ENABLES), 0);
    }
}

#[test]
fn foreign_notifications_are_absent() {
    assert_eq!(rig().notify(tag::HOST_INTERRUPT, 0).status, Status::Absent);
}

#[test]
fn bytes_on_their_way_survive_saving() {
    let mut rig = rig();
    send(&mut rig, b"abc");
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
        send(&mut rig, b"x");
        rig.read32(STAT);
    }
    let mut bent = state.clone();
    bent[13] = 0xff;
    assert!(rig().restore(&bent).is_err(), "AUX_MU_IER_REG has 4 bits");
}

#[test]
fn save_and_restore_go_on_alike() {
    for compatible in [COMPATIBLE, BLOCK] {
        save_and_restore(compatible, &Setup::default());
        refuses_foreign_state(compatible, &Setup::default());
    }
}

/// The bindings: the block gives its peripherals their clocks, and has one from above.
#[test]
fn guest_nodes() {
    let (rig, block) = (rig(), Rig::new(BLOCK));
    let clock = "clocks = <0x1>";
    let hertz = "clock 1 = 500000000 Hz";
    assert_eq!(describe(rig.declaration(), &[]), format!("{clock}\n{hertz}"));
    let cells = "#clock-cells = <0x1>";
    assert_eq!(describe(block.declaration(), &[]), format!("{cells}\n{clock}\n{hertz}"));
    let clocks = [("clocks", &[0, 0, 0, 9, 0, 0, 0, 0][..])];
    assert_eq!(describe(rig.declaration(), &clocks), "", "what the manifest says stays");
    assert_eq!(describe(block.declaration(), &clocks), cells);
}
