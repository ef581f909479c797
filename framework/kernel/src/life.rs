//! Where a VM is in its life, and where it is to be: all of it in one word, so that
//! whoever changes it sees the rest.
//!
//! Who asks moves the *goal*. A core takes the next change towards it in hand when
//! every vCPU is parked, one after the other. The word is 0 while the VM is on and is to
//! be, and becomes 0 only when a change was made: so whoever is parked stays parked until
//! then.

use core::sync::atomic::{AtomicU32, Ordering};
use evisor_contract::{VmEvent, VmState};

/// What is done with a VM whose vCPUs are all parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It goes off for good.
    End,
    /// It goes off.
    Off,
    /// It crashed: what follows is its manifest's.
    Crash,
    /// It is to be reset: what follows is its manifest's.
    Reset,
    /// It starts.
    Start,
    /// It stands still.
    Pause,
    /// It goes on.
    Resume,
    /// It stands still, and is kept as it is.
    Checkpoint,
    /// It becomes what was kept, and stands still.
    RollBack,
}

impl Change {
    /// It is made as soon as it is begun: what goes on after it is another core's.
    pub fn is_short(self) -> bool {
        matches!(self, Self::Pause | Self::Resume)
    }
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

impl Place {
    const ALL: [Self; 5] = [Self::On, Self::Paused, Self::Off, Self::Crashed, Self::Gone];

    fn from_bits(bits: u32) -> Self {
        Self::ALL.get((bits & PLACE) as usize).copied().unwrap_or(Self::Gone)
    }

    fn is_off(self) -> bool {
        matches!(self, Self::Off | Self::Crashed | Self::Gone)
    }
}

/// Where it is; while it changes, where that brings it.
const PLACE: u32 = 0b111;
/// Where it is to be, so much higher.
const GOAL: u32 = 3;
/// A core has a change in hand.
const CHANGING: u32 = 1 << 6;
/// That change starts it anew.
const FRESH: u32 = 1 << 7;
/// That change is a crash of one that was to stand still.
const STOOD: u32 = 1 << 8;
/// On its way it goes off.
const STOP: u32 = 1 << 9;
/// It crashed.
const CRASH: u32 = 1 << 10;
/// On its way it is reset.
const RESET: u32 = 1 << 11;
/// On its way it stands still.
const VISIT: u32 = 1 << 12;
/// On its way it is kept as it is then.
const KEEP: u32 = 1 << 13;
/// On its way, after that, it becomes what was kept.
const BACK: u32 = 1 << 14;
/// What is asked for on its way.
const ASKED: u32 = STOP | CRASH | RESET | VISIT | KEEP | BACK;

/// The word.
#[derive(Clone, Copy)]
struct Word(u32);

impl Word {
    fn place(self) -> Place {
        Place::from_bits(self.0)
    }

    fn goal(self) -> Place {
        Place::from_bits(self.0 >> GOAL)
    }

    fn at(self, place: Place) -> Self {
        Self(self.0 & !PLACE | place as u32)
    }

    fn to(self, goal: Place) -> Self {
        Self(self.0 & !(PLACE << GOAL) | (goal as u32) << GOAL)
    }

    fn has(self, bits: u32) -> bool {
        self.0 & bits != 0
    }

    fn with(self, bits: u32) -> Self {
        Self(self.0 | bits)
    }

    fn without(self, bits: u32) -> Self {
        Self(self.0 & !bits)
    }

    /// Somebody outside asks.
    fn ask(self, event: VmEvent) -> Self {
        let asked = match (event, self.goal()) {
            (_, Place::Gone) => self,
            (VmEvent::End, _) => self.without(ASKED).to(Place::Gone),
            (VmEvent::Off, _) => self.off(),
            (VmEvent::Start, Place::Off) => self.to(Place::On),
            (VmEvent::Reset, Place::On | Place::Paused) => self.reset().to(Place::On),
            (VmEvent::Pause, Place::On) => self.to(Place::Paused),
            (VmEvent::Resume, Place::Paused) => self.to(Place::On),
            // What it would be kept as is what it is to become.
            (VmEvent::Checkpoint, Place::On | Place::Paused) if !self.has(BACK) => self.with(KEEP),
            (VmEvent::RollBack, _) => self.back(),
            _ => self,
        };
        // Nothing is taken back: somebody may be about to do it.
        if asked.0 == 0 && self.0 != 0 { asked.with(VISIT) } else { asked }
    }

    fn off(self) -> Self {
        let off = self.without(ASKED & !STOP).to(Place::Off);
        // What follows a crash is not said yet while that is in hand.
        let may_start =
            !self.place().is_off() || self.place() == Place::Crashed && self.has(CHANGING);
        if may_start { off.with(STOP) } else { off }
    }

    /// Unless it starts anew as it is.
    fn reset(self) -> Self {
        let anew = self.has(FRESH | STOP | CRASH) || self.place().is_off();
        let reset = self.without(VISIT | BACK);
        if anew { reset } else { reset.with(RESET) }
    }

    /// Whatever would have come of what was asked for before is undone with the rest; but
    /// what is to be kept is.
    fn back(self) -> Self {
        let back = self.without(ASKED & !KEEP).with(BACK);
        if self.goal().is_off() { back.to(Place::On) } else { back }
    }

    /// Its own objects or vCPUs ask, for [`Change::Off`], [`Change::Crash`] or
    /// [`Change::Reset`]. What they say while it changes is of the life that ends there;
    /// and of what others asked for it undoes nothing.
    fn ask_itself(self, change: Change) -> Self {
        let over =
            self.place().is_off() || self.goal().is_off() || self.has(CHANGING | STOP | BACK);
        match change {
            _ if over || self.has(CRASH) => self,
            Change::Crash => self.without(RESET).with(CRASH),
            Change::Off => self.off(),
            Change::Reset => self.with(RESET),
            _ => self,
        }
    }

    /// The next change on its way.
    fn next(self) -> Option<Change> {
        let (place, goal) = (self.place(), self.goal());
        match (place, goal) {
            (Place::Gone, _) => None,
            (_, Place::Gone) => Some(Change::End),
            _ if self.has(STOP) => Some(Change::Off),
            _ if self.has(CRASH) => Some(Change::Crash),
            _ if self.has(RESET) => Some(Change::Reset),
            (Place::On, _) if self.has(KEEP | BACK) => Some(Change::Pause),
            (Place::Paused, _) if self.has(KEEP) => Some(Change::Checkpoint),
            _ if self.has(BACK) => Some(Change::RollBack),
            (Place::Off | Place::Crashed, Place::On | Place::Paused) => Some(Change::Start),
            (Place::On, Place::Paused) => Some(Change::Pause),
            (Place::On, Place::On) if self.has(VISIT) => Some(Change::Pause),
            (Place::Paused, Place::On) => Some(Change::Resume),
            _ => None,
        }
    }

    /// That one, taken in hand, if none is.
    fn take(self) -> Option<(Change, Self)> {
        let change = self.next().filter(|_| !self.has(CHANGING))?;
        let taken = match change {
            Change::End => self.at(Place::Gone),
            Change::Off => self.without(STOP).at(Place::Off),
            Change::Crash => {
                let stood = if self.goal() == Place::Paused { STOOD } else { 0 };
                self.without(CRASH | KEEP).with(stood).at(Place::Crashed).to(Place::Off)
            }
            Change::Reset | Change::Start => self.without(RESET).with(FRESH).at(Place::On),
            Change::Pause => self.without(VISIT).at(Place::Paused),
            Change::Resume => self.at(Place::On),
            Change::Checkpoint => self.without(KEEP),
            Change::RollBack => self.without(BACK).at(Place::Paused),
        };
        Some((change, taken.with(CHANGING)))
    }

    /// The change in hand brings it elsewhere: on after a crash, off after a reset.
    fn becomes(self, place: Place) -> Self {
        let asked_meanwhile = self.has(STOP) || self.goal() != Place::Off;
        match place {
            Place::On if asked_meanwhile => self.at(Place::On).with(FRESH),
            Place::On if self.has(STOOD) => self.at(Place::On).with(FRESH).to(Place::Paused),
            Place::On => self.at(Place::On).with(FRESH).to(Place::On),
            _ if self.goal() == Place::Gone || self.has(BACK) => self.at(place),
            _ => self.at(place).to(Place::Off),
        }
    }

    /// The change in hand was made.
    fn settle(self) -> Self {
        let settled = self.without(CHANGING | FRESH | STOOD);
        match self.place().is_off() {
            true if self.goal().is_off() => settled.without(ASKED),
            true => settled.without(STOP | CRASH | RESET | VISIT),
            false => settled,
        }
    }
}

/// A VM's life.
pub(crate) struct Life(AtomicU32);

impl Life {
    /// Its memory is about to be filled.
    pub const fn new() -> Self {
        Self(AtomicU32::new(CHANGING | FRESH))
    }

    /// It is on, and is to be.
    #[inline(always)]
    pub fn goes_on(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }

    fn now(&self) -> Word {
        Word(self.0.load(Ordering::SeqCst))
    }

    /// There is a change to be made, and no core has one in hand.
    pub fn waits(&self) -> bool {
        self.now().take().is_some()
    }

    /// Gives whether there is anything to do after that.
    fn update(&self, f: impl Fn(Word) -> Word) -> bool {
        let next = |word| Some(f(Word(word)).0);
        let _ = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        self.waits()
    }

    /// Somebody outside asks. True if there is a change to be made.
    pub fn ask(&self, event: VmEvent) -> bool {
        self.update(|word| word.ask(event))
    }

    /// It asks itself: [`Change::Off`], [`Change::Crash`] or [`Change::Reset`]. True if
    /// there is a change to be made.
    pub fn ask_itself(&self, change: Change) -> bool {
        self.update(|word| word.ask_itself(change))
    }

    /// Takes the next change in hand; all vCPUs are parked.
    pub fn take(&self) -> Option<Change> {
        let next = |word| Word(word).take().map(|(_, word)| word.0);
        let before = self.0.fetch_update(Ordering::SeqCst, Ordering::SeqCst, next).ok()?;
        Word(before).take().map(|(change, _)| change)
    }

    /// The change in hand brings it elsewhere than was said: its manifest has so, or it
    /// cannot start.
    pub fn becomes(&self, place: Place) {
        self.update(|word| word.becomes(place));
    }

    /// It is off for good, or is to be.
    pub fn is_over(&self) -> bool {
        self.now().goal() == Place::Gone
    }

    /// Where the change in hand brings it.
    pub fn place(&self) -> Place {
        self.now().place()
    }

    /// The change in hand was made. True if there is another one to be made.
    pub fn settle(&self) -> bool {
        self.update(Word::settle)
    }

    /// As others see it.
    pub fn state(&self) -> VmState {
        let word = self.now();
        let stays_off = word.place().is_off() && word.goal().is_off();
        match word.place() {
            _ if !stays_off && (word.has(CHANGING) || word.next().is_some()) => VmState::Changing,
            Place::On => VmState::On,
            Place::Paused => VmState::Paused,
            Place::Off | Place::Gone => VmState::Off,
            Place::Crashed => VmState::Crashed,
        }
    }
}
