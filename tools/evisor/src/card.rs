//! An SD card's image: a partition table, a FAT file system for the firmware and eVisor,
//! and further partitions as they are given.
//!
//! mtools makes the file system. Equal input gives equal bytes: times, the volume's
//! identifier and the disk's are constants. What is zero is not written, so that the
//! image takes little room here.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::deployment;
use crate::packages;
use crate::process::{Progress, long};

pub const MIB: u64 = 1 << 20;
pub const SECTOR: u64 = 512;

/// Partitions start on what most cards erase at once.
const ALIGN: u64 = 4 * MIB;

/// The least size of the FAT partition: FAT32 has at least 65,525 clusters.
const LEAST: u64 = 64 * MIB;
/// And its largest: FAT32 in clusters of 32 KiB, as everything reads it.
const LARGEST: u64 = 32 << 30;
const CLUSTERS: u64 = 65_525;
const LARGEST_CLUSTER: u64 = 32 << 10;

/// What the partition table can count, in sectors of 512 bytes.
const LARGEST_CARD: u64 = 2 << 40;
/// A partition table's four, less the FAT's.
const MOST_PARTITIONS: usize = 3;

/// "EVIS": the volume's serial number and the disk's.
const IDENTIFIER: u32 = 0x5349_5645;
const LABEL: &str = "EVISOR";
/// The first second that FAT can express, 1980-01-01: the time of all files.
const TIME: &str = "315532800";

const LIMIT: Duration = Duration::from_secs(3600);

/// Partition types: FAT32 by logical block addresses, and Linux.
const FAT32: u8 = 0x0c;
const LINUX: u8 = 0x83;

/// Names in the folder where an image is made: the image, and the file that is copied.
const IMAGE: &str = "image";
const FILE: &str = "file";

/// A number of bytes, written as a number and K, M or G.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no size: write one as 512K, 64M or 4G");
        let number = text.get(..text.len().saturating_sub(1)).unwrap_or_default();
        let shift = match text.chars().last() {
            Some('K' | 'k') => 10,
            Some('M' | 'm') => 20,
            Some('G' | 'g') => 30,
            _ => return Err(wrong()),
        };
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let size = number.checked_mul(1 << shift).filter(|&size| size <= LARGEST_CARD);
        size.filter(|&size| size > 0).map(Size).ok_or_else(wrong)
    }
}

/// A partition behind the FAT's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partition {
    /// A file's bytes.
    Copy(PathBuf),
    /// Zeros.
    Empty(Size),
}

impl FromStr for Partition {
    type Err = String;

    /// What reads as a size is one; a file of such a name is written `./64M`.
    fn from_str(text: &str) -> Result<Self, String> {
        Ok(text.parse().map_or_else(|_| Self::Copy(text.into()), Self::Empty))
    }
}

impl Partition {
    fn bytes(&self) -> Result<u64> {
        let path = match self {
            Self::Empty(size) => return Ok(size.0),
            Self::Copy(path) => path,
        };
        let shown = path.display();
        let meta = fs::metadata(path).with_context(|| {
            format!("--partition: {shown} is neither a size, such as 64M, nor a file that is here")
        })?;
        ensure!(meta.is_file(), "--partition: {shown} is no regular file");
        ensure!(meta.len() > 0, "--partition: {shown} is empty; an empty partition has a size");
        ensure!(meta.len() <= LARGEST_CARD, "--partition: {shown} is larger than a card can be");
        Ok(meta.len())
    }
}

/// What is to be on a card.
pub struct Card {
    /// The files of the first partition; folders with `/`.
    pub files: Vec<deployment::File>,
    pub partitions: Vec<Partition>,
    /// The whole card; the least that is enough where none is given.
    pub size: Option<Size>,
}

/// Where a partition lies, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub kind: u8,
    pub start: u64,
    pub length: u64,
}

/// Where everything lies.
#[derive(Debug, PartialEq, Eq)]
pub struct Layout {
    pub size: u64,
    pub spans: Vec<Span>,
}

impl Card {
    /// Writes the image, which a reader never sees half written.
    pub fn write(&self, path: &Path) -> Result<Layout> {
        packages::need("mformat", ("mtools", "makes FAT file systems"))?;
        let layout = self.layout()?;
        self.names_differ()?;
        let folder = path.with_extension(format!("unfinished-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let written = self.fill(&folder, &layout).and_then(|()| {
            fs::rename(folder.join(IMAGE), path)
                .with_context(|| format!("cannot write {}", path.display()))
        });
        let removed = fs::remove_dir_all(&folder);
        written.and(removed.with_context(|| format!("cannot remove {}", folder.display())))?;
        Ok(layout)
    }

    /// FAT does not tell capitals from small letters, and a file is no folder.
    fn names_differ(&self) -> Result<()> {
        let folders = self.files.iter().flat_map(|file| above(&file.name));
        let mut names: BTreeSet<_> = folders.map(str::to_ascii_uppercase).collect();
        for file in &self.files {
            let name = file.name.to_ascii_uppercase();
            ensure!(
                !names.contains(&name),
                "two files of the card, or a file and a folder, would be {name}: give the guest's \
                 another name"
            );
            names.insert(name);
        }
        Ok(())
    }

    /// Divides the card up: the FAT has what the others leave, which is at least what
    /// its files take.
    pub fn layout(&self) -> Result<Layout> {
        ensure!(
            self.partitions.len() <= MOST_PARTITIONS,
            "--partition: a card has four partitions, and the first is the firmware's: at most \
             {MOST_PARTITIONS} can be given"
        );
        let lengths: Vec<u64> =
            self.partitions.iter().map(Partition::bytes).collect::<Result<_>>()?;
        let others: u64 = lengths.iter().map(|length| length.next_multiple_of(ALIGN)).sum();
        let least = ALIGN + self.least_fat() + others;
        let size = self.size_for(least)?;
        let fat = (size - ALIGN - others).min(LARGEST);
        let mut spans = vec![Span { kind: FAT32, start: ALIGN, length: fat }];
        let mut start = ALIGN + fat;
        for length in lengths {
            spans.push(Span { kind: LINUX, start, length: length.next_multiple_of(SECTOR) });
            start += length.next_multiple_of(ALIGN);
        }
        Ok(Layout { size, spans })
    }

    fn size_for(&self, least: u64) -> Result<u64> {
        let enough = least.next_power_of_two();
        ensure!(enough <= LARGEST_CARD, "all that would take {} MiB: a card has less", least / MIB);
        let Some(Size(size)) = self.size else {
            return Ok(enough);
        };
        ensure!(size.is_power_of_two(), "--size: QEMU takes cards of a power of two only");
        ensure!(
            size >= least,
            "there is no room: files and partitions take {} MiB, the card has {}: use --size {}M",
            least.div_ceil(MIB),
            size / MIB,
            enough / MIB
        );
        Ok(size)
    }

    /// What the files take, in clusters as large as they get, with the FATs and some
    /// room for folders.
    fn least_fat(&self) -> u64 {
        let cluster = |file: &deployment::File| {
            (file.bytes.len() as u64).next_multiple_of(LARGEST_CLUSTER) + LARGEST_CLUSTER
        };
        let files: u64 = self.files.iter().map(cluster).sum();
        (files + files / 16 + 2 * MIB).next_multiple_of(ALIGN).max(LEAST)
    }

    /// Makes the image in an empty folder.
    fn fill(&self, folder: &Path, layout: &Layout) -> Result<()> {
        let path = folder.join(IMAGE);
        let cannot = || format!("cannot write {}", path.display());
        let [fat, others @ ..] = layout.spans.as_slice() else {
            bail!("a card has no partition");
        };
        let image = File::create_new(&path).with_context(cannot)?;
        image.set_len(layout.size).with_context(cannot)?;
        image.write_all_at(&partition_table(&layout.spans)?, 0).with_context(cannot)?;
        self.fill_fat(&Fat { folder, start: fat.start }, fat)?;
        for (span, partition) in others.iter().zip(&self.partitions) {
            if let Partition::Copy(from) = partition {
                let progress = Progress::start(&format!("copying {}", from.display()));
                let copied = copy(from, &image, span, &progress);
                progress.end(copied.is_ok());
                copied?;
            }
        }
        image.sync_all().with_context(cannot)
    }

    fn fill_fat(&self, fat: &Fat<'_>, span: &Span) -> Result<()> {
        fat.format(span)?;
        let folders: BTreeSet<&str> =
            self.files.iter().flat_map(|file| above(&file.name)).collect();
        for folder in folders {
            fat.run("mmd", &[&format!("::{folder}")], &format!("making {folder} on the card"))?;
        }
        self.files.iter().try_for_each(|file| fat.add(file))
    }
}

/// The folders that a file is in, the outermost first.
fn above(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').filter_map(|(at, _)| name.get(..at))
}

/// The file system of the image in a folder, as mtools reaches it.
struct Fat<'a> {
    folder: &'a Path,
    start: u64,
}

impl Fat<'_> {
    fn format(&self, span: &Span) -> Result<()> {
        let [sectors, hidden, cluster] =
            [span.length, span.start, cluster_size(span.length)].map(|bytes| bytes / SECTOR);
        // Heads and sectors mean nothing here, and it will not do without.
        let options = format!(
            "-F -T {sectors} -H {hidden} -c {cluster} -h 64 -s 32 -v {LABEL} -N {IDENTIFIER:08x} ::"
        );
        let options: Vec<&str> = options.split(' ').collect();
        self.run("mformat", &options, "making the FAT file system")
    }

    fn add(&self, file: &deployment::File) -> Result<()> {
        let path = self.folder.join(FILE);
        fs::write(&path, &file.bytes)
            .with_context(|| format!("cannot write {}", path.display()))?;
        let to = format!("::{}", file.name);
        self.run("mcopy", &[FILE, &to], &format!("putting {} on the card", file.name))
    }

    fn run(&self, program: &str, arguments: &[&str], what: &str) -> Result<()> {
        let mut command = Command::new(program);
        command
            .args(["-i", &format!("{IMAGE}@@{}", self.start)])
            .args(arguments)
            .current_dir(self.folder)
            .env("SOURCE_DATE_EPOCH", TIME)
            .env("TZ", "UTC0");
        long(what, &mut command, LIMIT).map(drop)
    }
}

/// The largest clusters of which there are enough for FAT32.
fn cluster_size(partition: u64) -> u64 {
    let mut size = SECTOR;
    while size < LARGEST_CLUSTER && partition / (size * 2) > CLUSTERS + CLUSTERS / 16 {
        size *= 2;
    }
    size
}

/// Copies a file, its holes aside.
fn copy(from: &Path, image: &File, span: &Span, progress: &Progress) -> Result<()> {
    let cannot = || format!("cannot copy {}", from.display());
    let mut source = File::open(from).with_context(cannot)?.take(span.length);
    let (mut at, mut piece, zeros) = (0, Vec::new(), vec![0; usize::try_from(MIB)?]);
    loop {
        piece.clear();
        progress.announce();
        let length = source.by_ref().take(MIB).read_to_end(&mut piece).with_context(cannot)?;
        if length == 0 {
            return Ok(());
        }
        if !zeros.starts_with(&piece) {
            image.write_all_at(&piece, span.start + at).with_context(cannot)?;
        }
        at += length as u64;
        progress.detail(&format!("{}, {} MiB", from.display(), at / MIB));
    }
}

/// The first sector: no code, and up to four partitions, by logical block addresses.
fn partition_table(spans: &[Span]) -> Result<Vec<u8>> {
    /// The cylinder, head and sector that say that there is none.
    const NO_CHS: [u8; 3] = [0xfe, 0xff, 0xff];
    let mut sector = vec![0; 440];
    sector.extend(IDENTIFIER.to_le_bytes());
    sector.extend([0, 0]);
    for span in spans {
        sector.push(0);
        sector.extend(NO_CHS);
        sector.push(span.kind);
        sector.extend(NO_CHS);
        sector.extend(u32::try_from(span.start / SECTOR)?.to_le_bytes());
        sector.extend(u32::try_from(span.length / SECTOR)?.to_le_bytes());
    }
    sector.resize(510, 0);
    sector.extend([0x55, 0xaa]);
    Ok(sector)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, bytes: &[u8]) -> deployment::File {
        deployment::File { name: name.to_owned(), bytes: bytes.to_vec() }
    }

    fn card(partitions: Vec<Partition>, size: Option<Size>) -> Card {
        let files = vec![
            file("config.txt", b"kernel=x\n"),
            file("bundle.cpio", &[7; 100_000]),
            file("BOOT/KERNEL.IMG", &[9; 5000]),
        ];
        Card { files, partitions, size }
    }

    #[test]
    fn sizes_have_a_unit() {
        assert_eq!("64M".parse(), Ok(Size(64 * MIB)));
        assert_eq!("512k".parse(), Ok(Size(512 << 10)));
        assert_eq!("4G".parse(), Ok(Size(4 << 30)));
        for wrong in
            ["", "M", "64", "0M", "-1M", "64MB", "3000G", "99999999999999999999G", "\u{e4}"]
        {
            assert!(wrong.parse::<Size>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_partition_is_a_size_or_a_file() {
        assert_eq!("64M".parse(), Ok(Partition::Empty(Size(64 * MIB))));
        assert_eq!("./64M".parse(), Ok(Partition::Copy("./64M".into())));
    }

    #[test]
    fn the_fat_has_what_the_others_leave() {
        let layout = card(vec![Partition::Empty(Size(5 * MIB))], None).layout().unwrap();
        let (fat, data) = (
            Span { kind: 0x0c, start: 4 * MIB, length: 116 * MIB },
            Span { kind: 0x83, start: 120 * MIB, length: 5 * MIB },
        );
        assert_eq!(layout, Layout { size: 128 * MIB, spans: vec![fat, data] });
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_size_that_is_enough() {
        let error = |partitions: Vec<Partition>, size| {
            card(partitions, size).layout().unwrap_err().to_string()
        };
        let large = || vec![Partition::Empty(Size(200 * MIB))];
        assert!(error(large(), Some(Size(256 * MIB))).ends_with("use --size 512M"));
        assert!(error(large(), Some(Size(300 * MIB))).contains("power of two"));
        assert!(error(vec![Partition::Empty(Size(MIB)); 4], None).contains("at most 3"));
        assert!(error(vec![Partition::Empty(Size(1 << 40)); 3], None).contains("a card has less"));
        assert!(error(vec![Partition::Copy("nowhere".into())], None).contains("neither a size"));
        assert!(error(vec![Partition::Copy("/".into())], None).contains("no regular file"));
    }

    #[test]
    fn clusters_are_as_large_as_fat32_lets_them() {
        for (partition, size) in
            [(64 * MIB, 512), (124 * MIB, 1024), (252 * MIB, 2048), (LARGEST, 32 << 10)]
        {
            assert_eq!(cluster_size(partition), size);
        }
    }

    #[test]
    fn the_table_says_where_the_partitions_are() {
        let span = Span { kind: 0x0c, start: 4 * MIB, length: 60 * MIB };
        let table = partition_table(&[span]).unwrap();
        assert_eq!(table.len(), 512);
        assert_eq!(
            table[446..462],
            [0, 0xfe, 0xff, 0xff, 0x0c, 0xfe, 0xff, 0xff, 0, 0x20, 0, 0, 0, 0xe0, 1, 0]
        );
        assert_eq!(table[510..], [0x55, 0xaa]);
    }

    #[test]
    fn a_name_twice_is_refused() {
        let mut card = card(Vec::new(), None);
        card.names_differ().unwrap();
        for name in ["CONFIG.TXT", "boot"] {
            card.files.push(file(name, b""));
            let error = card.names_differ().unwrap_err().to_string();
            card.files.pop();
            assert!(error.contains(&format!("would be {}", name.to_uppercase())), "{error}");
        }
    }

    #[test]
    fn a_file_is_in_all_its_folders() {
        assert_eq!(above("A/B/C.TXT").collect::<Vec<_>>(), ["A", "A/B"]);
        assert_eq!(above("C.TXT").count(), 0);
    }
}
