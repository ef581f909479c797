//! What the controller knows: a word of bits for each 32 interrupts, a record
//! for each interrupt, a bank for each vCPU.
//!
//! An interrupt's place in all arrays is its [`Slot`], which folds the banking of
//! INTIDs 0–31 into one number: the vCPUs' private interrupts come first, the
//! shared ones after them, where INTIDs 0–31 of the shared half are never used.
//! All arrays have a power of two of elements and are indexed by masking, so that
//! no number that a guest makes up can be out of bounds and nothing is checked.

use crate::interface::{GuestState, Interface};
use crate::spec::{CPUS, PRIVATE, SGIS};

/// INTIDs, with the private ones.
pub const INTIDS: usize = 256;
/// Words of 32 INTIDs that a guest sees.
pub const WORDS: usize = INTIDS / PRIVATE;
/// Slots: each vCPU's private interrupts, then all INTIDs.
const SLOTS: usize = CPUS * PRIVATE + INTIDS;
/// List registers that are used of what there is.
pub const LISTS: usize = 16;

const _: () = assert!(SLOTS.is_power_of_two() && CPUS.is_power_of_two() && WORDS == CPUS);

/// One interrupt of the VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(usize);

impl Slot {
    /// `intid` as vCPU `vcpu` sees it.
    #[inline(always)]
    pub const fn new(vcpu: usize, intid: usize) -> Self {
        if intid < PRIVATE {
            Self((vcpu & (CPUS - 1)) * PRIVATE + intid)
        } else {
            Self(CPUS * PRIVATE + (intid & (INTIDS - 1)))
        }
    }

    /// The SPI `intid`, if it is one.
    #[inline(always)]
    pub const fn shared(intid: usize) -> Option<Self> {
        match intid {
            PRIVATE..INTIDS => Some(Self(CPUS * PRIVATE + intid)),
            _ => None,
        }
    }

    /// Bit `bit` of the word at `word`.
    #[inline(always)]
    pub const fn in_word(word: usize, bit: u32) -> Self {
        Self((word * PRIVATE + bit as usize) & (SLOTS - 1))
    }

    /// The word that its bits are in.
    #[inline(always)]
    pub const fn word(self) -> usize {
        self.0 / PRIVATE
    }

    /// Its bit there.
    #[inline(always)]
    pub const fn bit(self) -> u32 {
        1 << (self.0 % PRIVATE)
    }

    /// Its INTID.
    pub const fn intid(self) -> usize {
        if self.is_shared() { self.0 & (INTIDS - 1) } else { self.0 % PRIVATE }
    }

    /// Whether it is an SPI.
    #[inline(always)]
    pub const fn is_shared(self) -> bool {
        self.0 >= CPUS * PRIVATE
    }

    /// Whether it is an SGI.
    pub const fn is_sgi(self) -> bool {
        !self.is_shared() && self.0 % PRIVATE < SGIS
    }
}

/// Where the bits of INTIDs `32 * n` and up are, for vCPU `vcpu`.
#[inline(always)]
pub const fn word_of(vcpu: usize, n: usize) -> usize {
    if n == 0 { vcpu & (CPUS - 1) } else { CPUS | (n & (WORDS - 1)) }
}

/// All words that have interrupts for vCPU `vcpu`.
pub fn words_of(vcpu: usize) -> impl Iterator<Item = usize> {
    (0..WORDS).map(move |n| word_of(vcpu, n))
}

/// The numbers of the bits that are set, from the lowest.
pub fn bits(mut value: u32) -> impl Iterator<Item = u32> {
    core::iter::from_fn(move || {
        let bit = value.trailing_zeros();
        value &= value.wrapping_sub(1);
        (bit < 32).then_some(bit)
    })
}

/// What is one bit an interrupt.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Word {
    /// The guest enabled it.
    pub enabled: u32,
    /// Its group is forwarded and it is not in [`active`](Self::active).
    pub forwarded: u32,
    /// Pending by an edge, by ISPENDR or (SGI) by a source, and not in a list
    /// register.
    pub latch: u32,
    /// A physical interrupt waits, active, for the guest to deactivate it; and is
    /// not in a list register.
    pub physical: u32,
    /// Pending since its line is up: [`line`](Self::line) without
    /// [`edge`](Self::edge).
    pub level: u32,
    /// The line is up.
    pub line: u32,
    /// It is edge-triggered.
    pub edge: u32,
    /// Active, and not in a list register.
    pub active: u32,
    /// In Group 1.
    pub group1: u32,
    /// A physical interrupt was let go of that whoever asks is to deactivate.
    pub retired: u32,
    /// In a list register, of whichever vCPU; the guest may have emptied that since.
    pub held: u32,
    /// To a power of two, so that finding a word takes a shift.
    pad: [u32; 5],
}

impl Word {
    /// Pending, whatever the reason; what only a list register knows is not here.
    #[inline(always)]
    pub const fn pending(&self) -> u32 {
        self.latch | self.physical | self.level
    }

    /// Sets which lines are up and which are edge-triggered.
    pub const fn set_lines(&mut self, line: u32, edge: u32) {
        self.line = line;
        self.edge = edge;
        self.level = line & !edge;
    }

    /// Works out [`forwarded`](Self::forwarded) from GICD_CTLR.
    pub const fn forward(&mut self, control: u32) {
        let group0 = if control & 1 != 0 { !self.group1 } else { 0 };
        let group1 = if control & 2 != 0 { self.group1 } else { 0 };
        self.forwarded = (group0 | group1) & !self.active;
    }

    /// Ready to be given to a vCPU.
    #[inline(always)]
    pub const fn open(&self) -> u32 {
        self.enabled & self.forwarded
    }
}

/// The same as two bytes of each [`Interrupt`], a word for each bit of theirs: what is
/// looked for among many is found without looking at each.
#[derive(Clone, Copy, Default)]
struct Planes {
    priorities: [u32; 8],
    targets: [u32; CPUS],
}

/// Writes a byte of the interrupt with this bit.
fn spread(planes: &mut [u32; 8], bit: u32, byte: u8) {
    for (n, plane) in planes.iter_mut().enumerate() {
        *plane = *plane & !bit | if byte >> n & 1 == 0 { 0 } else { bit };
    }
}

/// The same of all 32 bytes of a word's interrupts.
fn planes_of(bytes: &[u8; PRIVATE]) -> [u32; 8] {
    let [first, ..] = *bytes;
    // As most are.
    if bytes.as_chunks().0.iter().all(|eight| *eight == [first; 8]) {
        return core::array::from_fn(|bit| 0_u32.wrapping_sub(u32::from(first) >> bit & 1));
    }
    let mut planes = [0; 8];
    for (n, eight) in bytes.as_chunks().0.iter().enumerate() {
        let eight = u64::from_le_bytes(*eight);
        for (bit, plane) in planes.iter_mut().enumerate() {
            // This moves bit 0 of byte n to bit 56 + n; no two others meet.
            let moved = (eight >> bit & 0x0101_0101_0101_0101).wrapping_mul(0x0102_0408_1020_4080);
            *plane |= ((moved >> 56) as u32) << (8 * n);
        }
    }
    planes
}

/// Not in a list register.
pub const NOWHERE: u8 = 0xff;
const _: () = assert!(NOWHERE as usize / LISTS >= CPUS);

/// What is more than a bit.
#[derive(Clone, Copy, Default)]
#[repr(C)]
pub struct Interrupt {
    /// A list register's value for it: pending, with INTID, priority and group.
    pub template: u64,
    /// The physical interrupt, while [`Word::physical`] says that it waits.
    pub physical: u16,
    /// The vCPUs that it may go to, as bits; for an SPI only.
    pub targets: u8,
    /// The vCPU and the list register that it is in, as `vcpu * 16 + register`, or
    /// [`NOWHERE`]. The guest may have emptied that since.
    pub place: u8,
    /// Its priority.
    pub priority: u8,
}

impl Interrupt {
    /// The vCPU whose list registers it is in.
    pub const fn holder(&self) -> Option<usize> {
        if self.place == NOWHERE { None } else { Some(self.place as usize / LISTS) }
    }

    /// Whether it is in a list register of `vcpu` (its low bits): [`NOWHERE`] is nobody's.
    #[inline(always)]
    pub const fn is_held_by(&self, vcpu: usize) -> bool {
        self.place as usize / LISTS == vcpu & (CPUS - 1)
    }

    /// The list register that it is in, if it is in one.
    #[inline(always)]
    pub const fn list(&self) -> usize {
        self.place as usize & (LISTS - 1)
    }
}

/// What each vCPU has.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Bank {
    /// The private interrupts that may take the short way: in a list register
    /// (which the guest may have emptied), open, nothing else of them pending, and
    /// no overflow. Cleared whenever one of that changes.
    pub quick: u32,
    /// What is written to GICD_SGIR to send it an SGI: the target list.
    pub own: u32,
    /// The list registers that nothing was put in. (Of the others, the guest may
    /// have emptied some.)
    pub free: u32,
    /// The list registers whose interrupt is pending not only by its line.
    pub latched: u32,
    /// The list registers whose interrupt shall not be pending any more, as
    /// another vCPU said.
    pub cancel: u32,
    /// The same for active.
    pub deactivate: u32,
    /// The list registers whose interrupt shall be active, as another vCPU said.
    pub activate: u32,
    /// The words with interrupts that came for the vCPU since it last looked: bit
    /// 0 for the private ones, bit n for INTIDs from `32 * n`.
    pub arrived: u8,
    /// More than that has changed, or somebody wants to know what its list
    /// registers hold.
    pub dirty: bool,
    /// Something is pending that found no list register.
    pub overflow: bool,
    /// Its list registers hold what was there before a reset.
    pub stale: bool,
    /// It has to do with interrupts: neither off nor about to be saved.
    pub awake: bool,
    /// It reads something that other vCPUs have to tell first: of the word at this
    /// less one.
    pub asks: u8,
    /// The word, likewise, that it read last: of a load of two words the first is
    /// read again when the second has to be tried again.
    pub answered: u8,
    /// Which vCPUs sent each SGI that is pending, and not in a list register.
    pub sources: [u8; SGIS],
    /// The list register of each private interrupt in [`quick`](Self::quick).
    list_of: [u8; PRIVATE],
    /// What each list register was last known to hold.
    pub image: [u64; LISTS],
    /// What the guest had changed when the vCPU last left.
    pub guest: GuestState,
    /// The list registers whose link to a physical interrupt is to go, as somebody said.
    pub retire: u32,
}

const _: () = assert!(size_of::<Bank>() == 256 && size_of::<Word>() == 64);
const _: () = assert!(size_of::<Interrupt>() == 16);

impl Bank {
    const RESET: Self = Self {
        quick: 0,
        own: 0,
        free: 0,
        latched: 0,
        cancel: 0,
        deactivate: 0,
        activate: 0,
        arrived: 0,
        dirty: false,
        overflow: false,
        stale: true,
        awake: false,
        asks: 0,
        answered: 0,
        sources: [0; SGIS],
        list_of: [0; PRIVATE],
        image: [0; LISTS],
        guest: GuestState { vmcr: 0, active_priorities: [0; _] },
        retire: 0,
    };

    /// The list register that private interrupt `intid` was in last.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    pub const fn list_of(&self, intid: usize) -> usize {
        self.list_of[intid & (PRIVATE - 1)] as usize & (LISTS - 1)
    }

    /// Remembers it.
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    pub const fn set_list_of(&mut self, intid: usize, n: usize) {
        self.list_of[intid & (PRIVATE - 1)] = n as u8;
    }

    /// What list register `n` was last known to hold.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    pub const fn image(&self, n: usize) -> u64 {
        self.image[n & (LISTS - 1)]
    }

    /// Remembers it.
    #[inline(always)]
    #[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
    pub const fn set_image(&mut self, n: usize, value: u64) {
        self.image[n & (LISTS - 1)] = value;
    }
}

/// All of it.
#[derive(Clone)]
#[repr(C)]
pub struct State {
    banks: [Bank; CPUS],
    words: [Word; CPUS + WORDS],
    interrupts: [Interrupt; SLOTS],
    /// For each vCPU a byte of those whose list registers it waits to know.
    pub awaited: u64,
    /// The group enables of GICD_CTLR.
    pub control: u32,
    /// How many vCPUs there are.
    pub vcpus: usize,
    planes: [Planes; CPUS + WORDS],
}

#[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
impl State {
    /// After a reset, for so many vCPUs; SPIs go to `targets`.
    pub fn new<I: Interface>(vcpus: usize, targets: u8) -> Self {
        let mut state = Self {
            words: [Word::default(); CPUS + WORDS],
            banks: [Bank::RESET; CPUS],
            interrupts: [Interrupt::default(); SLOTS],
            awaited: 0,
            control: 0,
            vcpus,
            planes: [Planes::default(); CPUS + WORDS],
        };
        state.reset::<I>(targets);
        state
    }

    /// The same in its place: it is too large to be made on a core's stack.
    pub fn reset<I: Interface>(&mut self, targets: u8) {
        self.reset_words::<I>();
        for planes in self.planes.iter_mut().skip(CPUS) {
            spread(&mut planes.targets, !0, targets);
        }
        // In two loops, whose INTIDs only count: a reset is on the way to the first guest.
        let at_reset = |intid| Interrupt {
            template: I::pending(intid, 0, false),
            physical: 0,
            targets,
            place: NOWHERE,
            priority: 0,
        };
        let (private, shared) = self.interrupts.split_at_mut(CPUS * PRIVATE);
        let banks = private.chunks_exact_mut(PRIVATE).take(self.vcpus);
        for each in banks.chain([shared]) {
            (0..).zip(each).for_each(|(intid, interrupt)| *interrupt = at_reset(intid));
        }
    }

    /// The same of all but what [`set_bytes`](Self::set_bytes) sets.
    pub fn reset_words<I: Interface>(&mut self) {
        self.awaited = 0;
        self.control = 0;
        for (vcpu, bank) in self.banks.iter_mut().enumerate() {
            *bank = Bank { own: 1 << 16 << vcpu, ..Bank::RESET };
        }
        self.words = [Word::default(); _];
        for word in self.words.iter_mut().take(self.vcpus) {
            // SGIs are edge-triggered; a GICv2's are always enabled.
            word.set_lines(0, SGI_BITS);
            word.enabled = I::ENABLED;
        }
        self.planes = [Planes::default(); _];
    }

    #[inline(always)]
    pub fn bank(&self, vcpu: usize) -> &Bank {
        &self.banks[vcpu & (CPUS - 1)]
    }

    #[inline(always)]
    pub fn bank_mut(&mut self, vcpu: usize) -> &mut Bank {
        &mut self.banks[vcpu & (CPUS - 1)]
    }

    #[inline(always)]
    pub fn word(&self, word: usize) -> &Word {
        &self.words[word & (CPUS + WORDS - 1)]
    }

    #[inline(always)]
    pub fn word_mut(&mut self, word: usize) -> &mut Word {
        &mut self.words[word & (CPUS + WORDS - 1)]
    }

    #[inline(always)]
    pub fn interrupt(&self, slot: Slot) -> &Interrupt {
        &self.interrupts[slot.0 & (SLOTS - 1)]
    }

    #[inline(always)]
    pub fn interrupt_mut(&mut self, slot: Slot) -> &mut Interrupt {
        &mut self.interrupts[slot.0 & (SLOTS - 1)]
    }

    /// The sources of SGI `sgi` that are pending for vCPU `vcpu`.
    #[inline(always)]
    pub fn sources(&self, vcpu: usize, sgi: usize) -> u8 {
        self.bank(vcpu).sources[sgi & (SGIS - 1)]
    }

    /// Sets them, and the latch with them.
    pub fn set_sources(&mut self, vcpu: usize, sgi: usize, sources: u8) {
        self.bank_mut(vcpu).sources[sgi & (SGIS - 1)] = sources;
        let slot = Slot::new(vcpu, sgi & (SGIS - 1));
        self.bank_mut(vcpu).quick &= !slot.bit();
        let word = self.word_mut(slot.word());
        word.latch = if sources == 0 { word.latch & !slot.bit() } else { word.latch | slot.bit() };
    }

    /// The vCPU that `slot` goes to: of an SPI's targets the lowest that is awake
    /// (IHI 0048B.b §3.2.3 leaves the choice to the implementation).
    pub fn target(&self, slot: Slot) -> Option<usize> {
        if !slot.is_shared() {
            return Some(slot.word());
        }
        let targets = u32::from(self.interrupt(slot).targets);
        let awake = bits(targets).find(|vcpu| self.bank(*vcpu as usize).awake);
        awake.or_else(|| bits(targets).next()).map(|vcpu| vcpu as usize)
    }

    /// Those of `these`, of the word at `at`, that [go](Self::target) to vCPU `vcpu`.
    pub fn going_to(&self, vcpu: usize, at: usize, these: u32) -> u32 {
        if at < CPUS {
            return if at == vcpu { these } else { 0 };
        }
        let targets = &self.planes(at).targets;
        let mut left = these & targets[vcpu & (CPUS - 1)];
        let rank = |vcpu: usize| (!self.bank(vcpu).awake, vcpu);
        for other in 0..self.vcpus {
            let theirs = left & targets[other & (CPUS - 1)];
            if theirs != 0 && other != vcpu && rank(other) < rank(vcpu) {
                left &= !theirs;
            }
        }
        left
    }

    /// The first of `these`, of the word at `at`: its priority, and which bit it is.
    pub fn first(&self, at: usize, mut these: u32) -> (u8, u32) {
        let mut priority = 0;
        for plane in self.planes(at).priorities.iter().rev() {
            let higher = these & !plane;
            priority = priority << 1 | u8::from(higher == 0);
            these = if higher == 0 { these } else { higher };
        }
        (priority, these.trailing_zeros())
    }

    fn planes(&self, at: usize) -> &Planes {
        &self.planes[at & (CPUS + WORDS - 1)]
    }

    fn planes_mut(&mut self, at: usize) -> &mut Planes {
        &mut self.planes[at & (CPUS + WORDS - 1)]
    }

    /// The vCPUs, as bits, that some of `these`, of the word at `at`, go to.
    pub fn targeted(&self, at: usize, these: u32) -> u32 {
        let targets = (0..self.vcpus).filter(|vcpu| self.going_to(*vcpu, at, these) != 0);
        targets.fold(0, |all, vcpu| all | 1 << vcpu)
    }

    /// Says which vCPUs an SPI may go to.
    pub fn set_targets(&mut self, slot: Slot, targets: u8) {
        self.interrupt_mut(slot).targets = targets;
        spread(&mut self.planes_mut(slot.word()).targets, slot.bit(), targets);
    }

    /// Sets its priority.
    pub fn set_priority<I: Interface>(&mut self, slot: Slot, priority: u8) {
        self.interrupt_mut(slot).priority = priority;
        spread(&mut self.planes_mut(slot.word()).priorities, slot.bit(), priority);
        self.set_template::<I>(slot);
    }

    /// Sets the priority and the targets of each interrupt of the word at `at`, whose groups
    /// are set, and which are in no list register.
    pub fn set_bytes<I: Interface>(&mut self, at: usize, bytes: &[[u8; 2]; PRIVATE]) {
        let (group1, first) = (self.word(at).group1, Slot::in_word(at, 0).intid());
        let (mut priorities, mut targets) = ([0; PRIVATE], [0; PRIVATE]);
        let interrupts = &mut self.interrupts.as_chunks_mut::<PRIVATE>().0[at & (CPUS + WORDS - 1)];
        for (bit, interrupt) in interrupts.iter_mut().enumerate() {
            let [priority, to] = bytes[bit & (PRIVATE - 1)];
            priorities[bit & (PRIVATE - 1)] = priority;
            targets[bit & (PRIVATE - 1)] = to;
            *interrupt = Interrupt {
                template: I::pending(first + bit, priority, group1 >> bit & 1 != 0),
                physical: 0,
                targets: to,
                place: NOWHERE,
                priority,
            };
        }
        *self.planes_mut(at) =
            Planes { priorities: planes_of(&priorities), targets: planes_of(&targets) };
    }

    /// All words.
    pub const fn words(&self) -> &[Word; CPUS + WORDS] {
        &self.words
    }

    /// It is in list register `n` of vCPU `vcpu`.
    pub fn hold(&mut self, slot: Slot, vcpu: usize, n: usize) {
        self.interrupt_mut(slot).place = (vcpu * LISTS + n) as u8;
        self.word_mut(slot.word()).held |= slot.bit();
    }

    /// It is in none.
    pub fn free(&mut self, slot: Slot) {
        self.interrupt_mut(slot).place = NOWHERE;
        self.word_mut(slot.word()).held &= !slot.bit();
    }

    /// Works out anew what is forwarded of the word at `at`, after GICD_CTLR, a
    /// group, or what is active changed.
    pub fn forward(&mut self, at: usize) {
        let control = self.control;
        self.word_mut(at).forward(control);
        if at < CPUS {
            self.bank_mut(at).quick = 0;
        }
    }

    /// Sets what is written to a list register to its priority and group.
    pub fn set_template<I: Interface>(&mut self, slot: Slot) {
        let group1 = self.word(slot.word()).group1 & slot.bit() != 0;
        let interrupt = self.interrupt_mut(slot);
        interrupt.template = I::pending(slot.intid(), interrupt.priority, group1);
    }

    /// Each of a bank's list registers that something was put in, with what its
    /// image says.
    pub fn held<I: Interface>(
        &self,
        vcpu: usize,
        all: u32,
    ) -> impl Iterator<Item = (usize, u64, Slot)> {
        let bank = self.bank(vcpu);
        let used = if bank.stale { 0 } else { all & !bank.free };
        bits(used).map(move |n| {
            let image = bank.image(n as usize);
            (n as usize, image, Slot::new(vcpu, I::intid(image)))
        })
    }
}

/// The SGIs' bits in their word.
pub const SGI_BITS: u32 = (1 << SGIS) - 1;
