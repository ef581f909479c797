//! The console: the guests' serial ports on the one serial line of the board.
//!
//! What a port sends goes to the line at once while it takes it, and waits in a
//! ring otherwise. Above [`HIGH`] bytes the sender is told that the console is
//! full, and when it has drained to [`LOW`] that it is ready. What is typed goes
//! to the port with the input, which is port 0.
//!
//! Bytes pass as they are: no line ends are added.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod ring;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use evisor_contract::{
    Backend, Bytes, Context, EFFECTS, Effect, HostSerial, Needs, Notify, Object, Parts, Reply,
    component, tag,
};
use ring::{CAPACITY, Ring};

component! {
    compatible: ["evisor,console"],
    needs: Needs { root: true, ..Needs::NONE },
    properties: [],
    build: |_node, grants| {
        let console = Console::new(grants.host_serial()?);
        Ok(Parts::new(console).notify().backend().done())
    },
    describe: |_node, _guest| Ok(()),
}

/// How many ports there are.
const PORTS: usize = 8;
/// More bytes than this in the ring: whoever sends is told to stop. The effects
/// that a sender has queued by then fit in above.
const HIGH: usize = CAPACITY - 1024;
/// So many bytes or fewer: all are told to go on.
const LOW: usize = 1024;
/// How many chunks of input one interrupt reads: more than the receive FIFO of
/// the serial ports at hand (32) holds.
const INPUTS: usize = 2;
/// How many bytes one interrupt sends, so that it ends soon.
const OUTPUT_BYTES: usize = 64;

const _: () = assert!(PORTS + INPUTS <= EFFECTS && INPUTS * Bytes::MOST > 32);

/// How the holder of a port is reached, and what it was told.
struct Holder {
    effect: Effect,
    full: bool,
}

impl Holder {
    fn tell(&self, tag: u32, value: u64, cx: &mut Context) {
        cx.push(Effect { tag, value, ..self.effect });
    }

    fn hand(&self, typed: &Bytes, cx: &mut Context) {
        cx.push_bytes(Effect { tag: tag::CONSOLE_INPUT, ..self.effect }, typed);
    }
}

struct Console {
    serial: Box<dyn HostSerial>,
    ring: Ring,
    holders: [Option<Holder>; PORTS],
    input: usize,
    /// Bytes that went nowhere: the ring was full, or nobody has the input.
    lost: u64,
}

impl Notify for Console {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        match tag {
            tag::HOST_INTERRUPT => self.interrupt(cx),
            port if (port as usize) < PORTS => self.output(port as usize, cx),
            _ => return Reply::ABSENT,
        }
        Reply::DONE
    }
}

impl Backend for Console {
    fn connect(&mut self, port: u32, holder: Effect) {
        if let Some(slot) = self.holders.get_mut(port as usize) {
            *slot = Some(Holder { effect: holder, full: false });
        }
    }
}

impl Object for Console {
    /// It belongs to no VM, and its ports outlive a VM's restart.
    fn reset(&mut self) {}
}

impl Console {
    fn new(serial: Box<dyn HostSerial>) -> Self {
        let holders = core::array::from_fn(|_| None);
        Self { serial, ring: Ring::new(), holders, input: 0, lost: 0 }
    }

    /// Bytes from `port`.
    #[inline]
    fn output(&mut self, port: usize, cx: &mut Context) {
        let bytes = cx.bytes();
        let sent = if self.ring.is_empty() { self.serial.write(bytes) } else { 0 };
        for byte in bytes.get(sent..).unwrap_or_default() {
            self.keep(*byte);
        }
        if self.ring.len() > HIGH {
            self.stop(port, cx);
        }
    }

    #[cold]
    fn keep(&mut self, byte: u8) {
        if self.ring.is_empty() {
            self.serial.interrupt_when_writable(true);
        }
        if !self.ring.push(byte) {
            self.lost = self.lost.wrapping_add(1);
        }
    }

    fn stop(&mut self, port: usize, cx: &mut Context) {
        if let Some(Some(holder)) = self.holders.get_mut(port)
            && !holder.full
        {
            holder.full = true;
            holder.tell(tag::CONSOLE_FULL, 0, cx);
        }
    }

    /// The serial line has something, or has room. What this leaves for later
    /// interrupts again.
    fn interrupt(&mut self, cx: &mut Context) {
        self.serial.acknowledge();
        for _ in 0..INPUTS {
            if !self.receive(cx) {
                break;
            }
        }
        if !self.ring.is_empty() {
            self.drain(cx);
        }
    }

    /// Hands what was typed on, an effect's bytes at most. False: there was less.
    fn receive(&mut self, cx: &mut Context) -> bool {
        let mut typed = Bytes::NONE;
        let received = core::iter::from_fn(|| self.serial.try_read()).take(Bytes::MOST);
        received.for_each(|byte| typed.push(byte));
        match self.holders.get(self.input) {
            _ if typed.count() == 0 => {}
            Some(Some(holder)) => holder.hand(&typed, cx),
            _ => self.lost = self.lost.wrapping_add(u64::from(typed.count())),
        }
        typed.count() as usize == Bytes::MOST
    }

    fn drain(&mut self, cx: &mut Context) {
        for _ in 0..OUTPUT_BYTES {
            match self.ring.first() {
                Some(byte) if self.serial.write(&[byte]) == 1 => self.ring.skip(),
                _ => break,
            }
        }
        if self.ring.is_empty() {
            self.serial.interrupt_when_writable(false);
        }
        if self.ring.len() <= LOW {
            self.go_on(cx);
        }
    }

    fn go_on(&mut self, cx: &mut Context) {
        for holder in self.holders.iter_mut().flatten().filter(|holder| holder.full) {
            holder.full = false;
            holder.tell(tag::CONSOLE_READY, 0, cx);
        }
    }
}
