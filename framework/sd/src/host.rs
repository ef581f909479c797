//! The controller: clock, power, reset, and one command at a time.

use crate::divisor::divisor;
use crate::error::{Cause, SdError};
use crate::registers::{Clock, Registers};
use crate::spec::{
    CAPABILITIES, CLOCK, COMMAND, COMMAND_ERRORS, Command, ERRORS, EVENTS, HOST, PRESENT, Response,
    STATUS, VERSION, frequency, offset, time,
};
use tock_registers::LocalRegisterCopy;
use tock_registers::fields::{Field, FieldValue};

pub type Status = LocalRegisterCopy<u32, STATUS::Register>;

/// How a board's controller is not as the specification says, or says less.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The frequency that the card's clock is divided from, in Hz; the capabilities
    /// say it if this does not.
    pub base_clock: Option<u32>,
    /// Present State tells whether a card is in. Without, that there is none is known
    /// only when nothing answers.
    pub card_detect: bool,
    /// High speed may be used where controller and card offer it.
    pub high_speed: bool,
    /// Two writes of registers must lie apart while the card's clock is slow: the
    /// Arasan controller of the BCM2835 loses one that follows within two of its
    /// cycles.
    pub spaced_writes: bool,
}

impl Config {
    /// A controller as specified.
    pub const STANDARD: Self =
        Self { base_clock: None, card_detect: true, high_speed: true, spaced_writes: false };
}

pub struct Host<R, C> {
    pub registers: R,
    pub clock: C,
    pub config: Config,
    pub capabilities: LocalRegisterCopy<u32, CAPABILITIES::Register>,
    /// Host Control 1 and Power Control as they are.
    control: LocalRegisterCopy<u32, HOST::Register>,
    /// Whether the divisor has ten bits.
    wide_divisor: bool,
    /// What has to pass after a write, in microseconds.
    gap: u64,
}

impl<R: Registers, C: Clock> Host<R, C> {
    pub fn new(registers: R, clock: C, config: Config) -> Self {
        let mut host = Self {
            registers,
            clock,
            config,
            capabilities: LocalRegisterCopy::new(0),
            control: LocalRegisterCopy::new(0),
            wide_divisor: false,
            gap: 0,
        };
        host.set_gap(frequency::IDENTIFICATION);
        host.capabilities.set(host.registers.read(offset::CAPABILITIES));
        let version: LocalRegisterCopy<u32, VERSION::Register> =
            LocalRegisterCopy::new(host.registers.read(offset::VERSION));
        host.wide_divisor =
            version.read(VERSION::SPECIFICATION) >= VERSION::SPECIFICATION::V3_00.value >> 16;
        host
    }

    pub fn write(&mut self, offset: usize, value: u32) {
        self.registers.write(offset, value);
        if self.gap > 0 {
            self.delay(self.gap);
        }
    }

    /// Four cycles: twice what must pass, as its crossing into the other clock's
    /// domain is not specified.
    fn set_gap(&mut self, hertz: u32) {
        let slow = self.config.spaced_writes && hertz <= frequency::IDENTIFICATION;
        self.gap = if slow { u64::from(4_000_000_u32.div_ceil(hertz.max(1))) } else { 0 };
    }

    pub fn delay(&self, micros: u64) {
        let start = self.clock.micros();
        while self.clock.micros().saturating_sub(start) < micros {
            core::hint::spin_loop();
        }
    }

    /// Whether `done` came true within so many microseconds.
    pub fn wait(&mut self, micros: u64, mut done: impl FnMut(&mut Self) -> bool) -> bool {
        let start = self.clock.micros();
        loop {
            if done(self) {
                return true;
            }
            if self.clock.micros().saturating_sub(start) > micros {
                return false;
            }
            core::hint::spin_loop();
        }
    }

    pub fn present(&mut self) -> LocalRegisterCopy<u32, PRESENT::Register> {
        LocalRegisterCopy::new(self.registers.read(offset::PRESENT))
    }

    pub fn status(&mut self) -> Status {
        LocalRegisterCopy::new(self.registers.read(offset::STATUS))
    }

    /// Clears bits of the status.
    pub fn clear(&mut self, bits: u32) {
        self.write(offset::STATUS, bits);
    }

    pub fn timed_out(&mut self) -> Cause {
        Cause::TimedOut(self.present().get())
    }

    /// Asks for a reset; [`is_resetting`](Self::is_resetting) tells when it is done.
    /// One at a time: QEMU's controller takes no two.
    pub fn start_reset(&mut self, which: Field<u32, CLOCK::Register>) {
        let clock = self.clock_control();
        self.write(offset::CLOCK, clock.get() | which.mask << which.shift);
    }

    pub fn is_resetting(&mut self) -> bool {
        let clock = self.clock_control();
        clock.is_set(CLOCK::RESET_ALL)
            || clock.is_set(CLOCK::RESET_CMD)
            || clock.is_set(CLOCK::RESET_DAT)
    }

    /// Resets and waits for it.
    pub fn reset(&mut self, which: Field<u32, CLOCK::Register>) -> Result<(), SdError> {
        self.start_reset(which);
        if self.wait(time::RESET, |host| !host.is_resetting()) {
            Ok(())
        } else {
            Err(SdError::Controller("a reset does not end"))
        }
    }

    fn clock_control(&mut self) -> LocalRegisterCopy<u32, CLOCK::Register> {
        LocalRegisterCopy::new(self.registers.read(offset::CLOCK))
    }

    /// Gives the card a clock of at most `hertz`, and says what it came to
    /// (HC §3.2.3: it is stopped while it changes).
    pub fn set_clock(&mut self, hertz: u32) -> Result<u32, SdError> {
        let base = self.base_clock()?;
        let (divisor, actual) = divisor(base, hertz, self.wide_divisor);
        // The longest timeout: this driver's own clock ends what takes too long.
        let stopped = CLOCK::TIMEOUT::Longest + divisor + CLOCK::ENABLE::SET;
        let before = self.clock_control();
        self.write(offset::CLOCK, before.get() & !CLOCK::SD_ENABLE::SET.value);
        self.write(offset::CLOCK, stopped.value);
        if !self.wait(time::CLOCK_STABLE, |host| host.clock_control().is_set(CLOCK::STABLE)) {
            return Err(SdError::Controller("its clock does not become stable"));
        }
        self.write(offset::CLOCK, (stopped + CLOCK::SD_ENABLE::SET).value);
        self.set_gap(actual);
        Ok(actual)
    }

    fn base_clock(&self) -> Result<u32, SdError> {
        let megahertz = match self.capabilities.read(CAPABILITIES::BASE_CLOCK) {
            all if self.wide_divisor => all,
            all => all & 0x3f,
        };
        match self.config.base_clock.unwrap_or(megahertz * 1_000_000) {
            0 => Err(SdError::Controller("nobody says the frequency of its clock")),
            base => Ok(base),
        }
    }

    /// Changes Host Control 1 or Power Control.
    pub fn control(&mut self, field: FieldValue<u32, HOST::Register>) {
        self.control.modify(field);
        self.write(offset::HOST, self.control.get());
    }

    /// Which events set a bit of the status, and whether they interrupt.
    pub fn enable(&mut self, interrupts: bool) {
        let bits = EVENTS | ERRORS;
        self.write(offset::STATUS_ENABLE, bits);
        self.write(offset::SIGNAL_ENABLE, if interrupts { bits } else { 0 });
    }

    /// Whether a command may be sent that uses the data lines, or not (HC §3.7.1).
    pub fn is_free(&mut self, data: bool) -> bool {
        let present = self.present();
        let inhibited = present.is_set(PRESENT::CMD_INHIBIT);
        !inhibited && (!data || !present.is_set(PRESENT::DAT_INHIBIT))
    }

    /// Sends a command. `mode` is what Transfer Mode and the rest of Command become:
    /// they are one word, and go in one write.
    pub fn send(
        &mut self,
        command: Command,
        argument: u32,
        mode: FieldValue<u32, COMMAND::Register>,
    ) {
        let checks = COMMAND::CRC_CHECK::SET + COMMAND::INDEX_CHECK::SET;
        let response = match command.response {
            Response::None => COMMAND::RESPONSE::None,
            Response::R1 => COMMAND::RESPONSE::Short + checks,
            Response::R1b => COMMAND::RESPONSE::ShortBusy + checks,
            Response::R2 => COMMAND::RESPONSE::Long + COMMAND::CRC_CHECK::SET,
            Response::R3 => COMMAND::RESPONSE::Short,
        };
        self.clear(EVENTS | ERRORS);
        self.write(offset::ARGUMENT, argument);
        let index = COMMAND::INDEX.val(u32::from(command.index));
        self.write(offset::COMMAND, (index + response + mode).value);
    }

    /// The first word of the response.
    pub fn response(&mut self) -> u32 {
        self.registers.read(offset::RESPONSE)
    }

    /// All four.
    pub fn long_response(&mut self) -> [u32; 4] {
        [0, 4, 8, 12].map(|word| self.registers.read(offset::RESPONSE + word))
    }

    /// Sends a command and waits for its response, and for the end of busy. Used while
    /// nothing else needs the core.
    pub fn command(
        &mut self,
        command: Command,
        argument: u32,
        mode: FieldValue<u32, COMMAND::Register>,
    ) -> Result<u32, Cause> {
        let busy = command.response == Response::R1b;
        let data = busy || mode.matches_all(COMMAND::DATA::SET.value);
        let sent = self.wait(time::DATA, |host| host.is_free(data)) && {
            self.send(command, argument, mode);
            self.wait(time::RESPONSE, |host| host.status().get() & (COMMAND_ERRORS | 1) != 0)
                && (!busy
                    || self.wait(time::DATA, |host| {
                        host.status().get() & (ERRORS | STATUS::TRANSFER::SET.value) != 0
                    }))
        };
        let status = self.status();
        let cause = match status.get() & ERRORS {
            0 if sent => return Ok(self.response()),
            0 => self.timed_out(),
            _ => Cause::Controller(status.get()),
        };
        // HC §3.10.1: the lines are reset after an error, or they stay inhibited.
        let _ = self.reset(CLOCK::RESET_CMD);
        if data {
            let _ = self.reset(CLOCK::RESET_DAT);
        }
        Err(cause)
    }
}
