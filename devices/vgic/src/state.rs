//! What the controller knows: a word of bits for each 32 interrupts, a record
//! for each interrupt, a bank for each vCPU.
//!
//! An interrupt's place in all arrays is its [`Slot`], which folds the banking of
//! INTIDs 0–31 into one number: the vCPUs' private interrupts come first, the
//! shared ones after them, where INTIDs 0–31 of the shared half are never used.
//! All arrays have a power of two of elements and are indexed by masking, so that
//! no number that a guest makes up can be out of bounds and nothing is checked.

use crate::spec::{CPUS, GICH_LR, PRIVATE, SGIS};

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

    /// Ready to be given to a vCPU.
    #[inline(always)]
    pub const fn open(&self) -> u32 {
        self.enabled & self.forwarded
    }
}

/// Not in a list register.
pub const NOWHERE: u8 = 0xff;

/// What is more than a bit.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Interrupt {
    /// A list register's value for it: pending, with INTID, priority and group.
    pub template: u32,
    /// GICD_ITARGETSR; for an SPI only.
    pub targets: u8,
    /// The vCPU and the list register that it is in, as `vcpu * 16 + register`, or
    /// [`NOWHERE`]. The guest may have emptied that since.
    pub place: u8,
    /// The physical interrupt, while [`Word::physical`] says that it waits.
    pub physical: u16,
}

impl Interrupt {
    const fn new(intid: usize, targets: u8) -> Self {
        let template = intid as u32 | GICH_LR::STATE::Pending.value;
        Self { template, targets, place: NOWHERE, physical: 0 }
    }

    /// Its priority, as in GICD_IPRIORITYR.
    pub fn priority(&self) -> u32 {
        GICH_LR::PRIORITY.read(self.template) << 3
    }

    /// Whether it is in Group 1.
    pub fn group1(&self) -> bool {
        GICH_LR::GRP1.is_set(self.template)
    }

    /// The vCPU whose list registers it is in.
    pub const fn holder(&self) -> Option<usize> {
        if self.place == NOWHERE { None } else { Some(self.place as usize / LISTS) }
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
    /// The list registers that nothing was put in. (Of the others, the guest may
    /// have emptied some.)
    pub free: u32,
    /// Something is pending that found no list register.
    pub overflow: bool,
    /// Its list registers hold what was there before a reset.
    pub stale: bool,
    /// The list registers whose interrupt is pending not only by its line.
    pub latched: u32,
    /// The list registers whose interrupt shall not be pending any more, as
    /// another vCPU said.
    pub cancel: u32,
    /// The same for active.
    pub deactivate: u32,
    /// What each list register was last known to hold.
    pub image: [u32; LISTS],
    /// Which vCPUs sent each SGI that is pending, and not in a list register.
    pub sources: [u8; SGIS],
    /// GICH_VMCR and GICH_APR, as the vCPU's last refresh found them.
    pub vmcr: u32,
    /// See [`vmcr`](Self::vmcr).
    pub apr: u32,
    /// To a power of two, so that finding a bank takes a shift.
    pad: [u32; 4],
}

const _: () = assert!(size_of::<Bank>() == 128 && size_of::<Word>() == 32);

impl Bank {
    const RESET: Self = Self {
        quick: 0,
        free: 0,
        overflow: false,
        stale: true,
        latched: 0,
        cancel: 0,
        deactivate: 0,
        image: [0; LISTS],
        sources: [0; SGIS],
        vmcr: 0,
        apr: 0,
        pad: [0; 4],
    };
}

/// All of it.
#[derive(Clone)]
#[repr(C)]
pub struct State {
    words: [Word; CPUS + WORDS],
    banks: [Bank; CPUS],
    interrupts: [Interrupt; SLOTS],
    /// GICD_CTLR.
    pub control: u32,
    /// How many vCPUs there are.
    pub vcpus: usize,
}

#[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
impl State {
    /// After a reset, for so many vCPUs.
    pub fn new(vcpus: usize) -> Self {
        // With one processor every SPI goes to it (IHI 0048B.b §4.3.12).
        let targets = u8::from(vcpus == 1);
        let mut state = Self {
            banks: [Bank::RESET; CPUS],
            words: [Word::default(); CPUS + WORDS],
            interrupts: [Interrupt::new(0, targets); SLOTS],
            control: 0,
            vcpus,
        };
        for (at, interrupt) in state.interrupts.iter_mut().enumerate() {
            *interrupt = Interrupt::new(Slot(at).intid(), targets);
        }
        for word in state.words.iter_mut().take(CPUS) {
            // SGIs are edge-triggered and always enabled.
            word.set_lines(0, SGI_BITS);
            word.enabled = SGI_BITS;
        }
        state
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

    /// The vCPU that `slot` goes to: of an SPI's targets the lowest (§3.2.3
    /// leaves the choice to the implementation).
    pub fn target(&self, slot: Slot) -> Option<usize> {
        if !slot.is_shared() {
            return Some(slot.word());
        }
        let target = self.interrupt(slot).targets.trailing_zeros() as usize;
        (target < self.vcpus).then_some(target)
    }

    /// Works out [`Word::forwarded`] anew after GICD_CTLR, a group, or what is
    /// active changed.
    pub fn forward(&mut self, at: usize) {
        let control = self.control;
        let open = |i: &Interrupt| control >> u32::from(i.group1()) & 1;
        let forwarded =
            (0..32).fold(0, |all, bit| all | open(self.interrupt(Slot::in_word(at, bit))) << bit);
        let word = self.word_mut(at);
        word.forwarded = forwarded & !word.active;
        if at < CPUS {
            self.bank_mut(at).quick = 0;
        }
    }

    /// Each of a bank's list registers that something was put in, with what its
    /// image says.
    pub fn held(&self, vcpu: usize, all: u32) -> impl Iterator<Item = (usize, u32, Slot)> {
        let bank = self.bank(vcpu);
        let used = if bank.stale { 0 } else { all & !bank.free };
        bits(used).map(move |n| {
            let n = n as usize & (LISTS - 1);
            let image = bank.image[n];
            (n, image, Slot::new(vcpu, GICH_LR::VIRTUAL_ID.read(image) as usize))
        })
    }
}

/// The SGIs' bits in their word.
pub const SGI_BITS: u32 = (1 << SGIS) - 1;
