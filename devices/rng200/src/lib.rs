//! The random number generator RNG200 of a BCM2711: true random numbers of the machine's
//! own, through a FIFO that stays empty where the machine has none.

#![cfg_attr(not(test), no_std)]
#![forbid(unsafe_code)]

mod spec;
#[cfg(test)]
mod tests;

use evisor_contract::{
    Context, Entropy, Mmio, Needs, Object, Parts, Reply, Restore, RestoreError, Rights, Save,
    Width, WindowNeed, component,
};
use spec::{BIT_COUNT, CTRL, FIFO_COUNT, FIFO_DATA, RBGEN, RESETS, THRESHOLD, WRITABLE};

component! {
    compatible: ["brcm,bcm2711-rng200"],
    needs: Needs { windows: &[WINDOW], ..Needs::NONE },
    properties: [],
    build: |_node, grants| {
        let entropy = grants.entropy();
        Ok(Parts::new(Rng200 { kept: [0; 10], bits: 0, fifo: None, entropy }).mmio().done())
    },
    describe: |_node, _guest| Ok(()),
}

const WINDOW: WindowNeed =
    WindowNeed { access: Rights::READ32.union(Rights::WRITE32), ..WindowNeed::new(0x28) };

struct Rng200 {
    /// What was written to the registers.
    kept: [u32; 10],
    /// The bits that were made.
    bits: u32,
    fifo: Option<u32>,
    entropy: Option<&'static dyn Entropy>,
}

impl Rng200 {
    /// An empty FIFO gets a word of the machine's. The bits that are thrown away before
    /// are not asked for, only counted.
    fn fill(&mut self) {
        if RESETS.iter().any(|number| self.kept.get(*number) == Some(&1)) {
            (self.bits, self.fifo) = (0, None);
        } else if self.fifo.is_none()
            && self.kept[CTRL] & RBGEN != 0
            && let Some(word) = self.entropy.and_then(Entropy::word)
        {
            self.fifo = Some(word as u32);
            self.bits = self.bits.max(self.kept[THRESHOLD]).saturating_add(u32::BITS);
        }
    }
}

impl Mmio for Rng200 {
    fn read(&mut self, offset: u64, width: Width, _cx: &mut Context) -> Reply {
        self.fill();
        let word = match offset as usize / 4 {
            BIT_COUNT => self.bits,
            FIFO_DATA => self.fifo.take().unwrap_or_default(),
            FIFO_COUNT => self.kept[FIFO_COUNT] | u32::from(self.fifo.is_some()),
            number => self.kept.get(number).copied().unwrap_or_default(),
        };
        Reply::value(u64::from(word) & width.mask())
    }

    fn write(&mut self, offset: u64, _width: Width, value: u64, _cx: &mut Context) -> Reply {
        let number = offset as usize / 4;
        if let Some((kept, bits)) = self.kept.get_mut(number).zip(WRITABLE.get(number)) {
            *kept = value as u32 & bits;
        }
        self.fill();
        Reply::DONE
    }
}

impl Object for Rng200 {
    fn reset(&mut self) {
        (self.kept, self.bits, self.fifo) = ([0; 10], 0, None);
    }

    fn save(&self, to: &mut Save) {
        to.begin(*b"rng200\0\0", 1);
        let rest = [self.bits, self.fifo.is_some().into(), self.fifo.unwrap_or_default()];
        self.kept.iter().chain(&rest).for_each(|word| to.word(*word));
    }

    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        from.begin(*b"rng200\0\0", 1)?;
        for (kept, bits) in self.kept.iter_mut().zip(WRITABLE) {
            *kept = from.bits(bits)?;
        }
        self.bits = from.word()?;
        self.fifo = (from.word()? != 0).then_some(from.word()?);
        Ok(())
    }
}
