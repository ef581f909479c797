//! An SD card's image: a partition table, a FAT file system for the firmware and eVisor,
//! and further partitions as they are given.
//!
//! Equal input gives equal bytes: times, the volume's identifier and the disk's are
//! constants. What is zero is not written, so that the image takes little room here.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};
use fatfs::{FatType, FileSystem, FormatVolumeOptions, FsOptions, format_volume};
use fscommon::StreamSlice;

use crate::deployment;
use crate::process::Progress;

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
const LABEL: [u8; 11] = *b"EVISOR     ";

/// Partition types: FAT32 by logical block addresses, and Linux.
const FAT32: u8 = 0x0c;
const LINUX: u8 = 0x83;

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
        let layout = self.layout()?;
        let unfinished = path.with_extension(format!("unfinished-{}", std::process::id()));
        let progress = Progress::start(&format!("writing {}", path.display()));
        let written = self.fill(&unfinished, &layout, &progress);
        progress.end(written.is_ok());
        let written = written.and_then(|()| {
            fs::rename(&unfinished, path)
                .with_context(|| format!("cannot write {}", path.display()))
        });
        if written.is_err() {
            // It may not even have been made.
            let _ = fs::remove_file(&unfinished);
        }
        written.map(|()| layout)
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

    fn fill(&self, path: &Path, layout: &Layout, progress: &Progress) -> Result<()> {
        let cannot = || format!("cannot write {}", path.display());
        let image = File::options().read(true).write(true).create(true).truncate(true).open(path);
        let image = image.with_context(cannot)?;
        image.set_len(layout.size).with_context(cannot)?;
        image.write_all_at(&partition_table(&layout.spans)?, 0).with_context(cannot)?;
        let [fat, others @ ..] = layout.spans.as_slice() else {
            bail!("a card has no partition");
        };
        self.fill_fat(&image, fat, progress)?;
        for (span, partition) in others.iter().zip(&self.partitions) {
            if let Partition::Copy(from) = partition {
                copy(from, &image, span, progress)?;
            }
        }
        image.sync_all().with_context(cannot)
    }

    fn fill_fat(&self, image: &File, span: &Span, progress: &Progress) -> Result<()> {
        let slice = || StreamSlice::new(image.try_clone()?, span.start, span.start + span.length);
        let options = FormatVolumeOptions::new()
            .fat_type(FatType::Fat32)
            .bytes_per_cluster(cluster_size(span.length))
            .volume_id(IDENTIFIER)
            .volume_label(LABEL);
        format_volume(&mut slice()?, options).context("cannot make the FAT file system")?;
        let system = FileSystem::new(slice()?, FsOptions::new())
            .context("cannot read the FAT file system that was made")?;
        for file in &self.files {
            progress.detail(&file.name);
            add(&system, file).with_context(|| format!("cannot put {} on the card", file.name))?;
        }
        system.unmount().context("cannot finish the FAT file system")
    }
}

/// The largest clusters of which there are enough for FAT32.
fn cluster_size(partition: u64) -> u32 {
    let mut size = 512;
    while size < LARGEST_CLUSTER && partition / (size * 2) > CLUSTERS + CLUSTERS / 16 {
        size *= 2;
    }
    u32::try_from(size).unwrap_or(512)
}

fn add(system: &FileSystem<StreamSlice<File>>, file: &deployment::File) -> Result<()> {
    let root = system.root_dir();
    for (at, _) in file.name.match_indices('/') {
        root.create_dir(file.name.get(..at).unwrap_or_default())?;
    }
    ensure!(root.open_file(&file.name).is_err(), "another file has that name already");
    let mut to = root.create_file(&file.name)?;
    to.write_all(&file.bytes)?;
    to.flush()?;
    Ok(())
}

/// Copies a file, its holes aside.
fn copy(from: &Path, image: &File, span: &Span, progress: &Progress) -> Result<()> {
    let cannot = || format!("cannot copy {}", from.display());
    let mut source = File::open(from).with_context(cannot)?.take(span.length);
    let (mut at, mut piece) = (0, Vec::new());
    loop {
        piece.clear();
        let length = source.by_ref().take(MIB).read_to_end(&mut piece).with_context(cannot)?;
        if length == 0 {
            return Ok(());
        }
        if piece.iter().any(|&byte| byte != 0) {
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

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("evisor-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
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
    fn equal_input_gives_equal_bytes_and_what_was_put_in() {
        let folder = folder("card");
        let data = folder.join("data");
        fs::write(&data, [5; 1000]).unwrap();
        let (one, two) = (folder.join("one.img"), folder.join("two.img"));
        let card = card(vec![Partition::Copy(data)], None);
        let layout = card.write(&one).unwrap();
        card.write(&two).unwrap();
        let (image, other) = (fs::read(&one).unwrap(), fs::read(&two).unwrap());
        fs::remove_dir_all(&folder).unwrap();
        assert!(image == other);
        let at = usize::try_from(layout.spans[1].start).unwrap();
        assert_eq!(image[at..at + 1000], [5; 1000]);
        let at = usize::try_from(layout.spans[0].start).unwrap();
        let system =
            FileSystem::new(std::io::Cursor::new(image[at..].to_vec()), FsOptions::new()).unwrap();
        let mut read = Vec::new();
        system.root_dir().open_file("boot/kernel.img").unwrap().read_to_end(&mut read).unwrap();
        assert_eq!(read, [9; 5000]);
    }

    #[test]
    fn a_name_twice_is_refused_and_leaves_no_file() {
        let folder = folder("twice");
        let mut card = card(Vec::new(), None);
        card.files.push(file("CONFIG.TXT", b""));
        let error = format!("{:#}", card.write(&folder.join("a.img")).unwrap_err());
        let left = fs::read_dir(&folder).unwrap().count();
        fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("CONFIG.TXT") && error.contains("already"), "{error}");
        assert_eq!(left, 0);
    }
}
