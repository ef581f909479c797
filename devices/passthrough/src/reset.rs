//! `evisor,reset`: what is written to bring the device to rest.

use alloc::vec::Vec;
use evisor_contract::{BuildError, Node};

const NAME: &str = "evisor,reset";

/// One word, and where it goes: an offset over all windows end to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub offset: u64,
    pub value: u32,
}

/// The words that the node lists, in order; `size` is that of all windows.
pub(crate) fn words(node: &Node<'_>, size: u64) -> Result<Vec<Word>, BuildError> {
    let bytes = node.bytes(NAME).unwrap_or_default();
    let (cells, rest) = bytes.as_chunks::<4>();
    let cells: Vec<u32> = cells.iter().map(|cell| u32::from_be_bytes(*cell)).collect();
    let (pairs, single) = cells.as_chunks::<2>();
    if !rest.is_empty() || !single.is_empty() {
        return Err(BuildError::property(
            NAME,
            "is not pairs of offset and value",
            "write two cells for each word, as in <0x30 0>",
        ));
    }
    let words =
        pairs.iter().map(|[offset, value]| Word { offset: (*offset).into(), value: *value });
    words.map(|word| checked(word, size)).collect()
}

fn checked(word: Word, size: u64) -> Result<Word, BuildError> {
    let offset = word.offset;
    if offset.is_multiple_of(4) && offset + 4 <= size {
        return Ok(word);
    }
    Err(BuildError::property(
        NAME,
        alloc::format!("{offset:#x} is not the offset of a word of the {size:#x} bytes in reg"),
        "write a multiple of 4 inside of the windows",
    ))
}
