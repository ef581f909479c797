//! After an error: the lines are reset, the card is stopped and asked for its state,
//! and the transfer goes on, or ends (HC §3.10.1).

use super::{Phase, Sd, Step};
use crate::dma::DmaMemory;
use crate::error::{Cause, SdError};
use crate::registers::{Clock, Registers};
use crate::spec::{CARD, CLOCK, COMMAND, ERRORS, EVENTS, STATUS, command, time};
use tock_registers::LocalRegisterCopy;

/// What follows when the lines are reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// CMD12.
    Stop,
    /// CMD13.
    Ask,
}

/// Blocks that go one by one after an error.
const CAREFUL: u64 = 64;
/// A card that is not back is asked again so often, in microseconds.
pub const PAUSE: u64 = 1_000;
/// A reset is over before it was looked for so often, as a rule.
const RESET_LOOKS: usize = 32;

impl<R: Registers, C: Clock, D: DmaMemory> Sd<R, C, D> {
    /// The error that ends the transfer, if it is this one.
    pub(super) fn failure(&self, cause: Cause) -> SdError {
        SdError::Transfer { index: self.job.command.index, block: self.restart(), cause }
    }

    /// The first block that has to go again. How much of a write was programmed is not
    /// known, nor how much came by DMA.
    fn restart(&self) -> u64 {
        let job = &self.job;
        if job.write || job.by_dma { job.block.min(job.piece.0) } else { job.block }
    }

    pub(super) fn faulty(&mut self, cause: Cause) -> Step {
        self.fault(cause);
        Step::Again
    }

    pub(super) fn fault(&mut self, cause: Cause) {
        let error = self.failure(cause);
        let restart = self.restart();
        let job = &mut self.job;
        job.error = Some(error);
        job.failed = job.retries == 0 || restart < job.careful;
        job.retries = job.retries.saturating_sub(1);
        job.careful = job.piece.1.min(restart + CAREFUL).max(restart + 1);
        job.block = restart;
        self.recover();
    }

    /// HC §3.10.1: reset the lines, stop the card.
    pub(super) fn recover(&mut self) {
        self.set_deadline(time::RECOVERY);
        self.reset(Next::Stop);
    }

    pub(super) fn reset(&mut self, next: Next) -> Step {
        self.host.start_reset(CLOCK::RESET_CMD);
        self.phase = Phase::ResetCommand(next);
        Step::Again
    }

    fn is_reset(&mut self) -> bool {
        (0..RESET_LOOKS).any(|_| !self.host.is_resetting())
    }

    pub(super) fn reset_data(&mut self, next: Next) -> Step {
        if !self.is_reset() {
            return Step::Wait;
        }
        self.host.start_reset(CLOCK::RESET_DAT);
        self.phase = Phase::ResetData(next);
        Step::Again
    }

    pub(super) fn after_reset(&mut self, next: Next) -> Step {
        if !self.is_reset() || !self.host.is_free(false) {
            return Step::Wait;
        }
        match next {
            Next::Stop => {
                self.host.send(command::STOP_TRANSMISSION, 0, COMMAND::TYPE::Abort);
                self.phase = Phase::Stopping;
            }
            Next::Ask => {
                let address = u32::from(self.card.address) << 16;
                self.host.send(command::SEND_STATUS, address, COMMAND::TYPE::Normal);
                self.phase = Phase::Asking;
            }
        }
        Step::Again
    }

    /// That it was not to be stopped, as it was not transferring, is no error.
    pub(super) fn look_at_stop(&mut self) -> Step {
        let status = self.host.status();
        if status.get() & ERRORS == 0 && !status.is_set(STATUS::COMMAND) {
            return Step::Wait;
        }
        self.host.clear(EVENTS | ERRORS);
        self.reset(Next::Ask)
    }

    pub(super) fn look_at_card(&mut self) -> Step {
        let status = self.host.status();
        if status.get() & ERRORS == 0 && !status.is_set(STATUS::COMMAND) {
            return Step::Wait;
        }
        let answered = status.get() & ERRORS == 0;
        let card: LocalRegisterCopy<u32, CARD::Register> =
            LocalRegisterCopy::new(self.host.response());
        self.host.clear(EVENTS | ERRORS);
        let back = card.matches_all(CARD::STATE::Transfer + CARD::READY_FOR_DATA::SET);
        if answered && back {
            self.set_deadline(time::DATA);
            self.phase = Phase::Ready;
            return Step::Again;
        }
        self.phase = Phase::Pausing(self.host.clock.micros() + PAUSE);
        Step::Wait
    }
}
