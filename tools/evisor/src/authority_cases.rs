//! What `check --report` says that a VM can reach is what it reaches: a guest tries it, at
//! the borders and at random.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::authority::{list, number, text};
use crate::card_file::CardFiles;
use crate::check::examine;
use crate::deployment::Deployment;
use crate::image::{Features, write_whole};
use crate::machine::Board;
use crate::plan::Plan;
use crate::register_row::Row;
use crate::steps::myself;
use crate::workspace;

/// Windows of every kind: emulated, with rights left out, of each width; memory behind a
/// device; memory that is read only; the interrupt controller's, with a trap and without.
const MANIFEST: &str = r#"/dts-v1/;
/ {
	evisor,version = <1>;
	console { compatible = "evisor,console"; };
	probe {
		compatible = "evisor,vm";
		evisor,image = "image:probe";
		/include/ "guests/machine.dtsi"
		serial@9040000 {
			compatible = "arm,pl011";
			reg = <0 0x09040000 0 0x1000>;
			interrupts = <0 8 4>;
			evisor,rights = "read";
		};
		watchdog@fe100000 { compatible = "brcm,bcm2835-pm-wdt"; reg = <0 0xfe100000 0 0x28>; };
		mailbox@fe00b880 {
			compatible = "brcm,bcm2835-mbox";
			reg = <0 0xfe00b880 0 0x40>;
			interrupts = <0 33 4>;
		};
		mmc@a000000 {
			compatible = "arasan,sdhci-8.9a";
			reg = <0 0x0a000000 0 0x1000>;
			interrupts = <0 16 4>;
		};
		flash@0 { compatible = "cfi-flash"; reg = <0 0 0 0x400000>; };
		chosen { stdout-path = "/serial@9000000"; };
		memory@40000000 {
			device_type = "memory";
			reg = <0 0x40000000 0 0x4000000>;
			evisor,file = "probes.bin";
			evisor,load-address = <0 0x43000000>;
		};
		memory@48000000 {
			device_type = "memory";
			reg = <0 0x48000000 0 0x200000>;
			evisor,read-only;
		};
	};
};
"#;

/// Of the guest's file: how many words it has at most.
const WORDS: usize = 16384;
/// How many addresses and functions are tried at random, each.
const AT_RANDOM: usize = 1500;
/// One past the last guest-physical address that a manifest may name.
const IPA_LIMIT: u64 = 1 << 39;
const PAGE: u64 = 4096;
/// In bytes.
const WIDTHS: [u64; 4] = [1, 2, 4, 8];
/// Where it must not store: it tells what it finds by this.
const CONSOLE: std::ops::Range<u64> = 0x0900_0000..0x0900_1000;

pub fn cases(plan: &mut Plan) {
    plan.case("a guest reaches what the report says (GICv2)", || compare(Board::QemuVirt, 2));
    plan.case("a guest reaches what the report says (GICv3)", || compare(Board::QemuVirt, 3));
}

pub fn on_a_pi(plan: &mut Plan) {
    plan.case("a guest reaches what the report says", || compare(Board::Raspi4, 2));
}

fn compare(board: Board, gic: u8) -> Result<()> {
    let (manifest, file) = write(board, gic)?;
    let deployment = Deployment::load(&manifest, &CardFiles::default())?;
    let authority = examine(&deployment, board, gic, &Features::Default)?.authority;
    let reach = Reach { vm: authority.get(0).context("the report has no VM")?, gic };
    let probes = reach.probes()?;
    write_file(&file, &probes)?;
    let gic = gic.to_string();
    let mut run = myself("run");
    run.arg(&manifest).args(["--board", board.name(), "--gic", &gic, "--timeout", "120"]);
    let output = run.current_dir(workspace::root()).output().context("cannot start a run")?;
    let console = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}:\n{console}\n{said}", output.status);
    let results = results(&console)?;
    ensure!(results.len() == probes.len(), "{} of {} came", results.len(), probes.len());
    let pairs = probes.iter().zip(results);
    let wrong = pairs.filter_map(|(probe, got)| {
        let (wanted, free) = (reach.answers(*probe), reach.cores_own(*probe));
        let differ = (wanted.0 ^ got.0) & !free.0 | (wanted.1 ^ got.1) & !free.1;
        (differ != 0).then(|| format!("{probe:x?}: {got:02x?}, the report says {wanted:02x?}"))
    });
    let wrong: Vec<_> = wrong.collect();
    ensure!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
    Ok(())
}

/// The manifest, and the file that it names, whose words follow.
fn write(board: Board, gic: u8) -> Result<(PathBuf, PathBuf)> {
    let folder = workspace::root().join(format!("target/evisor/authority-{}-{gic}", board.name()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let (manifest, file) = (folder.join("probe.dts"), folder.join("probes.bin"));
    write_whole(&manifest, MANIFEST.as_bytes())?;
    write_file(&file, &[])?;
    Ok((manifest, file))
}

fn write_file(path: &Path, probes: &[Probe]) -> Result<()> {
    ensure!(probes.len() < WORDS, "{} are too many", probes.len());
    let count = [probes.len() as u64];
    let words = count.into_iter().chain(probes.iter().map(|probe| probe.word()));
    let mut bytes: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
    bytes.resize(8 * WORDS, 0);
    write_whole(path, &bytes)
}

/// What is tried: images/probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    LoadAndStore(u64),
    Load(u64),
    Call(u32),
    /// Each Op2 of the row is read.
    Reads(Row),
    /// Those Op2 of the row are written.
    Writes(Row, u8),
}

impl Probe {
    fn word(self) -> u64 {
        match self {
            Self::LoadAndStore(address) => address,
            Self::Load(address) => 1 << 62 | address,
            Self::Call(function) => 2 << 62 | u64::from(function),
            Self::Reads(row) => 3 << 62 | row.word(),
            Self::Writes(row, of) => 3 << 62 | u64::from(of) << 24 | row.word(),
        }
    }
}

/// What the report says of a VM, and the GIC's version.
struct Reach<'a> {
    vm: &'a Value,
    gic: u8,
}

impl Reach<'_> {
    fn windows(&self) -> impl Iterator<Item = &Value> {
        list(&self.vm["memory"]).iter().chain(list(&self.vm["addresses"]))
    }

    /// Each border from both sides, and what chance gives, the more of it near to windows.
    fn probes(&self) -> Result<Vec<Probe>> {
        let mut probes = Vec::new();
        let mut borders = vec![0, IPA_LIMIT];
        for window in self.windows() {
            borders.extend([number(window, "first")?, number(window, "last")? + 1]);
        }
        for border in &borders {
            let near = [-16_i64, -8, -4, -2, -1, 0, 1, 2, 4, 8];
            let addresses = near.iter().filter_map(|near| border.checked_add_signed(*near));
            probes.extend(addresses.map(|address| self.access(address)));
        }
        let mut random = Random(0x5eed);
        for _ in 0..AT_RANDOM {
            let near = borders.get(random.below(borders.len() as u64) as usize).copied();
            let page = near.unwrap_or_default().saturating_sub(PAGE) + random.below(2 * PAGE);
            probes.extend([self.access(random.below(IPA_LIMIT)), self.access(page)]);
        }
        self.calls(&mut probes, &mut random)?;
        self.registers(&mut probes);
        Ok(probes)
    }

    /// All can be read: what that changes, a guest that waits for nothing does not miss.
    /// Written is what the report has, and what eVisor has trap; the rest is the guest's to
    /// live by.
    fn registers(&self, probes: &mut Vec<Probe>) {
        for row in Row::all() {
            probes.push(Probe::Reads(row));
            let of = if row.traps() { 0xff } else { row.bits(|key| self.register(key).is_some()) };
            if of != 0 {
                probes.push(Probe::Writes(row, of));
            }
        }
    }

    fn register(&self, key: u64) -> Option<&Value> {
        list(&self.vm["registers"]).iter().find(|register| covers(register, key))
    }

    /// The digits' bits that are the core's own to say: registers that it gives to EL1 and
    /// EL0 without a trap, if it has them, which the report leaves out; and those that only
    /// QEMU's cores do not have.
    fn cores_own(&self, probe: Probe) -> (u8, u8) {
        match probe {
            Probe::Reads(row) => {
                let reported = row.bits(|key| self.register(key).is_some());
                digits(row.untrapped(self.gic) & !reported | row.missing_in_qemu())
            }
            Probe::Writes(row, _) => digits(row.missing_in_qemu()),
            _ => (0, 0),
        }
    }

    /// With a store where that leaves the guest able to tell. What is reached without a trap
    /// is tried at whole doublewords: other alignments are between the guest, whose stage 1
    /// is off, and its core.
    fn access(&self, address: u64) -> Probe {
        let memory = list(&self.vm["memory"]).iter();
        let windows = list(&self.vm["addresses"]).iter();
        let shown = windows.filter(|window| window["memory"] == true || window["direct"] == true);
        match address {
            _ if memory.chain(shown).any(|window| covers(window, address)) => {
                Probe::LoadAndStore(address & !7)
            }
            _ if CONSOLE.contains(&address) => Probe::Load(address),
            _ => Probe::LoadAndStore(address),
        }
    }

    /// Functions that are nobody's: what the others do is another matter.
    fn calls(&self, probes: &mut Vec<Probe>, random: &mut Random) -> Result<()> {
        let mut functions = vec![0, u64::from(u32::MAX)];
        for range in list(&self.vm["calls"]) {
            functions.extend([number(range, "first")? - 1, number(range, "last")? + 1]);
        }
        functions.extend((0..AT_RANDOM).map(|_| random.below(1 << 32)));
        let granted =
            |function: &u64| list(&self.vm["calls"]).iter().any(|range| covers(range, *function));
        let nobodys = functions.into_iter().filter(|function| !granted(function));
        probes.extend(nobodys.map(|function| Probe::Call(function as u32)));
        Ok(())
    }

    /// The two digits that the guest should print.
    fn answers(&self, probe: Probe) -> (u8, u8) {
        match probe {
            Probe::LoadAndStore(address) => {
                (self.widths(address, "read"), self.widths(address, "write"))
            }
            Probe::Load(address) => (self.widths(address, "read"), 0),
            Probe::Call(_) => (0, 0),
            Probe::Reads(row) => digits(row.bits(|key| self.may(key, "read"))),
            Probe::Writes(row, of) => digits(of & row.bits(|key| self.may(key, "write"))),
        }
    }

    fn may(&self, key: u64, direction: &str) -> bool {
        self.register(key).is_some_and(|register| text(register, "rights").contains(direction))
    }

    /// A bit for each width at which `address` can be read or written.
    fn widths(&self, address: u64, direction: &str) -> u8 {
        let Some(window) = self.windows().find(|window| covers(window, address)) else { return 0 };
        let rights: Vec<_> = text(window, "rights").split(' ').collect();
        let may = |width: u64| {
            let of_this = format!("{direction}{}", 8 * width);
            rights.contains(&direction) || rights.contains(&of_this.as_str())
        };
        let can = |width: &u64| address.is_multiple_of(*width) && may(*width);
        WIDTHS.iter().rev().fold(0, |bits, width| bits << 1 | u8::from(can(width)))
    }
}

/// A byte, by its halves.
fn digits(bits: u8) -> (u8, u8) {
    (bits >> 4, bits & 0xf)
}

fn covers(range: &Value, name: u64) -> bool {
    let ends = number(range, "first").ok().zip(number(range, "last").ok());
    ends.is_some_and(|(first, last)| (first..=last).contains(&name))
}

/// The pairs of digits in what the guest printed.
fn results(console: &str) -> Result<Vec<(u8, u8)>> {
    let lines = console.lines().filter(|line| !line.contains(':'));
    let digits: Vec<u8> =
        lines.flat_map(str::chars).filter_map(|c| Some(c.to_digit(16)? as u8)).collect();
    ensure!(console.contains("probe: done"), "it did not end:\n{console}");
    Ok(digits.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.last()?))).collect())
}

/// A linear congruential generator (Knuth, MMIX): the same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 20) % limit
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_report_says_at_which_widths_an_address_answers() {
        let vm = json!({
            "memory": [{ "first": 0x1000, "last": 0x1fff, "rights": "read execute" }],
            "addresses": [{ "first": 0x2000, "last": 0x2007, "rights": "read8 read32 write64" }],
        });
        let reach = Reach { vm: &vm, gic: 2 };
        let answers = |address| reach.answers(Probe::LoadAndStore(address));
        assert_eq!(answers(0xfff), (0, 0));
        assert_eq!(answers(0x1000), (0xf, 0));
        assert_eq!(answers(0x1ffc), (7, 0));
        assert_eq!(answers(0x2000), (5, 8));
        assert_eq!(answers(0x2002), (1, 0));
        assert_eq!(answers(0x2008), (0, 0));
        assert_eq!(reach.answers(Probe::Load(0x2000)), (5, 0));
    }

    #[test]
    fn the_report_says_which_registers_answer() {
        let entry = |row: Row, op2, rights| json!({ "first": row.key(op2), "last": row.key(op2), "rights": rights });
        let (locks, timer) = (Row::new(2, 0, 1, 0), Row::new(3, 3, 14, 2));
        let registers = [entry(locks, 4, "write64"), entry(timer, 1, "read64 write64")];
        let reach = Reach { vm: &json!({ "registers": registers }), gic: 2 };
        assert_eq!(reach.answers(Probe::Reads(locks)), (0, 0));
        assert_eq!(reach.answers(Probe::Writes(locks, 0xff)), (1, 0));
        assert_eq!(reach.answers(Probe::Writes(timer, 5)), (0, 0));
        assert_eq!(reach.answers(Probe::Reads(timer)), (0, 2));
        assert_eq!(reach.cores_own(Probe::Reads(timer)), (0, 0));
        let thread = Row::new(3, 3, 13, 0);
        assert_eq!(reach.cores_own(Probe::Reads(thread)), (2, 0xc));
        assert_eq!(reach.cores_own(Probe::Writes(thread, 0xff)), (0, 0));
        let mut probes = Vec::new();
        reach.registers(&mut probes);
        assert!(probes.contains(&Probe::Writes(timer, 2)));
        assert!(
            !probes.iter().any(|probe| matches!(probe, Probe::Writes(row, _) if *row == thread))
        );
    }

    #[test]
    fn a_guests_digits_are_read_between_other_lines() {
        let console = "evisor: a: starts\r\n0f10\r\n7\0f\r\n\r\nprobe: done\r\n";
        assert_eq!(results(console).unwrap(), [(0, 15), (1, 0), (7, 15)]);
        assert!(results("0f10\r\n").is_err());
    }
}
