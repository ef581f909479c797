//! Cards that `evisor sdcard` writes, read by programs that others wrote: dosfstools
//! and mtools.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::card::MIB;
use crate::card_boots;
use crate::card_partition;
use crate::card_reader::CardReader;
use crate::case::Case;
use crate::cases::{DEMONSTRATION, ENDS};
use crate::machine::{Machine, Seat, need_qemu};
use crate::packages;
use crate::plan::Plan;
use crate::process::capture;
use crate::steps::myself;
use crate::workspace;

const MANIFEST: &str = ENDS.manifest;
/// The same with its image on the card.
const ON_CARD: &str = "tools/evisor/tests/guests/on-card.dts";

const DOSFSTOOLS: packages::Package = ("dosfstools", "checks FAT file systems");

/// Where the first partition starts.
pub const FAT_AT: u64 = 4 * MIB;

/// The files of a card without firmware, as mtools lists them.
const FILES: [&str; 4] =
    ["::/bcm2711-rpi-4-b.dtb", "::/bundle.cpio", "::/config.txt", "::/evisor.bin"];

/// What all of them do in turn: their cards are the same files.
pub const GROUP: &str = "cards";

pub fn step(plan: &mut Plan) -> Result<()> {
    plan.need(need_qemu);
    plan.need(|| packages::need("mdir", ("mtools", "reads FAT file systems")));
    type Named = (&'static str, fn(&Cards) -> Result<()>);
    let all: [Named; 7] = [
        ("a card passes fsck.fat and lists what was put on it", Cards::are_sound),
        ("what is on it boots in QEMU's Raspberry Pi, with the card", Cards::boot),
        ("without a manifest it has the demonstration", Cards::demonstrate),
        ("a data partition is the file, and the next is empty", Cards::have_data),
        ("the same input gives the same card", Cards::are_the_same),
        ("a guest's file is on the card, and not in the bundle", Cards::have_guests_files),
        ("firmware of a folder is on the card", Cards::have_firmware),
    ];
    for (what, case) in all {
        plan.case(what, move || case(&Cards::new()?)).in_turn(GROUP);
    }
    for (what, arguments, error) in REFUSALS {
        plan.case(what, || Cards::new()?.refuse(arguments, error)).in_turn(GROUP);
    }
    plan.case("a file that FAT cannot hold is refused", || Cards::new()?.refuse_large())
        .in_turn(GROUP);
    card_boots::cases(plan);
    card_partition::case(plan);
    Ok(())
}

/// What is refused: the options, `@` being the folder of the cards, and the error.
const REFUSALS: [(&str, &[&str], &str); 7] = [
    ("a folder is not overwritten", &["-o", "@"], "it is a folder"),
    (
        "a partition that is not there is refused",
        &["-o", "@/no.img", "--partition", "nowhere"],
        "nowhere is neither a size, such as 64M, nor a file",
    ),
    (
        "a card without room is refused",
        &["-o", "@/no.img", "--size", "64M", "--partition", "32M"],
        "there is no room",
    ),
    ("a card of an odd size is refused", &["-o", "@/no.img", "--size", "100M"], "a power of two"),
    (
        "five partitions are refused",
        &["-o", "@/no.img", "--partition=1M", "--partition=1M", "--partition=1M", "--partition=1M"],
        "at most 3",
    ),
    (
        "a folder without firmware is refused",
        &["-o", "@/no.img", "--firmware", "@"],
        "the folder has to hold start4.elf and fixup4.dat",
    ),
    (
        "a name of eVisor's own is refused",
        &["-o", "@/no.img", "--card-file", "CONFIG.TXT=Cargo.toml"],
        "would be CONFIG.TXT",
    ),
];

pub struct Cards {
    folder: PathBuf,
}

impl Cards {
    pub fn new() -> Result<Self> {
        let folder = workspace::root().join("target/evisor/sdcard");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        Ok(Self { folder })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a card without firmware.
    pub fn write(&self, name: &str, manifest: &str, options: &[&str]) -> Result<PathBuf> {
        let path = self.path(name);
        let mut command = sdcard(manifest);
        capture(command.arg("--no-firmware").arg("-o").arg(&path).args(options))?;
        Ok(path)
    }

    pub fn data(&self) -> Result<PathBuf> {
        let path = self.path("data");
        let bytes: Vec<u8> = (0_u32..500_000).flat_map(u32::to_le_bytes).collect();
        fs::write(&path, bytes)?;
        Ok(path)
    }

    fn serial(&self, name: &str) -> Result<PathBuf> {
        let data = self.data()?;
        self.write(name, MANIFEST, &["--partition", &data.to_string_lossy(), "--partition", "3M"])
    }

    fn are_sound(&self) -> Result<()> {
        let card = self.serial("card.img")?;
        self.check(&card)?;
        ensure!(listed(&card)? == FILES, "it lists {:?}", listed(&card)?);
        let build = self.path("build");
        capture(
            myself("build").arg(MANIFEST).arg("-o").arg(&build).current_dir(workspace::root()),
        )?;
        for name in ["evisor.bin", "bundle.cpio"] {
            same(&typed(&card, name)?, &fs::read(build.join(name))?, name)?;
        }
        let config = workspace::root().join("tools/evisor/templates/config.txt");
        same(&typed(&card, "config.txt")?, &fs::read(config)?, "config.txt")
    }

    /// Boots what is on the card as the firmware would.
    fn boot(&self) -> Result<()> {
        self.boot_from(self.serial("card.img")?, ENDS)
    }

    fn boot_from(&self, card: PathBuf, case: Case) -> Result<()> {
        let [kernel, bundle] = ["evisor.bin", "bundle.cpio"].map(|name| self.path(name));
        fs::write(&kernel, typed(&card, "evisor.bin")?)?;
        fs::write(&bundle, typed(&card, "bundle.cpio")?)?;
        let machine = Machine { card: CardReader::trying(card), ..Machine::raspi4() };
        case.watch(machine.boot(Seat::Script, &kernel, &bundle)?).map(drop)
    }

    /// Boots what is on a card for which no manifest was named.
    fn demonstrate(&self) -> Result<()> {
        let card = self.path("demo.img");
        let mut command = myself("sdcard");
        command.current_dir(workspace::root()).arg("--no-firmware").arg("-o").arg(&card);
        capture(&mut command)?;
        self.boot_from(card.clone(), DEMONSTRATION)?;
        fs::remove_file(card).context("cannot remove the card")
    }

    /// Has the first partition's file system checked, with nothing to repair.
    fn check(&self, card: &Path) -> Result<()> {
        let image = fs::File::open(card)?;
        let (size, mut fat) = (image.metadata()?.len(), Vec::new());
        ensure!(size.is_power_of_two(), "its size is {size}");
        fat.resize(usize::try_from(sectors(&image, 0)?.1 * 512)?, 0);
        image.read_exact_at(&mut fat, FAT_AT)?;
        let path = self.path("partition.fat");
        fs::write(&path, fat)?;
        let fsck = packages::administrators("fsck.fat", DOSFSTOOLS)?;
        let checked = capture(Command::new(fsck).args(["-n", "-v"]).arg(&path));
        fs::remove_file(&path)?;
        checked.map(drop)
    }

    fn have_data(&self) -> Result<()> {
        let image = fs::File::open(self.serial("card.img")?)?;
        let data = fs::read(self.data()?)?;
        let (start, count) = sectors(&image, 1)?;
        ensure!(count == (data.len() as u64).div_ceil(512), "it has {count} sectors");
        let mut read = vec![0; data.len()];
        image.read_exact_at(&mut read, start * 512)?;
        same(&read, &data, "partition 2")?;
        let (start, count) = sectors(&image, 2)?;
        let mut read = vec![1; 3 << 20];
        image.read_exact_at(&mut read, start * 512)?;
        ensure!(count == 3 * MIB / 512 && read.iter().all(|&byte| byte == 0), "partition 3");
        Ok(())
    }

    fn are_the_same(&self) -> Result<()> {
        let (one, two) = (self.serial("card.img")?, self.serial("again.img")?);
        same(&fs::read(one)?, &fs::read(&two)?, "the card")?;
        fs::remove_file(two).context("cannot remove the second card")
    }

    fn have_guests_files(&self) -> Result<()> {
        let with =
            ["--card-file", "guest.img=image:serial", "--card-file", "D/MORE.TXT=Cargo.toml"];
        let card = self.write("guests.img", ON_CARD, &with)?;
        self.check(&card)?;
        let listed = listed(&card)?;
        let more = |name: &str| listed.iter().any(|line| line == name);
        ensure!(more("::/GUEST.IMG") && more("::/D/MORE.TXT"), "it lists {listed:?}");
        let guest = typed(&card, "GUEST.IMG")?;
        same(&guest, &crate::deployment::guest("serial")?.raw()?, "GUEST.IMG")?;
        let bundle = typed(&card, "bundle.cpio")?;
        ensure!(bundle.len() < guest.len(), "the bundle has {} bytes", bundle.len());
        let output =
            sdcard(ON_CARD).arg("-o").arg(self.path("no.img")).arg("--no-firmware").output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        let wanted =
            ["on-card.dts:8: error: ", "there is no guest.img", "--card-file GUEST.IMG=FILE"];
        ensure!(wanted.iter().all(|text| said.contains(text)), "without the file it said:\n{said}");
        Ok(())
    }

    fn have_firmware(&self) -> Result<()> {
        let (folder, card) = (self.path("firmware"), self.path("firmware.img"));
        fs::create_dir_all(&folder)?;
        let files = ["start4.elf", "fixup4.dat", "LICENCE.broadcom"];
        files.iter().try_for_each(|name| fs::write(folder.join(name), name))?;
        capture(sdcard(MANIFEST).arg("--firmware").arg(folder).arg("-o").arg(&card))?;
        self.check(&card)?;
        for name in files {
            same(&typed(&card, name)?, name.as_bytes(), name)?;
        }
        ensure!(listed(&card)?.len() == FILES.len() + files.len(), "it lists {:?}", listed(&card)?);
        Ok(())
    }

    fn refuse(&self, arguments: &[&str], error: &str) -> Result<()> {
        let folder = self.folder.to_string_lossy();
        let mut command = sdcard(MANIFEST);
        command.args(arguments.iter().map(|argument| argument.replace('@', &folder)));
        if !arguments.contains(&"--firmware") {
            command.arg("--no-firmware");
        }
        let output = command.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.code() == Some(1), "its status is {}:\n{said}", output.status);
        let errors = said.lines().filter(|line| line.contains("error: ")).count();
        ensure!(errors == 1 && said.contains(error), "it said:\n{said}");
        let left = fs::read_dir(&self.folder)?.flatten().map(|entry| entry.file_name());
        let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("no.")).collect();
        ensure!(left.is_empty(), "it left {left:?}");
        Ok(())
    }

    fn refuse_large(&self) -> Result<()> {
        let large = self.path("large");
        fs::File::create(&large)?.set_len(1 << 32)?;
        let given = format!("LARGE.BIN={}", large.display());
        let refused =
            self.refuse(&["-o", "@/no.img", "--card-file", &given], "too large for a FAT");
        fs::remove_file(large)?;
        refused
    }
}

fn sdcard(manifest: &str) -> Command {
    let mut command = myself("sdcard");
    command.arg(manifest).current_dir(workspace::root());
    command
}

/// The first sector of a partition and their number, from the partition table.
pub fn sectors(image: &fs::File, partition: u64) -> Result<(u64, u64)> {
    let mut words = [[0; 4]; 2];
    for (word, at) in words.iter_mut().zip([8, 12]) {
        image.read_exact_at(word, 446 + 16 * partition + at)?;
    }
    let [start, count] = words.map(|word| u64::from(u32::from_le_bytes(word)));
    Ok((start, count))
}

/// mtools, at the first partition of a card.
pub fn mtools(program: &str, card: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("-i").arg(format!("{}@@{FAT_AT}", card.display()));
    command
}

fn listed(card: &Path) -> Result<Vec<String>> {
    let text = capture(mtools("mdir", card).args(["-/", "-b", "::"]))?;
    let mut names: Vec<_> = String::from_utf8_lossy(&text).lines().map(str::to_owned).collect();
    names.sort();
    Ok(names)
}

pub fn typed(card: &Path, name: &str) -> Result<Vec<u8>> {
    capture(mtools("mtype", card).arg(format!("::{name}")))
}

fn same(one: &[u8], other: &[u8], what: &str) -> Result<()> {
    ensure!(
        one == other,
        "{what} is not what was put there ({} bytes, {})",
        one.len(),
        other.len()
    );
    Ok(())
}
