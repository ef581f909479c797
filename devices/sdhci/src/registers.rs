//! The registers that hold what is written to them, and the interrupts.

use crate::spec::{
    AUTO_ERRORS, BLOCK_GAP, BLOCK_SIZE, CAPABILITIES, CLOCK, COMMAND, ERRORS, HOST_CONTROL, PRESET,
    STATUS, TRANSFER_MODE, VERSION, offset, writable,
};
use evisor_contract::{Restore, RestoreError, Save};
use tock_registers::LocalRegisterCopy;
use tock_registers::fields::FieldValue;

/// The register file.
pub struct Registers {
    /// SDMA's next address, or Auto CMD23's argument.
    pub argument2: u32,
    pub block_size: LocalRegisterCopy<u16, BLOCK_SIZE::Register>,
    /// Counts down as blocks move, where it counts.
    pub block_count: u16,
    pub argument: u32,
    pub transfer_mode: LocalRegisterCopy<u16, TRANSFER_MODE::Register>,
    pub command: LocalRegisterCopy<u16, COMMAND::Register>,
    pub response: [u32; 4],
    /// With power control in the high byte.
    pub host_control: LocalRegisterCopy<u16, HOST_CONTROL::Register>,
    /// With wakeup control in the high byte.
    pub block_gap: LocalRegisterCopy<u16, BLOCK_GAP::Register>,
    pub clock: LocalRegisterCopy<u16, CLOCK::Register>,
    timeout: u16,
    pub status: LocalRegisterCopy<u16, STATUS::Register>,
    pub errors: LocalRegisterCopy<u16, ERRORS::Register>,
    status_enable: u16,
    errors_enable: u16,
    status_signal: u16,
    errors_signal: u16,
    pub auto_errors: LocalRegisterCopy<u16, AUTO_ERRORS::Register>,
    host_control2: u16,
    pub adma_error: u32,
    /// The descriptor that is fetched next.
    pub adma_address: u32,
}

impl Registers {
    pub const RESET: Self = Self {
        argument2: 0,
        block_size: LocalRegisterCopy::new(0),
        block_count: 0,
        argument: 0,
        transfer_mode: LocalRegisterCopy::new(0),
        command: LocalRegisterCopy::new(0),
        response: [0; 4],
        host_control: LocalRegisterCopy::new(0),
        block_gap: LocalRegisterCopy::new(0),
        clock: LocalRegisterCopy::new(0),
        timeout: 0,
        status: LocalRegisterCopy::new(0),
        errors: LocalRegisterCopy::new(0),
        status_enable: 0,
        errors_enable: 0,
        status_signal: 0,
        errors_signal: 0,
        auto_errors: LocalRegisterCopy::new(0),
        host_control2: 0,
        adma_error: 0,
        adma_address: 0,
    };

    /// Something happened; it is seen if its status is enabled (§2.2.19).
    pub fn happen(&mut self, event: FieldValue<u16, STATUS::Register>) {
        self.status.set(self.status.get() | event.value & self.status_enable);
    }

    /// An error happened; it is seen if its status is enabled (§2.2.20).
    pub fn fail(&mut self, error: FieldValue<u16, ERRORS::Register>) {
        self.errors.set(self.errors.get() | error.value & self.errors_enable);
    }

    /// Whether the interrupt is signalled (§2.2.21, §2.2.22).
    pub fn interrupts(&self) -> bool {
        self.status.get() & self.status_signal != 0 || self.errors.get() & self.errors_signal != 0
    }

    /// The low or the high half of the word that has `half` (an even offset).
    pub fn read(&self, half: u64) -> u16 {
        let of_word = |word: u32| (word >> (8 * (half & 2))) as u16;
        match half {
            offset::BLOCK_SIZE => self.block_size.get(),
            offset::BLOCK_COUNT => self.block_count,
            offset::TRANSFER_MODE => self.transfer_mode.get(),
            offset::COMMAND => self.command.get(),
            offset::HOST_CONTROL => self.host_control.get(),
            offset::BLOCK_GAP => self.block_gap.get(),
            offset::CLOCK => self.clock.get(),
            offset::TIMEOUT => self.timeout,
            offset::STATUS => self.normal_status(),
            offset::ERRORS => self.errors.get(),
            offset::STATUS_ENABLE => self.status_enable,
            offset::ERRORS_ENABLE => self.errors_enable,
            offset::STATUS_SIGNAL => self.status_signal,
            offset::ERRORS_SIGNAL => self.errors_signal,
            offset::AUTO_ERRORS => self.auto_errors.get(),
            offset::HOST_CONTROL2 => self.host_control2,
            _ => of_word(self.word(half & !3)),
        }
    }

    /// The registers of 32 bits.
    fn word(&self, word: u64) -> u32 {
        let of = |table: &[u32; 4], first| {
            let index = usize::try_from(word.wrapping_sub(first) / 4).ok();
            index.and_then(|index| table.get(index)).copied()
        };
        match word {
            offset::ARGUMENT2 => self.argument2,
            offset::ARGUMENT => self.argument,
            offset::CAPABILITIES => CAPABILITIES,
            offset::ADMA_ERROR => self.adma_error,
            offset::ADMA_ADDRESS => self.adma_address,
            offset::SLOT_STATUS => u32::from(self.interrupts()) | VERSION << 16,
            _ => of(&self.response, offset::RESPONSE).or(of(&PRESET, offset::PRESET)).unwrap_or(0),
        }
    }

    fn normal_status(&self) -> u16 {
        let error = if self.errors.get() == 0 { 0 } else { STATUS::ERROR::SET.value };
        self.status.get() | error
    }

    /// A write of the bits in `lanes` (whole bytes) of the half at `half`. What
    /// else follows from it is not done here.
    pub fn write(&mut self, half: u64, value: u16, lanes: u16) {
        let merge = |old: u16, writable: u16| old & !lanes | value & lanes & writable;
        let set = value & lanes;
        match half {
            offset::BLOCK_SIZE => {
                self.block_size.set(merge(self.block_size.get(), writable::BLOCK_SIZE));
            }
            offset::BLOCK_COUNT => self.block_count = merge(self.block_count, u16::MAX),
            offset::TRANSFER_MODE => {
                self.transfer_mode.set(merge(self.transfer_mode.get(), writable::TRANSFER_MODE));
            }
            offset::COMMAND => self.command.set(merge(self.command.get(), writable::COMMAND)),
            offset::HOST_CONTROL => {
                let writable = writable::HOST_CONTROL | writable::POWER;
                self.host_control.set(merge(self.host_control.get(), writable));
            }
            offset::BLOCK_GAP => {
                let writable = writable::BLOCK_GAP | writable::WAKEUP;
                self.block_gap.set(merge(self.block_gap.get(), writable));
            }
            offset::CLOCK => self.set_clock(merge(self.clock.get(), writable::CLOCK)),
            offset::TIMEOUT => self.timeout = merge(self.timeout, writable::TIMEOUT),
            offset::STATUS => self.status.set(self.status.get() & !set),
            offset::ERRORS => self.errors.set(self.errors.get() & !set),
            offset::STATUS_ENABLE => {
                self.status_enable = merge(self.status_enable, writable::STATUS);
            }
            offset::ERRORS_ENABLE => {
                self.errors_enable = merge(self.errors_enable, writable::ERRORS);
            }
            offset::STATUS_SIGNAL => {
                self.status_signal = merge(self.status_signal, writable::STATUS);
            }
            offset::ERRORS_SIGNAL => {
                self.errors_signal = merge(self.errors_signal, writable::ERRORS);
            }
            offset::HOST_CONTROL2 => {
                self.host_control2 = merge(self.host_control2, writable::HOST_CONTROL2);
            }
            offset::FORCE_AUTO_ERRORS => self.force_auto(set & writable::AUTO_ERRORS),
            offset::FORCE_ERRORS => {
                self.errors.set(self.errors.get() | set & self.errors_enable);
            }
            _ => self.write_word(half, value, lanes),
        }
    }

    fn write_word(&mut self, half: u64, value: u16, lanes: u16) {
        let shift = 8 * (half & 2);
        let (value, lanes) = (u32::from(value) << shift, u32::from(lanes) << shift);
        let register = match half & !3 {
            offset::ARGUMENT2 => &mut self.argument2,
            offset::ARGUMENT => &mut self.argument,
            offset::ADMA_ADDRESS => &mut self.adma_address,
            _ => return,
        };
        *register = *register & !lanes | value & lanes;
    }

    /// The internal clock is stable as soon as it is on.
    fn set_clock(&mut self, value: u16) {
        self.clock.set(value & writable::CLOCK);
        if self.clock.is_set(CLOCK::INTERNAL) {
            self.clock.modify(CLOCK::STABLE::SET);
        }
    }

    fn force_auto(&mut self, errors: u16) {
        self.auto_errors.set(self.auto_errors.get() | errors);
        if errors != 0 {
            self.fail(ERRORS::AUTO::SET);
        }
    }

    pub fn save(&self, to: &mut Save) {
        [self.argument2, self.argument, self.adma_error, self.adma_address]
            .into_iter()
            .chain(self.response)
            .for_each(|word| to.word(word));
        for (half, _) in HALVES {
            to.word(u32::from(match half {
                offset::STATUS => self.status.get(),
                _ => self.read(half),
            }));
        }
    }

    pub fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        let mut new = Self::RESET;
        new.argument2 = from.word()?;
        new.argument = from.word()?;
        new.adma_error = from.bits(7)?;
        new.adma_address = from.word()?;
        for response in &mut new.response {
            *response = from.word()?;
        }
        for (half, writable) in HALVES {
            let value = from.bits(u32::from(writable))? as u16;
            match half {
                offset::STATUS => new.status.set(value),
                offset::ERRORS => new.errors.set(value),
                offset::AUTO_ERRORS => new.auto_errors.set(value),
                _ => new.write(half, value, u16::MAX),
            }
        }
        Ok(new)
    }
}

/// The registers of 16 bits that are part of the state, and the bits that they
/// may have.
const HALVES: [(u64, u16); 16] = [
    (offset::BLOCK_SIZE, writable::BLOCK_SIZE),
    (offset::BLOCK_COUNT, u16::MAX),
    (offset::TRANSFER_MODE, writable::TRANSFER_MODE),
    (offset::COMMAND, writable::COMMAND),
    (offset::HOST_CONTROL, writable::HOST_CONTROL | writable::POWER),
    (offset::BLOCK_GAP, writable::BLOCK_GAP | writable::WAKEUP),
    (offset::CLOCK, writable::CLOCK | 2),
    (offset::TIMEOUT, writable::TIMEOUT),
    (offset::STATUS, writable::STATUS),
    (offset::ERRORS, writable::ERRORS),
    (offset::STATUS_ENABLE, writable::STATUS),
    (offset::ERRORS_ENABLE, writable::ERRORS),
    (offset::STATUS_SIGNAL, writable::STATUS),
    (offset::ERRORS_SIGNAL, writable::ERRORS),
    (offset::AUTO_ERRORS, writable::AUTO_ERRORS),
    (offset::HOST_CONTROL2, writable::HOST_CONTROL2),
];
