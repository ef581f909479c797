//! A virtio console (Virtio 1.2, §5.3) whose one port is an end of a channel: what its guest
//! writes goes into the channel's stream, and what comes there to its guest.
//!
//! The port is open while the other end of the channel is connected. What is moved at a time
//! is [`MOST`] bytes, fewer of many chains, whichever way; the rest follows by a deadline that
//! has passed already, so that the guest and others come in between.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod link;
mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::ring::{Moved, Stream, Want};
use evisor_contract::{
    ChannelEnd, Clock, Context, Deadline, Line, Memory, Mmio, Needs, Notify, Object, Parts, Reply,
    Restore, RestoreError, Rights, Save, Width, WindowNeed, component, tag,
};
use evisor_virtio::{Broken, CONFIG, Chain, Happened, Identity, PARTS, Transport, WINDOW};
use link::Shared;
use spec::{
    CONFIGURATION, CONTROL_RECEIVE, CONTROL_TRANSMIT, DEVICE, MESSAGE, MULTIPORT, QUEUES, RECEIVE,
    TRANSMIT, event,
};

component! {
    compatible: ["evisor,virtio-console"],
    needs: Needs {
        windows: &[WindowNeed { access: ACCESS, ..WindowNeed::new(WINDOW) }],
        lines: 1,
        guest_memory: true,
        channel: true,
        ..Needs::NONE
    },
    properties: ["evisor,console-port"],
    build: |node, grants| {
        let console = Console {
            is_named_console: node.flag("evisor,console-port"),
            transport: Transport::new(IDENTITY),
            line: grants.line(0)?,
            memory: grants.guest_memory()?,
            end: grants.channel()?,
            shared: Shared(grants.channel_memory()?),
            deadline: grants.deadline()?,
            clock: grants.clock(),
            link: None,
            opens: 0,
            sent: 0,
            is_open: false,
            is_used: false,
            owed: 0,
            receives_first: false,
            chain: Chain::default(),
            piece: [0; MOST],
        };
        Ok(Parts::new(console).mmio().notify().done())
    },
    describe: |_node, guest| {
        guest.set_strings("compatible", &["virtio,mmio"]);
        Ok(())
    },
}

/// Registers are words; the configuration is read as it comes (Virtio §4.2.2.2).
const ACCESS: Rights =
    Rights::READ8.union(Rights::READ16).union(Rights::READ32).union(Rights::WRITE32);
const IDENTITY: Identity = Identity { device: DEVICE, features: MULTIPORT, most: 64 };

/// How much is done at a time, in instructions of this device and what it calls, about. Less
/// than [`MOST`] bytes are moved with the first chain if that has many buffers.
const WORK: usize = 2400;
/// No further chain is looked at when so much was done: to look at a long one is work too.
const ENOUGH: usize = 1800;
/// How many of these are a chain, whatever is in it, and each of its buffers; a byte is one.
const CHAIN: usize = 500;
const BUFFER: usize = 110;
/// How many bytes are moved at a time at most.
const MOST: usize = 1024;

const _: () = assert!(CHAIN + PARTS * BUFFER < WORK && CHAIN + BUFFER + MOST < WORK);

/// What the driver is still to be told.
const ADD: u32 = 1;
const OPEN: u32 = 2;
const CONSOLE: u32 = 4;
/// That the other end was away, before it is told how it is now.
const CLOSED: u32 = 8;

struct Console {
    /// The driver is told that the port is for a console.
    is_named_console: bool,
    transport: Transport<QUEUES>,
    line: Line,
    memory: &'static dyn Memory,
    end: &'static dyn ChannelEnd,
    shared: Shared,
    deadline: Deadline,
    clock: &'static dyn Clock,
    /// The stream, while the driver runs.
    link: Option<Stream<Shared>>,
    /// How often the driver started in this life of the VM.
    opens: u32,
    /// How much of the chain at hand was sent.
    sent: u64,
    /// Whether the other end is connected, as last seen.
    is_open: bool,
    /// Whether somebody has the port open in the guest: Linux drops what comes while nobody
    /// has.
    is_used: bool,
    owed: u32,
    /// What comes in goes first the next time: the other way may take all there is.
    receives_first: bool,
    /// The chain at hand, and what is on its way.
    chain: Chain,
    piece: [u8; MOST],
}

/// What of a piece of work is to be seen to.
#[derive(Default)]
struct Done {
    /// The other end of the channel is to be rung.
    ring: bool,
    /// There is more to do.
    more: bool,
    /// How much was done, of [`WORK`].
    spent: usize,
}

impl Done {
    /// Whether more is to be done now.
    fn goes_on(&self) -> bool {
        self.spent < ENOUGH
    }

    /// How many bytes of a chain may be moved now; none of it if it is to wait for the next
    /// time, when it comes first. Empty ones count too: there may be any number of them.
    fn begin(&mut self, chain: &Chain) -> Option<usize> {
        let work = CHAIN + BUFFER * chain.parts().len();
        if self.spent > 0 && self.spent + work > WORK {
            self.spent = WORK;
            return None;
        }
        self.spent += work;
        Some(WORK.saturating_sub(self.spent).min(MOST))
    }
}

impl Console {
    /// The driver starts: a session of its own.
    fn open(&mut self) {
        self.opens = self.opens.wrapping_add(1);
        let session = self.end.starts() << 16 | self.opens & 0xffff;
        let (size, number) = (self.end.size() as usize, self.end.number() as usize);
        self.link = Stream::open(self.shared, size, number, session);
    }

    /// An end was rolled back: what is in the channel is not of the life that goes on. What
    /// the driver gives and was not sent to its end is sent from its beginning.
    fn begin_again(&mut self) {
        if self.link.is_some() {
            self.sent = 0;
            self.open();
        }
    }

    /// The driver is gone. True if the other end is to know.
    fn close(&mut self) -> bool {
        (self.sent, self.is_open, self.is_used, self.owed) = (0, false, false, 0);
        self.receives_first = false;
        self.link.take().map(Stream::close).is_some()
    }

    /// Moves what can be moved, and has happen what follows.
    fn pump(&mut self, cx: &mut Context) {
        if self.transport.is_running() {
            let done = self.work().unwrap_or_else(|broken| {
                self.transport.broken(broken);
                Done::default()
            });
            if done.ring {
                self.end.ring(cx);
            }
            if done.more {
                self.deadline.set(self.clock.now(), cx);
            }
        }
        self.line.set(self.transport.line(), cx);
    }

    fn work(&mut self) -> Result<Done, Broken> {
        let Some(mut link) = self.link.take() else { return Ok(Done::default()) };
        let done = self.work_on(&mut link);
        self.link = Some(link);
        done
    }

    fn work_on(&mut self, link: &mut Stream<Shared>) -> Result<Done, Broken> {
        let mut done = Done { ring: link.meet(), ..Done::default() };
        // A session that is new was not there before.
        let (was_open, is_open) = (self.is_open && !done.ring, link.is_connected());
        if self.is_open && !was_open || was_open && !is_open {
            self.owed = self.owed & !OPEN | CLOSED;
        }
        if is_open && !was_open {
            self.owed |= OPEN;
        }
        self.is_open = is_open;
        if self.transport.has(MULTIPORT) {
            self.hear(&mut done)?;
            self.tell(&mut done)?;
        }
        let receives_first = self.receives_first;
        for receives in [receives_first, !receives_first] {
            match receives {
                true => self.receive(link, &mut done)?,
                false => self.transmit(link, &mut done)?,
            }
        }
        done.more = !done.goes_on();
        if done.more {
            self.receives_first = !receives_first;
            link.want(Want::Nothing);
        } else {
            // Whoever sleeps says so first, and looks once more.
            link.want(Want::Either);
            done.more = self.can_move(link)?;
        }
        Ok(done)
    }

    fn can_move(&mut self, link: &Stream<Shared>) -> Result<bool, Broken> {
        let (memory, takes, drops) = (self.memory, self.takes(), self.is_console());
        let mut has = |index| match self.transport.queue(index) {
            Some(queue) => queue.has_next(memory),
            None => Ok(false),
        };
        let some = |bytes: Result<usize, _>| bytes.is_ok_and(|bytes| bytes > 0);
        Ok(takes && has(RECEIVE)? && some(link.waiting())
            || has(TRANSMIT)? && (drops || some(link.space())))
    }

    /// Whether the driver has a console at the port: what has no several ports is one (§5.3.4).
    fn is_console(&self) -> bool {
        self.is_named_console || !self.transport.has(MULTIPORT)
    }

    /// Whether the guest takes what comes.
    fn takes(&self) -> bool {
        self.is_used || !self.transport.has(MULTIPORT)
    }

    /// From the guest to the channel. A console's output that finds no room is lost: Linux
    /// waits for its buffer with interrupts off, which nobody else is to make longer.
    fn transmit(&mut self, link: &mut Stream<Shared>, done: &mut Done) -> Result<(), Broken> {
        let (is_console, chain) = (self.is_console(), &mut self.chain);
        let mut space = None;
        while done.goes_on() {
            let Some(queue) = self.transport.queue(TRANSMIT) else { break };
            if !queue.next(self.memory, chain)? {
                break;
            }
            // Not more than can be sent: nothing of it is kept here.
            let room = *space.get_or_insert_with(|| link.space());
            if room.is_err() && !is_console {
                break;
            }
            let Some(most) = done.begin(chain) else { break };
            let room = room.unwrap_or(0).min(most);
            let room = self.piece.get_mut(..room).unwrap_or_default();
            let count = chain.read(self.memory, self.sent, room)?;
            let sent = link.send(self.piece.get(..count).unwrap_or_default());
            let sent = sent.unwrap_or(Moved { bytes: 0, ring: false });
            space = space.map(|space| space.map(|space| space.saturating_sub(sent.bytes)));
            done.ring |= sent.ring;
            done.spent += sent.bytes;
            self.sent += sent.bytes as u64;
            if self.sent >= chain.bytes(false) || is_console && sent.bytes == 0 {
                self.sent = 0;
                if queue.give_back(self.memory, chain, 0)? {
                    self.transport.used_buffer();
                }
            } else {
                // Its rest comes the next time, if there was room for something.
                done.spent = if sent.bytes == 0 { done.spent } else { WORK };
                break;
            }
        }
        Ok(())
    }

    /// From the channel to the guest.
    fn receive(&mut self, link: &mut Stream<Shared>, done: &mut Done) -> Result<(), Broken> {
        let (takes, chain) = (self.takes(), &mut self.chain);
        let mut waiting = None;
        while takes && done.goes_on() {
            let Some(queue) = self.transport.queue(RECEIVE) else { break };
            if !queue.has_next(self.memory)? {
                break;
            }
            let bytes = *waiting.get_or_insert_with(|| link.waiting().unwrap_or(0));
            if bytes == 0 || !queue.next(self.memory, chain)? {
                break;
            }
            let Some(most) = done.begin(chain) else { break };
            let room = chain.room().min(most as u64) as usize;
            let room = self.piece.get_mut(..room).unwrap_or_default();
            let Ok(got) = link.receive(room) else { break };
            waiting = Some(bytes.saturating_sub(got.bytes));
            done.ring |= got.ring;
            done.spent += got.bytes;
            chain.write(self.memory, 0, self.piece.get(..got.bytes).unwrap_or_default())?;
            if queue.give_back(self.memory, chain, got.bytes as u32)? {
                self.transport.used_buffer();
            }
        }
        Ok(())
    }

    /// The control messages of the driver.
    fn hear(&mut self, done: &mut Done) -> Result<(), Broken> {
        while done.goes_on() {
            let Some(queue) = self.transport.queue(CONTROL_TRANSMIT) else { break };
            if !queue.next(self.memory, &mut self.chain)? || done.begin(&self.chain).is_none() {
                break;
            }
            let mut message = [0; MESSAGE];
            let count = self.chain.read(self.memory, 0, &mut message)?;
            if queue.give_back(self.memory, &self.chain, 0)? {
                self.transport.used_buffer();
            }
            if count == MESSAGE {
                self.heard(message);
            }
        }
        Ok(())
    }

    fn heard(&mut self, message: [u8; MESSAGE]) {
        let [id @ .., _, _, _, _] = message;
        let [_, _, _, _, event @ .., value, _] = message;
        let mine = u32::from_le_bytes(id) == 0;
        match u16::from_le_bytes(event) {
            event::DEVICE_READY => self.owed |= ADD,
            event::PORT_READY if mine && self.is_named_console => self.owed |= OPEN | CONSOLE,
            event::PORT_READY if mine => self.owed |= OPEN,
            event::PORT_OPEN if mine => self.is_used = value != 0,
            _ => {}
        }
    }

    /// Tells the driver what it is owed, as far as it has given room.
    fn tell(&mut self, done: &mut Done) -> Result<(), Broken> {
        let open = u16::from(self.is_open);
        for (what, event, value) in [
            (ADD, event::DEVICE_ADD, 1),
            (CONSOLE, event::CONSOLE_PORT, 1),
            (CLOSED, event::PORT_OPEN, 0),
            (OPEN, event::PORT_OPEN, open),
        ] {
            if self.owed & what == 0 || !done.goes_on() {
                continue;
            }
            let Some(queue) = self.transport.queue(CONTROL_RECEIVE) else { return Ok(()) };
            let chain = &mut self.chain;
            if !queue.next(self.memory, chain)? || done.begin(chain).is_none() {
                break;
            }
            let message = (u64::from(event) << 32 | u64::from(value) << 48).to_le_bytes();
            let written = chain.write(self.memory, 0, &message)?;
            if queue.give_back(self.memory, chain, written as u32)? {
                self.transport.used_buffer();
            }
            self.owed &= !what;
        }
        Ok(())
    }
}

impl Mmio for Console {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        let value = match offset.checked_sub(CONFIG) {
            None if width == Width::Word => self.transport.read(offset),
            None => 0,
            Some(at) => {
                let bytes = CONFIGURATION.iter().skip(at as usize).take(width.bytes() as usize);
                bytes.rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
            }
        };
        Reply::value(u64::from(value) & width.mask())
    }

    fn write(&mut self, offset: u64, _width: Width, value: u64, cx: &mut Context) -> Reply {
        if offset >= CONFIG {
            return Reply::DONE;
        }
        match self.transport.write(offset, value as u32) {
            Happened::Nothing => self.line.set(self.transport.line(), cx),
            Happened::Notified(_) => self.pump(cx),
            Happened::Started => {
                self.open();
                self.end.ring(cx);
                self.pump(cx);
            }
            Happened::Reset => {
                if self.close() {
                    self.end.ring(cx);
                }
                self.line.set(false, cx);
            }
        }
        Reply::DONE
    }
}

impl Notify for Console {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        match tag {
            // Its VM's memory may be what is kept just now. It comes to that when it goes on.
            tag::RUNG if !self.end.is_up() => {}
            tag::RUNG | tag::DEADLINE => self.pump(cx),
            tag::BEGINS => {
                self.begin_again();
                if self.end.is_up() {
                    self.pump(cx);
                }
            }
            _ => return Reply::ABSENT,
        }
        Reply::DONE
    }
}

impl Object for Console {
    fn reset(&mut self) {
        let _ = self.close();
        self.transport = Transport::new(IDENTITY);
        self.opens = 0;
        self.end.start();
    }

    fn save(&self, to: &mut Save) {
        to.begin(*b"virtcon\0", 1);
        self.transport.save(to);
        let flags = [self.is_open, self.is_used, self.receives_first];
        let flags = flags.iter().rev().fold(0, |flags, flag| flags << 1 | u32::from(*flag));
        for word in [self.opens, self.owed, flags] {
            to.word(word);
        }
        to.double(self.sent);
        let state = self.link.as_ref().map_or([0; 4], Stream::state);
        state.iter().for_each(|word| to.word(*word));
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(*b"virtcon\0", 1)?;
        self.transport.restore(from)?;
        (self.opens, self.owed) = (from.word()?, from.word()?);
        let flags = from.word()?;
        self.sent = from.double()?;
        let mut state = [0; 4];
        for word in &mut state {
            *word = from.word()?;
        }
        let (size, number) = (self.end.size() as usize, self.end.number() as usize);
        self.link = Stream::resume(self.shared, size, number, state);
        if flags > 7
            || self.owed > ADD | OPEN | CONSOLE | CLOSED
            || self.link.is_none() != (state == [0; 4])
        {
            return Err(RestoreError::Impossible);
        }
        [self.is_open, self.is_used, self.receives_first] = [1, 2, 4].map(|bit| flags & bit != 0);
        Ok(())
    }
}
