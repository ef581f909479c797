//! The state as it is written down: what is in list registers counts as it was
//! when the vCPU was last refreshed, and becomes software state.
//!
//! A physical interrupt that a guest holds cannot be saved; it is written as
//! pending without its link. Whoever restores deactivates the physical ones.

use crate::Vgic;
use crate::interface::Interface;
use crate::spec::SGIS;
use crate::state::{SGI_BITS, Slot, State, WORDS, bits, word_of, words_of};
use alloc::boxed::Box;
use evisor_contract::{Restore, RestoreError, Save};

/// Writes it down.
pub fn save<I: Interface>(gic: &Vgic<I>, to: &mut Save) {
    let mut state = Box::new(gic.state.clone());
    for vcpu in 0..state.vcpus {
        fold::<I>(&mut state, vcpu, gic.interface.all());
    }
    to.word(state.vcpus as u32);
    to.word(state.control);
    for at in words(state.vcpus) {
        let word = state.word(at);
        let latch = word.latch | word.physical;
        for value in [word.enabled, latch, word.line, word.edge, word.active, word.group1] {
            to.word(value);
        }
        for bit in 0..32 {
            let interrupt = state.interrupt(Slot::in_word(at, bit));
            to.raw(&[interrupt.priority, interrupt.targets]);
        }
    }
    for vcpu in 0..state.vcpus {
        let bank = state.bank(vcpu);
        to.word(bank.guest.vmcr);
        bank.guest.active_priorities.iter().for_each(|word| to.word(*word));
        to.raw(&bank.sources);
    }
}

/// The words that are in use with so many vCPUs: the private ones, then the
/// shared ones.
fn words(vcpus: usize) -> impl Iterator<Item = usize> {
    (0..vcpus).map(|vcpu| word_of(vcpu, 0)).chain(words_of(0).skip(1))
}

/// Moves what vCPU `vcpu` has in list registers back.
fn fold<I: Interface>(state: &mut State, vcpu: usize, lists: u32) {
    let bank = *state.bank(vcpu);
    for at in bits(lists) {
        let found = state.held::<I>(vcpu, 1 << at).next();
        let Some((n, image, slot)) = found else {
            continue;
        };
        let flag = |list: u32| list >> n & 1 != 0;
        let linked = image & I::HW != 0;
        let active = image & I::ACTIVE != 0 && !flag(bank.deactivate) || flag(bank.activate);
        if active {
            state.word_mut(slot.word()).active |= slot.bit();
        }
        if image & I::ACTIVE != 0 {
            continue;
        }
        if I::SOURCES && slot.is_sgi() && !linked {
            let sources = state.sources(vcpu, slot.intid()) | 1 << (I::source(image) & 7);
            state.set_sources(vcpu, slot.intid(), sources);
        } else if linked || flag(bank.latched) && !flag(bank.cancel) {
            state.word_mut(slot.word()).latch |= slot.bit();
        }
    }
}

/// Takes back the state of a VM with as many vCPUs, into one that was just reset.
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
    for bit in 0..32 {
        let mut bytes = [0; 2];
        from.raw(&mut bytes)?;
        let [priority, targets] = bytes;
        if priority & !priority_mask != 0 || targets & !present != 0 {
            return Err(RestoreError::Impossible);
        }
        let slot = Slot::in_word(at, bit);
        state.set_targets(slot, targets);
        state.set_priority::<I>(slot, priority);
    }
    Ok(())
}
