//! Deaths of several VMs at once: in every way on each board and interrupt controller, on
//! cores of their own and on shared ones, and at moments that are odd. Beside them a guest
//! counts on its console, of which no byte is lost.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};

use crate::image::write_whole;
use crate::killed_linux;
use crate::lives::{self, CRASH, DIGITS, REFUSED, RESET, WATCHDOG, Way};
use crate::plan::Plan;
use crate::steps::myself;
use crate::workspace;

/// VMs that die together.
struct Scene {
    name: &'static str,
    /// What `run` is told of the machine.
    options: &'static [&'static str],
    /// The cores that all share.
    shared: Option<&'static str>,
    victims: &'static [Victim],
    /// What is typed meanwhile, and after what.
    sends: &'static [&'static str],
    /// How many numbers are counted meanwhile.
    numbers: usize,
}

/// A VM that dies, in the way `way` of images/victim.
#[derive(Clone, Copy)]
struct Victim {
    way: usize,
    four: bool,
    /// In microseconds.
    life: u32,
    policy: &'static str,
    shows: &'static [&'static str],
    /// How often it comes back before it stays down; never, and it is off of its own will,
    /// if none.
    restarts: usize,
    /// What its console has to be.
    says: fn(&str) -> Result<()>,
}

impl Victim {
    const fn new(way: usize, policy: &'static str) -> Self {
        let says = |_: &str| Ok(());
        Self { way, four: false, life: 50_000, policy, shows: &[], restarts: 3, says }
    }

    /// Of those ways that are tried one by one too, number `way`.
    #[expect(clippy::indexing_slicing, reason = "seen while it is compiled")]
    const fn known(way: usize) -> Self {
        let Way { policy, shows, restarts, .. } = lives::WAYS[way - 1];
        Self { shows, restarts: if restarts { 3 } else { 0 }, ..Self::new(way, policy) }
    }

    const fn shows(self, shows: &'static [&'static str]) -> Self {
        Self { shows, ..self }
    }

    const fn says(self, says: fn(&str) -> Result<()>) -> Self {
        Self { says, ..self }
    }

    const fn of_four(way: usize, policy: &'static str) -> Self {
        Self { four: true, ..Self::new(way, policy) }
    }

    /// It dies as soon as it lives, twenty times.
    const fn again_and_again(way: usize) -> Self {
        Self { life: 0, restarts: 20, ..Self::new(way, OFTEN) }
    }
}

const OFTEN: &str = "evisor,on-refused = \"crash\"; evisor,on-crash = \"restart\"; \
    evisor,restart-limit = <20 3600>;";

const ODD_WAYS: &[Victim] =
    &[Victim::known(1), Victim::known(3), Victim::known(5), Victim::known(7), Victim::known(9)];
const EVEN_WAYS: &[Victim] =
    &[Victim::known(2), Victim::known(4), Victim::known(6), Victim::known(8), Victim::known(10)];
const SOME_WAYS: &[Victim] = &[Victim::known(7), Victim::known(8), Victim::known(5)];

const FLOOD: Victim = Victim::new(11, RESET);
const LAST_WORDS: Victim = Victim::new(12, CRASH)
    .shows(&["vCPU 0 crashed: no memory at its vectors"])
    .says(all_of_its_last_words);
const FIRST_OF_FOUR: Victim =
    Victim::of_four(13, CRASH).shows(&["vCPU 0 crashed: no memory at its vectors"]);
const SECOND_OF_FOUR: Victim =
    Victim::of_four(14, CRASH).shows(&["vCPU 1 crashed: no memory at its vectors"]);
const THIRD_OF_FOUR: Victim =
    Victim::of_four(15, CRASH).shows(&["vCPU 2 crashed: no memory at its vectors"]);
const ALL_FOUR: Victim =
    Victim::of_four(16, REFUSED).shows(&["crashed: an access to 0x7f00000000 was refused"]);

/// At those that are about to die, in each of their first lives.
const TYPED: &[&str] = &[
    "@victim-11 flood=to one that never reads",
    "@victim-12 line 50=to one that is about to crash",
    "@victim-11 flood=to one that never reads",
    "@victim-12 line 50=to one that is about to crash",
];

const GICV3: &[&str] = &["--gic", "3"];
const PI: &[&str] = &["--board", "raspi4"];

const SCENES: &[Scene] = &[
    Scene {
        name: "guests die in five ways at once on shared cores of a GICv3",
        options: GICV3,
        shared: Some("<0 1>"),
        victims: ODD_WAYS,
        sends: &[],
        numbers: 3000,
    },
    Scene {
        name: "guests die in five other ways at once on shared cores of a Raspberry Pi 4",
        options: PI,
        shared: Some("<0 1>"),
        victims: EVEN_WAYS,
        sends: &[],
        numbers: 3000,
    },
    Scene {
        name: "guests die at once on cores of their own with a GICv3",
        options: GICV3,
        shared: None,
        victims: SOME_WAYS,
        sends: &[],
        numbers: 1500,
    },
    Scene {
        name: "guests die at once on cores of their own of a Raspberry Pi 4",
        options: PI,
        shared: None,
        victims: SOME_WAYS,
        sends: &[],
        numbers: 1500,
    },
    Scene {
        name: "guests die while they write to their consoles, and are typed to",
        options: &[],
        shared: None,
        victims: &[FLOOD, LAST_WORDS],
        sends: TYPED,
        numbers: 3000,
    },
    Scene {
        name: "guests die while they write to their consoles, all on one core",
        options: GICV3,
        shared: Some("<0>"),
        victims: &[FLOOD, LAST_WORDS],
        sends: TYPED,
        numbers: 3000,
    },
    Scene {
        name: "guests die as soon as they live, on three cores at once",
        options: &[],
        shared: None,
        victims: &[
            Victim::again_and_again(1),
            Victim::again_and_again(2),
            Victim::again_and_again(3),
        ],
        sends: &[],
        numbers: 3000,
    },
    Scene {
        name: "one vCPU of four crashes while the others wait, exit or are off",
        options: &[],
        shared: Some("<0 1 2 3>"),
        victims: &[FIRST_OF_FOUR],
        sends: &[],
        numbers: 1500,
    },
    Scene {
        name: "one vCPU of four crashes while others go off and on",
        options: GICV3,
        shared: Some("<0 1 2 3>"),
        victims: &[SECOND_OF_FOUR],
        sends: &[],
        numbers: 1500,
    },
    Scene {
        name: "two VMs of four vCPUs crash on two cores",
        options: &[],
        shared: Some("<0 1>"),
        victims: &[SECOND_OF_FOUR, ALL_FOUR],
        sends: &[],
        numbers: 3000,
    },
    Scene {
        name: "two other VMs of four vCPUs crash on two cores of a GICv3",
        options: GICV3,
        shared: Some("<0 1>"),
        victims: &[FIRST_OF_FOUR, THIRD_OF_FOUR],
        sends: &[],
        numbers: 3000,
    },
];

pub fn cases(plan: &mut Plan) {
    for scene in SCENES {
        plan.case(scene.name, || scene.play());
    }
    killed_linux::cases(plan);
}

/// What came of a run.
pub struct Played {
    pub status: Option<i32>,
    /// What eVisor and, of the VMs, whole lines said.
    pub console: String,
    pub folder: PathBuf,
}

impl Played {
    /// Runs `manifest` as its user would, each VM with a console of its own.
    pub fn of(name: &str, manifest: &Path, arguments: &[String]) -> Result<Self> {
        let folder = folder()?.join(name.replace(|c: char| !c.is_ascii_alphanumeric(), "-"));
        let mut run = myself("run");
        run.arg(manifest).arg(format!("--consoles={}", folder.display())).args(arguments);
        let output = run.current_dir(workspace::root()).output().context("cannot start a run")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let console = text(&output.stdout) + &text(&output.stderr);
        Ok(Self { status: output.status.code(), console, folder })
    }

    /// An error with what eVisor said behind it, which can be long.
    pub fn with_console(&self, judged: Result<()>) -> Result<()> {
        judged.map_err(|error| anyhow!("{error:#}; eVisor said:\n{}", self.console))
    }

    /// All that a VM wrote on its console.
    pub fn log(&self, vm: &str) -> Result<String> {
        let path = self.folder.join(format!("{vm}.log"));
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Ok(String::from_utf8_lossy(&bytes).replace('\r', ""))
    }

    /// What eVisor said of a VM, line by line.
    pub fn said_of(&self, vm: &str) -> Vec<&str> {
        let start = format!("evisor: {vm}: ");
        let lines = self.console.lines().map(str::trim_end);
        lines.filter_map(|line| line.strip_prefix(&start)).collect()
    }

    /// How many whole numbers the counter wrote, none missing, and nothing else.
    pub fn counted(&self) -> Result<usize> {
        let log = self.log("counter")?;
        let (whole, rest) = log.rsplit_once('\n').unwrap_or_default();
        let digits = |text: &str| text.chars().all(|c| DIGITS.contains(c));
        let right = whole.lines().all(|line| line.len() == lives::LENGTH && digits(line));
        ensure!(right && digits(rest), "the counter's console is not whole:\n{log}");
        ensure!(!self.console.contains("counter: lost"), "{}", self.console);
        lives::counted(whole)
    }
}

impl Scene {
    fn play(&self) -> Result<()> {
        let path = folder()?.join(self.name.replace(' ', "-")).with_extension("dts");
        write_whole(&path, self.manifest().as_bytes())?;
        let options = self.options.iter().map(|option| (*option).to_owned());
        let sends = self.sends.iter().flat_map(|send| ["--send", send]).map(str::to_owned);
        let limit = ["--timeout".to_owned(), "120".to_owned()];
        let arguments: Vec<String> = options.chain(sends).chain(limit).collect();
        let played = Played::of(self.name, &path, &arguments)?;
        played.with_console(self.judge(&played))
    }

    fn judge(&self, played: &Played) -> Result<()> {
        let stays_down = self.victims.iter().any(|victim| victim.restarts > 0);
        let wanted = if stays_down { 102 } else { 0 };
        ensure!(played.status == Some(wanted), "the status is {:?}", played.status);
        let counted = played.counted()?;
        ensure!(counted == self.numbers, "{counted} numbers were counted");
        for victim in self.victims {
            victim.judge(played).with_context(|| victim.name())?;
        }
        Ok(())
    }

    fn manifest(&self) -> String {
        let turns = |cores| {
            format!("turns {{ compatible = \"evisor,round-robin\"; evisor,cores = {cores}; }};")
        };
        let on = |cores| format!("evisor,cores = {cores};");
        let (scheduler, cores) = (self.shared.map(turns), self.shared.map(on));
        let (scheduler, cores) = (scheduler.unwrap_or_default(), cores.unwrap_or_default());
        let victims: String = self.victims.iter().map(|victim| victim.node(&cores)).collect();
        let counter = vm(&cores, &format!("number={}", self.numbers), "");
        format!(
            "/dts-v1/;
/ {{
	evisor,version = <1>;
	console {{ compatible = \"evisor,console\"; }};
	{scheduler}
	{victims}
	counter {{ {counter} }};
}};
/ {{ {} }};
",
            self.victims.iter().map(Victim::more_cpus).collect::<String>()
        )
    }
}

/// The node of a VM that boots images/victim.
fn vm(words: &str, arguments: &str, devices: &str) -> String {
    format!(
        "compatible = \"evisor,vm\"; evisor,image = \"image:victim\"; {words}
		/include/ \"guests/machine.dtsi\"
		chosen {{ bootargs = \"{arguments}\"; }};
		memory@40000000 {{ device_type = \"memory\"; reg = <0 0x40000000 0 0x800000>; }};
		{devices}
"
    )
}

impl Victim {
    fn name(&self) -> String {
        format!("victim-{}", self.way)
    }

    fn node(&self, cores: &str) -> String {
        let arguments = format!("way={} life={}", self.way, self.life);
        let words = format!("{cores} {}", self.policy);
        format!("\t{} {{ {} }};\n", self.name(), vm(&words, &arguments, WATCHDOG))
    }

    fn more_cpus(&self) -> String {
        let cpus = "/include/ \"guests/three-more-cpus.dtsi\"";
        let node = || format!("{} {{ cpus {{\n{cpus}\n}}; }};\n", self.name());
        if self.four { node() } else { String::new() }
    }

    fn judge(&self, played: &Played) -> Result<()> {
        let said = played.said_of(&self.name());
        let restarts = said.iter().filter(|line| line.starts_with("restarts")).count();
        // 8 KiB of eVisor's lines wait; so many crashes at once say more where the line is slow
        // or the host has much else to do, and it tells how many lines that cost.
        if played.console.contains(" lines were lost") {
            ensure!(restarts <= self.restarts, "it restarts {restarts} times");
            return Ok(());
        }
        ensure!(restarts == self.restarts, "it restarts {restarts} times");
        let stays_down = restarts > 0;
        let told = said.iter().any(|line| line.starts_with("restarted too often, and stays down"));
        ensure!(told == stays_down, "it stays down, or is said to");
        let off = format!("off, verdict {}", if stays_down { 102 } else { 0 });
        ensure!(said.contains(&off.as_str()), "it is not {off}");
        let said = said.join("\n");
        self.shows.iter().try_for_each(|text| lives::has(&said, text))?;
        let at = |name: &str| played.console.find(&format!("evisor: {name}: off"));
        let before = at(&self.name()).zip(at("counter")).is_some_and(|(its, last)| its < last);
        ensure!(before, "the counter was done before it was");
        (self.says)(&played.log(&self.name())?)
    }
}

/// What was written before a crash is not lost by it: 100 lines, four times.
fn all_of_its_last_words(log: &str) -> Result<()> {
    let life = |_| (0..100).map(|line| format!("last words, line {line}\n"));
    let wanted: String = (0..4).flat_map(life).collect();
    ensure!(log == wanted, "its last words are not whole:\n{log}");
    Ok(())
}

fn folder() -> Result<PathBuf> {
    let folder = workspace::root().join("target/evisor/kills");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}
