//! Reset, saving and restoring.

use crate::Sdhci;
use crate::dma::Dma;
use crate::fifo::Fifo;
use crate::registers::Registers;
use crate::spec::BUFFER;
use crate::store::Want;
use crate::transfer::{Kind, Transfer, Way};
use evisor_contract::{BLOCKS, Object, Restore, RestoreError, Save, Told};

const TAG: [u8; 8] = *b"sdhci\0\0\0";
const VERSION: u32 = 2;

impl Object for Sdhci {
    /// An answer that is due is still due, and nobody wants it.
    fn reset(&mut self) {
        self.registers = Registers::RESET;
        self.card.power_cycle();
        self.transfer = Transfer::NONE;
        self.fifo = Fifo::new();
        self.store.forget();
        self.waits = false;
        self.erases = false;
        self.told = Told::LOW;
        self.armed = false;
        self.stands = false;
        self.quick_read = 0;
        self.quick_write = 0;
    }

    /// What the medium holds is not part of it.
    fn save(&self, to: &mut Save) {
        to.begin(TAG, VERSION);
        self.registers.save(to);
        self.card.save(to);
        self.transfer.save(to);
        self.fifo.save(to);
        to.word(u32::from(self.waits) | u32::from(self.erases) << 1);
        self.store.save(to);
    }

    /// Of a request that was under way then the guest hears, when its VM goes on, that it
    /// failed; what the store is doing now is still nobody's.
    fn restore(&mut self, from: &mut Restore<'_>) -> Result<(), RestoreError> {
        self.reset();
        from.begin(TAG, VERSION)?;
        self.registers = Registers::restore(from)?;
        self.card.restore(from)?;
        self.transfer = Transfer::restore(from)?;
        self.fifo = Fifo::restore(from)?;
        let flags = from.bits(3)?;
        self.waits = flags & 1 != 0;
        self.erases = flags & 2 != 0;
        let lost = self.store.restore(from, self.card.facts.blocks)?;
        self.stands = true;
        self.told = Told::UNKNOWN;
        if self.is_sound() {
            self.lose(lost);
            Ok(())
        } else {
            Err(RestoreError::Impossible)
        }
    }
}

impl Sdhci {
    /// What holds between the parts.
    fn is_sound(&self) -> bool {
        let ready = self.transfer.way == Way::Port && self.transfer.kind != Kind::None;
        // Its block has its place in the buffer.
        let ready = ready && (self.transfer.short || self.store.want == Want::Nothing);
        (self.card.programs() || !self.erases) && (ready || !self.fifo.is_ready())
    }

    /// `lost` has failed; so has a transfer whose piece would be where the store has another.
    fn lose(&mut self, lost: Option<Want>) {
        if let Some(want) = lost {
            self.ended(want, false);
        }
        if self.store.is_due() && !self.transfer.short {
            match self.transfer.kind {
                Kind::None => {}
                Kind::Read => drop(self.was_read(0, false)),
                Kind::Write => drop(self.was_written(0, false)),
            }
        }
    }
}

impl Transfer {
    fn save(&self, to: &mut Save) {
        to.word(self.kind as u32);
        to.word(self.way as u32);
        let flags = [self.blocks.is_some(), self.stops, self.paused, self.short];
        to.word(flags.into_iter().rev().fold(0, |all, flag| all << 1 | u32::from(flag)));
        to.word(self.blocks.unwrap_or(0));
        to.word(u32::try_from(self.at).unwrap_or(0));
        to.word(u32::try_from(self.have).unwrap_or(0));
        self.dma.save(to);
    }

    fn restore(from: &mut Restore<'_>) -> Result<Self, RestoreError> {
        let kind = match from.word()? {
            0 => Kind::None,
            1 => Kind::Read,
            2 => Kind::Write,
            _ => return Err(RestoreError::Impossible),
        };
        let way = match from.word()? {
            0 => Way::Port,
            1 => Way::Sdma,
            2 => Way::Adma2,
            3 => Way::Unknown,
            _ => return Err(RestoreError::Impossible),
        };
        let (flags, blocks) = (from.bits(15)?, from.word()?);
        let (at, have) = (from.word()? as usize, from.word()? as usize);
        let short = flags & 8 != 0;
        let whole = short || way != Way::Port || (at | have).is_multiple_of(BUFFER);
        if !whole || at > have || have > BLOCKS * BUFFER || (short && kind != Kind::Read) {
            return Err(RestoreError::Impossible);
        }
        Ok(Self {
            kind,
            way,
            blocks: (flags & 1 != 0).then_some(blocks),
            stops: flags & 2 != 0,
            paused: flags & 4 != 0,
            short,
            at,
            have,
            dma: Dma::restore(from)?,
        })
    }
}
