//! Seeded mutants of a compiled manifest, each booted: eVisor must refuse it, or
//! run its guest, and end by itself either way.
//!
//! A sample: a bundle holds one manifest, so that each costs a boot. Many more are
//! read on this machine, by the tests of `framework/fdt` and `framework/manifest`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::console::{Console, End};
use crate::deployment::{Deployment, File};
use crate::image::{Features, Image, write_whole};
use crate::machine::{Machine, Seat, need_qemu};
use crate::manifest::Manifest;
use crate::plan::Plan;
use crate::process::Progress;
use crate::toolchain::Toolchain;
use crate::workspace;

const MANIFEST: &str = "tools/evisor/tests/guests/end.dts";
const MUTANTS: u64 = 200;
const SEED: u64 = 0x6d75_7461_6e74;
const LIMIT: Duration = Duration::from_secs(90);

/// Ends its VM whatever the manifest leaves it, and needs no memory: PSCI
/// SYSTEM_OFF, and if there is no PSCI, a vector that cannot be fetched.
const GUEST: [u32; 7] = [
    0x5280_0100, // mov  w0, #0x8
    0x72b0_8000, // movk w0, #0x8400, lsl #16
    0xd400_0002, // hvc  #0
    0xd2c0_0fe1, // mov  x1, #0x7f00000000
    0xd518_c001, // msr  vbar_el1, x1
    0xd503_3fdf, // isb
    0xd61f_0020, // br   x1
];

/// What became of a mutant.
#[derive(PartialEq, Eq)]
enum Fate {
    Refused,
    Ran,
}

pub fn step(plan: &mut Plan) -> Result<()> {
    plan.need(need_qemu);
    plan.case("the guest of the mutants ends", || {
        let (folder, whole) = prepare("whole")?;
        boot(&folder, &whole).map(drop)
    });
    plan.case("mutants", mutants).long();
    Ok(())
}

/// A folder with the image, and the manifest's tree.
fn prepare(name: &str) -> Result<(PathBuf, Vec<u8>)> {
    let folder = workspace::root().join("target/evisor/mutants").join(name);
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let image = Image::build(Toolchain::chosen()?, "evisor", &Features::Default)?;
    write_whole(&folder.join("evisor.bin"), &image.raw()?)?;
    Ok((folder, Manifest::compile(Path::new(MANIFEST))?.tree))
}

/// How many were refused and how many ran.
fn mutants() -> Result<String> {
    let (folder, whole) = prepare("mutants")?;
    let progress = Progress::start("booting mutants");
    let mut random = Random(SEED);
    let (mut refused, mut ran, mut worst) = (0, 0, Ok(()));
    for number in 0..MUTANTS {
        progress.detail(&format!("{number} of {MUTANTS}"));
        let mutant = mutate(&whole, &mut random);
        match boot(&folder, &mutant) {
            Ok(Fate::Refused) => refused += 1,
            Ok(Fate::Ran) => ran += 1,
            Err(error) => {
                let kept = folder.join(format!("{number}.dtb"));
                write_whole(&kept, &mutant)?;
                worst = Err(error.context(format!("mutant {}", kept.display())));
            }
        }
    }
    progress.end(worst.is_ok());
    worst?;
    ensure!(refused > 0 && ran > 0, "{refused} refused, {ran} ran: one kind only");
    Ok(format!("{refused} refused, {ran} ran"))
}

fn boot(folder: &Path, tree: &[u8]) -> Result<Fate> {
    let manifest = Manifest {
        path: MANIFEST.into(),
        tree: tree.to_vec(),
        places: crate::source::Places::default(),
    };
    let bytes = GUEST.iter().flat_map(|word| word.to_le_bytes()).collect();
    let files = vec![File { name: "end".to_owned(), bytes }];
    let bundle = folder.join("bundle.cpio");
    write_whole(&bundle, &Deployment { manifest, files, card: Vec::new() }.bundle()?)?;
    let qemu = Machine::for_tests().boot(Seat::Script, &folder.join("evisor.bin"), &bundle)?;
    judge(Console::start(qemu)?.watch(Vec::new(), LIMIT)?)
}

fn judge((end, console): (End, String)) -> Result<Fate> {
    let ended = matches!(end, End::Exited(Some(_))) && !console.contains("halted");
    ensure!(ended, "it ended with {end:?}; its console:\n{console}");
    Ok(if console.contains(": starts") { Fate::Ran } else { Fate::Refused })
}

/// SplitMix64: small, and the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound.max(1) as u64).unwrap_or_default()
    }
}

/// One or two changes; now and then the end is missing.
fn mutate(tree: &[u8], random: &mut Random) -> Vec<u8> {
    let mut mutant = tree.to_vec();
    for _ in 0..=random.below(2) {
        change(&mut mutant, random);
    }
    if random.below(16) == 0 {
        mutant.truncate(random.below(tree.len()));
    }
    mutant
}

/// Changes a bit, or a word to one of those that programs trip over, or copies a
/// word from elsewhere.
fn change(bytes: &mut [u8], random: &mut Random) {
    const WORDS: [u32; 8] = [0, 1, 4, 0x1000, 0x7fff_ffff, 0x8000_0000, 0xffff_f000, u32::MAX];
    let words = bytes.len() / 4;
    let (at, from, kind) = (random.below(words) * 4, random.below(words) * 4, random.below(3));
    let (value, bit) = (WORDS.get(random.below(WORDS.len())), random.below(32));
    match kind {
        0 => {
            if let (Some(word), Some(value)) = (bytes.get_mut(at..at + 4), value) {
                word.copy_from_slice(&value.to_be_bytes());
            }
        }
        1 => {
            if let Some(byte) = bytes.get_mut(at + bit / 8) {
                *byte ^= 1 << (bit % 8);
            }
        }
        _ => bytes.copy_within(from..from + 4, at),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_mutants() {
        let tree: Vec<u8> = (0..200).collect();
        let mutants = || {
            let mut random = Random(SEED);
            (0..MUTANTS).map(|_| mutate(&tree, &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(mutants(), mutants());
        assert!(mutants().iter().filter(|mutant| **mutant != tree).count() > 150);
    }

    #[test]
    fn only_an_end_by_itself_will_do() {
        let judged = |end, console: &str| judge((end, console.to_owned())).is_ok();
        assert!(judged(End::Exited(Some(1)), "evisor: error: /: evisor,version: is missing"));
        assert!(!judged(End::Exited(Some(0)), "evisor: fault at EL2; halted"));
        assert!(!judged(End::Exited(None), ""));
        assert!(!judged(End::TimedOut, "evisor: end: starts"));
    }
}
