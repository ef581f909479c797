//! Linux with a partition of the board's card behind an emulated one: what it writes is
//! in the card's image afterwards, and nothing else there has changed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::card_cases::{Cards, sectors};
use crate::card_reader::CardReader;
use crate::cases::{CHECK_CARD, FILL_CARD};
use crate::console::{Console, End};
use crate::machine::{Machine, Seat};
use crate::packages;
use crate::process::capture;
use crate::run::{Files, prepare};

const MANIFEST: &str = "tools/evisor/tests/guests/linux-sd-card.dts";
const LIMIT: Duration = Duration::from_secs(300);

/// Boots it, twice, and looks at the card.
pub fn keeps_files(cards: &Cards) -> Result<()> {
    packages::need("debugfs", ("e2fsprogs", "reads ext2 file systems"))?;
    let data = cards.data()?;
    let options = ["--partition", "64M", "--partition", &data.to_string_lossy()];
    let card = cards.write("linux.img", MANIFEST, &options)?;
    let mut before = fs::read(&card)?;
    boot(&card)?;
    let mut after = fs::read(&card)?;
    let (start, count) = sectors(&fs::File::open(&card)?, 1)?;
    let part = usize::try_from(start * 512)?..usize::try_from((start + count) * 512)?;
    let partition = cards.path("linux.ext2");
    fs::write(&partition, after.get(part.clone()).context("the partition is not there")?)?;
    for image in [&mut before, &mut after] {
        image.get_mut(part.clone()).context("the partition is not there")?.fill(0);
    }
    ensure!(before == after, "something else on the card has changed");
    check(cards, &partition)?;
    fs::remove_file(card).context("cannot remove the card")
}

/// As [`crate::cases`] does where memory is behind the emulated card.
fn boot(card: &Path) -> Result<()> {
    let machine = Machine { card: CardReader::keeping(card.to_owned()), ..Machine::raspi4() };
    let Files { kernel, bundle, .. } = prepare(Path::new(MANIFEST), &machine)?;
    let sends = [FILL_CARD, "is filled[^~]*~ # =reboot", CHECK_CARD, "data: OK[^~]*~ # =poweroff"];
    let sends: Result<_, _> = sends.iter().map(|send| send.parse()).collect();
    let qemu = machine.boot(Seat::Script, &kernel, &bundle)?;
    let (end, said) = Console::start(qemu)?.watch(sends.map_err(anyhow::Error::msg)?, LIMIT)?;
    ensure!(end == End::Exited(Some(0)), "it ended with {end:?}; its console:\n{said}");
    Ok(())
}

/// The file is there and adds up to what Linux said.
fn check(cards: &Cards, partition: &Path) -> Result<()> {
    let debugfs =
        |request: &str| capture(Command::new("debugfs").args(["-R", request]).arg(partition));
    let file = cards.path("linux.data");
    fs::write(&file, debugfs("cat /data")?)?;
    let found = capture(Command::new("sha256sum").arg(&file))?;
    let said = debugfs("cat /sum")?;
    ensure!(fs::metadata(&file)?.len() == 16 << 20, "the file has another size");
    let digest = |line: &[u8]| line.split(|byte| *byte == b' ').next().map(<[u8]>::to_vec);
    ensure!(digest(&found) == digest(&said), "the file is not what Linux wrote");
    [partition, &file].into_iter().try_for_each(|path| fs::remove_file(path).map_err(Into::into))
}
