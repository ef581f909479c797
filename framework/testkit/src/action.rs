//! What a guest and its surroundings may do to a component, made from random or
//! fuzzed bytes.

use crate::rig::Rig;
use crate::setup::Setup;
use evisor_contract::{Register, Reply, Width, tag};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// One thing that happens to a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A load.
    Read(u64, Width),
    /// A store.
    Write(u64, Width, u64),
    /// An `MRS`.
    ReadRegister(Register),
    /// An `MSR`.
    WriteRegister(Register, u64),
    /// A call with x1 to x3.
    Call(u32, [u64; 3]),
    /// A notification.
    Notify(u32, u64),
    /// Time passes.
    Advance(u64),
    /// Another vCPU does what follows.
    Vcpu(usize),
}

/// What answers an action: a reply, or x0 to x3 of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Reply(Reply),
    Call([u64; 4]),
    Nothing,
}

/// Numbers to make actions from. `None`: there are no more.
trait Numbers {
    fn take(&mut self, bytes: usize) -> Option<u64>;
}

/// A small generator of numbers, the same for the same seed (the finalizer of
/// splitmix64, which is in the public domain).
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// Starts at `seed`.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One more number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

impl Numbers for Random {
    fn take(&mut self, bytes: usize) -> Option<u64> {
        Some(self.number() & (u64::MAX >> (64 - 8 * bytes)))
    }
}

struct Fuzzed<'a>(&'a [u8]);

impl Numbers for Fuzzed<'_> {
    fn take(&mut self, bytes: usize) -> Option<u64> {
        let (now, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(now.iter().rev().fold(0, |n, byte| n << 8 | u64::from(*byte)))
    }
}

/// What an action can be made of: the component's facets.
#[derive(Clone, Debug)]
struct Choices {
    file: u64,
    registers: Vec<(u32, u32)>,
    calls: Vec<(u32, u32)>,
    notify: bool,
    vcpus: usize,
}

impl Choices {
    fn of(rig: &Rig) -> Self {
        let parts = rig.parts();
        Self {
            file: rig.windows(),
            registers: parts
                .register_ranges
                .iter()
                .map(|range| (range.start().key(), range.end().key()))
                .collect(),
            calls: parts.call_ranges.iter().map(|range| (*range.start(), *range.end())).collect(),
            notify: parts.notify.is_some(),
            vcpus: rig.vcpus(),
        }
    }

    fn pick(&self, from: &mut impl Numbers) -> Option<Action> {
        loop {
            match from.take(1)? % 8 {
                0..=2 if self.file > 0 => return self.read(from),
                3..=5 if self.file > 0 => return self.write(from),
                0..=2 if !self.registers.is_empty() => {
                    return Some(Action::ReadRegister(self.register(from)?));
                }
                3..=4 if !self.registers.is_empty() => {
                    let register = self.register(from)?;
                    return Some(Action::WriteRegister(register, value(from)?));
                }
                0..=5 if !self.calls.is_empty() => return self.call(from),
                6 if self.notify => return notification(from),
                7 if self.vcpus > 1 && from.take(1)? & 1 == 0 => {
                    return Some(Action::Vcpu(from.take(1)? as usize % self.vcpus));
                }
                7 => return Some(Action::Advance(from.take(2)?)),
                _ => {}
            }
        }
    }

    fn place(&self, from: &mut impl Numbers) -> Option<(u64, Width)> {
        let how = from.take(1)?;
        let width = [Width::Word, Width::Word, Width::Halfword, Width::Byte];
        let width = width.into_iter().cycle().nth((how & 3) as usize)?;
        let anywhere = from.take(3)?;
        // Half of the accesses go where most devices have their registers, some
        // to the identification registers at the end.
        let offset = match how >> 2 & 3 {
            0 | 1 => anywhere % self.file.min(0x80),
            2 => anywhere % self.file,
            _ => self.file - 1 - anywhere % self.file.min(0x40),
        };
        Some((offset & !(width.bytes() - 1), width))
    }

    fn read(&self, from: &mut impl Numbers) -> Option<Action> {
        let (offset, width) = self.place(from)?;
        Some(Action::Read(offset, width))
    }

    fn write(&self, from: &mut impl Numbers) -> Option<Action> {
        let (offset, width) = self.place(from)?;
        Some(Action::Write(offset, width, value(from)? & width.mask()))
    }

    fn register(&self, from: &mut impl Numbers) -> Option<Register> {
        let key = within(&self.registers, from)?;
        Some(Register::from_syndrome(key))
    }

    fn call(&self, from: &mut impl Numbers) -> Option<Action> {
        let function = within(&self.calls, from)?;
        Some(Action::Call(function, [value(from)?, value(from)?, value(from)?]))
    }
}

/// A number in one of `ranges`, more often near a start.
#[expect(clippy::cast_possible_truncation, reason = "two bytes were taken")]
fn within(ranges: &[(u32, u32)], from: &mut impl Numbers) -> Option<u32> {
    let choice = from.take(1)? as usize;
    let (first, last) = ranges.iter().copied().cycle().nth(choice % ranges.len().max(1))?;
    let far = from.take(2)? as u32;
    let distance = if far & 1 == 0 { far >> 1 & 0x1f } else { far };
    Some(first + distance % (last - first).saturating_add(1))
}

/// A number as guests like to write: a few bits, none, all, or any.
fn value(from: &mut impl Numbers) -> Option<u64> {
    Some(match from.take(1)? % 8 {
        0 => 0,
        1 => u64::MAX,
        2 => 1 << (from.take(1)? & 63),
        3 | 4 => from.take(1)?,
        5 => from.take(2)?,
        6 => from.take(4)?,
        _ => from.take(8)?,
    })
}

#[expect(clippy::cast_possible_truncation, reason = "a byte was taken")]
fn notification(from: &mut impl Numbers) -> Option<Action> {
    let tag = match from.take(1)? % 8 {
        0..=2 => tag::CONSOLE_INPUT,
        3 => tag::CONSOLE_FULL,
        4 => tag::CONSOLE_READY,
        5 => tag::DEADLINE,
        6 => tag::HOST_INTERRUPT,
        _ => from.take(1)? as u32,
    };
    Some(Action::Notify(tag, from.take(8)?))
}

fn perform(rig: &mut Rig, action: &Action) -> Answer {
    match *action {
        Action::Read(offset, width) => Answer::Reply(rig.read(offset, width)),
        Action::Write(offset, width, value) => Answer::Reply(rig.write(offset, width, value)),
        Action::ReadRegister(register) => Answer::Reply(rig.read_register(register)),
        Action::WriteRegister(register, value) => {
            Answer::Reply(rig.write_register(register, value))
        }
        Action::Call(function, arguments) => Answer::Call(rig.call(function, &arguments)),
        Action::Notify(tag, value) => {
            // Some bytes, which only those who expect them read.
            let bytes = value.to_le_bytes();
            let some = bytes.get(..bytes[7] as usize & 7).unwrap_or_default();
            Answer::Reply(rig.notify_with(tag, value, some))
        }
        Action::Advance(counts) => {
            rig.advance(counts);
            Answer::Nothing
        }
        Action::Vcpu(index) => {
            rig.switch_to(index);
            Answer::Nothing
        }
    }
}

/// A state that was cut short anywhere must be refused, and so must another's.
pub fn refuses_foreign_state(compatible: &str, setup: &Setup) {
    let mut rig = Rig::with(compatible, setup);
    let state = rig.save();
    for length in 0..state.len() {
        let cut = state.get(..length).expect("shorter");
        assert!(rig.restore(cut).is_err(), "{length} of {} bytes are a state", state.len());
    }
    let mut foreign = state;
    foreign.iter_mut().take(8).for_each(|byte| *byte = !*byte);
    assert!(rig.restore(&foreign).is_err(), "a state with another tag was taken");
}

/// The test that every device has: after 1,000 random accesses it is saved and
/// restored into a new instance, and 1,000 more give equal replies and effects;
/// for a hundred seeds.
///
/// As when the kernel restores, the console is said to be ready before, and the
/// restored object is notified of a deadline so that it can ask for its own
/// again. A deadline that nobody asked for must do a guest no harm.
pub fn save_and_restore(compatible: &str, setup: &Setup) {
    for seed in 0..100 {
        let mut numbers = Random::new(seed);
        let mut first = Rig::with(compatible, setup);
        let choices = Choices::of(&first);
        for _ in 0..1000 {
            let action = choices.pick(&mut numbers).expect("random numbers do not end");
            perform(&mut first, &action);
        }
        let mut second = restored(&mut first, compatible, setup);
        for step in 0..1000 {
            let action = choices.pick(&mut numbers).expect("random numbers do not end");
            let answers = (perform(&mut first, &action), perform(&mut second, &action));
            assert_eq!(answers.0, answers.1, "seed {seed}, step {step}: {action:?}");
            assert_eq!(first.events(), second.events(), "seed {seed}, step {step}: {action:?}");
        }
        assert_eq!(first.save(), second.save(), "seed {seed}: states differ at the end");
    }
}

fn restored(first: &mut Rig, compatible: &str, setup: &Setup) -> Rig {
    if first.declaration().needs.console {
        let _ = first.notify(tag::CONSOLE_READY, 0);
    }
    // What a store is asked is no part of a state.
    while first.answer_blocks() {}
    let state = first.save();
    let mut second = Rig::with(compatible, setup);
    second.take_surroundings(first);
    let told = second.parts().notify.is_some();
    if told {
        // The interrupt controller's state may be of another moment.
        second.turn_lines_over(setup);
    }
    assert_eq!(second.restore(&state), Ok(()));
    assert_eq!(second.save(), state, "what was restored is not what was saved");
    for rig in [&mut *first, &mut second] {
        // The first vCPU last: it goes on.
        for vcpu in (0..setup.vcpus).rev() {
            rig.switch_to(vcpu);
            if rig.parts().notify.is_some() {
                let _ = rig.notify(tag::DEADLINE, 0);
            }
        }
        rig.events();
    }
    assert_eq!(first.lines(), second.lines(), "its lines are not told anew");
    second
}

thread_local! {
    static RIGS: RefCell<BTreeMap<String, Rig>> = const { RefCell::new(BTreeMap::new()) };
}

/// Turns `bytes` into accesses of the component that answers to `compatible`:
/// the whole of a fuzz target. It ends with saving and restoring.
///
/// The component is built once a thread and reset each time: what is built lives
/// for ever.
pub fn drive(compatible: &str, bytes: &[u8]) {
    RIGS.with_borrow_mut(|rigs| {
        let rig = rigs.entry(compatible.to_owned()).or_insert_with(|| Rig::new(compatible));
        rig.reset();
        if rig.declaration().needs.console {
            let _ = rig.notify(tag::CONSOLE_READY, 0);
        }
        let choices = Choices::of(rig);
        let mut numbers = Fuzzed(bytes);
        while let Some(action) = choices.pick(&mut numbers) {
            perform(rig, &action);
        }
        // A device of the board is not put back.
        if rig.declaration().needs.host_device {
            return;
        }
        let under_way = rig.save();
        assert_eq!(rig.restore(&under_way), Ok(()), "its own state is refused");
        while rig.answer_blocks() {}
        let state = rig.save();
        assert_eq!(rig.restore(&state), Ok(()), "its own state is refused");
        assert_eq!(rig.save(), state, "what was restored is not what was saved");
    });
}
