//! The way to the blocks: one request at a time, and its buffer.

use evisor_contract::{
    BLOCKS, BlockOperation, BlockPort, BlockRequest, Context, Restore, RestoreError, Save,
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

    /// With the buffer: who restores has the same request under way, or none.
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
        to.word(match self.flight {
            Flight::None => 0,
            Flight::Live => 1,
            Flight::Stale => 2,
        });
        self.port.buffer().with(|bytes| to.raw(bytes));
    }

    pub fn restore(&mut self, from: &mut Restore<'_>, blocks: u64) -> Result<(), RestoreError> {
        let (kind, block, count) = (from.word()?, from.double()?, from.word()?);
        self.want = match (kind, block, count) {
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
        self.flight = match from.bits(3)? {
            0 => Flight::None,
            1 if self.want != Want::Nothing => Flight::Live,
            2 => Flight::Stale,
            _ => return Err(RestoreError::Impossible),
        };
        self.port.buffer().with(|bytes| from.raw(bytes))
    }
}
