//! A bank of CFI flash with the Intel extended command set: what firmware runs
//! from and keeps its settings in, as QEMU's virt machine has it.
//!
//! The content is memory that the component was granted. While the bank is in
//! read-array mode the guest is shown it: loads and fetches go there and only
//! stores come here. In every other mode loads come here too.
//!
//! Erasing a block takes longer than a trap may: it is done in slices, one at each
//! access and at each deadline, and the bank is busy meanwhile, as a real one is.
//!
//! The README says what is left out.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

extern crate alloc;

mod spec;
mod state;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::vec;
use evisor_contract::{
    Backing, BuildError, Clock, Context, Deadline, Mmio, Needs, Node, Notify, Parts, Reply, Width,
    WindowNeed, component, tag,
};
use spec::{BUFFER, BUFFER_WORDS, BUS, IDENTIFIER, SECTOR, STATUS, command};
use tock_registers::LocalRegisterCopy;

component! {
    compatible: ["cfi-flash"],
    needs: Needs { windows: &[WindowNeed::new(0)], backing: true, ..Needs::NONE },
    properties: [],
    build: |node, grants| {
        let size = size(node)?;
        let memory = grants.backing(0)?;
        let ends = Ends { memory, deadline: grants.deadline()?, clock: grants.clock() };
        Ok(Parts::new(Pflash::new(size, ends)).mmio().notify().done())
    },
    describe: |_node, guest| {
        guest.set_strings("compatible", &["cfi-flash"]);
        guest.set_cells("bank-width", &[4]);
        Ok(())
    },
}

/// A guest is shown memory in blocks of this size,
const SMALLEST: u64 = 2 << 20;
/// and to show or hide a bank takes a store for each.
const LARGEST: u64 = 64 << 20;

/// The bank's size. CFI can say powers of two only.
fn size(node: &Node<'_>) -> Result<u64, BuildError> {
    match node.window(0) {
        Some((_, size)) if size.is_power_of_two() && (SMALLEST..=LARGEST).contains(&size) => {
            Ok(size)
        }
        _ => Err(BuildError::property(
            "reg",
            "is not the size of a bank of flash",
            "write a power of two from 0x200000 to 0x4000000",
        )),
    }
}

/// Where the device reaches the outside.
struct Ends {
    memory: &'static dyn Backing,
    deadline: Deadline,
    clock: &'static dyn Clock,
}

/// What loads answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Array,
    Status,
    Identifier,
    Query,
}

/// What the next store is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Cycle {
    Command,
    Program,
    EraseConfirm,
    LockConfirm,
    Count,
    /// Data for the buffer, the last of them if 0 more follow.
    Data {
        more: u64,
    },
    BufferConfirm,
}

/// What is being done, in slices, to `at..end` of the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Work {
    erase: bool,
    at: u64,
    end: u64,
}

/// How much of it is done at once: a buffer.
const SLICE: u64 = BUFFER;
/// How long a slice takes where nobody looks, as a part of a second.
const SLICES_A_SECOND: u64 = 20_000;

/// One bank.
struct Pflash {
    size: u64,
    mode: Mode,
    cycle: Cycle,
    /// The error bits; whether it is ready is known otherwise.
    errors: LocalRegisterCopy<u8, STATUS::Register>,
    work: Option<Work>,
    /// What is to be programmed: 0xff where nothing was written.
    buffer: Box<[u64]>,
    /// Where in the bank the buffer goes, once the first word is in it.
    block: Option<u64>,
    /// Something did not go into the buffer.
    astray: bool,
    armed: bool,
    ends: Ends,
}

impl Pflash {
    fn new(size: u64, ends: Ends) -> Self {
        let buffer = vec![u64::MAX; (BUFFER / 8) as usize].into_boxed_slice();
        Self {
            size,
            mode: Mode::Array,
            cycle: Cycle::Command,
            errors: LocalRegisterCopy::new(0),
            work: None,
            buffer,
            block: None,
            astray: false,
            armed: false,
            ends,
        }
    }

    /// What both chips answer in place of the array at `offset`.
    fn word(&self, offset: u64) -> u64 {
        let index = offset / BUS;
        let chip = match self.mode {
            Mode::Array => return self.ends.memory.read(offset & !3, Width::Word),
            Mode::Status => self.status(),
            // A block's lock bit (index 2) is clear.
            Mode::Identifier => {
                let index = usize::try_from(index & 0xff).unwrap_or(usize::MAX);
                IDENTIFIER.get(index).copied().unwrap_or(0)
            }
            Mode::Query => spec::query(index, self.size),
        };
        u64::from(chip) * 0x0001_0001
    }

    fn load(&self, offset: u64, width: Width) -> u64 {
        match width {
            _ if self.mode == Mode::Array => self.ends.memory.read(offset, width),
            Width::Doubleword => self.word(offset) | self.word(offset + BUS) << 32,
            // Whichever lanes are read, as QEMU has it.
            _ => self.word(offset) & width.mask(),
        }
    }

    fn status(&self) -> u8 {
        let ready = if self.work.is_none() { STATUS::READY::SET.value } else { 0 };
        self.errors.get() | ready
    }

    /// A store of at most one word.
    fn store(&mut self, offset: u64, width: Width, value: u64) {
        // A busy bank takes no commands, and its features say that it cannot be
        // suspended.
        if self.work.is_some() {
            return;
        }
        let low = value.to_le_bytes()[0];
        match self.cycle {
            Cycle::Command => self.command(low),
            Cycle::Program => {
                let there = self.ends.memory.read(offset, width);
                self.ends.memory.write(offset, width, there & value);
                self.cycle = Cycle::Command;
            }
            Cycle::EraseConfirm => {
                let at = offset / SECTOR * SECTOR;
                self.confirm(low, Work { erase: true, at, end: at + SECTOR });
            }
            Cycle::LockConfirm if matches!(low, command::LOCK | command::CONFIRM) => {
                self.cycle = Cycle::Command;
            }
            Cycle::LockConfirm => self.wrong_sequence(low),
            Cycle::Count => self.start_buffer(value & 0xffff),
            Cycle::Data { more } => {
                self.fill(offset, width, value);
                let more = more.checked_sub(1).map(|more| Cycle::Data { more });
                self.cycle = more.unwrap_or(Cycle::BufferConfirm);
            }
            Cycle::BufferConfirm => match self.block.filter(|_| !self.astray) {
                Some(at) => self.confirm(low, Work { erase: false, at, end: at + BUFFER }),
                None => self.wrong_sequence(low),
            },
        }
    }

    fn command(&mut self, command: u8) {
        let (mode, cycle) = match command {
            command::PROGRAM | command::PROGRAM_ALTERNATE => (Mode::Status, Cycle::Program),
            command::ERASE => (Mode::Status, Cycle::EraseConfirm),
            command::LOCK_SETUP => (Mode::Status, Cycle::LockConfirm),
            command::WRITE_TO_BUFFER => (Mode::Status, Cycle::Count),
            command::READ_STATUS => (Mode::Status, Cycle::Command),
            command::READ_IDENTIFIER => (Mode::Identifier, Cycle::Command),
            command::READ_QUERY => (Mode::Query, Cycle::Command),
            command::CLEAR_STATUS => {
                self.errors.set(0);
                (Mode::Array, Cycle::Command)
            }
            // Read array, and what is no command.
            _ => (Mode::Array, Cycle::Command),
        };
        (self.mode, self.cycle) = (mode, cycle);
    }

    /// The last cycle of a sequence that ends in `work`.
    fn confirm(&mut self, command: u8, work: Work) {
        if command != command::CONFIRM {
            return self.wrong_sequence(command);
        }
        self.cycle = Cycle::Command;
        self.work = Some(work);
        self.proceed();
    }

    /// J3, Status Register Definitions: both bits. QEMU goes to read-array mode
    /// without a word; so does this where the guest asks for it.
    fn wrong_sequence(&mut self, command: u8) {
        self.errors.modify(STATUS::PROGRAM::SET + STATUS::ERASE::SET);
        self.cycle = Cycle::Command;
        if command == command::READ_ARRAY {
            self.mode = Mode::Array;
        }
    }

    /// J3, Write to Buffer: `count` stores and one more follow.
    fn start_buffer(&mut self, count: u64) {
        if count >= BUFFER_WORDS {
            return self.wrong_sequence(command::CONFIRM);
        }
        self.buffer.fill(u64::MAX);
        self.block = None;
        self.astray = false;
        self.cycle = Cycle::Data { more: count };
    }

    /// The first word says which block the buffer is for.
    fn fill(&mut self, offset: u64, width: Width, value: u64) {
        let block = *self.block.get_or_insert(offset / BUFFER * BUFFER);
        let within = offset.wrapping_sub(block);
        match usize::try_from(within / 8).ok().and_then(|at| self.buffer.get_mut(at)) {
            Some(word) => {
                let shift = within % 8 * 8;
                *word = *word & !(width.mask() << shift) | value << shift;
            }
            None => self.astray = true,
        }
    }

    /// Does a slice of what is to be done.
    fn proceed(&mut self) {
        let Some(work) = &mut self.work else { return };
        if work.erase {
            self.ends.memory.write_words(work.at, &[u64::MAX; (SLICE / 8) as usize]);
        } else {
            self.ends.memory.clear_bits(work.at, &self.buffer);
        }
        work.at = work.at.saturating_add(SLICE);
        if work.at >= work.end {
            self.work = None;
        }
    }

    /// The end of every action.
    fn settle(&mut self, cx: &mut Context) {
        self.ends.memory.show(self.mode == Mode::Array);
        let busy = self.work.is_some();
        if busy && !self.armed {
            let clock = self.ends.clock;
            let slice = clock.frequency() / SLICES_A_SECOND;
            self.ends.deadline.set(clock.now().saturating_add(slice), cx);
        } else if !busy && self.armed {
            self.ends.deadline.clear(cx);
        }
        self.armed = busy;
    }
}

impl Mmio for Pflash {
    fn read(&mut self, offset: u64, width: Width, cx: &mut Context) -> Reply {
        self.proceed();
        self.settle(cx);
        Reply::value(self.load(offset, width))
    }

    fn write(&mut self, offset: u64, width: Width, value: u64, cx: &mut Context) -> Reply {
        self.proceed();
        if width == Width::Doubleword {
            // Two cycles of the bus.
            self.store(offset, Width::Word, value & Width::Word.mask());
            self.store(offset + BUS, Width::Word, value >> 32);
        } else {
            self.store(offset, width, value);
        }
        self.settle(cx);
        Reply::DONE
    }
}

impl Notify for Pflash {
    fn notify(&mut self, tag: u32, _value: u64, cx: &mut Context) -> Reply {
        if tag != tag::DEADLINE {
            return Reply::ABSENT;
        }
        self.armed = false;
        self.proceed();
        self.settle(cx);
        Reply::DONE
    }
}
