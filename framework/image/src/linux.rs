//! Linux's image header (arm64/booting.rst).

use crate::{Kind, Refusal};

/// `text_offset` of kernels before 3.17, which leave `image_size` at 0.
const OLD_TEXT_OFFSET: u64 = 0x8_0000;
const MAGIC: &[u8] = b"ARM\x64";
const BIG_ENDIAN: u64 = 1;

/// What the header says; nothing if there is none.
pub(crate) fn read(head: &[u8], length: u64) -> Result<Option<Kind>, Refusal> {
    let number = |offset: usize| {
        let bytes = head.get(offset..).and_then(|rest| rest.first_chunk());
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    if head.get(56..60) != Some(MAGIC) {
        return Ok(None);
    }
    if number(24) & BIG_ENDIAN != 0 {
        return Err(Refusal::new("is a big-endian kernel", "build it little-endian"));
    }
    Ok(Some(match number(16) {
        0 => Kind::Linux { text_offset: OLD_TEXT_OFFSET, size: length },
        size => Kind::Linux { text_offset: number(8), size: size.max(length) },
    }))
}
