//! Disks: the store behind a port, and the board's own.

use crate::fake::lock;
use crate::ram::FakeRam;
use evisor_contract::{
    BLOCK, BLOCKS, BlockBuffer, BlockDone, BlockOperation, BlockRequest, DiskProgress, HostDisk,
    Memory,
};
use std::sync::{Arc, Mutex};

/// The store behind a component's [`BlockPort`](evisor_contract::BlockPort): it
/// answers when a test lets it.
#[derive(Debug)]
pub struct FakeStore {
    pub(crate) blocks: u64,
    pub(crate) read_only: bool,
    pub(crate) buffer: &'static BlockBuffer,
    content: FakeRam,
}

impl FakeStore {
    pub(crate) fn new(blocks: u64, read_only: bool) -> Self {
        let bytes = blocks * BLOCK as u64;
        let buffer = Box::leak(Box::new(BlockBuffer::new()));
        Self { blocks, read_only, buffer, content: FakeRam::new(0..=bytes.saturating_sub(1)) }
    }

    /// What it holds, by byte.
    pub fn content(&self) -> &FakeRam {
        &self.content
    }

    pub(crate) fn copy(&self, other: &Self) {
        self.content.copy(&other.content);
        let words = other.buffer.with_words(|words| words.to_vec());
        self.buffer.with_words(|own| own.copy_from_slice(&words));
    }

    /// Does what is asked, and says how it ended.
    pub(crate) fn serve(&self, request: BlockRequest) -> BlockDone {
        let BlockRequest { operation, block, count } = request;
        let count = count as usize;
        let fits = block.checked_add(count as u64).is_some_and(|end| end <= self.blocks);
        match operation {
            BlockOperation::Flush => {
                assert_eq!((block, count), (0, 0), "a flush names no blocks");
                return BlockDone::Done;
            }
            _ => assert!((1..=BLOCKS).contains(&count), "{count} blocks in one request"),
        }
        if !fits || (self.read_only && operation == BlockOperation::Write) {
            return BlockDone::Refused;
        }
        let at = block * BLOCK as u64;
        self.buffer.with(|bytes| {
            let bytes = &mut bytes[..count * BLOCK];
            match operation {
                BlockOperation::Read => self.content.read(at, bytes),
                _ => self.content.write(at, bytes),
            }
            .expect("blocks that are there");
        });
        BlockDone::Done
    }
}

/// The board's card or disk.
#[derive(Clone, Debug)]
pub struct DiskEnd(Arc<Mutex<DiskState>>);

#[derive(Debug)]
struct DiskState {
    blocks: u64,
    partitions: [Option<(u64, u64)>; 4],
    content: FakeRam,
    /// How often it is asked to go on before it is done.
    delay: u32,
    broken: bool,
    under_way: Option<(bool, u64, u32, u32)>,
}

impl DiskEnd {
    pub(crate) fn new(blocks: u64) -> Self {
        let content = FakeRam::new(0..=(blocks * BLOCK as u64).saturating_sub(1));
        Self(Arc::new(Mutex::new(DiskState {
            blocks,
            partitions: [None; 4],
            content,
            delay: 0,
            broken: false,
            under_way: None,
        })))
    }

    /// Gives it partition `number`, from 1.
    pub fn set_partition(&self, number: usize, first: u64, count: u64) {
        lock(&self.0).partitions[number - 1] = Some((first, count));
    }

    /// It is asked to go on so often before it is done.
    pub fn set_delay(&self, calls: u32) {
        lock(&self.0).delay = calls;
    }

    /// Its transfers fail from now on.
    pub fn set_broken(&self, broken: bool) {
        lock(&self.0).broken = broken;
    }

    /// `count` bytes of it, from byte `at` on.
    pub fn bytes(&self, at: u64, count: usize) -> Vec<u8> {
        lock(&self.0).content.bytes(at, count)
    }

    /// Puts `bytes` on it at byte `at`.
    pub fn put(&self, at: u64, bytes: &[u8]) {
        lock(&self.0).content.put(at, bytes);
    }
}

impl HostDisk for DiskEnd {
    fn blocks(&self) -> u64 {
        lock(&self.0).blocks
    }

    fn partitions(&self) -> [Option<(u64, u64)>; 4] {
        lock(&self.0).partitions
    }

    fn start(&mut self, write: bool, block: u64, count: u32) {
        let mut state = lock(&self.0);
        assert!(state.under_way.is_none(), "two transfers at once");
        assert!((1..=BLOCKS).contains(&(count as usize)), "{count} blocks");
        assert!(block + u64::from(count) <= state.blocks, "blocks that are not there");
        state.under_way = Some((write, block, count, state.delay));
    }

    fn advance(&mut self, words: &mut [u32]) -> DiskProgress {
        let mut state = lock(&self.0);
        let Some((write, block, count, delay)) = state.under_way else {
            return DiskProgress::Busy;
        };
        if delay > 0 {
            state.under_way = Some((write, block, count, delay - 1));
            return DiskProgress::Busy;
        }
        state.under_way = None;
        if state.broken {
            return DiskProgress::Failed;
        }
        let at = block * BLOCK as u64;
        let words = &mut words[..count as usize * BLOCK / 4];
        if write {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
            state.content.put(at, &bytes);
        } else {
            let bytes = state.content.bytes(at, words.len() * 4);
            for (word, bytes) in words.iter_mut().zip(bytes.chunks(4)) {
                *word = u32::from_le_bytes(bytes.try_into().expect("four bytes"));
            }
        }
        DiskProgress::Done
    }
}
