//! A model of a standard host controller (HC §2), with a card behind it. It panics
//! where a driver does what the specification forbids. Its numbers are its own, so
//! that a mistake in the driver's does not cancel out.

use crate::card::{Answer, Card, State};
use evisor_sd::{Clock, DmaMemory, Registers};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// What goes wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Garbled.
    Crc,
    /// It does not come, and the controller says so.
    Timeout,
    /// It does not come, and nobody says anything.
    Silence,
}

const COMMAND: u32 = 1;
const TRANSFER: u32 = 1 << 1;
const WRITE_READY: u32 = 1 << 4;
const READ_READY: u32 = 1 << 5;
const COMMAND_TIMEOUT: u32 = 1 << 16;
const DATA_TIMEOUT: u32 = 1 << 20;
const DATA_CRC: u32 = 1 << 21;
const ADMA_ERROR: u32 = 1 << 25;

pub struct Machine {
    pub time: u64,
    pub card: Option<Card>,
    /// What goes wrong with which block, and how often.
    pub faults: BTreeMap<usize, (Fault, u32)>,
    /// How long the controller takes for everything, in microseconds.
    pub latency: u64,
    /// A switch tells whether there is a card.
    pub detects: bool,
    /// Resets do not end.
    pub endless_reset: bool,
    /// The lines stay inhibited.
    pub inhibited: u32,
    /// The clock does not become stable.
    pub unstable: bool,
    /// A write follows another within so many microseconds: lost, so a panic.
    pub gap: u64,
    pub capabilities: u32,
    pub version: u32,
    /// What the controller's memory holds, as it sees it.
    pub memory: Vec<u32>,
    pub memory_at: u32,
    /// Words through the data port.
    pub words: u64,
    /// Accesses to other registers.
    pub accesses: u64,
    last_write: u64,
    block: u32,
    argument: u32,
    response: [u32; 4],
    present: u32,
    host: u32,
    clock: u32,
    status: u32,
    status_enable: u32,
    signal_enable: u32,
    adma: u32,
    data: Option<Data>,
    pending: Vec<(u64, Event)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Event {
    Response(u32),
    Block,
    End,
    EndBusy,
    Dma,
}

struct Data {
    read: bool,
    left: u32,
    size: usize,
    stops: bool,
    buffer: Vec<u8>,
    at: usize,
}

/// The controller, for a driver and for a test at once.
#[derive(Clone)]
pub struct Model(pub Rc<RefCell<Machine>>);

impl Model {
    pub fn new(card: Option<Card>) -> Self {
        Self(Rc::new(RefCell::new(Machine {
            time: 0,
            card,
            faults: BTreeMap::new(),
            latency: 0,
            detects: true,
            endless_reset: false,
            inhibited: 0,
            unstable: false,
            gap: 0,
            // As QEMU's raspi4b: 52 MHz, high speed, 3.3 V, no DMA.
            capabilities: 0x0521_34b4,
            version: 2,
            memory: Vec::new(),
            memory_at: 0,
            words: 0,
            accesses: 0,
            last_write: 0,
            block: 0,
            argument: 0,
            response: [0; 4],
            present: 0,
            host: 0,
            clock: 0,
            status: 0,
            status_enable: 0,
            signal_enable: 0,
            adma: 0,
            data: None,
            pending: Vec::new(),
        })))
    }

    pub fn with<T>(&self, change: impl FnOnce(&mut Machine) -> T) -> T {
        change(&mut self.0.borrow_mut())
    }

    pub fn card<T>(&self, change: impl FnOnce(&mut Card) -> T) -> T {
        self.with(|machine| change(machine.card.as_mut().expect("a card")))
    }

    /// Memory that the controller reaches at a bus address, behind a cache that has to
    /// be looked after.
    pub fn memory(&self, blocks: usize, address: u32) -> Memory {
        let words = vec![0; 16 + blocks * 128];
        self.with(|machine| {
            machine.capabilities |= 1 << 19;
            machine.memory = words.clone();
            machine.memory_at = address;
        });
        Memory { cached: words, address, model: self.clone() }
    }
}

impl Clock for Model {
    fn micros(&self) -> u64 {
        self.with(|machine| {
            machine.pass(1);
            machine.time
        })
    }
}

impl Registers for Model {
    fn read(&mut self, offset: usize) -> u32 {
        self.with(|machine| machine.read(offset))
    }

    fn write(&mut self, offset: usize, value: u32) {
        self.with(|machine| machine.write(offset, value));
    }
}

pub struct Memory {
    cached: Vec<u32>,
    address: u32,
    model: Model,
}

impl DmaMemory for Memory {
    fn words(&mut self) -> &mut [u32] {
        assert!(self.model.with(|machine| machine.data.is_none()), "the controller uses it");
        &mut self.cached
    }

    fn bus_address(&self) -> u32 {
        self.address
    }

    fn clean(&mut self, words: Range<usize>) {
        let cached = &self.cached[words.clone()];
        self.model.with(|machine| machine.memory[words].copy_from_slice(cached));
    }

    fn invalidate(&mut self, words: Range<usize>) {
        let cached = &mut self.cached[words.clone()];
        self.model.with(|machine| cached.copy_from_slice(&machine.memory[words]));
    }
}

impl Machine {
    /// Whether the line is up.
    pub fn interrupts(&mut self) -> bool {
        self.pass(1);
        self.status & self.signal_enable != 0
    }

    fn pass(&mut self, micros: u64) {
        self.time += micros;
        self.run();
    }

    /// What is due.
    fn run(&mut self) {
        while let Some(next) = self.pending.iter().position(|(at, _)| *at <= self.time) {
            let (_, event) = self.pending.remove(next);
            match event {
                Event::Response(command) => self.respond(command),
                Event::Block => self.next_block(),
                Event::End => self.end(),
                Event::EndBusy => {
                    self.present &= !2;
                    self.raise(TRANSFER);
                }
                Event::Dma => self.walk(),
            }
        }
    }

    fn later(&mut self, event: Event) {
        self.pending.push((self.time + self.latency, event));
        self.run();
    }

    fn raise(&mut self, bits: u32) {
        self.status |= bits & self.status_enable;
    }

    fn read(&mut self, offset: usize) -> u32 {
        if offset != 0x20 {
            self.accesses += 1;
            self.pass(1);
        }
        match offset {
            0x10..=0x1c => self.response[(offset - 0x10) / 4],
            0x20 => self.take_word(),
            0x24 => {
                let detected = if self.detects && self.card.is_some() { 5 } else { 0 };
                self.present | self.inhibited | (2 | detected) << 16 | 0x1f0_0000
            }
            0x28 => self.host,
            0x2c => self.clock | u32::from(self.clock & 1 == 1 && !self.unstable) << 1,
            0x30 => self.status | u32::from(self.status >> 16 != 0) << 15,
            0x34 => self.status_enable,
            0x38 => self.signal_enable,
            0x40 => self.capabilities,
            0x58 => self.adma,
            0xfc => self.version << 16,
            _ => panic!("read of {offset:#x}"),
        }
    }

    fn write(&mut self, offset: usize, value: u32) {
        if offset == 0x20 {
            return self.give_word(value);
        }
        self.accesses += 1;
        let since = self.time - self.last_write;
        assert!(self.last_write == 0 || since >= self.gap, "{offset:#x} follows after {since} µs");
        self.pass(1);
        self.last_write = self.time;
        match offset {
            0x04 => {
                assert!(self.data.is_none(), "block size in the middle of a transfer");
                self.block = value;
            }
            0x08 => self.argument = value,
            0x0c => self.command(value),
            0x28 => self.host = value,
            0x2c => self.set_clock(value),
            0x30 => self.status &= !value,
            0x34 => self.status_enable = value,
            0x38 => self.signal_enable = value,
            0x58 => self.adma = value,
            _ => panic!("write of {offset:#x}"),
        }
    }

    /// The card's clock, in Hz.
    pub fn hertz(&self) -> u32 {
        let base = (self.capabilities >> 8 & 0xff) * 1_000_000;
        let half = self.clock >> 8 & 0xff | (self.clock >> 6 & 3) << 8;
        base / (2 * half).max(1)
    }

    pub fn host_is_wide(&self) -> bool {
        self.host & 2 != 0
    }

    fn set_clock(&mut self, value: u32) {
        let (was, on) = (self.clock & 4 != 0, value & 4 != 0);
        assert!(!was || (self.clock ^ value) & 0xffc0 == 0, "divisor of a running clock");
        assert!(!on || self.host & 0x100 != 0, "a clock without power");
        self.clock = value & 0x00ff_ffff & !2;
        if value & 1 << 24 != 0 {
            (self.host, self.clock, self.status_enable, self.signal_enable) = (0, 0, 0, 0);
            (self.status, self.present) = (0, 0);
        }
        if value & (1 << 24 | 1 << 25) != 0 {
            self.present &= !1;
            self.status &= !COMMAND;
            self.pending.retain(|(_, event)| !matches!(event, Event::Response(_)));
        }
        if value & (1 << 24 | 1 << 26) != 0 {
            self.present &= !0xf06;
            self.status &= !(TRANSFER | READ_READY | WRITE_READY);
            self.data = None;
            self.pending.retain(|(_, event)| matches!(event, Event::Response(_)));
        }
        if self.endless_reset {
            self.clock |= value & 0x0700_0000;
        }
        if let Some(card) = self.card.as_ref().filter(|_| on) {
            let most = match (card.state, self.host & 4 != 0 && card.high_speed) {
                (State::Idle | State::Ready | State::Identification, _) => 400_000,
                (_, false) => 25_000_000,
                (_, true) => 50_000_000,
            };
            assert!(self.hertz() <= most, "{} Hz", self.hertz());
        }
    }

    fn command(&mut self, value: u32) {
        let (data, busy) = (value >> 21 & 1 == 1, value >> 16 & 3 == 3);
        let abort = value >> 22 & 3 == 3;
        assert_eq!(self.clock & 5, 5, "a command without a clock");
        assert_eq!((self.present | self.inhibited) & 1, 0, "CMD inhibit");
        assert!(!(data || busy && !abort) || self.present & 2 == 0, "DAT inhibit");
        assert_eq!(self.host & 0xf00, 0xf00, "3.3 V");
        self.present |= 1;
        if data || busy {
            self.present |= 2;
        }
        self.later(Event::Response(value));
    }

    fn respond(&mut self, value: u32) {
        let index = (value >> 24 & 0x3f) as u8;
        let argument = self.argument;
        let lines = self.host_is_wide();
        let answer = match &mut self.card {
            Some(card) => {
                if matches!(index, 17 | 18 | 24 | 25) {
                    assert_eq!(lines, card.four_lines, "both ends have as many lines");
                }
                card.command(index, argument)
            }
            None if value >> 16 & 3 == 0 => Answer::Nothing,
            None => Answer::Silence,
        };
        self.check(index, value, answer);
        match answer {
            Answer::Silence => return self.raise(COMMAND_TIMEOUT | COMMAND),
            Answer::Nothing => {}
            Answer::Short(word) => self.response[0] = word,
            Answer::Long(words) => self.response = words,
        }
        self.present &= !1;
        self.raise(COMMAND);
        if value >> 16 & 3 == 3 {
            self.later(Event::EndBusy);
        }
        if value >> 21 & 1 == 1 {
            self.start_data(value);
        }
    }

    /// The response type and the checks are the command's (PL §4.9).
    fn check(&self, index: u8, value: u32, answer: Answer) {
        let (kind, checks) = (value >> 16 & 3, value >> 19 & 3);
        let expected = match index {
            0 => (0, 0),
            2 | 9 => (1, 1),
            7 | 12 => (3, 3),
            41 => (2, 0),
            _ => (2, 3),
        };
        assert_eq!((kind, checks), expected, "CMD{index}: {answer:?}");
    }

    fn start_data(&mut self, mode: u32) {
        let (index, read) = (mode >> 24 & 0x3f, mode >> 4 & 1 == 1);
        let multiple = mode >> 5 & 1 == 1;
        assert_eq!(multiple, matches!(index, 18 | 25));
        assert_eq!(read, !matches!(index, 24 | 25));
        assert!(!multiple || mode >> 1 & 1 == 1, "an endless transfer");
        let left = if multiple { self.block >> 16 } else { 1 };
        let size = (self.block & 0xfff) as usize;
        let stops = mode >> 2 & 3 == 1;
        assert_eq!(stops, multiple, "Auto CMD12");
        self.data = Some(Data { read, left, size, stops, buffer: Vec::new(), at: 0 });
        // An error in R1: no data comes.
        let going = self.card.as_ref().is_some_and(|c| matches!(c.state as u32, 5 | 6));
        if going {
            self.later(if mode & 1 == 1 { Event::Dma } else { Event::Block });
        }
    }

    /// Whether the block that is due now goes wrong: then the data ends there.
    fn goes_wrong(&mut self) -> bool {
        let Some(card) = self.card.as_ref().filter(|card| card.register.is_none()) else {
            return false;
        };
        let Some((fault, left)) = self.faults.get_mut(&(card.at / 512)) else { return false };
        if *left == 0 {
            return false;
        }
        *left -= 1;
        match *fault {
            Fault::Crc => self.raise(DATA_CRC),
            Fault::Timeout => self.raise(DATA_TIMEOUT),
            Fault::Silence => {}
        }
        true
    }

    fn next_block(&mut self) {
        let Some(data) = &self.data else { return };
        let (read, left, size) = (data.read, data.left, data.size);
        if read {
            if self.goes_wrong() {
                return;
            }
            let single = !data_stops(&self.data);
            let bytes = self.card.as_mut().expect("a card").send(size, single && left == 1);
            self.fill(bytes);
            self.present |= 1 << 11;
            self.raise(READ_READY);
        } else {
            self.fill(vec![0; size]);
            self.present |= 1 << 10;
            self.raise(WRITE_READY);
        }
    }

    fn fill(&mut self, bytes: Vec<u8>) {
        if let Some(data) = &mut self.data {
            (data.buffer, data.at) = (bytes, 0);
        }
    }

    fn take_word(&mut self) -> u32 {
        self.words += 1;
        assert!(self.present & 1 << 11 != 0, "a read of an empty buffer");
        let data = self.data.as_mut().expect("data");
        let word = u32::from_le_bytes(data.buffer[data.at..data.at + 4].try_into().unwrap());
        data.at += 4;
        if data.at == data.size {
            self.present &= !(1 << 11);
            self.block_is_over();
        }
        word
    }

    fn give_word(&mut self, word: u32) {
        self.words += 1;
        assert!(self.present & 1 << 10 != 0, "a write to a full buffer");
        let data = self.data.as_mut().expect("data");
        data.buffer[data.at..data.at + 4].copy_from_slice(&word.to_le_bytes());
        data.at += 4;
        if data.at < data.size {
            return;
        }
        self.present &= !(1 << 10);
        if self.goes_wrong() {
            return;
        }
        let data = self.data.as_mut().expect("data");
        let (bytes, last) = (std::mem::take(&mut data.buffer), data.left == 1 && !data.stops);
        self.card.as_mut().expect("a card").receive(&bytes, last);
        self.block_is_over();
    }

    fn block_is_over(&mut self) {
        let data = self.data.as_mut().expect("data");
        data.left -= 1;
        let event = if data.left == 0 { Event::End } else { Event::Block };
        self.later(event);
    }

    fn end(&mut self) {
        let data = self.data.take().expect("data");
        let card = self.card.as_mut().expect("a card");
        if data.stops {
            self.response[3] = match card.command(12, 0) {
                Answer::Short(word) => word,
                other => panic!("Auto CMD12: {other:?}"),
            };
        }
        if card.stuck && !data.read {
            return;
        }
        self.present &= !0xf06;
        self.raise(TRANSFER);
    }

    /// ADMA2 (HC §1.13).
    fn walk(&mut self) {
        assert_eq!(self.host >> 3 & 3, 2, "32-bit ADMA2");
        let mut at = self.adma;
        loop {
            let Some([first, address]) = self.at(at, 2).and_then(|w| <[u32; 2]>::try_from(w).ok())
            else {
                return self.raise(ADMA_ERROR);
            };
            assert_eq!(first & 0x3d, 0x21, "a valid descriptor of data");
            let length = (first >> 16) as usize;
            assert!(length > 0 && address % 4 == 0);
            if !self.move_by_dma(address, length) {
                return;
            }
            at += 8;
            if first & 2 != 0 {
                break;
            }
        }
        assert_eq!(self.data.as_ref().map(|data| data.left), Some(0), "the table is too short");
        self.end();
    }

    fn at(&self, address: u32, words: usize) -> Option<&[u32]> {
        let from = address.checked_sub(self.memory_at)? as usize / 4;
        self.memory.get(from..from + words)
    }

    fn move_by_dma(&mut self, address: u32, length: usize) -> bool {
        for offset in (0..length).step_by(512) {
            if self.goes_wrong() {
                return false;
            }
            let from = (address - self.memory_at) as usize / 4 + offset / 4;
            let data = self.data.as_mut().expect("data");
            let (read, last) = (data.read, data.left == 1 && !data.stops);
            data.left = data.left.checked_sub(1).expect("the table is too long");
            let card = self.card.as_mut().expect("a card");
            let words = &mut self.memory[from..from + 128];
            if read {
                for (word, bytes) in words.iter_mut().zip(card.send(512, last).chunks(4)) {
                    *word = u32::from_le_bytes(bytes.try_into().unwrap());
                }
            } else {
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
                card.receive(&bytes, last);
            }
        }
        true
    }
}

fn data_stops(data: &Option<Data>) -> bool {
    data.as_ref().is_some_and(|data| data.stops)
}
