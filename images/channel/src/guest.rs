//! The guest, where there is no operating system below.

use aarch64_cpu::asm::wfi;
use evisor_guest::channel::{Channel, Lives, Memory};
use evisor_guest::ring::{Refusal, Stream, Want};
use evisor_guest::tree::boot_argument;
use evisor_guest::{gic, map, mmio, println, timer};

use crate::cksum::Cksum;
use crate::talk;

evisor_guest::entry!(main);

/// How many bytes are moved at a time.
const PIECE: usize = 4096;
/// What a peer tells: how many bytes came, and their sum.
const TOLD: usize = 12;

/// What came, and what went.
struct Exchange {
    channel: Channel,
    stream: Stream<Memory>,
    /// Of which lives of the ends the stream is.
    lives: Lives,
    bytes: u64,
    /// It says so each time that so many more have come.
    shows: u64,
    shown: u64,
    /// It dies when so many have come.
    crash: u64,
    seed: u64,
    numbers: u64,
    sent: Cksum,
    received: Cksum,
    /// What was made and not sent.
    made: [u8; PIECE],
    waits: core::ops::Range<usize>,
}

fn main() -> u8 {
    let Some(channel) = Channel::at(map::CHANNEL) else {
        println!("channel: there is none");
        return 1;
    };
    gic::enable();
    gic::set_edge(map::CHANNEL_INTID, true);
    gic::enable_interrupt(map::CHANNEL_INTID);
    let lives = channel.lives();
    let Some(stream) = channel.open(map::CHANNEL_MEMORY, lives) else {
        println!("channel: what is shared cannot be used");
        return 1;
    };
    if let Some(talks) = boot_argument("talks") {
        return talk::run(channel, stream, lives, talks);
    }
    let argument = |name, otherwise| boot_argument(name).unwrap_or(otherwise);
    let (number, life) = (channel.number(), lives.own);
    let seed = argument("seed", 1 + number as u64);
    println!("channel: end {number} of {} bytes, life {life}", channel.size());
    let mut exchange = Exchange {
        channel,
        stream,
        lives,
        bytes: argument("bytes", 64 << 20),
        shows: argument("shows", u64::MAX),
        shown: 0,
        crash: if life == 1 { argument("crash", u64::MAX) } else { u64::MAX },
        seed,
        numbers: seed,
        sent: Cksum::default(),
        received: Cksum::default(),
        made: [0; PIECE],
        waits: 0..0,
    };
    let begin = timer::count();
    let exchanged = exchange.all();
    let took = (timer::count() - begin) * 1000 / timer::frequency();
    let Exchange { sent, received, .. } = &exchange;
    println!("channel: sent {} bytes, cksum {}", sent.bytes(), sent.sum());
    println!("channel: received {} bytes, cksum {}, {took} ms", received.bytes(), received.sum());
    let told = exchanged.and_then(|()| match argument("tells", 0) {
        0 => Ok(true),
        _ => exchange.tell(),
    });
    match told {
        Ok(true) => 0,
        Ok(false) => {
            println!("channel: the other end received something else");
            1
        }
        Err(refusal) => {
            println!("channel: {refusal}");
            1
        }
    }
}

impl Exchange {
    /// Sends and receives all of it; from the beginning where an end starts anew, or is
    /// rolled back: what came is to be believed only if none did.
    fn all(&mut self) -> Result<(), Refusal> {
        while self.is_left() || self.renew() {
            self.meet();
            match self.some() {
                Ok(0) => self.sleep_and_renew(),
                Ok(_) | Err(Refusal::Apart) => {}
                Err(refusal) if !self.renew() => return Err(refusal),
                Err(_) => {}
            }
            self.show();
            if self.received.bytes() >= self.crash {
                let _ = mmio::load32(map::DEVICE_HOLE);
            }
            if !self.stream.is_connected() {
                self.sleep_and_renew();
            }
        }
        Ok(())
    }

    fn sleep_and_renew(&mut self) {
        self.sleep();
        let _ = self.renew();
    }

    fn is_left(&self) -> bool {
        self.received.bytes() < self.bytes || self.sent.bytes() < self.bytes
    }

    /// Opens the stream once more if an end began another life since it did: true.
    fn renew(&mut self) -> bool {
        let lives = self.channel.lives();
        if lives == self.lives {
            return false;
        }
        self.lives = lives;
        if let Some(stream) = self.channel.open(map::CHANNEL_MEMORY, lives) {
            self.stream = stream;
        }
        self.begin();
        true
    }

    fn meet(&mut self) {
        // That of an end which started since this one looked is met once more.
        if !self.stream.meet() || self.renew() {
            return;
        }
        let Lives { own, other } = self.channel.lives();
        println!("channel: life {own} met life {other}");
        self.begin();
        self.channel.ring();
    }

    /// From the first byte on.
    fn begin(&mut self) {
        (self.sent, self.received, self.waits) = (Cksum::default(), Cksum::default(), 0..0);
        (self.numbers, self.shown) = (self.seed, 0);
    }

    fn show(&mut self) {
        let bytes = self.received.bytes();
        if bytes - self.shown >= self.shows {
            self.shown = bytes;
            println!("channel: {bytes} bytes came so far");
        }
    }

    /// Moves what can be moved now, a piece each way at most: how many bytes.
    fn some(&mut self) -> Result<usize, Refusal> {
        let mut piece = [0; PIECE];
        let left = self.bytes - self.received.bytes();
        let most = left.min(PIECE as u64) as usize;
        let received = self.stream.receive(piece.get_mut(..most).unwrap_or_default())?;
        self.received.add(piece.get(..received.bytes).unwrap_or_default());
        let sent = self.send()?;
        if received.ring {
            self.channel.ring();
        }
        Ok(received.bytes + sent)
    }

    fn send(&mut self) -> Result<usize, Refusal> {
        if self.waits.is_empty() {
            let left = self.bytes - self.sent.bytes();
            self.waits = 0..left.min(PIECE as u64) as usize;
            self.make();
        }
        let waits = self.made.get(self.waits.clone()).unwrap_or_default();
        let moved = self.stream.send(waits)?;
        self.sent.add(waits.get(..moved.bytes).unwrap_or_default());
        self.waits.start += moved.bytes;
        if moved.ring {
            self.channel.ring();
        }
        Ok(moved.bytes)
    }

    /// A linear congruential generator's high bytes (Knuth, MMIX).
    fn make(&mut self) {
        for word in self.made.as_chunks_mut::<4>().0 {
            self.numbers = self.numbers.wrapping_mul(6_364_136_223_846_793_005);
            self.numbers = self.numbers.wrapping_add(1_442_695_040_888_963_407);
            *word = ((self.numbers >> 32) as u32).to_le_bytes();
        }
    }

    /// Until it is rung, unless something is to be done already.
    fn sleep(&self) {
        self.stream.want(Want::Either);
        let sends = self.sent.bytes() < self.bytes;
        let can = |room: Result<usize, Refusal>| room.is_ok_and(|bytes| bytes > 0);
        let something = can(self.stream.waiting()) || sends && can(self.stream.space());
        if !something {
            wfi();
        }
        let acknowledged = gic::acknowledge();
        if gic::intid(acknowledged) != gic::SPURIOUS {
            gic::end(acknowledged);
        }
        self.stream.want(Want::Nothing);
    }

    /// Tells the other end what came, and hears what came there: whether that is what was
    /// sent.
    fn tell(&mut self) -> Result<bool, Refusal> {
        let mut told = [0; TOLD];
        let (count, sum) = told.split_at_mut(8);
        count.copy_from_slice(&self.received.bytes().to_le_bytes());
        sum.copy_from_slice(&self.received.sum().to_le_bytes());
        let _ = self.stream.send_message(&told)?;
        self.channel.ring();
        let mut heard = [0; TOLD];
        while self.stream.receive_message(&mut heard)?.is_none() {
            self.sleep();
        }
        let (count, sum) = heard.split_at(8);
        let same = count == self.sent.bytes().to_le_bytes() && sum == self.sent.sum().to_le_bytes();
        Ok(same)
    }
}
