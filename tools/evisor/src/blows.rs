//! A guest is struck in one way after the other: the machine is stopped where the guest is,
//! its code and its registers are changed, and the machine goes on. What eVisor says of it,
//! and that others go on, has to be seen before the next.

use std::collections::{BTreeMap, VecDeque};
use std::thread;
use std::time::Duration;

use anyhow::{Result, bail, ensure};

use crate::deployment;
use crate::gdb::{Core, Stub};
use crate::script::{Next, On, Typist};
use crate::struck_ways::{Answered, Comes, Places, Way, registers};

/// How many numbers are counted after each blow, at least, before the next: one
/// in four milliseconds would be.
const COUNTED: usize = 25;

/// And how many by the Linux beside it, if there is one.
const LINUX_COUNTED: usize = 3;

/// How often Linux is looked for in its kernel, and how long it goes on between.
const STOPS: usize = 1000;
const BETWEEN: Duration = Duration::from_millis(3);

/// How much of its constants a guest is known by.
const KNOWN_BY: usize = 1024;

/// Offsets from VBAR_EL1: an exception of its own, and an interrupt.
const HANDLERS: [u64; 2] = [0x200, 0x280];

/// Where a guest is struck.
#[derive(Clone, Copy)]
pub enum Place {
    /// This image of ours, in what its vectors lead to.
    Handlers { image: &'static str, vectors: &'static str },
    /// Linux, wherever its kernel is: in the upper half of the addresses, as no other is.
    Kernel,
}

const UPPER_HALF: u64 = 0xffff_0000_0000_0000;

/// A guest, and what it is in a manifest.
pub struct Guest {
    pub place: Place,
    /// What it says before it is struck, and what is typed then, for an interrupt; one that
    /// has some of itself is struck as soon as it has started.
    pub ready: Option<(&'static str, &'static str)>,
    /// What is in its node.
    pub node: &'static str,
    /// What is added to it, after labels may stand.
    pub more: &'static str,
    /// What is refused is a crash.
    pub strict: bool,
    pub psci: bool,
    /// Its verdict, when its own handler ends it.
    pub panics: u8,
    pub places: Places,
    pub ways: &'static [Way],
}

impl Guest {
    /// What comes to it, who has PSCI or not, and what is refused to whom is a crash or not.
    fn meets(&self, comes: Comes) -> Comes {
        match comes {
            Comes::Refused(words, _) if self.strict => Comes::Crash(words),
            Comes::Refused(_, Answered::Handled) => Comes::Handled,
            Comes::Refused(_, Answered::Hangs) => Comes::Hangs,
            Comes::Refused(_, Answered::Crash(words)) => Comes::Crash(words),
            Comes::ByPsci if self.psci => Comes::Restart,
            Comes::ByPsci => Comes::Handled,
            other => other,
        }
    }

    /// How often it comes back by its policy: when its own handler ends it, it is off, and
    /// after the last way it stays down.
    pub fn restarts(&self) -> usize {
        let but_last = self.ways.len().saturating_sub(1);
        let comes = self.ways.iter().take(but_last).map(|way| self.meets(way.comes));
        comes.filter(|comes| !matches!(comes, Comes::Handled)).count()
    }
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Await {
    /// The Linux beside it has a shell.
    Linux,
    /// It starts.
    Start,
    /// It says that it is ready.
    Ready,
    /// It comes to one of its handlers.
    Strike,
    /// The others go on.
    Others,
    /// It has ended.
    End,
    /// All has.
    All,
}

/// What is known of a guest of ours.
struct Known {
    handlers: [u64; 2],
    /// Where it begins, where it does not come any more.
    start: u64,
    /// Where its constants are, and what they are.
    constants: (u64, Vec<u8>),
}

impl Known {
    fn of(image: &str, vectors: &str) -> Result<Self> {
        let image = deployment::guest(image)?;
        let vectors = image.symbol(vectors)?;
        let (start, _) = image.section(".text", 0)?;
        let constants = image.section(".rodata", KNOWN_BY)?;
        Ok(Self { handlers: HANDLERS.map(|offset| vectors + offset), start, constants })
    }
}

/// Strikes a guest in one way after the other.
pub struct Blows<'a> {
    guest: &'a Guest,
    stub: Stub,
    /// What is known of its image; nothing of a kernel.
    known: Option<Known>,
    /// Another Linux counts beside it.
    beside_linux: bool,
    awaits: Await,
    /// The number of the way that is tried.
    number: usize,
    /// What was printed and is not looked at any more.
    texts: BTreeMap<On, String>,
    typed: VecDeque<(&'static str, String)>,
}

impl<'a> Blows<'a> {
    pub fn begin(guest: &'a Guest, beside_linux: bool, mut stub: Stub) -> Result<Self> {
        let known = match guest.place {
            Place::Handlers { image, vectors } => Some(Known::of(image, vectors)?),
            Place::Kernel => None,
        };
        stub.go_on()?;
        let (texts, typed) = (BTreeMap::new(), VecDeque::new());
        let awaits = if beside_linux { Await::Linux } else { Await::Start };
        Ok(Self { guest, stub, known, beside_linux, awaits, number: 0, texts, typed })
    }

    /// What was awaited, for a message.
    pub fn awaited(&self) -> String {
        let way = self.guest.ways.get(self.number).map(|way| way.name);
        format!("{way:?}, {:?} was awaited", self.awaits)
    }

    fn text(&mut self, on: Option<&str>) -> &mut String {
        self.texts.entry(on.map(str::to_owned)).or_default()
    }

    /// Whether it was printed; then nothing up to it is looked at again.
    fn takes(&mut self, on: Option<&str>, what: &str) -> bool {
        let text = self.text(on);
        let end = text.find(what).map(|at| at + what.len());
        text.drain(..end.unwrap_or(0));
        end.is_some()
    }

    fn types(&mut self, on: &'static str, text: impl Into<String>) {
        self.typed.push_back((on, text.into()));
    }

    /// Does what can be done now, if anything.
    fn go_on(&mut self) -> Result<bool> {
        let next = match self.awaits {
            Await::Linux => self.linux_counts(),
            Await::Start => self.started()?,
            Await::Ready => self.ready()?,
            Await::Strike => self.strike()?,
            Await::Others => self.others()?,
            Await::End => self.ended()?,
            Await::All => None,
        };
        self.awaits = next.unwrap_or(self.awaits);
        Ok(next.is_some())
    }

    /// Its kernel says nothing between: it would, of interrupts that took long.
    fn linux_counts(&mut self) -> Option<Await> {
        let shell = self.takes(Some("linux"), "~ # ");
        shell.then(|| {
            self.types("linux", "dmesg -n 1; n=0; while :; do echo n$n; n=$((n+1)); done")
        });
        shell.then_some(Await::Start)
    }

    fn started(&mut self) -> Result<Option<Await>> {
        if !self.takes(None, "evisor: victim: starts;") {
            return Ok(None);
        }
        match self.guest.ready {
            Some(_) => Ok(Some(Await::Ready)),
            None => self.watch().map(Some),
        }
    }

    fn ready(&mut self) -> Result<Option<Await>> {
        let Some((said, keys)) = self.guest.ready else { return Ok(None) };
        if !self.takes(Some("victim"), said) {
            return Ok(None);
        }
        self.types("victim", keys);
        self.watch().map(Some)
    }

    /// Breakpoints are set; at Linux it is enough to look.
    fn watch(&mut self) -> Result<Await> {
        self.stub.stop()?;
        if self.known.is_some() {
            self.set_breakpoints(true)?;
            self.stub.go_on()?;
        }
        Ok(Await::Strike)
    }

    fn set_breakpoints(&mut self, are_set: bool) -> Result<()> {
        let handlers = self.known.iter().flat_map(|known| known.handlers);
        handlers.into_iter().try_for_each(|at| self.stub.set_breakpoint(at, are_set))
    }

    /// Waits until it comes to one of its handlers, and has it go on with the code of a way.
    fn strike(&mut self) -> Result<Option<Await>> {
        let (core, start) = match &self.known {
            Some(known) => {
                let start = known.start;
                (self.stopped_in_victim()?, start)
            }
            None => self.stopped_in_kernel()?,
        };
        let code = self.guest.ways.get(self.number).map_or(&[][..], |way| way.code);
        let code: Vec<u8> = code.iter().flat_map(|(word, _)| word.to_le_bytes()).collect();
        self.set_breakpoints(false)?;
        self.stub.write(&core, start, &code)?;
        self.stub.set_pc(&core, start)?;
        for (number, value) in registers(&self.guest.places) {
            self.stub.set_register(&core, number, value)?;
        }
        for text in [None, Some("counter"), Some("other"), Some("linux")] {
            self.text(text).clear();
        }
        self.types("other", format!("answer {}", self.number));
        self.stub.go_on()?;
        Ok(Some(Await::Others))
    }

    fn stopped_in_victim(&mut self) -> Result<Core> {
        let (address, constants) = match &self.known {
            Some(known) => known.constants.clone(),
            None => (0, Vec::new()),
        };
        loop {
            let core = self.stub.stopped()?;
            let seen = self.stub.read(&core, address, constants.len())?;
            if self.stub.is_at_el1(&core)? && seen.is_some_and(|seen| seen == constants) {
                return Ok(core);
            }
            self.pass(&core)?;
        }
    }

    /// Stops again and again, until one is in its kernel.
    fn stopped_in_kernel(&mut self) -> Result<(Core, u64)> {
        for _ in 0..STOPS {
            for core in self.stub.cores()? {
                let pc = self.stub.pc(&core)?;
                if pc >= UPPER_HALF && self.stub.is_at_el1(&core)? {
                    return Ok((core, pc));
                }
            }
            self.stub.go_on()?;
            thread::sleep(BETWEEN);
            self.stub.stop()?;
        }
        bail!("it is never in its kernel")
    }

    /// Another one has come there.
    fn pass(&mut self, core: &Core) -> Result<()> {
        self.set_breakpoints(false)?;
        self.stub.step(core)?;
        self.set_breakpoints(true)?;
        self.stub.go_on()
    }

    fn others(&mut self) -> Result<Option<Await>> {
        let counted = self.text(Some("counter")).lines().count();
        let answer = format!("answer {}\n", self.number);
        let answers = self.text(Some("other")).contains(&answer);
        let linux = self.text(Some("linux")).lines().count();
        let linux_counts = !self.beside_linux || linux >= LINUX_COUNTED;
        if counted < COUNTED || !answers || !linux_counts {
            return Ok(None);
        }
        if matches!(self.comes(), Comes::Hangs) {
            let own = self.text(None);
            ensure!(!own.contains("evisor: victim: "), "it does not hang:\n{own}");
            self.types("monitor", "reset victim");
        }
        Ok(Some(Await::End))
    }

    fn comes(&self) -> Comes {
        let way = self.guest.ways.get(self.number);
        way.map_or(Comes::Hangs, |way| self.guest.meets(way.comes))
    }

    fn is_last(&self) -> bool {
        self.number + 1 == self.guest.ways.len()
    }

    /// What eVisor says when it has ended.
    fn end(&self) -> String {
        let after = if let Comes::Crash(_) = self.comes() { " after its crash" } else { "" };
        match self.comes() {
            Comes::Handled => format!("off, verdict {}", self.guest.panics),
            _ if self.is_last() => format!("restarted too often, and stays down{after}"),
            _ => format!("restarts{after}"),
        }
    }

    fn ended(&mut self) -> Result<Option<Await>> {
        let (end, record) = (self.end(), self.comes());
        let own = self.text(None);
        let lines = own.split_inclusive('\n').filter(|line| line.ends_with('\n'));
        let said = lines.filter_map(|line| line.trim_end().strip_prefix("evisor: victim: "));
        let said: Vec<&str> = said.collect();
        let ends = |line: &&str| ["restart", "off, "].iter().any(|end| line.starts_with(end));
        let Some(at) = said.iter().position(ends) else { return Ok(None) };
        let (before, rest) = said.split_at(at);
        ensure!(rest.first() == Some(&end.as_str()), "not '{end}': {said:#?}");
        let right = match record {
            Comes::Crash(words) => before.iter().any(|line| line.contains(words)),
            _ => before.is_empty(),
        };
        ensure!(right, "a record is missing, or too much: {said:#?}");
        self.takes(None, &format!("evisor: victim: {end}\n"));
        Ok(Some(self.next_life()))
    }

    fn next_life(&mut self) -> Await {
        if self.is_last() {
            self.types("monitor", "end");
            return Await::All;
        }
        if matches!(self.comes(), Comes::Handled) {
            self.types("monitor", "start victim");
        }
        self.number += 1;
        Await::Start
    }
}

impl Typist for Blows<'_> {
    fn hear(&mut self, on: On, printed: &str) {
        self.texts.entry(on).or_default().extend(printed.chars().filter(|c| *c != '\r'));
    }

    fn next(&mut self) -> Result<Next> {
        loop {
            if let Some((on, text)) = self.typed.pop_front() {
                return Ok(Next::Type(Some(on.to_owned()), text));
            }
            if !self.go_on()? {
                return Ok(Next::Wait);
            }
        }
    }
}
