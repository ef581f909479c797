//! The newc archives that we write: bundles, and the initramfs of the
//! demonstration.
//!
//! newc lets `namesize` count more than one NUL after the name; a bundle uses
//! that to start every member's data on a page, so that the loader can map a
//! guest's file where it lies instead of copying it.

use anyhow::{Context, Result};

/// The size of a newc header: the magic and thirteen 8-digit fields.
const HEADER: usize = 110;
const TRAILER: &str = "TRAILER!!!";

/// Mode bits of the kinds of member that we write (POSIX `<sys/stat.h>`).
const REGULAR: u32 = 0o100_000;
const DIRECTORY: u32 = 0o040_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

/// A newc archive under construction. Times, owners and inode numbers do not
/// depend on the machine that writes it: equal input gives equal bytes.
pub struct Archive {
    bytes: Vec<u8>,
    align: usize,
    members: u32,
}

struct Member<'a> {
    name: &'a str,
    mode: u32,
    device: (u32, u32),
    data: &'a [u8],
}

impl Archive {
    /// An archive whose members' data lie as newc wants it, on 4 bytes.
    pub fn new() -> Self {
        Self::aligned(4)
    }

    /// An archive whose members' data start on a multiple of `align`, a
    /// multiple of 4.
    pub fn aligned(align: usize) -> Self {
        Self { bytes: Vec::new(), align, members: 0 }
    }

    pub fn file(&mut self, name: &str, permissions: u32, data: &[u8]) -> Result<()> {
        self.member(&Member { name, mode: REGULAR | permissions, device: (0, 0), data })
    }

    pub fn directory(&mut self, name: &str) -> Result<()> {
        self.member(&Member { name, mode: DIRECTORY | 0o755, device: (0, 0), data: &[] })
    }

    pub fn symlink(&mut self, name: &str, target: &str) -> Result<()> {
        let data = target.as_bytes();
        self.member(&Member { name, mode: SYMLINK | 0o777, device: (0, 0), data })
    }

    pub fn character_device(&mut self, name: &str, major: u32, minor: u32) -> Result<()> {
        self.member(&Member { name, mode: CHARACTER | 0o600, device: (major, minor), data: &[] })
    }

    /// Closes the archive and returns its bytes.
    pub fn finish(mut self) -> Result<Vec<u8>> {
        self.align = 4;
        self.members = 0;
        self.member(&Member { name: TRAILER, mode: 0, device: (0, 0), data: &[] })?;
        Ok(self.bytes)
    }

    fn member(&mut self, member: &Member<'_>) -> Result<()> {
        let name_size = self.name_size(member.name);
        let size = u32::try_from(member.data.len()).with_context(|| {
            format!("{} is larger than an archive can hold (4 GiB)", member.name)
        })?;
        let inode = if member.name == TRAILER { 0 } else { self.next_inode() };
        let (major, minor) = member.device;
        let fields = [
            inode,
            member.mode,
            0,
            0,
            1,
            0,
            size,
            0,
            0,
            major,
            minor,
            u32::try_from(name_size)?,
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(member.name.as_bytes());
        self.zeros(name_size - member.name.len());
        self.pad();
        self.bytes.extend_from_slice(member.data);
        self.pad();
        Ok(())
    }

    /// How many bytes name and NULs take, so that the data start aligned.
    fn name_size(&self, name: &str) -> usize {
        let name_at = self.bytes.len() + HEADER;
        let least = name_at + name.len() + 1;
        if self.align <= 4 {
            return least - name_at;
        }
        least.next_multiple_of(self.align) - name_at
    }

    fn next_inode(&mut self) -> u32 {
        self.members += 1;
        self.members
    }

    fn pad(&mut self) {
        self.zeros(self.bytes.len().next_multiple_of(4) - self.bytes.len());
    }

    fn zeros(&mut self, count: usize) {
        self.bytes.resize(self.bytes.len() + count, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
        cpio_reader::iter_files(bytes)
            .map(|e| (e.name().trim_end_matches('\0').to_owned(), e.file().to_vec()))
            .collect()
    }

    fn sample(align: usize) -> Vec<u8> {
        let mut archive = Archive::aligned(align);
        archive.file("evisor,bundle", 0o644, b"1\n").unwrap();
        archive.file("odd", 0o644, &[7; 4097]).unwrap();
        archive.file("debian:linux", 0o644, &[]).unwrap();
        archive.file("last", 0o644, b"x").unwrap();
        archive.finish().unwrap()
    }

    #[test]
    fn what_is_written_is_read_back() {
        for align in [4, 4096] {
            let read = names(&sample(align));
            assert_eq!(read.len(), 4);
            assert_eq!(read[0], ("evisor,bundle".to_owned(), b"1\n".to_vec()));
            assert_eq!(read[1], ("odd".to_owned(), vec![7; 4097]));
            assert_eq!(read[2], ("debian:linux".to_owned(), vec![]));
            assert_eq!(read[3], ("last".to_owned(), b"x".to_vec()));
        }
    }

    #[test]
    fn data_start_on_the_alignment() {
        let bytes = sample(4096);
        for entry in cpio_reader::iter_files(&bytes) {
            let at = entry.file().as_ptr() as usize - bytes.as_ptr() as usize;
            assert_eq!(at % 4096, 0, "{}", entry.name());
        }
    }

    #[test]
    fn equal_input_gives_equal_bytes() {
        assert_eq!(sample(4096), sample(4096));
    }

    #[test]
    fn kinds_of_member_are_told_apart() {
        let mut archive = Archive::new();
        archive.directory("dev").unwrap();
        archive.character_device("dev/console", 5, 1).unwrap();
        archive.symlink("bin/sh", "busybox").unwrap();
        let bytes = archive.finish().unwrap();
        let entries: Vec<_> = cpio_reader::iter_files(&bytes).collect();
        assert_eq!(entries[0].mode().bits() & 0o170_000, 0o040_000);
        assert_eq!(entries[1].mode().bits() & 0o170_000, 0o020_000);
        assert_eq!((entries[1].rdevmajor(), entries[1].rdevminor()), (Some(5), Some(1)));
        assert_eq!(entries[2].file(), b"busybox");
    }
}
