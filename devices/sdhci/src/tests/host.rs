//! A driver: what a guest does to initialize the card and to move blocks.

use crate::spec::offset;
use evisor_contract::Width;
use evisor_testkit::{MEMORY, Rig, Setup};

pub const COMPATIBLE: &str = "arasan,sdhci-8.9a";
pub const EMMC2: &str = "brcm,bcm2711-emmc2";

/// Bits of the command register (§2.2.6).
pub const NONE: u16 = 0;
pub const LONG: u16 = 1 | 1 << 3;
pub const SHORT: u16 = 2 | 1 << 3 | 1 << 4;
pub const OCR: u16 = 2;
pub const BUSY: u16 = 3 | 1 << 3 | 1 << 4;
pub const DATA: u16 = 1 << 5;

/// Bits of the transfer mode (§2.2.5).
pub const DMA: u16 = 1;
pub const COUNT: u16 = 2;
pub const AUTO12: u16 = 1 << 2;
pub const AUTO23: u16 = 2 << 2;
pub const READ: u16 = 1 << 4;
pub const MULTIPLE: u16 = 1 << 5;

/// Interrupts (§2.2.17), and errors above them.
pub const COMMAND_DONE: u32 = 1;
pub const TRANSFER_DONE: u32 = 2;
pub const GAP: u32 = 4;
pub const DMA_INTERRUPT: u32 = 8;
pub const WRITE_READY: u32 = 16;
pub const READ_READY: u32 = 32;
pub const ERROR: u32 = 1 << 15;
pub const COMMAND_TIMEOUT: u32 = 1 << 16;
pub const DATA_TIMEOUT: u32 = 1 << 20;
pub const DATA_CRC: u32 = 1 << 21;
pub const AUTO_ERROR: u32 = 1 << 24;
pub const ADMA_FAILED: u32 = 1 << 25;

/// Who moves data, and what ends a transfer of many blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Port,
    Sdma,
    Adma2,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// CMD12 by the guest.
    Stop,
    Auto12,
    /// CMD23 by the guest.
    Count,
    Auto23,
}

pub const WAYS: [Way; 3] = [Way::Port, Way::Sdma, Way::Adma2];
pub const ENDS: [End; 4] = [End::Stop, End::Auto12, End::Count, End::Auto23];

/// Where descriptors and data lie in the guest's memory.
pub const TABLE: u64 = *MEMORY.start() + 0x1000;
pub const DATA_AT: u64 = *MEMORY.start() + 0x10_0000;

pub struct Host {
    pub rig: Rig,
    pub address: u32,
}

/// A card that is ready for transfers.
pub fn ready() -> Host {
    ready_with(&Setup::default())
}

pub fn ready_with(setup: &Setup) -> Host {
    let mut host = Host::new(COMPATIBLE, setup);
    host.initialize();
    host
}

impl Host {
    /// Reset, clock and power on, and all interrupts enabled.
    pub fn new(compatible: &str, setup: &Setup) -> Self {
        let mut host = Self { rig: Rig::with(compatible, setup), address: 0 };
        host.start();
        host
    }

    pub fn start(&mut self) {
        self.put8(0x2f, 1);
        self.put8(0x29, 0x0f);
        self.put16(offset::CLOCK, 0x7d01);
        assert_eq!(self.get16(offset::CLOCK), 0x7d03, "the clock is stable");
        self.put16(offset::CLOCK, 0x7d05);
        self.rig.write32(offset::STATUS_ENABLE, 0xf7ff_1fff);
        self.rig.write32(offset::STATUS_SIGNAL, 0xf7ff_1fff);
    }

    pub fn put8(&mut self, offset: u64, value: u8) {
        let _ = self.rig.write(offset, Width::Byte, u64::from(value));
    }

    pub fn put16(&mut self, offset: u64, value: u16) {
        let _ = self.rig.write(offset, Width::Halfword, u64::from(value));
    }

    pub fn put32(&mut self, offset: u64, value: u32) {
        self.rig.write32(offset, u64::from(value));
    }

    pub fn get8(&mut self, offset: u64) -> u8 {
        self.rig.read(offset, Width::Byte).value as u8
    }

    pub fn get16(&mut self, offset: u64) -> u16 {
        self.rig.read(offset, Width::Halfword).value as u16
    }

    pub fn get32(&mut self, offset: u64) -> u32 {
        self.rig.read32(offset) as u32
    }

    /// The response's word `index`.
    pub fn response(&mut self, index: u64) -> u32 {
        self.get32(offset::RESPONSE + 4 * index)
    }

    /// The interrupts that are there, which are cleared.
    pub fn interrupts(&mut self) -> u32 {
        let all = self.get32(offset::STATUS);
        assert_eq!(self.rig.line(0), all != 0, "the line follows the status");
        self.put32(offset::STATUS, all);
        assert!(!self.rig.line(0));
        all
    }

    /// Sends a command and waits for nothing.
    pub fn send(&mut self, index: u8, argument: u32, flags: u16) {
        self.put32(offset::ARGUMENT, argument);
        self.put16(offset::COMMAND, u16::from(index) << 8 | flags);
    }

    /// Sends a command without data that must be answered; gives the response.
    pub fn command(&mut self, index: u8, argument: u32, flags: u16) -> u32 {
        self.send(index, argument, flags);
        if flags & 3 == 3 {
            self.rig.settle_blocks();
        }
        let expected = if flags & 3 == 3 { COMMAND_DONE | TRANSFER_DONE } else { COMMAND_DONE };
        assert_eq!(self.interrupts(), expected, "CMD{index}({argument:#x})");
        self.response(0)
    }

    pub fn application(&mut self, index: u8, argument: u32, flags: u16) -> u32 {
        let status = self.command(55, self.address << 16, SHORT);
        assert_eq!(status & 0x20, 0x20, "APP_CMD");
        self.command(index, argument, flags)
    }

    /// Sends a command that nobody answers.
    pub fn unanswered(&mut self, index: u8, argument: u32) {
        self.send(index, argument, SHORT);
        assert_eq!(self.interrupts(), ERROR | COMMAND_TIMEOUT, "CMD{index}({argument:#x})");
    }

    /// The card's status.
    pub fn status(&mut self) -> u32 {
        self.command(13, self.address << 16, SHORT)
    }

    /// The card's state (Table 4-42).
    pub fn state(&mut self) -> u32 {
        self.status() >> 9 & 15
    }

    /// §4.2.3, as Linux does it: it asks for SDIO and MMC cards too.
    pub fn initialize(&mut self) {
        self.address = 0;
        self.send(0, 0, NONE);
        assert_eq!(self.interrupts(), COMMAND_DONE);
        assert_eq!(self.command(8, 0x1aa, SHORT), 0x1aa);
        self.unanswered(5, 0);
        assert_eq!(self.application(41, 0, OCR), 0x00ff_8000, "not ready: it was only asked");
        self.send(0, 0, NONE);
        assert_eq!(self.interrupts(), COMMAND_DONE);
        self.command(8, 0x1aa, SHORT);
        assert_eq!(self.application(41, 0x4030_0000, OCR), 0xc0ff_8000);
        self.command(2, 0, LONG);
        self.address = self.command(3, 0, SHORT) >> 16;
        self.command(9, self.address << 16, LONG);
        self.command(7, self.address << 16, BUSY);
        self.application(6, 2, SHORT);
        assert_eq!(self.state(), 4);
    }

    /// The answer of a command that sends `length` bytes.
    pub fn register(&mut self, index: u8, argument: u32, length: u16) -> Vec<u8> {
        self.put32(offset::BLOCK_SIZE, u32::from(length) | 1 << 16);
        self.put16(offset::TRANSFER_MODE, READ);
        self.send(index, argument, SHORT | DATA);
        assert_eq!(self.interrupts(), COMMAND_DONE | READ_READY);
        let bytes = self.port(usize::from(length));
        assert_eq!(self.interrupts(), TRANSFER_DONE);
        bytes
    }

    /// So many bytes from the data port.
    pub fn port(&mut self, count: usize) -> Vec<u8> {
        (0..count / 4).flat_map(|_| self.get32(offset::BUFFER).to_le_bytes()).collect()
    }

    pub fn fill_port(&mut self, bytes: &[u8]) {
        for word in bytes.as_chunks::<4>().0 {
            self.put32(offset::BUFFER, u32::from_le_bytes(*word));
        }
    }

    /// Sets up the registers for `count` blocks, and gives the flags for the mode.
    fn prepare(&mut self, way: Way, end: End, count: u32, read: bool) -> u16 {
        self.put16(offset::BLOCK_SIZE, 7 << 12 | 512);
        self.put16(offset::BLOCK_COUNT, count as u16);
        let select = if way == Way::Adma2 { 2 << 3 } else { 0 };
        self.put8(offset::HOST_CONTROL, select | 2);
        match way {
            Way::Port => {}
            Way::Sdma => self.put32(0, DATA_AT as u32),
            Way::Adma2 => self.describe(&[(DATA_AT as u32, count * 512)]),
        }
        if end == End::Auto23 {
            self.put32(0, count);
        }
        let mode = if read { READ } else { 0 } | if way == Way::Port { 0 } else { DMA };
        mode | match (count, end) {
            (1, _) => 0,
            (_, End::Stop | End::Count) => MULTIPLE | COUNT,
            (_, End::Auto12) => MULTIPLE | COUNT | AUTO12,
            (_, End::Auto23) => MULTIPLE | COUNT | AUTO23,
        }
    }

    /// Writes a table with these places, in lines of at most 64 KiB, and where it is.
    pub fn describe(&mut self, places: &[(u32, u32)]) {
        let mut lines = Vec::new();
        for (address, length) in places {
            for at in (0..*length).step_by(0x1_0000) {
                lines.push(line(0x21, address + at, (length - at).min(0x1_0000)));
            }
        }
        lines.push(line(0x03, 0, 0));
        self.table(TABLE, &lines);
        self.put32(offset::ADMA_ADDRESS, TABLE as u32);
    }

    pub fn table(&mut self, at: u64, lines: &[u64]) {
        let bytes: Vec<u8> = lines.iter().flat_map(|line| line.to_le_bytes()).collect();
        self.rig.guest_memory().put(at, &bytes);
    }

    /// Begins to move `count` blocks.
    pub fn begin(&mut self, block: u32, way: Way, end: End, count: u32, read: bool) {
        if end == End::Count && count > 1 {
            self.command(23, count, SHORT);
        }
        let mode = self.prepare(way, end, count, read);
        self.put16(offset::TRANSFER_MODE, mode);
        let index = match (read, count) {
            (true, 1) => 17,
            (true, _) => 18,
            (false, 1) => 24,
            (false, _) => 25,
        };
        self.send(index, block, SHORT | DATA);
    }

    /// Ends it, and gives what happened meanwhile.
    fn finish(&mut self, end: End, count: u32, happened: u32) {
        assert_eq!(happened, COMMAND_DONE | TRANSFER_DONE);
        if end == End::Stop && count > 1 {
            self.command(12, 0, BUSY);
        }
        assert_eq!(self.status(), 0x900, "in the transfer state, with nothing wrong");
    }

    pub fn read(&mut self, block: u32, count: u32, way: Way, end: End) -> Vec<u8> {
        self.begin(block, way, end, count, true);
        let bytes = match way {
            Way::Port => self.read_port(count),
            _ => {
                self.rig.settle_blocks();
                self.rig.guest_memory().bytes(DATA_AT, count as usize * 512)
            }
        };
        let happened = self.interrupts() & !(READ_READY | DMA_INTERRUPT);
        self.finish(end, count, happened);
        bytes
    }

    fn read_port(&mut self, count: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        for _ in 0..count {
            self.rig.settle_blocks();
            assert_ne!(self.get32(offset::PRESENT_STATE) & 1 << 11, 0, "buffer read enable");
            bytes.extend(self.port(512));
        }
        self.rig.settle_blocks();
        assert_eq!(self.get32(offset::PRESENT_STATE) & 1 << 11, 0, "no more");
        bytes
    }

    pub fn write(&mut self, block: u32, bytes: &[u8], way: Way, end: End) {
        let count = (bytes.len() / 512) as u32;
        self.rig.guest_memory().put(DATA_AT, bytes);
        self.begin(block, way, end, count, false);
        if way == Way::Port {
            for block in bytes.chunks(512) {
                assert_ne!(self.get32(offset::PRESENT_STATE) & 1 << 10, 0, "buffer write enable");
                self.fill_port(block);
                self.rig.settle_blocks();
            }
        }
        self.rig.settle_blocks();
        let happened = self.interrupts() & !(WRITE_READY | DMA_INTERRUPT);
        self.finish(end, count, happened);
    }

    /// What the medium holds.
    pub fn medium(&self, block: u32, count: u32) -> Vec<u8> {
        self.rig.store().content().bytes(u64::from(block) * 512, count as usize * 512)
    }

    pub fn fill_medium(&self, block: u32, bytes: &[u8]) {
        self.rig.store().content().put(u64::from(block) * 512, bytes);
    }
}

/// A line of a descriptor table (§1.13.4).
pub fn line(attributes: u64, address: u32, length: u32) -> u64 {
    u64::from(address) << 32 | u64::from(length & 0xffff) << 16 | attributes
}

/// `count` blocks, each word of which is another.
pub fn pattern(seed: u32, count: u32) -> Vec<u8> {
    (0..count * 128).flat_map(|n| (n.wrapping_mul(0x9e37_79b9) ^ seed).to_le_bytes()).collect()
}
