//! `evisor bench --latency`: how late a real-time guest's timer comes, in instructions,
//! beside a guest that waits and beside a Linux that does much, on one core; how much of
//! the core it gets, and what Linux does meanwhile. And how late it comes beside VMs that
//! are kept and rolled back, or scrubbed and started again, all the time.
//!
//! The guest counts for itself (images/realtime), with a counter that ticks once an
//! instruction: from the timer's deadline to the first read of it in its handler, its own
//! way there included, which is the same in both.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::bench::{Counts, Figures};
use crate::console::{Console, End};
use crate::histogram::{Series, Times, draw};
use crate::image::write_whole;
use crate::machine::{Machine, Seat, need_qemu};
use crate::process::Progress;
use crate::run;
use crate::script::{Script, pattern};
use crate::workspace;

const UNLOADED: &str = "tools/evisor/tests/guests/latency-unloaded.dts";
const LOADED: &str = "tools/evisor/tests/guests/latency-loaded.dts";
const KEPT: &str = "tools/evisor/tests/guests/latency-kept.dts";
const SCRUBBED: &str = "tools/evisor/tests/guests/latency-scrubbed.dts";
const LIMIT: Duration = Duration::from_secs(300);
/// Its last words; what eVisor says of its end comes before them.
const END: &str = "realtime: had the core for .* at once";
/// What Linux says of each thing that it has done, and which there are (initramfs.rs); and
/// what who has another VM changed says (images/capability/src/keeper.rs).
const LOAD: &str = "load: ";
const LINUX: usize = 4;
const LOADS: [&str; 7] = ["pipe", "fork", "print", "nap", "keep", "back", "scrub"];
/// How often a VM is changed in a run, at least.
const CHANGES: u64 = 3;

/// The same twice: what the machine gives for chance, and a clock that goes with its time.
const ALWAYS_THE_SAME: [&str; 4] = ["-seed", "1", "-rtc", "base=2026-01-01,clock=vm"];

/// What one run showed.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    /// How often it was so late.
    times: Times,
    /// The latest, which the guest tells no others apart from when it is very late.
    most: u64,
    missed: u64,
    /// What it had of the core when it asked for all, of how much; and the longest time
    /// at once.
    had: u64,
    of: u64,
    at_once: u64,
    /// How much Linux did of each kind.
    loads: [u64; LOADS.len()],
}

/// All of them.
pub struct Latency {
    unloaded: Seen,
    loaded: Seen,
    kept: Seen,
    scrubbed: Seen,
    /// The histogram.
    pub svg: PathBuf,
}

pub fn measure(gic: u8) -> Result<Latency> {
    need_qemu()?;
    let mut machine = Machine { smp: Some(1), ..Machine::for_bench(gic) };
    machine.qemu_args = ALWAYS_THE_SAME.map(Into::into).into();
    let [unloaded, loaded, kept, scrubbed] =
        [UNLOADED, LOADED, KEPT, SCRUBBED].map(|manifest| watch(&machine, manifest));
    let (unloaded, loaded, kept, scrubbed) = (unloaded?, loaded?, kept?, scrubbed?);
    let [.., keep, back, _] = kept.loads;
    let [.., scrub] = scrubbed.loads;
    ensure!(
        [keep, back, scrub].iter().all(|times| *times >= CHANGES),
        "kept {keep}, rolled back {back} and scrubbed {scrub} times, fewer than {CHANGES}"
    );
    let folder = workspace::root().join("target/evisor/bench-latency");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let latency =
        Latency { unloaded, loaded, kept, scrubbed, svg: folder.join(format!("gic{gic}.svg")) };
    write_whole(&latency.svg, latency.histogram(gic).as_bytes())?;
    Ok(latency)
}

fn watch(machine: &Machine, manifest: &str) -> Result<Seen> {
    let files = run::prepare(&workspace::root().join(manifest), machine)?;
    let name = Path::new(manifest).file_stem().unwrap_or_default().to_string_lossy();
    let progress = Progress::start(&name);
    let until = pattern(END).map_err(anyhow::Error::msg)?;
    let mut script = Script::new(Vec::new(), Some(until));
    let mut console = std::io::Cursor::new(Vec::new());
    let qemu = machine.boot(Seat::Script, &files.kernel, &files.bundle)?;
    let end = Console::start(qemu)?.follow(&mut script, Some(LIMIT), &mut console)?;
    progress.end(end == End::Matched);
    let text = String::from_utf8_lossy(console.get_ref()).into_owned();
    ensure!(end == End::Matched, "{name} did not come to its end ({end:?}); it said:\n{text}");
    let seen = Seen::read(&text);
    ensure!(!seen.times.is_empty() && seen.of > 0, "{name} gave no figures; it said:\n{text}");
    Ok(seen)
}

impl Seen {
    fn read(console: &str) -> Self {
        let mut seen = Self::default();
        for line in console.lines() {
            if let Some((_, words)) = line.split_once("| realtime: ") {
                seen.hear(words.trim());
            } else if let Some((_, load)) = line.split_once(LOAD) {
                let which = LOADS.iter().position(|kind| *kind == load.trim());
                which.and_then(|which| seen.loads.get_mut(which)).into_iter().for_each(|n| *n += 1);
            }
        }
        seen
    }

    fn hear(&mut self, words: &str) {
        let numbers: Vec<u64> = words
            .split(|c: char| !c.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        match *numbers {
            [late, times] if words.starts_with("late ") => {
                self.times.insert(late, times);
            }
            [_, _, most, _, missed] if words.contains("missed") => {
                (self.most, self.missed) = (most, missed);
            }
            [had, of, at_once] if words.starts_with("had the core") => {
                (self.had, self.of, self.at_once) = (had, of, at_once);
            }
            _ => {}
        }
    }

    fn periods(&self) -> u64 {
        self.times.values().sum()
    }

    /// The least that so many of ten thousand periods were no later than.
    fn quantile(&self, of_10_000: u64) -> u64 {
        let wanted = (self.periods() * of_10_000).div_ceil(10_000).max(1);
        let mut sum = 0;
        let found = self.times.iter().find(|(_, times)| {
            sum += **times;
            sum >= wanted
        });
        found.map_or(0, |(late, _)| *late)
    }

    fn worst(&self) -> u64 {
        self.most
    }

    fn row(&self) -> [u64; 6] {
        let [least, median, most, most_of_all] = [0, 5_000, 9_900, 9_990].map(|q| self.quantile(q));
        [self.periods(), least, median, most, most_of_all, self.worst()]
    }
}

impl Latency {
    fn histogram(&self, gic: u8) -> String {
        let series = [
            Series { name: "beside a guest that waits", times: &self.unloaded.times },
            Series { name: "beside Linux under load", times: &self.loaded.times },
            Series { name: "beside checkpoints", times: &self.kept.times },
            Series { name: "beside scrubbing", times: &self.scrubbed.times },
        ];
        let title = format!("How late a real-time guest's timer comes, GICv{gic}");
        draw(&title, "instructions from the deadline to the guest's handler", &series)
    }

    /// What has a budget: instructions, thousandths of the core, and microseconds for one
    /// thing that Linux does.
    pub fn figures(&self) -> Figures {
        let all = [&self.unloaded, &self.loaded, &self.kept, &self.scrubbed];
        let [unloaded, loaded, kept, scrubbed] = all.map(Seen::worst);
        let missed = all.iter().map(|seen| seen.missed).sum();
        let share = |seen: &Seen| (seen.had * 1000).div_ceil(seen.of.max(1));
        let of_linux = (self.loaded.periods() * 1000 + self.loaded.of / 1000) / self.loads().max(1);
        let events = [
            ("worst", loaded),
            ("worst_more_under_load", loaded.saturating_sub(unloaded)),
            ("worst_more_beside_checkpoints", kept.saturating_sub(unloaded)),
            ("worst_more_beside_scrubbing", scrubbed.saturating_sub(unloaded)),
            ("missed", missed),
            ("thousandths_when_spinning", share(&self.loaded).max(share(&self.unloaded))),
            ("at_once_when_spinning", self.loaded.at_once.max(self.unloaded.at_once)),
            ("microseconds_of_linux", of_linux),
        ];
        let events: Counts = events.map(|(name, count)| (name.to_owned(), count)).into();
        Figures { events, floor: Counts::new(), boot: None }
    }

    /// How much Linux did of what it did least of.
    fn loads(&self) -> u64 {
        self.loaded.loads.iter().take(LINUX).copied().min().unwrap_or(0)
    }

    pub fn table(&self) -> String {
        let heads = ["periods", "least", "median", "99 %", "99.9 %", "worst"];
        let mut text = format!("{:<28}", "instructions late");
        heads.iter().for_each(|head| text.push_str(&format!("{head:>9}")));
        let all = [&self.unloaded, &self.loaded, &self.kept, &self.scrubbed];
        for (name, seen) in ["unloaded", "loaded", "kept", "scrubbed"].into_iter().zip(all) {
            text.push_str(&format!("\n{name:<28}"));
            seen.row().iter().for_each(|count| text.push_str(&format!("{count:>9}")));
        }
        text.push('\n');
        for (name, count) in &self.figures().events {
            text.push_str(&format!("{name:<28}{count:>9}\n"));
        }
        let sum = |n: usize| all.iter().filter_map(|seen| seen.loads.get(n)).sum::<u64>();
        let loads = LOADS.iter().enumerate();
        let loads: Vec<_> = loads.map(|(n, kind)| format!("{} {kind}", sum(n))).collect();
        text + &format!("They did: {}\n{}\n", loads.join(", "), self.svg.display())
    }

    pub fn json(&self) -> String {
        let row = |seen: &Seen| json!({ "late": seen.times, "loads": seen.loads });
        let [unloaded, loaded] = [&self.unloaded, &self.loaded].map(row);
        let [kept, scrubbed] = [&self.kept, &self.scrubbed].map(row);
        json!({
            "unloaded": unloaded, "loaded": loaded, "kept": kept, "scrubbed": scrubbed,
            "events": self.figures().events,
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSOLE: &str = "linux| load: fork\r\n\
        realtime| realtime: 4 periods, late 5 to 90 ns, mean 30, missed 2\r\n\
        realtime| realtime: late 5 3\r\nlinux| load: fork\r\n\
        realtime| realtime: late 90 1\r\n\
        realtime| realtime: had the core for 199 of 1000 ns, at most 20 at once\r\n";

    #[test]
    fn figures_are_read_from_the_console() {
        let seen = Seen::read(CONSOLE);
        let times = Times::from([(5, 3), (90, 1)]);
        let wanted = Seen {
            times,
            most: 90,
            missed: 2,
            had: 199,
            of: 1000,
            at_once: 20,
            loads: [0, 2, 0, 0, 0, 0, 0],
        };
        assert_eq!(seen, wanted);
        assert_eq!(seen.row(), [4, 5, 5, 90, 90, 90]);
    }

    #[test]
    fn what_is_more_under_load_is_between_the_worst() {
        let unloaded =
            Seen { times: Times::from([(10, 7)]), most: 10, of: 10, had: 2, ..Seen::default() };
        let kept = Seen { most: 15, ..Seen::default() };
        let (loaded, scrubbed, svg) = (Seen::read(CONSOLE), Seen::default(), PathBuf::new());
        let latency = Latency { unloaded, loaded, kept, scrubbed, svg };
        let events = latency.figures().events;
        assert_eq!(events.get("worst_more_under_load"), Some(&80));
        assert_eq!(events.get("worst_more_beside_checkpoints"), Some(&5));
        assert_eq!(events.get("worst_more_beside_scrubbing"), Some(&0));
        assert_eq!(events.get("thousandths_when_spinning"), Some(&200));
        assert!(latency.table().contains("2 fork"));
    }
}
