//! The way to the blocks: one request at a time, and its buffer.

use evisor_contract::{
    BLOCK, BLOCKS, BlockOperation, BlockPort, BlockRequest, Context, Restore, RestoreError, Save,
};

/// What is wanted of the store, or was asked already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    Nothing,
    /// So many blocks from this one.
    Read(u64, u32),
    /// So many blocks, which lie in the buffer, to this one.
    Write(u64, u32),
    Flush,
    /// So many blocks of zeros to this one.
    Erase(u64, u32),
}

/// Whether a request is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flight {
    None,
    /// What is wanted was asked.
    Live,
    /// An answer is due that nobody wants any more. Until it came the buffer is the
    /// store's.
    Stale,
}

/// The store's end.
#[derive(Debug)]
pub struct Store {
    port: BlockPort,
    pub want: Want,
    pub flight: Flight,
}

impl Store {
    pub const fn new(port: BlockPort) -> Self {
        Self { port, want: Want::Nothing, flight: Flight::None }
    }

    /// Whether the buffer is the device's, to fill it or to read on.
    pub fn is_idle(&self) -> bool {
        self.flight == Flight::None && self.want == Want::Nothing
    }

    /// What was wanted is wanted no more.
    pub fn forget(&mut self) {
        self.want = Want::Nothing;
        if self.flight == Flight::Live {
            self.flight = Flight::Stale;
        }
    }

    /// Asks for what is wanted, if nothing is under way.
    pub fn ask(&mut self, cx: &mut Context) {
        if self.flight != Flight::None {
            return;
        }
        let (operation, block, count) = match self.want {
            Want::Nothing => return,
            Want::Read(block, count) => (BlockOperation::Read, block, count),
            Want::Write(block, count) => (BlockOperation::Write, block, count),
            Want::Flush => (BlockOperation::Flush, 0, 0),
            Want::Erase(block, count) => {
                self.port.buffer().with_words(|words| words.fill(0));
                (BlockOperation::Write, block, count)
            }
        };
        self.flight = Flight::Live;
        self.port.request(BlockRequest { operation, block, count }, cx);
    }

    /// An answer came: to this, if it is still wanted.
    pub fn answered(&mut self) -> Option<Want> {
        let flight = core::mem::replace(&mut self.flight, Flight::None);
        (flight == Flight::Live).then(|| core::mem::replace(&mut self.want, Want::Nothing))
    }

    /// Runs `f` on the buffer's bytes from `from` to `to`; not at all if they are not
    /// in it.
    pub fn with<R>(&self, from: usize, to: usize, f: impl FnOnce(&mut [u8]) -> R) -> Option<R> {
        self.port.buffer().with(|bytes| bytes.get_mut(from..to).map(f))
    }

    /// Runs `f` on the words of the block at byte `from` of the buffer.
    pub fn with_block(&self, from: usize, f: impl FnOnce(&mut [u32; crate::WORDS])) {
        self.port.buffer().with_words(|words| {
            let (blocks, _) = words.as_chunks_mut::<{ crate::WORDS }>();
            if let Some(block) = blocks.get_mut(from / crate::BUFFER) {
                f(block);
            }
        });
    }

    /// Whether the store has the buffer.
    pub fn is_due(&self) -> bool {
        self.flight != Flight::None
    }

    /// What is wanted, whether it was asked, and the buffer. What is due to somebody else is
    /// no part of it.
    pub fn save(&self, to: &mut Save) {
        let (kind, block, count) = match self.want {
            Want::Nothing => (0, 0, 0),
            Want::Read(block, count) => (1, block, count),
            Want::Write(block, count) => (2, block, count),
            Want::Flush => (3, 0, 0),
            Want::Erase(block, count) => (4, block, count),
        };
        to.word(kind);
        to.double(block);
        to.word(count);
        to.word(u32::from(self.flight == Flight::Live));
        self.port.buffer().with(|bytes| to.raw(bytes));
    }

    /// Gives what was asked then: nobody answers that any more. What is due now stays due,
    /// and until it came the buffer is left alone; what was to be written from it is lost
    /// too then.
    pub fn restore(
        &mut self,
        from: &mut Restore<'_>,
        blocks: u64,
    ) -> Result<Option<Want>, RestoreError> {
        let want = want(from, blocks)?;
        let asked = from.flag()?;
        if asked && want == Want::Nothing {
            return Err(RestoreError::Impossible);
        }
        let due = self.is_due();
        if due {
            for _ in 0..BLOCK * BLOCKS / size_of::<u32>() {
                from.word()?;
            }
        } else {
            self.port.buffer().with(|bytes| from.raw(bytes))?;
        }
        let lost = asked || due && matches!(want, Want::Write(..));
        self.want = if lost { Want::Nothing } else { want };
        Ok(lost.then_some(want))
    }
}

/// What was wanted of a part of so many blocks.
fn want(from: &mut Restore<'_>, blocks: u64) -> Result<Want, RestoreError> {
    let (kind, block, count) = (from.word()?, from.double()?, from.word()?);
    let want = match (kind, block, count) {
        (0, 0, 0) => Want::Nothing,
        (1, ..) => Want::Read(block, count),
        (2, ..) => Want::Write(block, count),
        (3, 0, 0) => Want::Flush,
        (4, ..) => Want::Erase(block, count),
        _ => return Err(RestoreError::Impossible),
    };
    if matches!(kind, 1 | 2 | 4) {
        let few = (1..=BLOCKS as u64).contains(&u64::from(count));
        let end = block.checked_add(u64::from(count));
        if !few || end.is_none_or(|end| end > blocks) {
            return Err(RestoreError::Impossible);
        }
    }
    Ok(want)
}
