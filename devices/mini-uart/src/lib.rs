//! The mini UART of the BCM2835 to BCM2711 (BCM2711 ARM Peripherals, chapter 2), as a
//! guest's serial port on a console; and the block that it lies in, [`aux`].
//!
//! Transmission takes no time: what is written to AUX_MU_IO_REG has left the FIFO when
//! the guest looks next. On the way it is gathered, since a write that only stores a
//! byte is what a trap should cost: see [`drain`](MiniUart::drain).
//!
//! Reception is as fast as the guest reads: bytes that find the FIFO full wait on the
//! line behind it, as if the sender were slow. Only when that is full too does the
//! FIFO overrun.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod aux;
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
use spec::{CNTL, FIFO, FIFOS_ON, IER, IIR, LSR, MCR, MSR, STAT, offset};
use tock_registers::LocalRegisterCopy;

component! {
    compatible: ["brcm,bcm2835-aux-uart"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(0x40) }],
        lines: 1,
        console: true,
        ..Needs::NONE
    },
    properties: [],
    build: |_node, grants| {
        let device = MiniUart::new(Ends {
            line: grants.line(0)?,
            console: grants.console()?,
            deadline: grants.deadline()?,
            clock: grants.clock(),
        });
        Ok(Parts::new(device).mmio().notify().done())
    },
    describe: |node, guest| {
        if node.bytes("clocks").is_none() {
            let clock = guest.fixed_clock(CORE_CLOCK);
            guest.set_cells("clocks", &[clock]);
        }
        Ok(())
    },
}

/// The peripheral bus has no 64-bit accesses.
const ACCESS: Rights =
    Rights::READ.union(Rights::WRITE).difference(Rights::READ64.union(Rights::WRITE64));

/// What a Pi 4's firmware gives the VideoCore's core, in hertz.
const CORE_CLOCK: u32 = 500_000_000;

/// As many bytes as are gathered before they are handed on: all but one that an effect
/// takes.
const BATCH: u32 = 31;
const _: () = assert!(BATCH as usize + 1 == Bytes::MOST);

/// What [`MiniUart::quick`] is when writes may be quick: one below the last byte,
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
pub struct MiniUart {
    transmit: Bytes,
    /// [`write`](Mmio::write) may simply store a byte while `transmit` has from 1 to
    /// this. Set by [`settle`](Self::settle).
    quick: u32,
    /// How many `transmit` had when the guest last read AUX_MU_LSR_REG.
    seen: u32,
    armed: bool,
    console_full: bool,
    told: Told,
    overrun: bool,
    receive: Backlog,
    registers: Registers,
    ends: Ends,
}

impl Mmio for MiniUart {
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        let word = match offset & !3 {
            offset::IO if !self.registers.shows_divisor() => self.read_data(cx),
            offset::IIR => self.read_interrupt(),
            offset::LSR => self.read_status(cx),
            offset::MSR => MSR::CTS::SET.value,
            offset::STAT => self.read_extra_status(cx),
            other => self.registers.read(other),
        };
        Reply::value(u64::from(word) >> (8 * (offset & 3)) & width.mask())
    }

    #[inline(always)]
    #[expect(clippy::cast_possible_truncation, reason = "no register has more than 16 bits")]
    fn write(&mut self, offset: u64, _width: Width, value: u64, cx: &mut Context) -> Reply {
        if offset != offset::IO {
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
/// A byte written to AUX_MU_IO_REG is stored and nothing else, and counts as sent. The
/// stored bytes are handed to the console when there are [`BATCH`] of them, when the
/// deadline that the first one set has passed, when the guest writes another register,
/// and when it waits for the transmitter. The transmit interrupt is a level (§2.2.2), of
/// an empty FIFO: it stays up meanwhile.
///
/// While the console is full or the transmitter is off, bytes stay in the FIFO, and only
/// then can it be full.
impl MiniUart {
    #[inline(never)]
    fn write_data(&mut self, byte: u8, cx: &mut Context) -> Reply {
        if self.registers.shows_divisor() {
            return self.write_register(offset::IO, u32::from(byte), cx);
        }
        if self.is_stopped() {
            self.hold(byte);
        } else {
            self.gather(byte, cx);
        }
        self.settle(cx);
        Reply::DONE
    }

    fn is_stopped(&self) -> bool {
        self.console_full || !self.registers.cntl.is_set(CNTL::TRANSMITTER)
    }

    /// Bytes in the transmit FIFO.
    fn level(&self) -> usize {
        if self.is_stopped() { FIFO.min(self.transmit.count() as usize) } else { 0 }
    }

    /// Keeps a byte in the FIFO, or loses it if that is full.
    fn hold(&mut self, byte: u8) {
        if self.level() < FIFO {
            self.transmit.push(byte);
        }
    }

    fn gather(&mut self, byte: u8, cx: &mut Context) {
        if self.transmit.count() >= BATCH {
            self.drain(cx);
        }
        self.transmit.push(byte);
        if self.transmit.count() >= BATCH {
            self.drain(cx);
        } else {
            self.arm(cx);
        }
    }

    /// Hands what was gathered to the console, if it takes it.
    fn drain(&mut self, cx: &mut Context) {
        if self.transmit.count() == 0 || self.is_stopped() {
            return;
        }
        self.ends.console.send(&self.transmit, cx);
        self.transmit.clear();
        self.seen = 0;
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

    /// The end of every action but a quick write: the line follows the interrupts, and
    /// whether writes may be quick is decided anew.
    fn settle(&mut self, cx: &mut Context) {
        let up = self.receive_interrupt() || self.transmit_interrupt();
        self.told.set(&self.ends.line, up, cx);
        let slow = self.is_stopped() || self.registers.shows_divisor();
        self.quick = if slow { 0 } else { QUICK };
    }

    fn receive_interrupt(&self) -> bool {
        self.registers.ier.is_set(IER::RECEIVE) && !self.receive.is_empty()
    }

    fn transmit_interrupt(&self) -> bool {
        self.registers.ier.is_set(IER::TRANSMIT) && self.level() == 0
    }
}

/// Reception.
impl MiniUart {
    fn read_data(&mut self, cx: &mut Context) -> u32 {
        let byte = self.receive.pop();
        self.settle(cx);
        byte.map_or(0, u32::from)
    }

    /// The console's bytes. A receiver that is off hears nothing.
    fn listen(&mut self, bytes: &[u8]) {
        if !self.registers.cntl.is_set(CNTL::RECEIVER) {
            return;
        }
        for byte in bytes {
            self.overrun |= !self.receive.push(*byte);
        }
    }
}

/// The other registers (§2.2.2).
impl MiniUart {
    /// AUX_MU_IIR_REG. Who reads it does not wait for the transmitter.
    fn read_interrupt(&mut self) -> u32 {
        self.seen = 0;
        let pending = if self.receive_interrupt() {
            IIR::ID::Receive.value
        } else if self.transmit_interrupt() {
            IIR::ID::Transmit.value
        } else {
            IIR::NONE::SET.value
        };
        FIFOS_ON | pending
    }

    /// AUX_MU_LSR_REG. A guest that reads it twice with no write between waits for the
    /// transmitter; one that only looks before each byte does not.
    fn read_status(&mut self, cx: &mut Context) -> u32 {
        if self.transmit.count() != 0 && self.transmit.count() == self.seen {
            self.drain(cx);
        }
        self.seen = self.transmit.count();
        let mut status = LocalRegisterCopy::<u32, LSR::Register>::new(0);
        status.modify(LSR::IDLE.val(u32::from(self.transmit.count() == 0)));
        status.modify(LSR::ROOM.val(u32::from(self.level() < FIFO)));
        status.modify(LSR::OVERRUN.val(u32::from(self.overrun)));
        status.modify(LSR::READY.val(u32::from(!self.receive.is_empty())));
        self.overrun = false;
        status.get()
    }

    /// AUX_MU_STAT_REG, after the transmission that it may show.
    #[expect(clippy::cast_possible_truncation, reason = "levels are small")]
    fn read_extra_status(&mut self, cx: &mut Context) -> u32 {
        self.drain(cx);
        let (sent, received) = (self.level(), FIFO.min(self.receive.len()));
        let empty = u32::from(sent == 0);
        let room = u32::from(sent < FIFO);
        let mut status = LocalRegisterCopy::<u32, STAT::Register>::new(0);
        status.write(STAT::TRANSMIT_LEVEL.val(sent as u32));
        status.modify(STAT::RECEIVE_LEVEL.val(received as u32));
        status.modify(STAT::TRANSMITTER_DONE.val(empty) + STAT::TRANSMIT_EMPTY.val(empty));
        status.modify(STAT::TRANSMITTER_IDLE.val(empty) + STAT::RECEIVER_IDLE::SET);
        status.modify(STAT::TRANSMIT_FULL.val(1 - room) + STAT::TRANSMIT_ROOM.val(room));
        // The lines themselves: low is on.
        status.modify(STAT::RTS.val(1 - self.registers.mcr.read(MCR::RTS)));
        status.modify(STAT::OVERRUN.val(u32::from(self.overrun)));
        status.modify(STAT::RECEIVED.val(u32::from(received != 0)));
        status.get()
    }

    #[inline(never)]
    fn write_register(&mut self, offset: u64, value: u32, cx: &mut Context) -> Reply {
        self.drain(cx);
        match offset {
            offset::IIR => self.clear(LocalRegisterCopy::new(value)),
            other => self.registers.write(other, value),
        }
        // The transmitter may have been turned on.
        self.drain(cx);
        self.settle(cx);
        Reply::DONE
    }

    fn clear(&mut self, which: LocalRegisterCopy<u32, IIR::Register>) {
        if which.is_set(IIR::CLEAR_RECEIVE) {
            self.receive.discard(FIFO);
        }
        if which.is_set(IIR::CLEAR_TRANSMIT) {
            self.transmit.clear();
        }
    }
}

impl Notify for MiniUart {
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

impl MiniUart {
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
