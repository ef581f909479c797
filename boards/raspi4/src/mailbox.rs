//! The mailbox of the VideoCore's firmware, property channel: who asks gets a ticket
//! and looks again later, and nothing here waits but [`clock_rate`].
//!
//! There is one buffer, which is eVisor's until it is sent and the VideoCore's until
//! that has answered: a request that was given up keeps it until the answer comes.
//! The VideoCore does not look into the Arm's caches: the buffer is cleaned before it is
//! sent, and what was fetched of it meanwhile is dropped before it is read. It is named
//! by its bus address, which on a Pi 4 is the alias at 0xc0000000 of the first GiB, as
//! the `dma-ranges` of the tree's `soc` say.
//!
//! Registers and format: see `spec.rs` of the crate `mailbox`, which emulates them.

#![allow(unsafe_code, reason = "makes a window onto the registers")]

use alloc::boxed::Box;
use core::hint::spin_loop;
use evisor_aarch64::dma::DmaBuffer;
use evisor_aarch64::{device, timer, window};
use evisor_contract::{HostMailbox, MAILBOX_WORDS, MailboxError, MailboxTicket, Window};
use evisor_fdt::Tree;
use evisor_machine::binding;
use spin::{Mutex, Once};

/// The registers, as indices of words: mailbox 0 is to the Arm, 1 from it.
const READ: usize = 0;
const STATUS: usize = 0x18 / 4;
const CONFIG: usize = 0x1c / 4;
const WRITE: usize = 0x20 / 4;
const STATUS1: usize = 0x38 / 4;
const WORDS: usize = 0x40 / 4;

const FULL: u32 = 1 << 31;
const EMPTY: u32 = 1 << 30;
/// More than a mailbox holds.
const MESSAGES: usize = 16;
/// The property channel, in the low bits of a message.
const PROPERTY: u32 = 8;

/// In the buffer's second word, and the highest bit in a tag's third.
const RESPONSE: u32 = 1 << 31;
/// Words in front of the value: size and code, then number, size and code of the tag.
const HEADER: usize = 5;
/// The alias of memory that the VideoCore does not cache.
const BUS: u64 = 0xc000_0000;
/// How much memory has one.
const GIB: u64 = 1 << 30;

/// Clocks of the firmware's: what the older SD host controller and the UARTs run at.
pub const EMMC: u32 = 1;
pub const UART: u32 = 2;
pub const CORE: u32 = 4;
const GET_CLOCK_RATE: u32 = 0x0003_0002;

/// Words of the buffer: a header, the longest value, an end tag.
const BUFFER: usize = HEADER + MAILBOX_WORDS + 1;

static MAILBOX: Once<&'static Mailbox> = Once::new();

/// Where the buffer is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Here, and free.
    Free,
    /// The VideoCore has it, since that count.
    Sent(u64),
    /// Here, with an answer to what was sent at that count.
    Answered(u64),
}

struct State {
    registers: Window,
    buffer: DmaBuffer,
    /// What names the buffer.
    message: u32,
    /// Of the last request.
    ticket: u32,
    phase: Phase,
}

struct Mailbox(Mutex<State>);

/// Finds it in the tree. `None`: there is none that can be used.
pub fn bring_up(tree: &Tree<'_>) -> Option<&'static dyn HostMailbox> {
    let node = tree.compatible("brcm,bcm2835-mbox").next()?;
    let at = device(binding::registers(node)?, 4 * WORDS as u64).ok()?;
    let buffer = DmaBuffer::new(BUFFER)?;
    let below = Some(buffer.physical()).filter(|physical| *physical < GIB)?;
    let message = u32::try_from(below | BUS).ok()? | PROPERTY;
    // SAFETY: 1. just mapped, for good. 2. this is its only user.
    let registers = unsafe { window(at, WORDS) }?;
    let mut state = State { registers, buffer, message, ticket: 0, phase: Phase::Free };
    // It is looked at, and does not interrupt.
    state.write(CONFIG, 0);
    state.collect();
    let mailbox: &'static Mailbox = Box::leak(Box::new(Mailbox(Mutex::new(state))));
    Some(*MAILBOX.call_once(|| mailbox))
}

/// The rate that the firmware runs a clock at, in hertz. Waits a second at most.
pub fn clock_rate(clock: u32) -> Option<u32> {
    let mailbox = MAILBOX.get()?;
    let mut values = [clock, 0];
    let ticket = mailbox.start(GET_CLOCK_RATE, &values)?;
    let answer = loop {
        match mailbox.poll(ticket, &mut values) {
            Some(answer) => break answer,
            None => spin_loop(),
        }
    };
    let [_, rate] = values;
    answer.ok().map(|_| rate).filter(|rate| *rate > 0)
}

impl HostMailbox for Mailbox {
    fn start(&self, tag: u32, values: &[u32]) -> Option<MailboxTicket> {
        self.0.lock().start(tag, values)
    }

    fn poll(&self, ticket: MailboxTicket, values: &mut [u32]) -> Option<Result<u32, MailboxError>> {
        self.0.lock().poll(ticket, values)
    }
}

impl State {
    fn start(&mut self, tag: u32, values: &[u32]) -> Option<MailboxTicket> {
        self.collect();
        let free = match self.phase {
            Phase::Free => true,
            Phase::Sent(_) => false,
            // Nobody came for the answer.
            Phase::Answered(since) => is_late(since),
        };
        if !free || self.read(STATUS1) & FULL != 0 {
            return None;
        }
        self.fill(tag, values);
        self.write(WRITE, self.message);
        self.phase = Phase::Sent(timer::now());
        self.ticket = self.ticket.wrapping_add(1);
        Some(MailboxTicket(self.ticket))
    }

    fn poll(
        &mut self,
        ticket: MailboxTicket,
        values: &mut [u32],
    ) -> Option<Result<u32, MailboxError>> {
        if ticket.0 != self.ticket {
            return Some(Err(MailboxError::Failed));
        }
        self.collect();
        match self.phase {
            Phase::Sent(since) if !is_late(since) => None,
            Phase::Sent(_) | Phase::Free => Some(Err(MailboxError::Failed)),
            Phase::Answered(_) => {
                self.phase = Phase::Free;
                Some(self.answer(values))
            }
        }
    }

    /// Takes what the VideoCore sent.
    fn collect(&mut self) {
        for _ in 0..MESSAGES {
            if self.read(STATUS) & EMPTY != 0 {
                break;
            }
            let message = self.read(READ);
            if let Phase::Sent(since) = self.phase
                && message == self.message
            {
                self.phase = Phase::Answered(since);
                self.buffer.invalidate(0..BUFFER);
            }
        }
    }

    /// Writes one tag to the buffer, for the VideoCore to read.
    #[expect(clippy::cast_possible_truncation, reason = "there are few words")]
    fn fill(&mut self, tag: u32, values: &[u32]) {
        let values = values.get(..MAILBOX_WORDS).unwrap_or(values);
        let bytes = 4 * values.len() as u32;
        let header = [4 * (HEADER as u32 + 1) + bytes, 0, tag, bytes, 0];
        let words = header.iter().chain(values).chain(&[0]);
        self.buffer.words().iter_mut().zip(words).for_each(|(to, from)| *to = *from);
        self.buffer.clean(0..BUFFER);
    }

    /// What the buffer says now.
    fn answer(&mut self, values: &mut [u32]) -> Result<u32, MailboxError> {
        let [_, code, _, _, tag, value @ ..] = self.buffer.words() else {
            return Err(MailboxError::Failed);
        };
        if *code & RESPONSE == 0 {
            return Err(MailboxError::Failed);
        }
        if *tag & RESPONSE == 0 {
            return Err(MailboxError::Unknown);
        }
        let value = value.iter().take(MAILBOX_WORDS);
        values.iter_mut().zip(value).for_each(|(to, from)| *to = *from);
        Ok(*tag & !RESPONSE)
    }

    fn read(&mut self, register: usize) -> u32 {
        self.registers.get(register).map_or(EMPTY, |register| register.read())
    }

    fn write(&mut self, register: usize, value: u32) {
        if let Some(mut register) = self.registers.get(register) {
            register.write(value);
        }
    }
}

/// Whether a second has passed.
fn is_late(since: u64) -> bool {
    timer::now().wrapping_sub(since) > timer::frequency()
}
