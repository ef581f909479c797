//! The PrimeCell UART PL011 (DDI 0183G), as a guest's serial port on a console.
//!
//! Transmission takes no time: what is written to UARTDR has left the FIFO when
//! the guest looks next. On the way it is gathered, since a write that only
//! stores a byte is what a trap should cost: see [`transmit`](Pl011::drain).
//!
//! Reception is as fast as the guest reads: bytes that find the FIFO full wait on
//! the line behind it, as if the sender were slow, so that text pasted into a
//! terminal arrives whole. Only when that is full too does the FIFO overrun.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod registers;
mod spec;
mod state;
#[cfg(test)]
mod tests;

use evisor_contract::{
    Backlog, Bytes, Clock, ConsolePort, Context, Deadline, Line, Mmio, Needs, Notify, Parts, Reply,
    Rights, Told, Width, WindowNeed, component, tag,
};
use registers::Registers;
use spec::{CR, DEPTH, DR, FR, INT, RSR, offset};
use tock_registers::LocalRegisterCopy;

component! {
    compatible: ["arm,pl011"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(0x1000) }],
        lines: 1,
        console: true,
        ..Needs::NONE
    },
    properties: [],
    build: |_node, grants| {
        let device = Pl011::new(Ends {
            line: grants.line(0)?,
            console: grants.console()?,
            deadline: grants.deadline()?,
            clock: grants.clock(),
        });
        Ok(Parts::new(device).mmio().notify().done())
    },
    describe: |_node, guest| {
        let clock = guest.fixed_clock(24_000_000);
        guest.set_strings("compatible", &["arm,pl011", "arm,primecell"]);
        guest.set_cells("clocks", &[clock, clock]);
        guest.set_strings("clock-names", &["uartclk", "apb_pclk"]);
        Ok(())
    },
}

/// The peripheral bus has no 64-bit accesses.
const ACCESS: Rights =
    Rights::READ.union(Rights::WRITE).difference(Rights::READ64.union(Rights::WRITE64));

/// As many bytes as are gathered before they are handed on: one effect's, and
/// less than the FIFO holds.
const BATCH: u32 = 31;
const _: () = assert!((BATCH as usize) < DEPTH && DEPTH == Bytes::MOST);

/// What [`Pl011::quick`] is when writes may be quick: one below the last byte,
/// which completes a batch.
const QUICK: u32 = BATCH - 2;

/// Where the device reaches the outside.
struct Ends {
    line: Line,
    console: ConsolePort,
    deadline: Deadline,
    clock: &'static dyn Clock,
}

/// One UART.
pub struct Pl011 {
    transmit: Bytes,
    /// [`write`](Mmio::write) may simply store a byte while `transmit` has from 1 to
    /// this. Set by [`settle`](Self::settle).
    quick: u32,
    /// How many `transmit` had when the guest last read UARTFR.
    seen: u32,
    armed: bool,
    console_full: bool,
    told: Told,
    overrun: bool,
    receive: Backlog,
    registers: Registers,
    ends: Ends,
}

impl Mmio for Pl011 {
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        let word = match offset & !3 {
            offset::DR => self.read_data(cx),
            offset::FR => self.read_flags(cx),
            offset::RIS | offset::MIS => self.transmitted(cx).read(offset & !3),
            other => self.registers.read(other),
        };
        Reply::value(u64::from(word) >> (8 * (offset & 3)) & width.mask())
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "no register has more than 16 bits")]
    fn write(&mut self, offset: u64, _width: Width, value: u64, cx: &mut Context) -> Reply {
        if offset != offset::DR {
            return self.write_register(offset, value as u32, cx);
        }
        if self.transmit.count().wrapping_sub(1) < self.quick {
            self.transmit.push(value as u8);
            return Reply::DONE;
        }
        self.write_data(value as u8, cx)
    }
}

/// Transmission.
///
/// A byte written to UARTDR is stored and nothing else, as long as nobody could
/// tell. The stored bytes are handed to the console when there are [`BATCH`] of
/// them, when the deadline that the first one set has passed, and when the guest
/// acts on another register or reads one that transmission would change. Bytes
/// that a full console refused stay in the FIFO, and only then can it be full.
///
/// The transmit interrupt (§2.8.3) is set whenever bytes leave the FIFO: since
/// they leave at once, each write passes its level on the way down. While it is
/// unmasked and not yet set, a byte therefore leaves with its write.
impl Pl011 {
    #[inline(never)]
    fn write_data(&mut self, byte: u8, cx: &mut Context) -> Reply {
        if self.registers.cr.is_set(CR::LBE) {
            self.drain(cx);
            self.arrive(byte, self.registers.depth());
            self.received();
            self.registers.ris.modify(INT::TX::SET);
        } else if self.console_full {
            self.hold(byte);
        } else {
            if self.transmit.count() >= BATCH {
                self.drain(cx);
            }
            self.transmit.push(byte);
            if self.transmit.count() >= BATCH || self.transmit_interrupt_is_due() {
                self.drain(cx);
            } else {
                self.arm(cx);
            }
        }
        self.settle(cx);
        Reply::DONE
    }

    /// Keeps a byte in the FIFO, or loses it if that is full.
    fn hold(&mut self, byte: u8) {
        if (self.transmit.count() as usize) < self.registers.depth() {
            self.transmit.push(byte);
        }
        if self.transmit.count() as usize > self.registers.transmit_level() {
            self.registers.ris.modify(INT::TX::CLEAR);
        }
    }

    fn transmit_interrupt_is_due(&self) -> bool {
        self.registers.imsc.is_set(INT::TX) && !self.registers.ris.is_set(INT::TX)
    }

    /// Hands what was gathered to the console, if it takes it.
    fn drain(&mut self, cx: &mut Context) {
        if self.transmit.count() == 0 || self.console_full {
            return;
        }
        self.ends.console.send(&self.transmit, cx);
        self.transmit.clear();
        self.seen = 0;
        self.registers.ris.modify(INT::TX::SET);
    }

    /// Sees to it that what was gathered does not stay: 200 µs, two characters at
    /// 115,200 baud.
    fn arm(&mut self, cx: &mut Context) {
        if self.armed {
            return;
        }
        self.armed = true;
        let linger = self.ends.clock.frequency() / 5000;
        self.ends.deadline.set(self.ends.clock.now().wrapping_add(linger), cx);
    }

    /// The end of every action but a quick write: the line follows the masked
    /// interrupts (§2.8), and whether writes may be quick is decided anew.
    fn settle(&mut self, cx: &mut Context) {
        let up = self.registers.masked() != 0;
        self.told.set(&self.ends.line, up, cx);
        let slow = self.console_full
            || self.registers.cr.is_set(CR::LBE)
            || self.transmit_interrupt_is_due();
        self.quick = if slow { 0 } else { QUICK };
    }
}

/// Reception.
impl Pl011 {
    fn read_data(&mut self, cx: &mut Context) -> u32 {
        let mut data = LocalRegisterCopy::<u32, DR::Register>::new(0);
        let Some(byte) = self.receive.pop() else {
            return 0;
        };
        data.set(u32::from(byte));
        if self.overrun {
            data.modify(DR::OE::SET);
        }
        let level = self.receive.len();
        if level < self.registers.receive_level() {
            self.registers.ris.modify(INT::RX::CLEAR);
        }
        if level == 0 {
            self.registers.ris.modify(INT::RT::CLEAR);
        } else if level >= self.registers.depth() {
            // One that waited on the line has moved into the FIFO.
            self.received();
        }
        self.settle(cx);
        data.get()
    }

    /// A byte comes in while at most `room` may be waiting.
    fn arrive(&mut self, byte: u8, room: usize) {
        if self.receive.len() < room && self.receive.push(byte) {
            self.overrun = false;
        } else {
            self.overrun = true;
            self.registers.rsr.modify(RSR::OE::SET);
            self.registers.ris.modify(INT::OE::SET);
        }
    }

    /// Bytes have come in. Nothing follows them at once, so the timeout of 32 bit
    /// periods (§2.8.4) has passed as well.
    fn received(&mut self) {
        if self.receive.len() >= self.registers.receive_level() {
            self.registers.ris.modify(INT::RX::SET);
        }
        if !self.receive.is_empty() {
            self.registers.ris.modify(INT::RT::SET);
        }
    }

    /// The console's bytes. A receiver that is off hears nothing, nor does one
    /// that is looped back (§3.3.8).
    fn listen(&mut self, bytes: &[u8]) {
        let cr = &self.registers.cr;
        if cr.is_set(CR::RXE) && !cr.is_set(CR::LBE) {
            bytes.iter().for_each(|byte| self.arrive(*byte, Backlog::MOST));
            self.received();
        }
    }
}

/// The other registers.
impl Pl011 {
    /// UARTFR. A guest that reads it twice with no write between waits for the
    /// transmitter; one that only looks before each byte does not.
    fn read_flags(&mut self, cx: &mut Context) -> u32 {
        if self.transmit.count() != 0 && self.transmit.count() == self.seen {
            self.drain(cx);
            self.settle(cx);
        }
        self.seen = self.transmit.count();
        let depth = self.registers.depth();
        let mut flags = LocalRegisterCopy::<u32, FR::Register>::new(0);
        // A terminal is there and ready.
        flags.write(FR::CTS::SET + FR::DSR::SET + FR::DCD::SET);
        flags.modify(match self.transmit.count() {
            0 => FR::TXFE::SET,
            _ => FR::BUSY::SET,
        });
        if self.console_full && self.transmit.count() as usize >= depth {
            flags.modify(FR::TXFF::SET);
        }
        if self.receive.is_empty() {
            flags.modify(FR::RXFE::SET);
        } else if self.receive.len() >= depth {
            flags.modify(FR::RXFF::SET);
        }
        flags.get()
    }

    /// The registers, after the transmission that they may show.
    fn transmitted(&mut self, cx: &mut Context) -> &Registers {
        self.drain(cx);
        self.settle(cx);
        &self.registers
    }

    #[inline(never)]
    fn write_register(&mut self, offset: u64, value: u32, cx: &mut Context) -> Reply {
        self.drain(cx);
        let depth = self.registers.depth();
        self.registers.write(offset, value);
        if self.registers.depth() != depth {
            self.flush(depth);
        }
        self.settle(cx);
        Reply::DONE
    }

    /// Turning the FIFOs on or off empties them (§3.3.8, on programming the
    /// control registers). They had `depth` entries.
    fn flush(&mut self, depth: usize) {
        self.transmit.clear();
        self.receive.discard(depth);
        self.registers.ris.modify(INT::RX::CLEAR + INT::RT::CLEAR);
        self.received();
    }
}

impl Notify for Pl011 {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        match tag {
            tag::CONSOLE_INPUT => self.listen(cx.bytes()),
            tag::DEADLINE => {
                self.armed = false;
                self.drain(cx);
            }
            tag::CONSOLE_FULL => self.console_full = true,
            tag::CONSOLE_READY => {
                self.console_full = false;
                self.drain(cx);
            }
            _ => return Reply::ABSENT,
        }
        self.settle(cx);
        Reply::DONE
    }
}

impl Pl011 {
    fn new(ends: Ends) -> Self {
        Self {
            transmit: Bytes::NONE,
            quick: QUICK,
            seen: 0,
            armed: false,
            console_full: false,
            told: Told::LOW,
            overrun: false,
            receive: Backlog::default(),
            registers: Registers::RESET,
            ends,
        }
    }
}
