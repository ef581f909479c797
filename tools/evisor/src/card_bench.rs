//! `evisor bench --card`: what a block costs that eVisor reads from the card, by programmed
//! I/O, on QEMU's Raspberry Pi 4.
//!
//! eVisor says how long it took for a file. An instruction is a nanosecond there, and of
//! two files the longer one takes more only for its blocks: opening a file falls out.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::bench::{Counts, Figures};
use crate::card_file::CardFiles;
use crate::card_reader::CardReader;
use crate::console::Console;
use crate::machine::{Machine, Seat, need_qemu};
use crate::process::capture;
use crate::run;
use crate::steps::myself;
use crate::workspace;

const MANIFEST: &str = "tools/evisor/tests/guests/card-bench.dts";
const LIMIT: Duration = Duration::from_secs(120);

/// The files and their KiB.
const FILES: [(&str, u64); 2] = [("ONE.BIN", 2048), ("TWO.BIN", 4096)];
const BLOCKS: u64 = 2 * (FILES[1].1 - FILES[0].1);

/// What no loop that moves a block word by word can do without: a load for each word of the
/// data port, and a store for each two.
const FLOOR: u64 = 512 / 4 + 512 / 8;

/// Instructions a block, and the least that there can be.
pub fn measure() -> Result<Figures> {
    need_qemu()?;
    let folder = workspace::root().join("target/evisor/card-bench");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let card = folder.join("card.img");
    let mut write = myself("sdcard");
    write.arg(MANIFEST).arg("--no-firmware").arg("-o").arg(&card).current_dir(workspace::root());
    let mut given = Vec::new();
    for (name, kibibytes) in FILES {
        let path = folder.join(name);
        fs::write(&path, vec![0x5a; usize::try_from(kibibytes << 10)?])?;
        given.push(format!("{name}={}", path.display()));
    }
    given.iter().for_each(|file| _ = write.arg("--card-file").arg(file));
    capture(&mut write)?;
    let machine = Machine { card: CardReader::trying(card), ..Machine::raspi4_for_bench() };
    let given: Result<_, String> = given.iter().map(|file| file.parse()).collect();
    let given = CardFiles { given: given.map_err(anyhow::Error::msg)? };
    let files = run::prepare_with(MANIFEST.as_ref(), &machine, &given)?;
    let qemu = machine.boot(Seat::Script, &files.kernel, &files.bundle)?;
    let (_, said) = Console::start(qemu)?.watch(Vec::new(), LIMIT)?;
    let [one, two] = FILES.map(|(name, kibibytes)| took(&said, name, kibibytes));
    let (one, two) = one.zip(two).with_context(|| format!("it does not say how long:\n{said}"))?;
    ensure!(two > one, "{two} instructions for the longer file, {one} for the other");
    let count = |value| Counts::from([("card_block".to_owned(), value)]);
    Ok(Figures { events: count((two - one).div_ceil(BLOCKS)), floor: count(FLOOR), boot: None })
}

/// The nanoseconds that a file took: `card:NAME: N KiB in 12.345 ms`.
fn took(said: &str, name: &str, kibibytes: u64) -> Option<u64> {
    let (_, rest) = said.split_once(&format!("card:{name}: {kibibytes} KiB in "))?;
    let (milliseconds, micros) = rest.split_once(" ms")?.0.split_once('.')?;
    Some((milliseconds.parse::<u64>().ok()? * 1000 + micros.parse::<u64>().ok()?) * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read() {
        let said = "evisor: card:ONE.BIN: 2048 KiB in 12.034 ms, 9 KiB/s\r\n";
        assert_eq!(took(said, "ONE.BIN", 2048), Some(12_034_000));
        assert_eq!(took(said, "ONE.BIN", 4096), None);
        assert_eq!(took(said, "TWO.BIN", 2048), None);
    }
}
