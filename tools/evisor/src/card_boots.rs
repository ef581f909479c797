//! What eVisor makes of a card that is not as it should be: the VM whose file it had
//! says so once, and the other one starts.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use crate::card_cases::{Cards, FAT_AT, GROUP, mtools};
use crate::card_reader::CardReader;
use crate::case::Case;
use crate::deployment::guest;
use crate::machine::{Machine, Seat};
use crate::plan::{Plan, Shared};
use crate::process::capture;

/// One guest's file is on the card, the other's in the bundle.
const TWO: Case =
    Case::new("a guest on the card", "tools/evisor/tests/guests/card-and-bundle.dts").seconds(90);

/// The guest's file on the card: long enough for eVisor to say how far it is.
const FILE_SIZE: u64 = 6 << 20;

/// How the name stands in the folder (Microsoft's FAT specification 1.03, "Short
/// Directory Entries"), and where the size stands from there.
const ENTRY: &[u8] = b"GUEST   IMG";
const SIZE_AT: u64 = 28;

/// What eVisor says of the VM that it has no file for.
const LOST: &str = "error: /on-card: evisor,image: \"card:GUEST.IMG\": ";

pub fn cases(plan: &mut Plan) {
    static BOOTS: Shared<Boots> = Shared::new();
    type Case = (&'static str, fn(&Boots) -> Result<()>);
    let all: [Case; 6] = [
        ("a guest's file is read from the card", Boots::read),
        ("a file that is missing on the card costs its VM alone", Boots::missing),
        ("so does a FAT that is corrupt", Boots::corrupt),
        ("so does a file that is too large", Boots::too_large),
        ("so does a card that is not there", Boots::no_card),
        ("so does a card that is taken out in the middle", Boots::taken_out),
    ];
    for (name, case) in all {
        plan.case(name, move || case(BOOTS.get(Boots::new)?)).in_turn(GROUP);
    }
}

struct Boots {
    cards: Cards,
    kernel: PathBuf,
    bundle: PathBuf,
}

impl Boots {
    fn new() -> Result<Self> {
        let cards = Cards::new()?;
        let (kernel, bundle) = (cards.path("boots-evisor.bin"), cards.path("boots-bundle.cpio"));
        let boots = Self { cards, kernel, bundle };
        let card = boots.card()?;
        for (name, path) in [("evisor.bin", &boots.kernel), ("bundle.cpio", &boots.bundle)] {
            fs::write(path, crate::card_cases::typed(&card, name)?)?;
        }
        Ok(boots)
    }

    /// A card with the guest's file.
    fn card(&self) -> Result<PathBuf> {
        self.card_with(FILE_SIZE, "128M")
    }

    /// A card of this size with the guest's file, which is longer than the guest.
    fn card_with(&self, bytes: u64, size: &str) -> Result<PathBuf> {
        let file = self.cards.path("guest");
        fs::write(&file, guest("test-app")?.raw()?)?;
        fs::File::options().write(true).open(&file)?.set_len(bytes)?;
        let given = format!("GUEST.IMG={}", file.display());
        let size = format!("--size={size}");
        self.cards.write("boots.img", TWO.manifest, &["--card-file", &given, &size])
    }

    /// Boots with a card, if there is one, and follows it to its end.
    fn boot(&self, card: Option<PathBuf>, seat: Seat, case: Case) -> Result<String> {
        let card = card.map(CardReader::trying).unwrap_or_default();
        let machine = Machine { card, ..Machine::raspi4() };
        case.watch(machine.boot(seat, &self.kernel, &self.bundle)?)
    }

    fn read(&self) -> Result<()> {
        let read =
            TWO.shows(&["card:GUEST.IMG: 4 of 6 MiB", "card:GUEST.IMG: 6144 KiB in ", " KiB/s"]);
        self.boot(Some(self.card()?), Seat::Script, read).map(drop)
    }

    /// Boots with a card that is not as it should be.
    fn lose(&self, card: Option<PathBuf>, why: &str) -> Result<()> {
        lost(&self.boot(card, Seat::Script, LOSES)?, why)
    }

    fn missing(&self) -> Result<()> {
        let card = self.card()?;
        capture(mtools("mdel", &card).arg("::GUEST.IMG"))?;
        self.lose(Some(card), "there is no such file")
    }

    /// The first clusters of the FAT lead nowhere.
    fn corrupt(&self) -> Result<()> {
        let card = self.card()?;
        let image = fs::File::options().read(true).write(true).open(&card)?;
        let mut reserved = [0; 2];
        image.read_exact_at(&mut reserved, FAT_AT + 14)?;
        let fat = FAT_AT + 512 * u64::from(u16::from_le_bytes(reserved));
        image.write_all_at(&[0xf0; 4096], fat)?;
        self.lose(Some(card), "is corrupt")
    }

    fn too_large(&self) -> Result<()> {
        let card = self.card_with(FILE_SIZE, "2G")?;
        let image = fs::File::options().read(true).write(true).open(&card)?;
        let at = find(&image, ENTRY).context("the file has no entry")?;
        image.write_all_at(&0x6000_0000_u32.to_le_bytes(), at + SIZE_AT)?;
        self.lose(Some(card), "has 1536 MiB, and no memory in one piece is left for it")
    }

    fn no_card(&self) -> Result<()> {
        self.lose(None, "no SD card answers")
    }

    /// By QEMU's monitor, which shares the terminal: Ctrl-A c leads there and back.
    fn taken_out(&self) -> Result<()> {
        let taken = LOSES.sends(&["4 of 16 MiB=\x01ceject -f sd0", "\\(qemu\\) =\x01c"]);
        let card = self.card_with(16 << 20, "128M")?;
        let said = self.boot(Some(card), Seat::Person, taken)?;
        lost(&said, "cannot be read from the SD card")
    }
}

/// The other one does what it does.
const LOSES: Case = TWO.status(1).shows(&[" passed, "]);

/// The VM on the card was lost for this reason, which was said once.
fn lost(said: &str, why: &str) -> Result<()> {
    let errors: Vec<&str> = said.lines().filter(|line| line.contains("error: ")).collect();
    let told = errors.first().is_some_and(|line| line.contains(LOST) && line.contains(why));
    ensure!(told && errors.len() == 1, "it does not say once: {LOST}…{why}\n{said}");
    Ok(())
}

/// Where these bytes are in a file first.
fn find(file: &fs::File, bytes: &[u8]) -> Option<u64> {
    let mut at = 0;
    let mut piece = vec![0; 1 << 20];
    loop {
        let count = file.read_at(&mut piece, at).ok().filter(|count| *count >= bytes.len())?;
        let found = piece.get(..count)?.windows(bytes.len()).position(|window| window == bytes);
        if let Some(found) = found {
            return Some(at + found as u64);
        }
        at += (count - bytes.len() + 1) as u64;
    }
}
