//! A core for a scheduler, with vCPUs that do nothing but wake, sleep and give way.

use crate::setup::{Setup, parts};
use evisor_contract::{BuildError, Choice, Parts, SchedulerPort, Share};

/// Who had the core from when to when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The member, or nobody.
    pub member: Option<usize>,
    /// The first count.
    pub from: u64,
    /// The count after the last.
    pub to: u64,
}

/// A core on the bench. Its clock counts microseconds, and it does what a kernel does:
/// asks again when it was told to and when a member wakes or sleeps.
///
/// On every choice it asserts what the contract demands: who runs is awake, and the
/// time to choose again lies ahead.
pub struct CoreRig {
    parts: Parts,
    port: &'static dyn SchedulerPort,
    now: u64,
    awake: Vec<bool>,
    choice: Choice,
    spans: Vec<Span>,
    choices: usize,
}

impl CoreRig {
    /// A core of the scheduler that answers to `compatible`, whose node has these
    /// properties and whose members were promised this.
    ///
    /// # Errors
    /// What the scheduler says.
    pub fn new(
        compatible: &str,
        properties: &[(&'static str, u32)],
        members: &[Share],
    ) -> Result<Self, BuildError> {
        let properties = properties.iter().map(|(name, cell)| (*name, cell.to_be_bytes().to_vec()));
        let setup = Setup {
            properties: properties.collect(),
            members: members.to_vec(),
            ..Setup::default()
        };
        let parts = parts(compatible, &setup)?;
        let port = parts.scheduler.expect("a scheduler");
        let awake = vec![false; members.len()];
        let choice = Choice::nobody(u64::MAX);
        Ok(Self { parts, port, now: 0, awake, choice, spans: Vec::new(), choices: 0 })
    }

    /// The count.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// What the core does.
    pub fn choice(&self) -> Choice {
        self.choice
    }

    /// Whether `member` is awake.
    pub fn is_awake(&self, member: usize) -> bool {
        self.awake[member]
    }

    /// How often the scheduler was asked.
    pub fn choices(&self) -> usize {
        self.choices
    }

    /// `member` wakes; the scheduler is not asked yet.
    pub fn tell_awake(&mut self, member: usize) {
        self.awake[member] = true;
        self.port.wake(member, self.now);
    }

    /// `member` sleeps; the scheduler is not asked yet.
    pub fn tell_asleep(&mut self, member: usize) {
        self.awake[member] = false;
        self.port.sleep(member, self.now);
    }

    /// `member` wakes, and the core chooses.
    pub fn wake(&mut self, member: usize) -> Choice {
        self.tell_awake(member);
        self.choose()
    }

    /// `member` sleeps, and the core chooses.
    pub fn sleep(&mut self, member: usize) -> Choice {
        self.tell_asleep(member);
        self.choose()
    }

    /// `member`, who runs, gives way; the scheduler is not asked yet.
    pub fn tell_way(&mut self, member: usize) {
        self.port.give_way(member, self.now);
    }

    /// Whoever runs gives way if there is anybody to give way to, as a kernel has it, and
    /// the core chooses.
    pub fn give_way(&mut self) -> Choice {
        if let Some(member) = self.choice.member.filter(|_| self.choice.contended) {
            self.tell_way(member);
        }
        self.choose()
    }

    /// Asks the scheduler.
    pub fn choose(&mut self) -> Choice {
        self.choice = self.port.choose(self.now);
        self.choices += 1;
        let Choice { member, until, contended } = self.choice;
        assert!(until > self.now, "at {}: choose again at {until}", self.now);
        assert!(member.is_none_or(|member| self.awake[member]), "{member:?} sleeps and runs");
        let others = self.awake.iter().filter(|awake| **awake).count() > 1;
        assert!(!contended || member.is_some() && others, "nobody has {member:?} give way");
        self.choice
    }

    /// Time passes up to `count`, and the scheduler is not asked, however late it is.
    pub fn pass_to(&mut self, count: u64) {
        assert!(count >= self.now, "time never runs backwards");
        let span = Span { member: self.choice.member, from: self.now, to: count };
        self.now = count;
        if span.from == span.to {
            return;
        }
        match self.spans.last_mut() {
            Some(last) if last.member == span.member => last.to = count,
            _ => self.spans.push(span),
        }
    }

    /// Time passes up to `count`, and the scheduler is asked whenever it said so.
    pub fn run_to(&mut self, count: u64) {
        while self.choice.until <= count {
            self.pass_to(self.choice.until.max(self.now));
            self.choose();
        }
        self.pass_to(count);
    }

    /// The same, and the scheduler is asked at every count too.
    pub fn tick_to(&mut self, count: u64) {
        for count in self.now + 1..=count {
            self.pass_to(count);
            self.choose();
        }
    }

    /// Who had the core so far; neighbours differ.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How long `member` had the core from `from` to `to`.
    pub fn time_of(&self, member: usize, from: u64, to: u64) -> u64 {
        let own = self.spans.iter().filter(|span| span.member == Some(member));
        own.map(|span| span.to.min(to).saturating_sub(span.from.max(from))).sum()
    }

    /// Forgets all: as when it was built.
    pub fn reset(&mut self) {
        self.parts.object.with(&mut |object| object.reset());
        self.awake.fill(false);
        self.choice = Choice::nobody(u64::MAX);
        (self.now, self.choices) = (0, 0);
        self.spans.clear();
    }
}

/// Turns `bytes` into what happens to a core: the whole of a scheduler's fuzz target.
/// A member may be named that is not there.
pub fn drive_scheduler(
    compatible: &str,
    properties: &[(&'static str, u32)],
    members: &[Share],
    bytes: &[u8],
) {
    thread_local! {
        static RIGS: std::cell::RefCell<std::collections::BTreeMap<String, CoreRig>> =
            const { std::cell::RefCell::new(std::collections::BTreeMap::new()) };
    }
    RIGS.with_borrow_mut(|rigs| {
        let build = || CoreRig::new(compatible, properties, members).expect("a sound core");
        let rig = rigs.entry(compatible.to_owned()).or_insert_with(build);
        rig.reset();
        for step in bytes.chunks_exact(2) {
            let (what, value) = (step[0], step[1]);
            let member = usize::from(value) % (members.len() + 1);
            match what % 8 {
                0 | 1 if member == members.len() => rig.port.wake(usize::MAX, rig.now),
                2 if member == members.len() => rig.port.sleep(member, rig.now),
                3 if value & 128 != 0 => rig.tell_way(member),
                0 | 1 => rig.tell_awake(member),
                2 => rig.tell_asleep(member),
                3 => {
                    rig.choose();
                }
                // Late, by up to a thousand years; the count never comes to its end.
                4 if rig.now < 1 << 60 => rig.pass_to(rig.now + (1 << (value & 55))),
                4 => {}
                5 => rig.run_to(rig.now + u64::from(value) * 16),
                6 => rig.run_to(rig.now + u64::from(value)),
                _ => {
                    let until = rig.choice.until;
                    if until < u64::MAX {
                        rig.run_to(until.max(rig.now));
                    }
                }
            }
            rig.spans.clear();
        }
    });
}
