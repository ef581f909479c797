//! The state as it is written down: what is in list registers counts as it was
//! when the vCPU was last refreshed, and becomes software state.
//!
//! A physical interrupt that a guest holds cannot be saved; it is written as
//! pending without its link. Whoever restores deactivates the physical ones.

use crate::Vgic;
use crate::interface::Interface;
use crate::spec::{CPUS, PRIVATE, SGIS};
use crate::state::{SGI_BITS, Slot, State, WORDS, Word, word_of, words_of};
use evisor_contract::{Restore, RestoreError, Save};

/// What list registers have, added to the rest: a copy of what that changes, as all of the
/// state is much.
struct Folded {
    words: [Word; CPUS + WORDS],
    /// By vCPU.
    sources: [[u8; SGIS]; CPUS],
}

/// Writes it down.
#[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
pub fn save<I: Interface>(gic: &Vgic<I>, to: &mut Save) {
    let state = &gic.state;
    let mut folded = Folded {
        words: *state.words(),
        sources: core::array::from_fn(|vcpu| state.bank(vcpu).sources),
    };
    for vcpu in 0..state.vcpus {
        fold::<I>(state, &mut folded, vcpu, gic.interface.all());
    }
    to.word(state.vcpus as u32);
    to.word(state.control);
    for at in words(state.vcpus) {
        let word = &folded.words[at & (CPUS + WORDS - 1)];
        let latch = word.latch | word.physical;
        for value in [word.enabled, latch, word.line, word.edge, word.active, word.group1] {
            to.word(value);
        }
        let mut bytes = [0; 2 * PRIVATE];
        for (bit, both) in (0..).zip(bytes.as_chunks_mut().0) {
            let interrupt = state.interrupt(Slot::in_word(at, bit));
            *both = [interrupt.priority, interrupt.targets];
        }
        to.raw(&bytes);
    }
    for (vcpu, sources) in folded.sources.iter().enumerate().take(state.vcpus) {
        let guest = &state.bank(vcpu).guest;
        to.word(guest.vmcr);
        guest.active_priorities.iter().for_each(|word| to.word(*word));
        to.raw(sources);
    }
}

/// The words that are in use with so many vCPUs: the private ones, then the
/// shared ones.
fn words(vcpus: usize) -> impl Iterator<Item = usize> {
    (0..vcpus).map(|vcpu| word_of(vcpu, 0)).chain(words_of(0).skip(1))
}

/// Moves what vCPU `vcpu` has in list registers back.
#[expect(clippy::indexing_slicing, reason = "masked to the length of the array")]
fn fold<I: Interface>(state: &State, to: &mut Folded, vcpu: usize, lists: u32) {
    let bank = state.bank(vcpu);
    for (n, image, slot) in state.held::<I>(vcpu, lists) {
        let flag = |list: u32| list >> n & 1 != 0;
        let linked = image & I::HW != 0;
        let active = image & I::ACTIVE != 0 && !flag(bank.deactivate) || flag(bank.activate);
        let word = &mut to.words[slot.word() & (CPUS + WORDS - 1)];
        if active {
            word.active |= slot.bit();
        }
        if image & I::ACTIVE != 0 {
            continue;
        }
        if I::SOURCES && slot.is_sgi() && !linked {
            to.sources[vcpu & (CPUS - 1)][slot.intid() & (SGIS - 1)] |= 1 << (I::source(image) & 7);
            word.latch |= slot.bit();
        } else if linked || flag(bank.latched) && !flag(bank.cancel) {
            word.latch |= slot.bit();
        }
    }
}

/// Takes back the state of a VM with as many vCPUs. Whatever was there is gone, also what
/// came since the reset.
pub fn restore<I: Interface>(
    gic: &mut Vgic<I>,
    from: &mut Restore<'_>,
) -> Result<(), RestoreError> {
    let (count, control) = (from.word()?, from.word()?);
    let vcpus = gic.state.vcpus;
    if count as usize != vcpus || control > 3 {
        return Err(RestoreError::Impossible);
    }
    let priority_mask = gic.interface.priority_mask();
    let state = &mut gic.state;
    state.reset_words::<I>();
    state.control = control;
    for at in words(vcpus) {
        restore_word::<I>(state, at, priority_mask, from)?;
    }
    for vcpu in 0..vcpus {
        let bank = state.bank_mut(vcpu);
        bank.guest.vmcr = from.word()?;
        for word in &mut bank.guest.active_priorities {
            *word = from.word()?;
        }
        let mut sources = [0; SGIS];
        from.raw(&mut sources)?;
        if I::SOURCES {
            for (sgi, sources) in sources.into_iter().enumerate() {
                if u32::from(sources) >> vcpus != 0 {
                    return Err(RestoreError::Impossible);
                }
                // Sets the latch of each SGI to what its sources say.
                state.set_sources(vcpu, sgi, sources);
            }
        } else if sources != [0; SGIS] {
            return Err(RestoreError::Impossible);
        }
    }
    words(vcpus).for_each(|at| state.forward(at));
    Ok(())
}

fn restore_word<I: Interface>(
    state: &mut State,
    at: usize,
    priority_mask: u8,
    from: &mut Restore<'_>,
) -> Result<(), RestoreError> {
    let private = at < WORDS;
    let sgis = if private { SGI_BITS } else { 0 };
    let always = if private { I::ENABLED } else { 0 };
    let present = 0xff_u8 >> (8 - state.vcpus.min(8));
    let word = state.word_mut(at);
    word.enabled = from.word()?;
    word.latch = from.word()?;
    let (line, edge) = (from.word()?, from.word()?);
    word.set_lines(line, edge);
    word.active = from.word()?;
    word.group1 = from.word()?;
    if word.enabled & always != always || edge & sgis != sgis || line & sgis != 0 {
        return Err(RestoreError::Impossible);
    }
    let mut bytes = [[0; 2]; PRIVATE];
    from.raw(bytes.as_flattened_mut())?;
    let eights = bytes.as_flattened().as_chunks().0.iter();
    let seen = eights.fold(0, |seen, eight| seen | u64::from_le_bytes(*eight));
    let never = u64::from(u16::from_le_bytes([!priority_mask, !present])) * 0x0001_0001_0001_0001;
    if seen & never != 0 {
        return Err(RestoreError::Impossible);
    }
    state.set_bytes::<I>(at, &bytes);
    Ok(())
}
