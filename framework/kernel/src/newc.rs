//! A newc archive (cpio's "new ASCII" format), read where it lies: what names and
//! holds its members is looked at, their bytes are not.

/// A member's header: the magic, then thirteen numbers of eight hexadecimal
/// digits.
const HEADER: usize = 110;
const MAGIC: &[u8] = b"070701";
const MODE: usize = 1;
const SIZE: usize = 6;
const NAME_SIZE: usize = 11;
const TRAILER: &str = "TRAILER!!!";

/// The kind of a regular file in its mode (POSIX `<sys/stat.h>`).
const KIND: u32 = 0o170_000;
const REGULAR: u32 = 0o100_000;

/// The regular files of an archive, name and bytes, up to its trailer or to what
/// is no member.
pub(crate) struct Files<'a> {
    archive: &'a [u8],
    at: usize,
}

/// The files of `archive`.
pub(crate) fn files(archive: &[u8]) -> Files<'_> {
    Files { archive, at: 0 }
}

impl<'a> Iterator for Files<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let header = self.take(HEADER).filter(|header| header.starts_with(MAGIC))?;
            let number = |field: usize| number(header.get(6 + field * 8..)?.get(..8)?);
            // The name ends at its first NUL; `namesize` may count more of them.
            let name = self.take(number(NAME_SIZE)? as usize)?;
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            let name = core::str::from_utf8(name).ok()?;
            self.at = self.at.next_multiple_of(4);
            let bytes = self.take(number(SIZE)? as usize)?;
            self.at = self.at.next_multiple_of(4);
            match number(MODE)? & KIND {
                _ if name == TRAILER => return None,
                REGULAR => return Some((name, bytes)),
                _ => {}
            }
        }
    }
}

impl<'a> Files<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(length)?;
        let taken = self.archive.get(self.at..end)?;
        self.at = end;
        Some(taken)
    }
}

fn number(digits: &[u8]) -> Option<u32> {
    digits
        .iter()
        .try_fold(0, |number: u32, digit| Some(number << 4 | char::from(*digit).to_digit(16)?))
}
