//! What is done with the card's last sixteen sectors: eight of them are written and read in
//! both ways, and the last keeps over the watchdog's reset that it was coming. They are
//! used only if they are blank, and blank in the end.

use crate::sd::{self, Card, Fault, Sector};
use crate::uart::say;

/// Sectors that are used.
const USED: u32 = 16;
/// Of those, from the first, what is written in one go.
const TRIED: u32 = 8;

/// What is in the last sector while the reset is on its way: "kernel8 resets", as words.
const MARK: [u32; 4] = [0x6e72_656b, 0x2038_6c65, 0x6573_6572, 0x0000_7374];

/// Whether the reset was on its way when the card was last written.
pub fn is_marked(card: &Card) -> Result<bool, Fault> {
    let mut marked = false;
    card.read(last(card), 1, |sector| marked = sector.starts_with(&MARK))?;
    Ok(marked)
}

pub fn mark(card: &Card) -> Result<(), Fault> {
    card.write(last(card), 1, |_| marked())
}

fn marked() -> Sector {
    let mut sector = [0; 128];
    sector.iter_mut().zip(MARK).for_each(|(to, word)| *to = word);
    sector
}

fn last(card: &Card) -> u32 {
    card.sectors - 1
}

fn first(card: &Card) -> u32 {
    card.sectors - USED
}

pub fn try_out(card: &Card) -> Result<(), Fault> {
    say!("sd: a card of {} sectors", card.sectors);
    if !is_blank(card)? {
        return Err("its last sectors are not blank, and left alone");
    }
    say!("sd: its last {USED} sectors are blank");
    let (first, all) = (first(card), first(card)..first(card) + TRIED);
    card.write(first, TRIED, |sector| pattern(sector, 1))?;
    let mut read = Sum::of(1);
    all.clone().try_for_each(|sector| card.read(sector, 1, |words| read.add(sector, words)))?;
    say!("sd: {TRIED} sectors by CMD25, back by CMD17: {}", read.verdict());
    all.clone().try_for_each(|sector| card.write(sector, 1, |sector| pattern(sector, 2)))?;
    let (mut read, mut numbers) = (Sum::of(2), all);
    card.read(first, TRIED, |words| read.add(numbers.next().unwrap_or_default(), words))?;
    say!("sd: {TRIED} sectors by CMD24, back by CMD18: {}", read.verdict());
    say!("sd: a sector interrupts, INTID {}: {}", sd::INTID, card.interrupts(first)?);
    Ok(())
}

/// Zeros, as a card that was never written reads, and what was used.
pub fn clear(card: &Card) -> Result<(), Fault> {
    card.write(first(card), USED, |_| [0; 128])?;
    say!("sd: its last {USED} sectors are blank again: {}", is_blank(card)?);
    Ok(())
}

/// All zeros or, as some cards erase, all ones.
fn is_blank(card: &Card) -> Result<bool, Fault> {
    let (mut zeros, mut ones) = (true, true);
    card.read(first(card), USED, |sector| {
        zeros &= sector.iter().all(|word| *word == 0);
        ones &= sector.iter().all(|word| *word == u32::MAX);
    })?;
    Ok(zeros || ones)
}

/// What is written to a sector: no two are alike.
fn pattern(sector: u32, round: u32) -> Sector {
    let mut word = sector.wrapping_mul(0x9e37_79b9) ^ round;
    [0; 128].map(|_: u32| {
        word = word.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        word
    })
}

/// What was read of a round: whether it is what was written, and what it comes to.
struct Sum {
    round: u32,
    right: bool,
    sum: u32,
}

impl Sum {
    fn of(round: u32) -> Self {
        Self { round, right: true, sum: 0x811c_9dc5 }
    }

    /// FNV-1a, by words.
    fn add(&mut self, sector: u32, words: &Sector) {
        self.right &= *words == pattern(sector, self.round);
        let mix = |sum: u32, word: &u32| (sum ^ word).wrapping_mul(0x0100_0193);
        self.sum = words.iter().fold(self.sum, mix);
    }

    fn verdict(&self) -> Verdict {
        Verdict(self.right.then_some(self.sum))
    }
}

struct Verdict(Option<u32>);

impl core::fmt::Display for Verdict {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            Some(sum) => write!(f, "as written, checksum {sum:#010x}"),
            None => f.write_str("not as written"),
        }
    }
}
