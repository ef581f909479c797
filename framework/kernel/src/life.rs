//! Where a VM is in its life, and what was asked for: all of it in one word, so that
//! whoever changes it sees the rest.
//!
//! What is asked for waits until every vCPU is parked and a core takes it in hand, one
//! change after the other. What was asked for earlier and does not matter any more is
//! forgotten; nothing else is. The word is 0 while the VM is on and nothing is asked for,
//! and becomes 0 only when a change was made: so whoever is parked stays parked until
//! then.

use core::sync::atomic::{AtomicU32, Ordering};
use evisor_contract::{VmEvent, VmState};

/// What is done with a VM whose vCPUs are all parked. The first of what waits is done
/// first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It goes off for good.
    End,
    /// It goes off.
    Off,
    /// It crashed: what follows is its manifest's.
    Crash,
    /// It asked for a reset: what follows is its manifest's.
    Reset,
    /// It starts.
    Start,
    /// It stands still.
    Pause,
    /// It goes on.
    Resume,
}

/// Where a VM is between two changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It runs.
    On,
    /// It stands still, and its time with it.
    Paused,
    /// It is off.
    Off,
    /// It crashed, and is off.
    Crashed,
    /// It is off, and cannot be started.
    Gone,
}

use Change::{Crash, End, Off, Pause, Reset, Resume, Start};

const CHANGES: [Change; 7] = [End, Off, Crash, Reset, Start, Pause, Resume];
/// Its place; while it changes, that which it comes to.
const PLACE: u32 = 0b111;
const PLACES: [Place; 5] = [Place::On, Place::Paused, Place::Off, Place::Crashed, Place::Gone];
/// A core has a change in hand.
const CHANGING: u32 = 1 << 3;
/// That change starts it anew.
const FRESH: u32 = 1 << 4;
/// What waits to be done: a bit for each of [`CHANGES`].
const WAITING: u32 = 0x7f << 8;

const fn bit(change: Change) -> u32 {
    1 << (8 + change as u32)
}

/// The word.
#[derive(Clone, Copy)]
struct Word(u32);

impl Word {
    fn place(self) -> Place {
        PLACES.get((self.0 & PLACE) as usize).copied().unwrap_or(Place::Gone)
    }

    fn at(self, place: Place) -> Self {
        Self(self.0 & !PLACE | place as u32)
    }

    fn wants(self, changes: &[Change]) -> bool {
        changes.iter().any(|change| self.0 & bit(*change) != 0)
    }

    fn with(self, change: Change) -> Self {
        Self(self.0 | bit(change))
    }

    fn without(self, changes: &[Change]) -> Self {
        Self(changes.iter().fold(self.0, |word, change| word & !bit(*change)))
    }

    fn is_off(self) -> bool {
        matches!(self.place(), Place::Off | Place::Crashed | Place::Gone)
    }

    /// Whether it is off when what waits is done, as far as that is known.
    fn ends_off(self) -> bool {
        (self.is_off() || self.wants(&[End, Off])) && !self.wants(&[Start])
    }

    /// What is asked for besides; `None` if that changes nothing.
    fn ask(self, event: VmEvent) -> Option<Self> {
        if self.place() == Place::Gone || self.wants(&[End]) {
            return None;
        }
        match event {
            VmEvent::End => Some(self.without(&CHANGES).with(End)),
            VmEvent::Off if self.is_off() => Some(self.without(&[Start])),
            VmEvent::Off => Some(self.without(&CHANGES).with(Off)),
            VmEvent::Start if self.is_off() || self.wants(&[Off, Crash]) => Some(self.with(Start)),
            _ if self.ends_off() => None,
            VmEvent::Reset if self.wants(&[Crash, Reset, Start]) || self.0 & FRESH != 0 => {
                Some(self.without(&[Pause, Resume]))
            }
            VmEvent::Reset => Some(self.without(&[Pause, Resume]).with(Reset)),
            VmEvent::Pause if self.wants(&[Pause]) => Some(self.without(&[Resume])),
            VmEvent::Pause if self.place() == Place::Paused && !self.wants(&[Reset]) => {
                Some(self.without(&[Resume]))
            }
            VmEvent::Pause => Some(self.with(Pause)),
            VmEvent::Resume if self.wants(&[Pause]) => Some(self.with(Resume)),
            VmEvent::Resume if self.place() == Place::Paused && !self.wants(&[Reset]) => {
                Some(self.with(Resume))
            }
            _ => None,
        }
    }

    /// What its own objects or vCPUs ask for. What they say while it changes is of the
    /// life that ends there; and of what others asked for it undoes nothing.
    fn ask_itself(self, change: Change) -> Option<Self> {
        let over = self.is_off() || self.wants(&[End, Off]) || self.0 & CHANGING != 0;
        match change {
            _ if over => None,
            Crash => Some(self.without(&[Reset]).with(Crash)),
            _ if self.wants(&[Crash]) => None,
            Off => Some(self.without(&CHANGES).with(Off)),
            Reset if self.place() == Place::Paused && !self.wants(&[Resume]) => {
                Some(self.with(Reset).with(Pause))
            }
            other => Some(self.with(other)),
        }
    }

    /// The first of what waits, taken in hand.
    fn take(self) -> Option<(Change, Self)> {
        let first = CHANGES.into_iter().find(|change| self.wants(&[*change]));
        let change = first.filter(|_| self.0 & CHANGING == 0)?;
        let (place, fresh) = match change {
            End => (Place::Gone, 0),
            Off => (Place::Off, 0),
            Crash => (Place::Crashed, 0),
            Reset | Start => (Place::On, FRESH),
            Pause => (Place::Paused, 0),
            Resume => (Place::On, 0),
        };
        Some((change, Self(self.at(place).without(&[change]).0 | CHANGING | fresh)))
    }

    /// The change was made, and it is at `place`: what waits and makes no sense there is
    /// forgotten.
    fn settle(self, place: Place) -> Self {
        let word = Self(self.at(place).0 & !(CHANGING | FRESH));
        match place {
            Place::On if word.wants(&[Pause]) => word.without(&[Start]),
            Place::On => word.without(&[Start, Resume]),
            Place::Paused => word.without(&[Start, Pause]),
            Place::Off | Place::Crashed if word.wants(&[Start]) => {
                word.without(&[Off, Crash, Reset])
            }
            Place::Off | Place::Crashed => word.without(&[Off, Crash, Reset, Pause, Resume]),
            Place::Gone => word.without(&CHANGES),
        }
    }
}

/// A VM's life.
pub(crate) struct Life(AtomicU32);

impl Life {
    /// Its memory is about to be filled.
    pub const fn new() -> Self {
        Self(AtomicU32::new(Place::On as u32 | CHANGING | FRESH))
    }

    /// It is on, and nothing is asked for.
    #[inline(always)]
    pub fn goes_on(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }

    /// Something waits, and no core has a change in hand.
    pub fn waits(&self) -> bool {
        let word = self.0.load(Ordering::SeqCst);
        word & WAITING != 0 && word & CHANGING == 0
    }

    fn update(&self, f: impl Fn(Word) -> Option<Word>) -> bool {
        let next = |word| f(Word(word)).map(|word| word.0);
        self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).is_ok()
    }

    /// Somebody outside asks. False: that changes nothing.
    pub fn ask(&self, event: VmEvent) -> bool {
        self.update(|word| word.ask(event))
    }

    /// It asks itself. False: that changes nothing.
    pub fn ask_itself(&self, change: Change) -> bool {
        self.update(|word| word.ask_itself(change))
    }

    /// Takes the next change in hand; all vCPUs are parked.
    pub fn take(&self) -> Option<Change> {
        let next = |word| Word(word).take().map(|(_, word)| word.0);
        let before = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok()?;
        Word(before).take().map(|(change, _)| change)
    }

    /// The change in hand brings it elsewhere than was said: its manifest has so.
    pub fn becomes(&self, place: Place) {
        let fresh = if place == Place::On { FRESH } else { 0 };
        self.update(|word| Some(Word(word.at(place).0 & !FRESH | fresh)));
    }

    /// Where the change in hand brings it.
    pub fn place(&self) -> Place {
        Word(self.0.load(Ordering::SeqCst)).place()
    }

    /// The change in hand was made. True if something waits.
    pub fn settle(&self, place: Place) -> bool {
        self.update(|word| Some(word.settle(place)));
        self.waits()
    }

    /// As others see it.
    pub fn state(&self) -> VmState {
        let word = Word(self.0.load(Ordering::SeqCst));
        let changes = word.0 & WAITING != 0 || word.0 & CHANGING != 0 && !word.is_off();
        match word.place() {
            _ if changes => VmState::Changing,
            Place::On => VmState::On,
            Place::Paused => VmState::Paused,
            Place::Off | Place::Gone => VmState::Off,
            Place::Crashed => VmState::Crashed,
        }
    }
}
