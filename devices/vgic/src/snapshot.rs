//! The state as it is written down: what is in list registers counts as it was
//! when the vCPU was last refreshed, and becomes software state.
//!
//! A physical interrupt that a guest holds cannot be saved; it is written as
//! pending without its link. Whoever restores deactivates the physical ones.

use crate::list_registers::IS_ACTIVE;
use crate::spec::{GICH_LR, PRIORITY_MASK, SGIS};
use crate::state::{SGI_BITS, Slot, State, WORDS, bits, word_of, words_of};
use alloc::boxed::Box;
use evisor_contract::{Restore, RestoreError, Save};

const TAG: [u8; 8] = *b"vgic-v2\0";
const VERSION: u32 = 1;

/// Writes `state` down.
pub fn save(state: &State, lists: u32, to: &mut Save) {
    let mut state = Box::new(state.clone());
    for vcpu in 0..state.vcpus {
        fold(&mut state, vcpu, lists);
    }
    to.begin(TAG, VERSION);
    to.word(state.vcpus as u32);
    to.word(state.control);
    for word in words(state.vcpus) {
        let bits = state.word(word);
        for value in [bits.enabled, bits.latch | bits.physical, bits.line, bits.edge, bits.active] {
            to.word(value);
        }
        for bit in 0..32 {
            let interrupt = state.interrupt(Slot::in_word(word, bit));
            let group = u32::from(interrupt.group1());
            to.word(interrupt.priority() | group << 8 | u32::from(interrupt.targets) << 16);
        }
    }
    for vcpu in 0..state.vcpus {
        let bank = state.bank(vcpu);
        to.word(bank.vmcr);
        to.word(bank.apr);
        to.raw(&bank.sources);
    }
}

/// The words that are in use with so many vCPUs: the private ones, then the
/// shared ones.
fn words(vcpus: usize) -> impl Iterator<Item = usize> {
    (0..vcpus).map(|vcpu| word_of(vcpu, 0)).chain(words_of(0).skip(1))
}

/// Moves what vCPU `vcpu` has in list registers back.
fn fold(state: &mut State, vcpu: usize, lists: u32) {
    let latched = state.bank(vcpu).latched;
    for at in bits(lists) {
        let found = state.held(vcpu, 1 << at).next();
        let Some((n, image, slot)) = found else {
            continue;
        };
        let linked = GICH_LR::HW.is_set(image);
        if image & IS_ACTIVE != 0 {
            state.word_mut(slot.word()).active |= slot.bit();
        } else if slot.is_sgi() && !linked {
            let source = 1u8 << GICH_LR::CPU_ID.read(image);
            let sources = state.sources(vcpu, slot.intid()) | source;
            state.set_sources(vcpu, slot.intid(), sources);
        } else if linked || latched >> n & 1 != 0 {
            state.word_mut(slot.word()).latch |= slot.bit();
        }
    }
}

/// Reads back the state of a VM with so many vCPUs.
pub fn restore(vcpus: usize, from: &mut Restore<'_>) -> Result<State, RestoreError> {
    from.begin(TAG, VERSION)?;
    let mut state = State::new(vcpus);
    let count = from.word()?;
    state.control = from.word()?;
    if count as usize != vcpus || state.control > 3 {
        return Err(RestoreError::Impossible);
    }
    for word in words(vcpus) {
        restore_word(&mut state, word, from)?;
    }
    for vcpu in 0..vcpus {
        let bank = state.bank_mut(vcpu);
        bank.vmcr = from.word()?;
        bank.apr = from.word()?;
        let mut sources = [0; SGIS];
        from.raw(&mut sources)?;
        for (sgi, sources) in sources.into_iter().enumerate() {
            if u32::from(sources) >> vcpus != 0 {
                return Err(RestoreError::Impossible);
            }
            // Sets the latch of each SGI to what its sources say.
            state.set_sources(vcpu, sgi, sources);
        }
    }
    for word in words(vcpus) {
        state.forward(word);
    }
    Ok(state)
}

fn restore_word(state: &mut State, at: usize, from: &mut Restore<'_>) -> Result<(), RestoreError> {
    let sgis = if at < WORDS { SGI_BITS } else { 0 };
    let word = state.word_mut(at);
    word.enabled = from.word()?;
    word.latch = from.word()?;
    let (line, edge) = (from.word()?, from.word()?);
    word.set_lines(line, edge);
    word.active = from.word()?;
    if word.enabled & word.edge & sgis != sgis || word.line & sgis != 0 {
        return Err(RestoreError::Impossible);
    }
    let present = 0xff_u32 >> (8 - state.vcpus);
    for bit in 0..32 {
        let packed = from.word()?;
        let (priority, targets) = (packed & 0xff, packed >> 16);
        if packed >> 9 & 0x7f != 0 || priority & !PRIORITY_MASK != 0 || targets & !present != 0 {
            return Err(RestoreError::Impossible);
        }
        let interrupt = state.interrupt_mut(Slot::in_word(at, bit));
        interrupt.targets = targets as u8;
        let template = GICH_LR::PRIORITY.val(priority >> 3).modify(interrupt.template);
        interrupt.template = GICH_LR::GRP1.val(packed >> 8 & 1).modify(template);
    }
    Ok(())
}
