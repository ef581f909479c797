//! `evisor sdcard`: an image of an SD card that a Raspberry Pi 4 boots a deployment
//! from.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::card::{Card, Layout, Partition, SECTOR, Size};
use crate::card_file::{CardFiles, PREFIX, short_name};
use crate::check;
use crate::debian_guest;
use crate::deployment::{Deployment, File, read_given};
use crate::firmware;
use crate::image::{Features, Image};
use crate::machine::Board;
use crate::process::say;
use crate::toolchain::Toolchain;
use crate::workspace;

const CONFIG: &str = include_str!("../templates/config.txt");

/// The board's only interrupt controller, a GIC-400.
const GIC: u8 = 2;

#[derive(Args)]
pub struct SdCard {
    /// Device-tree source of the deployment
    #[arg(default_value = workspace::DEMONSTRATION)]
    manifest: PathBuf,
    /// Image to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    card_files: CardFiles,
    /// One more partition, from the second on: a file to copy, or the size of an empty
    /// one, such as 64M (repeatable, up to three)
    #[arg(long = "partition", value_name = "FILE-OR-SIZE")]
    partitions: Vec<Partition>,
    /// Size of the whole image, a power of two such as 1G; the least that is enough if
    /// not given
    #[arg(long)]
    size: Option<Size>,
    /// Folder that holds start4.elf and fixup4.dat, to be used instead of Debian's
    /// package raspi-firmware
    #[arg(long, value_name = "FOLDER", conflicts_with = "no_firmware")]
    firmware: Option<PathBuf>,
    /// Leave the firmware out: for QEMU, which has its own, or to be added by hand
    #[arg(long)]
    no_firmware: bool,
}

impl SdCard {
    pub fn carry_out(self) -> Result<u8> {
        can_be_written(&self.output)?;
        let firmware = self.firmware()?;
        let deployment = Deployment::load(&self.manifest, &self.card_files)?;
        check::examine(&deployment, Board::Raspi4, GIC, &Features::Default)?;
        // First what eVisor reads by its short name: mtools makes short names up for the
        // others, which differ from those that are there.
        let mut files = guests_files(&deployment, &self.card_files)?;
        files.extend(boot_files(&deployment)?);
        files.extend(firmware);
        let card = Card { files, partitions: self.partitions, size: self.size };
        let layout = card.write(&self.output)?;
        print!("{}", report(&card, &layout));
        say(&format!(
            "written; dd if={} of=/dev/CARD bs=4M conv=fsync writes it over a card",
            self.output.display()
        ));
        Ok(0)
    }

    fn firmware(&self) -> Result<Vec<File>> {
        match &self.firmware {
            Some(folder) => firmware::of_folder(folder),
            None if self.no_firmware => Ok(Vec::new()),
            None => firmware::of_debian(),
        }
    }
}

/// Refuses what is there and is no image, before anything is built.
fn can_be_written(path: &Path) -> Result<()> {
    let shown = path.display();
    let Ok(meta) = fs::metadata(path) else {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        return match folder.filter(|folder| !folder.is_dir()) {
            Some(folder) => bail!("cannot write {shown}: there is no folder {}", folder.display()),
            None => Ok(()),
        };
    };
    if meta.is_dir() {
        bail!("cannot write {shown}: it is a folder; name a file, such as {shown}/card.img");
    }
    if !meta.is_file() {
        bail!("{shown} is no regular file: write an image, and copy it there with dd");
    }
    Ok(())
}

/// What the firmware reads.
fn boot_files(deployment: &Deployment) -> Result<Vec<File>> {
    let image = Image::build(Toolchain::chosen()?, "evisor", &Features::Default)?;
    let (tree, bytes) = debian_guest::pi_tree()?;
    let tree = tree.file_name().context("the board's tree has no name")?.to_string_lossy();
    let files = [
        ("config.txt", CONFIG.as_bytes().to_vec()),
        ("evisor.bin", image.raw()?),
        ("bundle.cpio", deployment.bundle()?),
        (&tree, bytes),
    ];
    Ok(files.map(|(name, bytes)| File { name: name.to_owned(), bytes }).into())
}

/// What eVisor reads from the card at boot, under the names on it: what the manifest
/// names, and whatever else was given.
fn guests_files(deployment: &Deployment, given: &CardFiles) -> Result<Vec<File>> {
    let mut files: Vec<File> = Vec::new();
    for file in &deployment.card {
        let name = short_name(file.name.trim_start_matches(PREFIX))?;
        if !files.iter().any(|other| other.name == name) {
            files.push(File { name, bytes: file.bytes.clone() });
        }
    }
    for file in &given.given {
        if !files.iter().any(|other| other.name == file.name) {
            let bytes = read_given(&file.source)
                .with_context(|| format!("--card-file {}={}", file.name, file.source))?;
            files.push(File { name: file.name.clone(), bytes });
        }
    }
    Ok(files)
}

fn report(card: &Card, layout: &Layout) -> String {
    let mut text = format!("{:<28}{:>12}\n", "card", layout.size);
    for (index, span) in layout.spans.iter().enumerate() {
        let name = format!("partition {}, type {:02x}", index + 1, span.kind);
        let (first, sectors) = (span.start / SECTOR, span.length / SECTOR);
        text.push_str(&format!(
            "{name:<28}{:>12}  sectors {first} to {}\n",
            span.length,
            first + sectors - 1
        ));
        for file in card.files.iter().filter(|_| index == 0) {
            text.push_str(&format!("  {:<26}{:>12}\n", file.name, file.bytes.len()));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Manifest;
    use crate::source::Places;

    #[test]
    fn a_folder_and_a_device_are_not_written_to() {
        let said = |path: &str| can_be_written(Path::new(path)).unwrap_err().to_string();
        assert!(said("/tmp").contains("it is a folder"));
        assert!(said("/dev/null").contains("no regular file"));
        assert!(said("/nowhere/card.img").contains("there is no folder /nowhere"));
        can_be_written(Path::new("card.img")).unwrap();
    }

    #[test]
    fn the_firmware_reads_no_line_that_it_would_cut_off() {
        assert!(CONFIG.lines().all(|line| line.len() <= 80));
    }

    #[test]
    fn names_in_two_cases_are_one_file() {
        let file = |name: &str| File { name: name.to_owned(), bytes: vec![1] };
        let deployment = Deployment {
            manifest: Manifest { path: "m".into(), tree: Vec::new(), places: Places::default() },
            files: Vec::new(),
            card: vec![file("card:k.img"), file("card:K.IMG"), file("card:boot/a")],
        };
        let files = guests_files(&deployment, &CardFiles::default()).unwrap();
        let names: Vec<_> = files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["K.IMG", "BOOT/A"]);
    }

    #[test]
    fn the_report_says_where_partitions_lie() {
        let card = Card {
            files: vec![File { name: "config.txt".to_owned(), bytes: vec![0; 9] }],
            partitions: vec![Partition::Empty(Size(1 << 20))],
            size: None,
        };
        let report = report(&card, &card.layout().unwrap());
        let rows: Vec<Vec<_>> =
            report.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(rows[2], ["config.txt", "9"]);
        assert_eq!(rows[3].join(" "), "partition 2, type 83 1048576 sectors 253952 to 255999");
    }
}
