//! The consoles: the guests' serial ports on the one serial line of the board.
//!
//! The ports of one VM are one console. As long as there is one, bytes pass as they are:
//! what a port sends goes to the line at once while it takes it, and waits in a ring
//! otherwise. Above [`HIGH`] bytes the sender is told that the console is full, and when
//! it has drained to [`LOW`] that it is ready. What is typed goes to the VM's first port.
//!
//! With several, what each says is kept apart ([`channel`]) until it is shown: `view.rs`
//! says how, `keys.rs` what a person can do about it. Who is watched is told to stop
//! when what is kept of it grows; who is not loses the oldest, and runs on.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod channel;
mod escape;
mod keys;
mod request;
mod ring;
#[cfg(test)]
mod tests;
mod text;
mod view;

use alloc::boxed::Box;
use alloc::vec::Vec;
use channel::{Channel, KEPT, Name};
use evisor_contract::abi::{self, Error, Kind};
use evisor_contract::frames::Decoder;
use evisor_contract::{
    Backend, BuildError, Bytes, Clock, Context, Deadline, EFFECTS, Effect, HostSerial, Invoke,
    Messages, Needs, Node, Notify, Object, Parts, Reply, Rights, Through, component, tag,
};
use keys::Keys;
use request::Request;
use ring::{CAPACITY, Ring};
use view::{View, Viewed};

component! {
    compatible: ["evisor,console"],
    needs: Needs { root: true, ..Needs::NONE },
    properties: ["evisor,prefix-key", "evisor,columns", "evisor,shown"],
    build: |node, grants| {
        let console = Console::new(Settings::of(node)?, Ends {
            serial: grants.host_serial()?,
            messages: grants.messages(),
            deadline: grants.deadline()?,
            clock: grants.clock(),
        });
        Ok(Parts::new(console).notify().backend().invoke(Kind::Console, 1).done())
    },
    describe: |_node, _guest| Ok(()),
}

/// More bytes than this in the ring: whoever sends is told to stop. The effects
/// that a sender has queued by then fit in above.
const HIGH: usize = CAPACITY - 1024;
/// So many bytes or fewer: all are told to go on.
const LOW: usize = 1024;
/// The same of what is kept of one of several.
const CHANNEL_HIGH: usize = KEPT - 1024;
const CHANNEL_LOW: usize = KEPT / 2;
/// How many chunks of input one interrupt reads: more than the receive FIFO of
/// the serial ports at hand (32) holds.
const INPUTS: usize = 2;
/// How many bytes one interrupt sends, so that it ends soon.
const OUTPUT_BYTES: usize = 64;

/// How much of the queue of effects is left for the deadlines that one call asks for.
const BESIDES: usize = 4;
const _: () = assert!(2 * INPUTS + BESIDES < EFFECTS && INPUTS * Bytes::MOST > 32);

/// What the node says.
struct Settings {
    prefix: u8,
    columns: usize,
    /// Whose console is shown alone at first; of several, where it is one of them.
    shown: Option<Name>,
}

/// tio's: missed by few, harmless where nobody listens, and easy on any keyboard.
const CTRL_T: u32 = 0x14;

impl Settings {
    fn of(node: &Node<'_>) -> Result<Self, BuildError> {
        let prefix = node.cell("evisor,prefix-key")?.unwrap_or(CTRL_T);
        let columns = node.cell("evisor,columns")?.unwrap_or(80);
        let wrong = |property, what| BuildError::property(property, what, "see its README");
        let key = u8::try_from(prefix).ok().filter(|key| (1..0x80).contains(key));
        let prefix = key.ok_or_else(|| wrong("evisor,prefix-key", "is no key of ASCII"))?;
        if !(40..=1000).contains(&columns) {
            return Err(wrong("evisor,columns", "is not from 40 to 1000"));
        }
        let shown = node.string("evisor,shown")?.map(channel::name);
        Ok(Self { prefix, columns: columns as usize, shown })
    }
}

/// Where it reaches the outside.
struct Ends {
    serial: Box<dyn HostSerial>,
    messages: Option<&'static dyn Messages>,
    deadline: Deadline,
    clock: &'static dyn Clock,
}

/// How the holder of a port is reached, whose it is, and what it was told.
struct Holder {
    effect: Effect,
    channel: usize,
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
    ends: Ends,
    settings: Settings,
    ring: Ring,
    /// By port.
    holders: Vec<Option<Holder>>,
    /// How many of them were told to stop.
    stopped: usize,
    /// Whose the port is that is connected next.
    next: usize,
    channels: Vec<Channel>,
    view: View,
    /// Of several: who is shown, and who is typed to.
    viewed: Viewed,
    keys: Keys,
    request: Request,
    decoder: Decoder,
    /// Somebody looked at what was typed: a host that asks for frames does so first.
    looked: bool,
    /// The deadline that was asked for.
    due: u64,
    /// Whether an interrupt was asked for when the line has room.
    waits: bool,
    /// Whether a deadline was asked for, and there is more for a line that takes all.
    rests: bool,
    /// Bytes that went nowhere: the ring was full, or nobody has the input.
    lost: u64,
}

impl Notify for Console {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        match tag {
            tag::HOST_INTERRUPT => return self.interrupt(cx),
            tag::DEADLINE => self.time_passed(cx),
            port if port < tag::FIRST => self.output(port as usize, cx),
            _ => return Reply::ABSENT,
        }
        Reply::DONE
    }
}

impl Invoke for Console {
    /// Who writes by a handle has a port like any other, and nothing comes back to it: what
    /// a device is told with CONSOLE_FULL is the answer here.
    fn invoke(
        &mut self,
        operation: u32,
        words: &mut [u64; 5],
        through: &Through,
        cx: &mut Context,
    ) -> Reply {
        if operation != abi::console::WRITE {
            return Reply::ABSENT;
        }
        Reply::value(self.write(words, through, cx).err().map_or(0, Error::code))
    }
}

impl Backend for Console {
    fn held_by(&mut self, _port: u32, vm: Option<&str>) {
        let (name, monitor) = (vm.unwrap_or("monitor"), vm.is_none());
        let known = self.channels.iter().position(|one| one.is_called(name, monitor));
        self.next = known.unwrap_or_else(|| {
            self.channels.push(Channel::new(name, monitor));
            self.channels.len() - 1
        });
        if self.channels.len() > 1 {
            self.several();
        }
    }

    fn connect(&mut self, port: u32, holder: Effect) {
        let channel = self.next;
        let port = port as usize;
        if self.holders.len() <= port {
            self.holders.resize_with(port + 1, || None);
        }
        if let Some(slot) = self.holders.get_mut(port) {
            *slot = Some(Holder { effect: holder, channel, full: false });
        }
    }
}

impl Object for Console {
    /// It belongs to no VM, and its ports outlive a VM's restart.
    fn reset(&mut self) {}
}

impl Console {
    fn new(settings: Settings, ends: Ends) -> Self {
        Self {
            ends,
            settings,
            ring: Ring::new(),
            holders: Vec::new(),
            stopped: 0,
            next: 0,
            channels: Vec::new(),
            view: View::Plain,
            viewed: Viewed::default(),
            keys: Keys::default(),
            request: Request::new(),
            decoder: Decoder::new(),
            looked: false,
            due: 0,
            waits: false,
            rests: false,
            lost: 0,
        }
    }

    fn write(
        &mut self,
        [count, words @ ..]: &[u64; 5],
        through: &Through,
        cx: &mut Context,
    ) -> Result<(), Error> {
        through.takes(Rights::WRITE)?;
        let port = through.first as usize;
        let holder = self.holders.get(port).and_then(Option::as_ref);
        if holder.ok_or(Error::NotSupported)?.full {
            return Err(Error::Busy);
        }
        let mut bytes = [0; abi::console::MOST];
        for (slot, byte) in bytes.iter_mut().zip(words.iter().flat_map(|word| word.to_le_bytes())) {
            *slot = byte;
        }
        let count = usize::try_from(*count).ok();
        let bytes = count.and_then(|count| bytes.get(..count)).ok_or(Error::InvalidParameter)?;
        cx.set_bytes(bytes);
        self.output(port, cx);
        Ok(())
    }

    /// Bytes from `port`.
    #[inline]
    fn output(&mut self, port: usize, cx: &mut Context) {
        if self.view != View::Plain {
            return self.keep_apart(port, cx);
        }
        let bytes = cx.bytes();
        let sent = if self.ring.is_empty() { self.ends.serial.write(bytes) } else { 0 };
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
            self.await_room(true);
        }
        self.put(byte);
    }

    /// A byte for the line.
    fn put(&mut self, byte: u8) {
        if !self.ring.push(byte) {
            self.lost = self.lost.wrapping_add(1);
        }
    }

    #[cold]
    #[inline(never)]
    fn keep_apart(&mut self, port: usize, cx: &mut Context) {
        let index = self.holders.get(port).and_then(Option::as_ref).map_or(0, |h| h.channel);
        if let Some(channel) = self.channels.get_mut(index) {
            channel.heard = self.ends.clock.now();
            channel.aged = false;
            channel.keep(cx.bytes());
            if channel.len() > CHANNEL_HIGH && self.is_watched(index) {
                self.stop(port, cx);
            }
        }
        if !core::mem::replace(&mut self.looked, true) {
            self.receive(cx);
        }
        // Else it comes behind what is to be shown already.
        if !self.waits && !self.rests {
            self.show(cx);
        }
        self.await_line_end(index, cx);
    }

    fn stop(&mut self, port: usize, cx: &mut Context) {
        if let Some(Some(holder)) = self.holders.get_mut(port)
            && !holder.full
        {
            holder.full = true;
            self.stopped += 1;
            holder.tell(tag::CONSOLE_FULL, 0, cx);
        }
    }

    /// The serial line has something, or has room, or eVisor has. What this leaves for
    /// later interrupts again; the answer is how much that is, at least.
    fn interrupt(&mut self, cx: &mut Context) -> Reply {
        self.ends.serial.acknowledge();
        self.looked = true;
        self.receive(cx);
        match self.view {
            View::Plain if !self.ring.is_empty() => self.drain(cx),
            View::Plain => {}
            _ => self.show(cx),
        }
        Reply::value(u64::from(self.waits || self.rests || self.is_held()))
    }

    fn drain(&mut self, cx: &mut Context) {
        self.send(OUTPUT_BYTES);
        if self.ring.is_empty() {
            self.await_room(false);
        }
        if self.ring.len() <= LOW {
            self.go_on(cx);
        }
    }

    /// Sends `most` bytes of the ring; says how many it did.
    fn send(&mut self, most: usize) -> usize {
        let mut sent = 0;
        loop {
            let oldest = self.ring.oldest(most - sent);
            let (wanted, taken) = (oldest.len(), self.ends.serial.write(oldest));
            self.ring.skip(taken);
            sent += taken;
            if wanted == 0 || taken < wanted || sent == most {
                return sent;
            }
        }
    }

    fn await_room(&mut self, on: bool) {
        if self.waits != on {
            self.waits = on;
            self.ends.serial.interrupt_when_writable(on);
        }
    }

    /// Tells who was stopped and may go on, as far as the queue has room.
    fn go_on(&mut self, cx: &mut Context) {
        if self.stopped == 0 {
            return;
        }
        for port in 0..self.holders.len() {
            let Some(Some(holder)) = self.holders.get(port) else { continue };
            let may = match self.view {
                View::Plain => true,
                _ => self.is_ready(holder.channel),
            };
            if !holder.full || !may {
                continue;
            }
            if cx.queued() + BESIDES >= EFFECTS {
                return self.come_again(0, cx);
            }
            if let Some(Some(holder)) = self.holders.get_mut(port) {
                holder.full = false;
                self.stopped -= 1;
                holder.tell(tag::CONSOLE_READY, 0, cx);
            }
        }
    }

    fn is_ready(&self, index: usize) -> bool {
        let low = |channel: &Channel| channel.len() <= CHANNEL_LOW;
        !self.is_watched(index) || self.channels.get(index).is_none_or(low)
    }

    /// Asks to be notified in so many milliseconds.
    fn come_again(&mut self, milliseconds: u64, cx: &mut Context) {
        self.come_after(self.ends.clock.frequency() / 1000 * milliseconds, cx);
    }

    fn come_after(&mut self, counts: u64, cx: &mut Context) {
        let now = self.ends.clock.now();
        let due = now.wrapping_add(counts);
        if !(now.saturating_add(1)..=due).contains(&self.due) {
            self.due = due;
            self.ends.deadline.set(due, cx);
        }
    }

    /// A deadline. It may come for nothing.
    fn time_passed(&mut self, cx: &mut Context) {
        self.due = 0;
        self.let_go(cx);
        match self.view {
            View::Plain if self.ring.len() <= LOW => self.go_on(cx),
            View::Plain => {}
            _ => {
                self.age(cx);
                self.show(cx);
            }
        }
    }
}
