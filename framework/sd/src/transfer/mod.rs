//! Transfers, in steps that never wait.
//!
//! A transfer goes in pieces of one command each. After an error the lines are reset,
//! the card is stopped and asked how it is, and the blocks that failed are tried once
//! more one by one; what fails then ends the transfer. Each wait has a deadline.

mod piece;
mod recovery;

use crate::card::Card;
use crate::dma::{self, DmaMemory, NoDma};
use crate::error::{Cause, SdError};
use crate::host::{Config, Host};
use crate::registers::{Clock, Registers};
use crate::spec::{
    BLOCK_WORDS, CAPABILITIES, CARD_ERRORS, Command, ERRORS, EVENTS, HOST, STATUS, command, offset,
    time,
};
use crate::start::start;
use recovery::{Next, PAUSE};

/// What is to be transferred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// To the card, otherwise from it.
    pub write: bool,
    /// The first 512-byte block.
    pub block: u64,
    /// How many.
    pub count: u32,
}

/// Where a transfer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It goes on: call again at the next interrupt, or at [`Sd::wake`].
    Busy,
    /// All of it was transferred.
    Done,
    /// It was given up. Another one can be started.
    Failed(SdError),
}

/// How much one call of [`Sd::advance`] may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Blocks that go through the core, word by word: about 250 instructions each.
    pub words: u32,
    /// Blocks that are copied to or from the controller's memory, and so the length of
    /// what one command transfers by it.
    pub copied: u32,
}

impl Bounds {
    /// While guests run.
    pub const SHORT: Self = Self { words: 8, copied: 32 };
    /// When nothing else needs the core.
    pub const NONE: Self = Self { words: u32::MAX, copied: u32::MAX };
}

/// A card, ready for transfers, and its controller.
pub struct Sd<R, C, D = NoDma> {
    host: Host<R, C>,
    card: Card,
    memory: Option<D>,
    /// Blocks that fit in the memory.
    capacity: u32,
    bounds: Bounds,
    phase: Phase,
    job: Job,
    wake: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Idle,
    /// The next command goes out as soon as the lines are free.
    Ready,
    /// Its response is awaited.
    Sent,
    /// Blocks go through the buffer data port.
    Moving,
    /// The end of the command's data is awaited.
    Ending,
    /// After an error: the command line resets,
    ResetCommand(Next),
    /// and the data lines.
    ResetData(Next),
    /// CMD12 was sent.
    Stopping,
    /// CMD13 was sent.
    Asking,
    /// The card is not back yet; it is asked again at this time.
    Pausing(u64),
}

struct Job {
    write: bool,
    first: u64,
    /// The next block to go.
    block: u64,
    end: u64,
    /// The blocks of the command under way.
    piece: (u64, u64),
    /// It is by DMA.
    by_dma: bool,
    command: Command,
    /// Blocks before this one go one by one.
    careful: u64,
    retries: u8,
    /// What happened last,
    error: Option<SdError>,
    /// and that it ends the transfer.
    failed: bool,
    deadline: u64,
}

impl Job {
    const NONE: Self = Self {
        write: false,
        first: 0,
        block: 0,
        end: 0,
        piece: (0, 0),
        by_dma: false,
        command: command::READ_SINGLE_BLOCK,
        careful: 0,
        retries: 0,
        error: None,
        failed: false,
        deadline: 0,
    };

    /// The words of the buffer for these blocks.
    fn words<'b>(&self, buffer: &'b mut [u32], from: u64, to: u64) -> Option<&'b mut [u32]> {
        let word = |block: u64| usize::try_from(block - self.first).ok()?.checked_mul(BLOCK_WORDS);
        buffer.get_mut(word(from)?..word(to)?)
    }
}

enum Step {
    /// Go on with the next.
    Again,
    /// There is nothing to do before something happens.
    Wait,
    End(Progress),
}

/// Errors after which a transfer goes on.
const RETRIES: u8 = 3;
/// What is not announced by an interrupt is looked for so often, in microseconds.
const POLL: u64 = 100;

impl<R: Registers, C: Clock> Sd<R, C> {
    /// Makes a card ready, all of whose data goes through the core. It takes up to a
    /// second and a half.
    ///
    /// # Errors
    /// There is no card, or none that can be used.
    pub fn new(registers: R, clock: C, config: Config) -> Result<Self, SdError> {
        Self::with_memory(registers, clock, config, None)
    }
}

impl<R: Registers, C: Clock, D: DmaMemory> Sd<R, C, D> {
    /// As [`new`](Sd::new), with memory for ADMA2, which is used if the controller
    /// offers it.
    ///
    /// # Errors
    /// There is no card, or none that can be used.
    pub fn with_memory(
        registers: R,
        clock: C,
        config: Config,
        memory: Option<D>,
    ) -> Result<Self, SdError> {
        let mut host = Host::new(registers, clock, config);
        let card = start(&mut host)?;
        let mut memory = memory.filter(|_| host.capabilities.is_set(CAPABILITIES::ADMA2));
        let capacity = memory.as_mut().map_or(0, dma::capacity);
        if capacity > 0 {
            host.control(HOST::DMA::Adma2);
        }
        let bounds = Bounds::SHORT;
        let (phase, job) = (Phase::Idle, Job::NONE);
        Ok(Self { host, card, memory, capacity, bounds, phase, job, wake: 0 })
    }

    /// The card.
    pub fn card(&self) -> &Card {
        &self.card
    }

    /// Whether ADMA2 is used.
    pub fn uses_dma(&self) -> bool {
        self.capacity > 0
    }

    /// Sets how much one call may do; [`Bounds::SHORT`] if it is never called.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = Bounds { words: bounds.words.max(1), copied: bounds.copied.max(1) };
    }

    /// How much one call may do.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether the controller interrupts when a transfer can go on. It does not at
    /// first.
    pub fn set_interrupts(&mut self, on: bool) {
        self.host.enable(on);
    }

    /// Whether the interrupt is this controller's: for a line that several share.
    pub fn is_interrupting(&mut self) -> bool {
        let enabled = self.host.registers.read(offset::SIGNAL_ENABLE);
        self.host.status().get() & enabled & (EVENTS | ERRORS) != 0
    }

    /// Starts a transfer; [`advance`](Self::advance) says what becomes of it, and is to
    /// be called at once for the first time. A transfer that is under way is given up
    /// wherever it is.
    pub fn start(&mut self, transfer: Transfer) {
        let Transfer { write, block, count } = transfer;
        let end = block.saturating_add(u64::from(count));
        let outside = count == 0 || end > self.card.blocks;
        let error = outside.then_some(SdError::OutOfRange { block, count });
        let interrupted = self.phase != Phase::Idle;
        self.job = Job { write, first: block, block, end, error, failed: outside, ..Job::NONE };
        self.job.retries = RETRIES;
        self.set_deadline(time::DATA);
        self.phase = Phase::Ready;
        if interrupted {
            self.recover();
        }
    }

    /// When [`advance`](Self::advance) is to be called though no interrupt came, by the
    /// clock; nothing if nothing is under way.
    pub fn wake(&self) -> Option<u64> {
        (self.phase != Phase::Idle).then_some(self.wake)
    }

    /// Takes the transfer on. `buffer` is all of it, in words whose bytes are in the
    /// machine's order, little-endian; it is changed only by a transfer from the card.
    /// Without a transfer under way it is done.
    pub fn advance(&mut self, buffer: &mut [u32]) -> Progress {
        let mut left = self.bounds.words;
        let mut looked = false;
        // It ends: `left` bounds the blocks, `retries` the errors.
        loop {
            match self.step(buffer, &mut left) {
                Step::Again => {}
                Step::End(progress) => {
                    self.phase = Phase::Idle;
                    return progress;
                }
                Step::Wait if looked || !self.is_late() => return Progress::Busy,
                Step::Wait => {
                    looked = true;
                    if let Some(end) = self.give_up_waiting() {
                        return end;
                    }
                }
            }
        }
    }

    /// Also sets when to look again.
    fn is_late(&mut self) -> bool {
        let now = self.host.clock.micros();
        self.wake = match self.phase {
            Phase::Sent | Phase::Moving | Phase::Ending => self.job.deadline,
            Phase::Stopping | Phase::Asking => now + PAUSE,
            Phase::Pausing(until) => until,
            _ => now + POLL,
        };
        now > self.job.deadline
    }

    /// What was awaited does not come: an error like others, unless it was the end of
    /// an error.
    fn give_up_waiting(&mut self) -> Option<Progress> {
        let cause = self.host.timed_out();
        match self.phase {
            Phase::Ready | Phase::Sent | Phase::Moving | Phase::Ending => self.fault(cause),
            _ => {
                self.phase = Phase::Idle;
                return Some(Progress::Failed(self.job.error.unwrap_or(self.failure(cause))));
            }
        }
        None
    }

    fn set_deadline(&mut self, micros: u64) {
        self.job.deadline = self.host.clock.micros() + micros;
    }

    fn step(&mut self, buffer: &mut [u32], left: &mut u32) -> Step {
        match self.phase {
            Phase::Idle => Step::End(Progress::Done),
            Phase::Ready => self.send(buffer),
            Phase::Sent => self.look_at_response(*left),
            Phase::Moving => self.move_blocks(buffer, left),
            Phase::Ending => self.look_at_end(buffer, left),
            Phase::ResetCommand(next) => self.reset_data(next),
            Phase::ResetData(next) => self.after_reset(next),
            Phase::Stopping => self.look_at_stop(),
            Phase::Asking => self.look_at_card(),
            Phase::Pausing(until) => {
                if self.host.clock.micros() < until {
                    return Step::Wait;
                }
                self.reset(Next::Stop)
            }
        }
    }

    fn look_at_response(&mut self, left: u32) -> Step {
        let status = self.host.status();
        if status.get() & ERRORS != 0 {
            return self.faulty(Cause::Controller(status.get()));
        }
        // What is not cleared interrupts again.
        if !status.is_set(STATUS::COMMAND) || left == 0 {
            return Step::Wait;
        }
        self.host.clear(STATUS::COMMAND::SET.value);
        let card = self.host.response();
        if card & CARD_ERRORS != 0 {
            return self.faulty(Cause::Card(card));
        }
        self.phase = if self.job.by_dma { Phase::Ending } else { Phase::Moving };
        Step::Again
    }

    /// One look at the status a block (HC §3.7.2.1): it is cleared first, as the next
    /// block may be there with the last word of this one.
    fn move_blocks(&mut self, buffer: &mut [u32], left: &mut u32) -> Step {
        let job = &self.job;
        let ready = if job.write { STATUS::WRITE_READY::SET } else { STATUS::READ_READY::SET };
        // `send` has seen that the buffer is large enough. With a smaller one in the
        // middle nothing moves, and the transfer times out.
        let words = job.words(buffer, job.block, job.piece.1).unwrap_or_default();
        let mut moved = 0;
        for block in words.chunks_exact_mut(BLOCK_WORDS).take(*left as usize) {
            let status = self.host.status().get();
            if status & (ERRORS | ready.value) != ready.value {
                break;
            }
            self.host.clear(ready.value);
            if self.job.write {
                self.host.registers.write_data(block);
            } else {
                self.host.registers.read_data(block);
            }
            moved += 1;
        }
        *left -= moved;
        self.job.block += u64::from(moved);
        if self.job.block == self.job.piece.1 {
            self.phase = Phase::Ending;
            return Step::Again;
        }
        let status = self.host.status().get();
        if status & ERRORS != 0 {
            return self.faulty(Cause::Controller(status));
        }
        if moved > 0 {
            self.set_deadline(time::DATA);
        }
        // What came after the last look interrupts.
        Step::Wait
    }

    fn look_at_end(&mut self, buffer: &mut [u32], left: &mut u32) -> Step {
        let status = self.host.status();
        let mut errors = status.get() & ERRORS;
        if status.is_set(STATUS::TRANSFER) {
            // HC §2.2.17: with both, the transfer is complete.
            errors &= !STATUS::DATA_TIMEOUT::SET.value;
        }
        if errors != 0 {
            return self.faulty(Cause::Controller(status.get()));
        }
        if !status.is_set(STATUS::TRANSFER) || (self.job.by_dma && *left == 0) {
            return Step::Wait;
        }
        self.host.clear(EVENTS | ERRORS);
        if self.job.by_dma {
            self.take_memory(buffer);
            *left = 0;
        }
        self.job.block = self.job.piece.1;
        if self.job.block == self.job.end {
            return Step::End(Progress::Done);
        }
        self.phase = Phase::Ready;
        Step::Again
    }
}
