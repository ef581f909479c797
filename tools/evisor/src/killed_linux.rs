//! Linux dies in the ways that a Linux can, and comes back, while another Linux answers
//! and a guest counts on its console, of which no byte is lost.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::kills::Played;
use crate::lives;
use crate::plan::Plan;

/// A way to die.
struct Way {
    /// What is typed at its shell.
    kills: &'static str,
    /// What Linux says of it; nothing of what it does not know.
    linux: &'static str,
    /// What eVisor says of it: how it ended, and before that a record, if it has one.
    ends: &'static str,
    record: Option<&'static str>,
}

impl Way {
    const fn new(kills: &'static str, linux: &'static str) -> Self {
        Self { kills, linux, ends: "restarts", record: None }
    }

    const fn crash(kills: &'static str, linux: &'static str, record: &'static str) -> Self {
        Self { kills, linux, ends: "restarts after its crash", record: Some(record) }
    }
}

struct Run {
    name: &'static str,
    manifest: &'static str,
    options: &'static [&'static str],
    ways: &'static [Way],
}

/// Feeds the watchdog each second; it bites two seconds after the last time.
macro_rules! fed {
    ($then:literal) => {
        concat!("watchdog -t 1 -T 2 /dev/watchdog; sleep 1; ", $then)
    };
}

/// Both vCPUs have something to do.
macro_rules! busy {
    ($then:literal) => {
        concat!("for n in 1 2; do dd if=/dev/zero of=/dev/null & done; sleep 1; ", $then)
    };
}

const PANIC: Way = Way::new(
    "echo 1 >/proc/sys/kernel/panic; echo c >/proc/sysrq-trigger",
    "Kernel panic - not syncing: sysrq triggered crash",
);
const PANIC_FOR_EVER: Way =
    Way::new(fed!("taskset 2 sh -c 'echo c >/proc/sysrq-trigger'"), "end Kernel panic");
const RESET: Way = Way::new("echo b >/proc/sysrq-trigger", "sysrq: Resetting");
const STORE: Way = Way::crash(
    "devmem 0x20000000 32 1",
    "",
    "crashed: an access to 0x20000000 was refused: nothing is there",
);
const WITHOUT_A_CPU: Way = Way::new(
    "echo 0 >/sys/devices/system/cpu/cpu0/online; echo b >/proc/sysrq-trigger",
    "sysrq: Resetting",
);

/// How many numbers are counted in a life at least; a hundred a second would be.
const COUNTED: usize = 50;

/// The end of the last life.
const LAST: &str = busy!("poweroff -f");

const WAYS: &[Way] = &[
    PANIC,
    PANIC_FOR_EVER,
    RESET,
    STORE,
    WITHOUT_A_CPU,
    Way::new(
        "echo 1 >/proc/sys/kernel/panic; echo ::restart:/bin/true >>/etc/inittab; \
         kill -HUP 1; sleep 1; kill -QUIT 1",
        "Attempted to kill init",
    ),
    Way::new(
        "echo 1 >/proc/sys/kernel/panic; echo 2 >/proc/sys/vm/panic_on_oom; tail /dev/zero",
        "Kernel panic - not syncing: Out of memory",
    ),
    // GICD_CTLR: no interrupt comes any more, to none of its vCPUs.
    Way::new(fed!("devmem 0x08000000 32 0"), ""),
    Way::crash(
        fed!("taskset 2 devmem 0x7ffffff0 64"),
        "",
        "vCPU 1 crashed: an access to 0x7ffffff0 was refused: nothing is there",
    ),
];

const RUNS: &[Run] = &[
    Run {
        name: "Linux dies in ten ways beside another",
        manifest: "tools/evisor/tests/guests/killed-linux.dts",
        options: &[],
        ways: WAYS,
    },
    Run {
        name: "Linux dies on shared cores of a GICv3",
        manifest: "tools/evisor/tests/guests/killed-linux-shared.dts",
        options: &["--gic", "3"],
        ways: &[PANIC_FOR_EVER, STORE],
    },
    Run {
        name: "Linux dies on shared cores of a Raspberry Pi 4",
        manifest: "tools/evisor/tests/guests/killed-linux-shared.dts",
        options: &["--board", "raspi4"],
        ways: &[WITHOUT_A_CPU],
    },
];

pub fn cases(plan: &mut Plan) {
    for run in RUNS {
        plan.case(run.name, || run.play());
    }
}

impl Run {
    fn play(&self) -> Result<()> {
        let played = Played::of(self.name, Path::new(self.manifest), &self.arguments())?;
        played.with_console(self.judge(&played))
    }

    /// Types each way; then at the other Linux, whose answer is not what was typed.
    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> = self.options.iter().map(|o| (*o).to_owned()).collect();
        let mut send = |text: String| arguments.extend(["--send".to_owned(), text]);
        for (n, kills) in self.ways.iter().map(|way| way.kills).chain([LAST]).enumerate() {
            send(format!("@victim Booting Linux[^~]*~ # ={kills}"));
            send(format!("@other ~ # =echo answer $((100 + {n}))"));
            send(format!("@other ^answer {}=", 100 + n));
        }
        send("@victim Power down=".to_owned());
        send("@other ~ # =sleep 1; echo all $((40 + 2))".to_owned());
        arguments.extend(["--until", "@other ^all 42", "--timeout", "600"].map(str::to_owned));
        arguments
    }

    fn judge(&self, played: &Played) -> Result<()> {
        ensure!(played.status == Some(0), "the status is {:?}", played.status);
        let lives = self.ways.len() + 1;
        let counted = played.counted()?;
        ensure!(counted > lives * COUNTED, "{counted} numbers in {lives} lives");
        let other = played.log("other")?;
        for n in 0..=self.ways.len() {
            lives::has(&other, &format!("\nanswer {}\n", 100 + n))?;
        }
        let said = played.said_of("victim");
        let starts = |line: &&str| line.starts_with("starts;");
        let said: Vec<&[&str]> = said.split(starts).skip(1).collect();
        let log = played.log("victim")?;
        let log: Vec<&str> = log.split("Booting Linux on physical CPU").skip(1).collect();
        let counts = (said.len(), log.len());
        ensure!(counts == (lives, lives), "of {lives} lives, {counts:?} were said and shown");
        for ((way, said), log) in self.ways.iter().zip(&said).zip(log) {
            way.judge(said, log).with_context(|| way.kills)?;
        }
        let end = said.last().and_then(|last| last.first());
        ensure!(end == Some(&"off, verdict 0"), "it is not off at the end: {end:?}");
        Ok(())
    }
}

impl Way {
    fn judge(&self, said: &[&str], log: &str) -> Result<()> {
        ensure!(said.last() == Some(&self.ends), "not '{}': {said:?}", self.ends);
        let recorded = said.iter().any(|line| self.record.is_some_and(|text| line.contains(text)));
        ensure!(recorded == (said.len() > 1), "a record is missing, or too much: {said:?}");
        lives::has(log, self.linux)
    }
}
