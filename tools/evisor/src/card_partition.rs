//! A partition of the board's card in a guest's hands: what it writes is on the card
//! afterwards, and nothing else has changed.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::card_cases::{Cards, GROUP, sectors};
use crate::card_reader::CardReader;
use crate::case::Case;
use crate::cases::KEEP_FILES;
use crate::machine::Machine;
use crate::packages::administrators;
use crate::plan::Plan;
use crate::process::capture;
use crate::root_file_system::E2FSPROGS;

const KEEPS: Case = Case::new(
    "Linux keeps files on its partition, and the others stay as they were",
    "tools/evisor/tests/guests/linux-partition.dts",
)
.sends(KEEP_FILES)
.seconds(300);

/// The guest's partition, counted from 0.
const GUESTS: u64 = 1;
const SECTOR: u64 = 512;

pub fn case(plan: &mut Plan) {
    plan.case(KEEPS.name, keep).in_turn(GROUP);
}

fn keep() -> Result<()> {
    let cards = &Cards::new()?;
    let data = cards.data()?;
    let partitions = ["--partition", "64M", "--partition", &data.to_string_lossy()];
    let card = cards.write("keeps.img", KEEPS.manifest, &partitions)?;
    let before = fs::read(&card)?;
    KEEPS.boot(&Machine { card: CardReader::keeping(card.clone()), ..Machine::raspi4() })?;
    let after = fs::read(&card)?;
    let (first, sectors) = sectors(&fs::File::open(&card)?, GUESTS)?;
    let range = usize::try_from(first * SECTOR)?..usize::try_from((first + sectors) * SECTOR)?;
    let around =
        |card: &[u8]| Some((card.get(..range.start)?.to_vec(), card.get(range.end..)?.to_vec()));
    ensure!(around(&before) == around(&after), "what is not the guest's has changed");
    let partition = cards.path("partition.ext2");
    fs::File::create(&partition)?
        .write_all_at(after.get(range).context("the card has shrunk")?, 0)?;
    let [data, sum] = ["data", "sum"].map(|name| taken(cards, &partition, name));
    let line = capture(Command::new("sha256sum").arg(data?))?;
    let [here, there] = [line, fs::read(sum?)?]
        .map(|line| line.split(|byte| *byte == b' ').next().map(<[u8]>::to_vec));
    ensure!(here.is_some() && here == there, "on the card is not what the guest added up");
    Ok(())
}

/// A file of an ext2 file system.
fn taken(cards: &Cards, partition: &Path, name: &str) -> Result<PathBuf> {
    let to = cards.path(&format!("partition-{name}"));
    let request = format!("dump /{name} {}", to.display());
    let debugfs = administrators("debugfs", E2FSPROGS)?;
    capture(Command::new(debugfs).arg("-R").arg(request).arg(partition))?;
    Ok(to)
}
