//! An SD card behind a standard host controller, by the data port (SD Specifications, Part
//! A2, SD Host Controller Simplified Specification, named HC here, and Part 1, Physical
//! Layer Simplified Specification, named PL). One data line, default speed.
//!
//! A Pi 4 has it behind EMMC2. QEMU has it behind the older controller, where a Pi 4 has
//! its wireless chip. Neither tells whether a card is in: one that answers is.

use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::gic;
use crate::mailbox;
use crate::registers::{Registers, delay, within};

const BLOCK: usize = 0x04;
const ARGUMENT: usize = 0x08;
const COMMAND: usize = 0x0c;
const RESPONSE: usize = 0x10;
const DATA: usize = 0x20;
const PRESENT: usize = 0x24;
const HOST: usize = 0x28;
const CLOCK: usize = 0x2c;
const STATUS: usize = 0x30;
const STATUS_ENABLE: usize = 0x34;
const SIGNAL_ENABLE: usize = 0x38;
const CAPABILITIES: usize = 0x40;

const PRESENT_CMD_INHIBIT: u32 = 1 << 0;
const PRESENT_DAT_INHIBIT: u32 = 1 << 1;
/// 3.3 V, power on; one line, no DMA. (Broadcom's have no such register that works.)
const HOST_POWER: u32 = 7 << 9 | 1 << 8;
const CLOCK_ENABLE: u32 = 1 << 0;
const CLOCK_STABLE: u32 = 1 << 1;
const CLOCK_TO_CARD: u32 = 1 << 2;
const CLOCK_LONGEST_TIMEOUT: u32 = 14 << 16;
const CLOCK_RESET_ALL: u32 = 1 << 24;
const CLOCK_RESET_CMD: u32 = 1 << 25;
const CLOCK_RESET_DAT: u32 = 1 << 26;
const STATUS_COMMAND: u32 = 1 << 0;
const STATUS_TRANSFER: u32 = 1 << 1;
const STATUS_WRITE_READY: u32 = 1 << 4;
const STATUS_READ_READY: u32 = 1 << 5;
const STATUS_ERRORS: u32 = 0x03ff_0000;
const STATUS_ALL: u32 =
    STATUS_COMMAND | STATUS_TRANSFER | STATUS_WRITE_READY | STATUS_READ_READY | STATUS_ERRORS;

/// What a command answers, as the Command register wants it (HC §2.2.6).
const R0: u32 = 0;
const R1: u32 = 0x1a << 16;
const R1B: u32 = 0x1b << 16;
const R2: u32 = 0x09 << 16;
const R3: u32 = 0x02 << 16;
/// Data goes with it; and the bits of Transfer Mode (HC §2.2.5).
const WITH_DATA: u32 = 1 << 21;
const FROM_CARD: u32 = 1 << 4;
/// Several blocks, counted, and CMD12 behind them by the controller itself.
const SEVERAL: u32 = 1 << 5 | 1 << 2 | 1 << 1;

/// CMD8: 2.7 to 3.6 V, and a pattern that comes back.
const VOLTAGE_AND_PATTERN: u32 = 0x1aa;
/// ACMD41: 3.2 to 3.4 V, and that the host knows high capacity.
const CONDITIONS: u32 = 1 << 30 | 0b11 << 20;
const OCR_READY: u32 = 1 << 31;
const OCR_HIGH_CAPACITY: u32 = 1 << 30;

/// Hertz (PL §4.2.1; §4.3.10.1).
const IDENTIFICATION: u32 = 400_000;
const DEFAULT: u32 = 25_000_000;

/// The controllers that may have it: address, and the firmware's number of the clock.
const CONTROLLERS: [(usize, u32); 2] = [(0xfe34_0000, 12), (0xfe30_0000, 1)];

/// Of both (BCM2711 ARM Peripherals, chapter 6).
pub const INTID: u32 = 158;

/// The controller that interrupts, and whether it did.
static ADDRESS: AtomicUsize = AtomicUsize::new(0);
static CAME: AtomicU32 = AtomicU32::new(0);

/// What went wrong; it is printed and that is all.
pub type Fault = &'static str;

/// 512 bytes.
pub type Sector = [u32; 128];

/// A controller.
struct Controller {
    registers: Registers,
    /// What the card's clock is divided from, in hertz.
    base: u32,
    /// What has to pass after each write, in microseconds: while the card's clock is slow,
    /// Broadcom's lose one that follows within two of its cycles.
    gap: u64,
}

/// A card in the transfer state.
pub struct Card {
    controller: Controller,
    /// By sectors, or by bytes.
    high_capacity: bool,
    pub sectors: u32,
}

impl Card {
    /// The first card that answers.
    pub fn find() -> Result<Self, Fault> {
        let mut cards = CONTROLLERS.iter().map(|(address, clock)| Self::open(*address, *clock));
        cards.find(Result::is_ok).unwrap_or(Err("no card answers"))
    }

    /// From power to the transfer state (HC §3.6, PL §4.2.3).
    fn open(address: usize, clock: u32) -> Result<Self, Fault> {
        let controller = Controller::start(Registers(address), clock)?;
        controller.send(0, R0, 0)?;
        if controller.send(8, R1, VOLTAGE_AND_PATTERN)? != VOLTAGE_AND_PATTERN {
            return Err("the card does not know CMD8");
        }
        let high_capacity = controller.identify()? & OCR_HIGH_CAPACITY != 0;
        controller.send(2, R2, 0)?;
        let address = controller.send(3, R1, 0)? & 0xffff_0000;
        controller.send(9, R2, address)?;
        let sectors = controller.capacity();
        let controller = controller.speed(DEFAULT)?;
        controller.send(7, R1B, address)?;
        if !high_capacity {
            controller.send(16, R1, 512)?;
        }
        Ok(Self { controller, high_capacity, sectors })
    }

    /// Whether a sector that can be read interrupts.
    pub fn interrupts(&self, sector: u32) -> Result<bool, Fault> {
        let controller = &self.controller;
        ADDRESS.store(controller.registers.0, Ordering::Release);
        CAME.store(0, Ordering::Release);
        gic::enable(INTID);
        controller.write(SIGNAL_ENABLE, STATUS_READ_READY);
        self.ask(sector, 1)?;
        let came = within(1_000_000, || CAME.load(Ordering::Acquire) != 0);
        controller.write(SIGNAL_ENABLE, 0);
        self.take(1, |_| ())?;
        Ok(came)
    }

    /// Reads sectors, by CMD17 or CMD18, and shows each.
    pub fn read(&self, first: u32, count: u32, show: impl FnMut(&Sector)) -> Result<(), Fault> {
        self.ask(first, count)?;
        self.take(count, show)
    }

    fn ask(&self, first: u32, count: u32) -> Result<(), Fault> {
        let (command, mode) = if count == 1 { (17, 0) } else { (18, SEVERAL) };
        let controller = &self.controller;
        controller.write(BLOCK, count << 16 | 512);
        controller.send(command, R1 | WITH_DATA | FROM_CARD | mode, self.place(first))?;
        Ok(())
    }

    fn take(&self, count: u32, mut show: impl FnMut(&Sector)) -> Result<(), Fault> {
        let controller = &self.controller;
        for _ in 0..count {
            controller.wait_for(STATUS_READ_READY)?;
            let mut sector = [0; 128];
            sector.iter_mut().for_each(|word| *word = controller.registers.read(DATA));
            show(&sector);
        }
        controller.wait_for(STATUS_TRANSFER)
    }

    /// Writes sectors, by CMD24 or CMD25, each as `make` has it. When it returns the card
    /// has them.
    pub fn write(
        &self,
        first: u32,
        count: u32,
        mut make: impl FnMut(u32) -> Sector,
    ) -> Result<(), Fault> {
        let (command, mode) = if count == 1 { (24, 0) } else { (25, SEVERAL) };
        let controller = &self.controller;
        controller.write(BLOCK, count << 16 | 512);
        controller.send(command, R1 | WITH_DATA | mode, self.place(first))?;
        for sector in first..first + count {
            controller.wait_for(STATUS_WRITE_READY)?;
            make(sector).iter().for_each(|word| controller.registers.write(DATA, *word));
        }
        controller.wait_for(STATUS_TRANSFER)
    }

    fn place(&self, sector: u32) -> u32 {
        if self.high_capacity { sector } else { sector * 512 }
    }
}

impl Controller {
    /// Reset, power, a slow clock.
    fn start(registers: Registers, clock: u32) -> Result<Self, Fault> {
        let capabilities = registers.probe(CAPABILITIES).ok_or("there is no controller")?;
        let stated = (capabilities >> 8 & 0xff) * 1_000_000;
        let base = mailbox::clock_rate(clock).unwrap_or(stated);
        let controller = Self { registers, base, gap: gap(IDENTIFICATION) };
        controller.reset(CLOCK_RESET_ALL)?;
        controller.write(HOST, HOST_POWER);
        controller.write(STATUS_ENABLE, STATUS_ALL);
        controller.write(SIGNAL_ENABLE, 0);
        // The supply rises, and then 74 clocks go by (PL §6.4.1).
        delay(36_000);
        let controller = controller.speed(IDENTIFICATION)?;
        delay(1_200);
        Ok(controller)
    }

    fn write(&self, offset: usize, value: u32) {
        self.registers.write(offset, value);
        delay(self.gap);
    }

    fn reset(&self, which: u32) -> Result<(), Fault> {
        self.write(CLOCK, self.registers.read(CLOCK) | which);
        let over = within(100_000, || self.registers.read(CLOCK) & which == 0);
        over.then_some(()).ok_or("a reset of the controller does not end")
    }

    /// Gives the card a clock of at most so many hertz (HC §3.2): half of the base by a
    /// divisor of ten bits, whose upper two stand below the others.
    fn speed(mut self, hertz: u32) -> Result<Self, Fault> {
        let divisor = self.base.div_ceil(2 * hertz).min(0x3ff);
        let clock =
            CLOCK_LONGEST_TIMEOUT | (divisor & 0xff) << 8 | (divisor >> 8) << 6 | CLOCK_ENABLE;
        self.write(CLOCK, 0);
        self.write(CLOCK, clock);
        if !within(150_000, || self.registers.read(CLOCK) & CLOCK_STABLE != 0) {
            return Err("the controller's clock is not stable");
        }
        self.write(CLOCK, clock | CLOCK_TO_CARD);
        self.gap = gap(hertz);
        Ok(self)
    }

    /// ACMD41, until the card has come up: within a second (PL §4.2.3).
    fn identify(&self) -> Result<u32, Fault> {
        for _ in 0..1000 {
            self.send(55, R1, 0)?;
            let conditions = self.send(41, R3, CONDITIONS)?;
            if conditions & OCR_READY != 0 {
                return Ok(conditions);
            }
            delay(1_000);
        }
        Err("the card does not come up")
    }

    /// Sectors, from the CSD that was answered, of either version (PL §5.3). A long
    /// response lies eight bits lower than it is numbered (HC §2.2.7).
    fn capacity(&self) -> u32 {
        let [_, low, middle, high] =
            [0, 4, 8, 12].map(|offset| self.registers.read(RESPONSE + offset));
        if high >> 22 & 0b11 == 1 {
            return ((low >> 8 & 0x3f_ffff) + 1) * 1024;
        }
        let units = ((middle & 0b11) << 10 | low >> 22) + 1;
        let shift = (low >> 7 & 0b111) + 2 + (middle >> 8 & 0xf);
        units << shift.saturating_sub(9).min(31)
    }

    /// Sends a command and gives its short response.
    fn send(&self, index: u32, how: u32, argument: u32) -> Result<u32, Fault> {
        let busy = PRESENT_CMD_INHIBIT | PRESENT_DAT_INHIBIT;
        if !within(1_000_000, || self.registers.read(PRESENT) & busy == 0) {
            return Err("the card stays busy");
        }
        self.write(STATUS, STATUS_ALL);
        self.write(ARGUMENT, argument);
        self.write(COMMAND, index << 24 | how);
        self.wait_for(STATUS_COMMAND)?;
        Ok(self.registers.read(RESPONSE))
    }

    /// Waits for an event, for as long as a block takes at most (PL §4.6.2), and clears it.
    fn wait_for(&self, event: u32) -> Result<(), Fault> {
        let came = within(1_000_000, || self.registers.read(STATUS) & (event | STATUS_ERRORS) != 0);
        if came && self.registers.read(STATUS) & STATUS_ERRORS == 0 {
            self.write(STATUS, event);
            return Ok(());
        }
        // After an error the lines stay inhibited (HC §3.10.1).
        self.reset(CLOCK_RESET_CMD)?;
        self.reset(CLOCK_RESET_DAT)?;
        Err("a command is not answered, or data does not come")
    }
}

/// Four cycles of a slow clock, in microseconds.
fn gap(hertz: u32) -> u64 {
    if hertz <= IDENTIFICATION { u64::from(4_000_000_u32.div_ceil(hertz)) } else { 0 }
}

/// What interrupts stays so until it was read.
pub fn interrupt() {
    Registers(ADDRESS.load(Ordering::Acquire)).write(SIGNAL_ENABLE, 0);
    CAME.store(1, Ordering::Release);
}
