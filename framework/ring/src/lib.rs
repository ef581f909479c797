//! A byte stream each way in memory that two ends share, and messages in it. The README
//! has the layout.
//!
//! The other end is not trusted: what it wrote is read once, checked, and believed of
//! nothing but the bytes themselves. An end's own indices are its own variables; what of
//! them lies in the memory is for the other to read, and never read back.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod message;
#[cfg(test)]
mod tests;

use core::fmt;
use core::sync::atomic::{Ordering, fence};

/// The version of the layout.
pub const VERSION: u32 = 1;

/// Memory that both ends see. Offsets count from its start; those of words are multiples
/// of four, and nothing outside of its size is asked for.
pub trait Area {
    /// A word: what is read after it is not older (load-acquire, DDI 0487 B2.3).
    fn load(&self, offset: usize) -> u32;
    /// Sets a word: what was written before it is there first (store-release).
    fn store(&self, offset: usize, word: u32);
    /// Copies bytes that the other end may be changing: each is read once.
    fn read(&self, offset: usize, to: &mut [u8]);
    /// Copies bytes that the other end may be reading.
    fn write(&self, offset: usize, from: &[u8]);
}

/// Words of an end's own block, which only that end writes.
mod word {
    /// Which start of the end wrote the block; 0 for none.
    pub const SESSION: usize = 0;
    /// The session of the other end that it is connected to.
    pub const MET: usize = 4;
    /// Where it writes next.
    pub const HEAD: usize = 8;
    /// Where it reads next.
    pub const TAIL: usize = 12;
    /// What it wants to be rung for.
    pub const WANTS: usize = 16;
    /// The version of the layout that it keeps to.
    pub const VERSION: usize = 20;
}

/// How long a block is: a line of the cache, of most.
const BLOCK: usize = 64;
/// Where the bytes begin.
const DATA: usize = 2 * BLOCK;

/// Why nothing was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The other end is not there, or has started anew: [`Stream::meet`] it.
    Apart,
    /// What the other end says of itself cannot be: it is not to be talked to before it
    /// starts anew.
    Broken,
    /// The message at hand has so many bytes, more than there was room for; it stays.
    TooLong(usize),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Apart => f.write_str("the other end is not there"),
            Self::Broken => f.write_str("the other end does not keep to the layout"),
            Self::TooLong(bytes) => write!(f, "the message has {bytes} bytes"),
        }
    }
}

/// What an end wants to be rung for before it sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing.
    Nothing = 0,
    /// Bytes that it can receive.
    Bytes = 1,
    /// Room for bytes that it sends.
    Room = 2,
    /// Either.
    Either = 3,
}

/// How much was moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moved {
    /// So many bytes.
    pub bytes: usize,
    /// The other end sleeps until this: ring it.
    pub ring: bool,
}

impl Moved {
    const NOTHING: Self = Self { bytes: 0, ring: false };
}

/// One end: it sends into one half of the memory and receives out of the other.
#[derive(Debug)]
pub struct Stream<A> {
    area: A,
    /// Where this end's block and the other's are.
    own: usize,
    other: usize,
    /// Where the bytes are that it sends, and that it receives.
    out: usize,
    into: usize,
    /// How many bytes fit into each half.
    room: usize,
    session: u32,
    /// The session of the other that it has met; 0 for none.
    met: u32,
    head: usize,
    tail: usize,
}

impl<A: Area> Stream<A> {
    /// End `number`, 0 or 1, of `size` bytes of memory. `session` is another number than
    /// 0 and than at any start before. `None` if the memory is too small, or too large.
    ///
    /// What the block said of an earlier session is gone before this returns: the other
    /// end is to be rung.
    pub fn open(area: A, size: usize, number: usize, session: u32) -> Option<Self> {
        let new = Self::of(area, size, number, session)?;
        // First of all it is apart: the rest is for nobody until it has met the other.
        new.say(word::MET, 0);
        new.say(word::SESSION, 0);
        new.say(word::WANTS, Want::Nothing as u32);
        new.say(word::VERSION, VERSION);
        new.say(word::SESSION, session);
        Some(new)
    }

    fn of(area: A, size: usize, number: usize, session: u32) -> Option<Self> {
        let room = size.checked_sub(DATA)? / 2 / BLOCK * BLOCK;
        if room == 0 || room > (1 << 30) || number > 1 || session == 0 {
            return None;
        }
        let (own, other) = (number * BLOCK, (1 - number) * BLOCK);
        let (out, into) = (DATA + number * room, DATA + (1 - number) * room);
        let (head, tail) = (0, 0);
        Some(Self { area, own, other, out, into, room, session, met: 0, head, tail })
    }

    /// Ends the session: the other end sees nobody, and is to be rung.
    pub fn close(self) -> A {
        self.say(word::MET, 0);
        self.say(word::SESSION, 0);
        self.area
    }

    /// What of this end is not in the memory: with [`resume`](Self::resume) it goes on, if
    /// the memory is as it was.
    pub fn state(&self) -> [u32; 4] {
        [self.session, self.met, self.head as u32, self.tail as u32]
    }

    /// Goes on where [`state`](Self::state) was asked; `None` if no end can be there.
    pub fn resume(area: A, size: usize, number: usize, state: [u32; 4]) -> Option<Self> {
        let [session, met, head, tail] = state;
        let new = Self::of(area, size, number, session)?;
        let (head, tail) = (head as usize, tail as usize);
        (head < 2 * new.room && tail < 2 * new.room).then_some(Self { met, head, tail, ..new })
    }

    /// How many bytes can be on their way in one direction.
    pub fn capacity(&self) -> usize {
        self.room
    }

    fn say(&self, word: usize, value: u32) {
        self.area.store(self.own + word, value);
    }

    fn hear(&self, word: usize) -> u32 {
        self.area.load(self.other + word)
    }

    /// Meets the other end if it has started, or started anew, since this was last asked:
    /// then both begin with nothing on its way. True if so: it is to be rung.
    pub fn meet(&mut self) -> bool {
        let session = self.hear(word::SESSION);
        if session == self.met {
            return false;
        }
        (self.head, self.tail) = (0, 0);
        self.say(word::MET, 0);
        self.say(word::HEAD, 0);
        self.say(word::TAIL, 0);
        self.met = if self.hear(word::VERSION) == VERSION { session } else { 0 };
        self.say(word::MET, self.met);
        self.met != 0
    }

    /// Whether both have met each other, as far as is known now.
    pub fn is_connected(&self) -> bool {
        self.met != 0
            && self.hear(word::MET) == self.session
            && self.hear(word::SESSION) == self.met
    }

    /// How many bytes lie between a head and a tail, of which one is the other end's.
    fn between(&self, head: usize, tail: usize) -> Result<usize, Refusal> {
        let round = 2 * self.room;
        if head >= round || tail >= round {
            return Err(Refusal::Broken);
        }
        let bytes = if head >= tail { head - tail } else { head + round - tail };
        if bytes <= self.room { Ok(bytes) } else { Err(Refusal::Broken) }
    }

    /// The other end's index, if it is one of the session that this end has met: it says
    /// that it is apart before it changes them.
    fn index(&self, word: usize) -> Result<usize, Refusal> {
        let index = self.hear(word) as usize;
        if self.is_connected() { Ok(index) } else { Err(Refusal::Apart) }
    }

    /// How many bytes can be received.
    ///
    /// # Errors
    /// [`Refusal::Apart`], [`Refusal::Broken`].
    pub fn waiting(&self) -> Result<usize, Refusal> {
        self.between(self.index(word::HEAD)?, self.tail)
    }

    /// How many bytes can be sent.
    ///
    /// # Errors
    /// [`Refusal::Apart`], [`Refusal::Broken`].
    pub fn space(&self) -> Result<usize, Refusal> {
        Ok(self.room - self.between(self.head, self.index(word::TAIL)?)?)
    }

    /// Sends as many of `bytes` as there is room for.
    ///
    /// # Errors
    /// [`Refusal::Apart`], [`Refusal::Broken`].
    pub fn send(&mut self, bytes: &[u8]) -> Result<Moved, Refusal> {
        if bytes.is_empty() {
            return Ok(Moved::NOTHING);
        }
        let count = self.space()?.min(bytes.len());
        let Some(bytes) = bytes.get(..count).filter(|bytes| !bytes.is_empty()) else {
            return Ok(Moved::NOTHING);
        };
        self.put(0, bytes);
        Ok(self.sent(count))
    }

    /// Receives as many bytes as there are and `to` has room for.
    ///
    /// # Errors
    /// [`Refusal::Apart`], [`Refusal::Broken`].
    pub fn receive(&mut self, to: &mut [u8]) -> Result<Moved, Refusal> {
        if to.is_empty() {
            return Ok(Moved::NOTHING);
        }
        let count = self.waiting()?.min(to.len());
        let Some(to) = to.get_mut(..count).filter(|to| !to.is_empty()) else {
            return Ok(Moved::NOTHING);
        };
        self.get(0, to);
        Ok(self.received(count))
    }

    /// Where `index`, and `ahead` of it, is in a half; and how much lies behind it there.
    fn place(&self, index: usize, ahead: usize) -> (usize, usize) {
        let mut at = index + ahead;
        while at >= self.room {
            at -= self.room;
        }
        (at, self.room - at)
    }

    /// Puts bytes, for which there is room, `ahead` of what was sent.
    fn put(&self, ahead: usize, bytes: &[u8]) {
        let (at, left) = self.place(self.head, ahead);
        let (first, rest) = bytes.split_at_checked(left).unwrap_or((bytes, &[]));
        self.area.write(self.out + at, first);
        if !rest.is_empty() {
            self.area.write(self.out, rest);
        }
    }

    /// Copies bytes, which are there, from `ahead` of what was received.
    fn get(&self, ahead: usize, to: &mut [u8]) {
        let (at, left) = self.place(self.tail, ahead);
        let (first, rest) = to.split_at_mut(left.min(to.len()));
        self.area.read(self.into + at, first);
        if !rest.is_empty() {
            self.area.read(self.into, rest);
        }
    }

    fn advance(&self, index: usize, bytes: usize) -> usize {
        let index = index + bytes;
        if index >= 2 * self.room { index - 2 * self.room } else { index }
    }

    fn sent(&mut self, bytes: usize) -> Moved {
        self.head = self.advance(self.head, bytes);
        self.say(word::HEAD, self.head as u32);
        Moved { bytes, ring: self.wants(Want::Bytes) }
    }

    fn received(&mut self, bytes: usize) -> Moved {
        self.tail = self.advance(self.tail, bytes);
        self.say(word::TAIL, self.tail as u32);
        Moved { bytes, ring: self.wants(Want::Room) }
    }

    /// Whether the other end waits for what was just done. It says so and then looks once
    /// more; here it is the other way about: one of the two sees the other's.
    fn wants(&self, what: Want) -> bool {
        fence(Ordering::SeqCst);
        self.hear(word::WANTS) & what as u32 != 0
    }

    /// Says what it wants to be rung for from now on. What came before that nobody rings
    /// for: look once more.
    pub fn want(&self, what: Want) {
        self.say(word::WANTS, what as u32);
        fence(Ordering::SeqCst);
    }
}
