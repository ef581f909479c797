//! Budgets by hand, and random lives against a model in which each microsecond of a
//! budget is a coin of its own.

use crate::server::{PARTS, Server};
use evisor_contract::{Choice, Share};
use evisor_testkit::{CoreRig, Random};

const SLICE: u64 = 100;

const fn share(priority: u8, budget: u32, period: u32) -> Share {
    Share { priority, budget, period }
}

fn try_core(members: &[Share]) -> Result<CoreRig, String> {
    let slice = [("evisor,slice", SLICE as u32)];
    CoreRig::new("evisor,fixed-priority", &slice, members).map_err(|error| error.to_string())
}

fn core(members: &[Share]) -> CoreRig {
    try_core(members).unwrap()
}

const fn to(member: usize, until: u64) -> Choice {
    Choice::alone(member, until)
}

/// With an equal that waits.
const fn before_an_equal(member: usize, until: u64) -> Choice {
    Choice { member: Some(member), until, contended: true }
}

const fn nobody(until: u64) -> Choice {
    Choice::nobody(until)
}

#[test]
fn a_budget_is_used_and_comes_back_a_period_after_it_could_be() {
    let mut core = core(&[share(1, 200, 1000)]);
    core.run_to(50);
    assert_eq!(core.wake(0), to(0, 250));
    core.run_to(250);
    assert_eq!(core.choice(), nobody(1050), "it waits, and the core rests");
    core.run_to(1050);
    assert_eq!(core.choice(), to(0, 1250));
    core.run_to(1100);
    assert_eq!(core.sleep(0), nobody(u64::MAX));
    core.run_to(1800);
    assert_eq!(core.wake(0), to(0, 1950), "50 us of it are not back yet");
    core.run_to(1950);
    assert_eq!(core.choice(), nobody(2050));
    core.run_to(2050);
    assert_eq!(core.choice(), to(0, 2100), "now they are");
    core.run_to(2100);
    assert_eq!(core.choice(), nobody(2800));
}

/// Stanovich et al., §3.2: what is used at two times comes back at two times.
#[test]
fn nothing_comes_back_early() {
    let mut server = Server::new(100, 1000);
    server.wakes(0);
    server.charge(10);
    server.sleeps();
    server.wakes(900);
    server.charge(90);
    assert_eq!((server.ready(), server.left()), (1000, 10));
    server.charge(10);
    assert_eq!((server.ready(), server.left()), (1900, 90));
}

/// Stanovich et al., §3.1.
#[test]
fn what_was_too_much_is_owed() {
    let mut server = Server::new(100, 1000);
    server.wakes(0);
    server.charge(130);
    assert_eq!((server.ready(), server.left()), (1000, 70));
    server.charge(1070);
    assert_eq!((server.ready(), server.left()), (12_000, 100), "eleven rounds");

    // In parts: 5 us are of the one that is not back yet.
    let mut server = Server::new(100, 1000);
    server.wakes(0);
    server.charge(10);
    server.sleeps();
    server.wakes(500);
    server.charge(95);
    assert_eq!((server.ready(), server.left()), (1000, 5));
}

/// A vCPU that sleeps all the time has its budget in a bounded number of parts, and none
/// is lost.
#[test]
fn the_parts_of_a_budget_are_bounded() {
    let mut server = Server::new(100, 1000);
    for now in (0..80).map(|n| n * 2) {
        server.wakes(now);
        server.charge(1);
        server.sleeps();
    }
    server.wakes(200);
    assert_eq!((server.ready(), server.left()), (200, 20));
    server.charge(20);
    let mut rest = 0;
    for _ in 0..PARTS {
        rest += server.left();
        assert!((1000..=1200).contains(&server.ready()), "{}", server.ready());
        server.charge(server.left());
        if rest == 80 {
            break;
        }
    }
    assert_eq!(rest, 80);
}

#[test]
fn the_higher_priority_goes_first_and_equals_in_their_order() {
    let mut core = core(&[share(1, 100, 1000), share(7, 100, 500), share(1, 100, 1000)]);
    assert_eq!(core.wake(2), to(2, 100));
    core.run_to(30);
    assert_eq!(core.wake(0), to(2, 100), "an equal waits");
    assert_eq!(core.wake(1), to(1, 130), "a higher one does not");
    core.run_to(130);
    assert_eq!(core.choice(), to(2, 200));
    core.run_to(200);
    assert_eq!(core.choice(), to(0, 300));
    core.run_to(300);
    assert_eq!(core.choice(), nobody(530));
}

#[test]
fn who_has_no_budget_has_what_is_left() {
    let mut core = core(&[share(0, 0, 0), share(0, 0, 0), share(3, 0, 0), share(1, 200, 1000)]);
    assert_eq!(core.wake(0), to(0, u64::MAX), "nobody waits: no tick");
    assert_eq!(core.wake(1), before_an_equal(0, 100));
    core.run_to(40);
    assert_eq!(core.wake(3), to(3, 240), "any budget goes first");
    core.run_to(240);
    let slice = before_an_equal(0, 300);
    assert_eq!(core.choice(), slice, "and the slice goes on where it was");
    core.run_to(300);
    assert_eq!(core.choice(), before_an_equal(1, 400));
    assert_eq!(core.wake(2), to(2, 1040), "of two without, the higher priority");
    core.run_to(1040);
    assert_eq!(core.choice(), to(3, 1240));
    core.run_to(1240);
    core.sleep(2);
    assert_eq!(core.sleep(3), before_an_equal(1, 1340));
}

#[test]
fn who_gives_way_goes_behind_its_equals_alone() {
    let mut core = core(&[share(5, 0, 0), share(5, 0, 0), share(0, 0, 0), share(1, 200, 1000)]);
    core.tell_awake(2);
    assert_eq!(core.wake(0), to(0, u64::MAX));
    core.run_to(30);
    core.tell_way(0);
    assert_eq!(core.choose(), to(0, u64::MAX), "a lower one is no equal");
    assert_eq!(core.wake(1), before_an_equal(0, 130));
    core.run_to(70);
    assert_eq!(core.give_way(), before_an_equal(1, 170), "and has a slice of its own");
    core.tell_way(0);
    assert_eq!(core.choose(), before_an_equal(1, 170), "who does not run has no way to give");
    core.run_to(90);
    assert_eq!(core.give_way(), before_an_equal(0, 190), "its own begins anew");
    assert_eq!(core.wake(3), to(3, 290));
    core.run_to(100);
    core.tell_way(3);
    assert_eq!(core.choose(), to(3, 290), "what was promised is its own to spend");
}

#[test]
fn what_cannot_be_kept_is_refused_with_its_numbers() {
    let refused = |members: &[Share]| try_core(members).err().unwrap();
    assert_eq!(
        refused(&[share(0, 0, 0), share(2, 700, 1000), share(1, 800, 2000)]),
        "evisor,cores: the budgets of a core are 110 % of its time; write less in \
         evisor,budget, or spread the vCPUs over more cores"
    );
    assert_eq!(
        refused(&[share(0, 0, 0), share(2, 500, 1000), share(1, 100, 400)]),
        "evisor,cores: vCPU 2 (from 0, in the order of the VMs) of a core, of priority \
         1, cannot have its 100 us in every 400 us after those that go before it; give a \
         higher evisor,priority to shorter periods, or write less in evisor,budget"
    );
    assert_eq!(
        refused(&[share(2, 9, 1000)]),
        "evisor,cores: vCPU 0 (from 0, in the order of the VMs) of a core asks for 9 us \
         in 1000 us; give it 10 us or more, in 10 s or less"
    );
    assert!(try_core(&[share(1, 500, 1000), share(2, 100, 400)]).is_ok());
    assert!(try_core(&[share(1, 500, 1000), share(1, 500, 1000)]).is_ok(), "all of it");
    let core = CoreRig::new("evisor,fixed-priority", &[("evisor,slice", 5)], &[]);
    let slice = "evisor,slice: 5 us are less than 100; write microseconds, as in <10000>";
    assert_eq!(core.err().unwrap().to_string(), slice);
    assert!(refused(&[Share::default(); 65]).contains("has 65 vCPUs, and can have 64"));
}

/// A member in the model.
struct Coins {
    share: Share,
    awake: bool,
    /// When each microsecond of its budget can be used; in order.
    coins: Vec<u64>,
}

/// A core that is looked at every microsecond.
struct Model {
    members: Vec<Coins>,
    /// Those without a budget, by turns; all priorities in one.
    queue: Vec<usize>,
    spent: Vec<u64>,
    now: u64,
    ran: Vec<Option<usize>>,
}

impl Model {
    fn new(shares: &[Share]) -> Self {
        let member = |share: &Share| Coins {
            share: *share,
            awake: false,
            coins: vec![0; share.budget as usize],
        };
        Self {
            members: shares.iter().map(member).collect(),
            queue: Vec::new(),
            spent: vec![0; shares.len()],
            now: 0,
            ran: Vec::new(),
        }
    }

    fn wake(&mut self, index: usize) {
        let member = &mut self.members[index];
        if !core::mem::replace(&mut member.awake, true) {
            member.coins.iter_mut().for_each(|coin| *coin = (*coin).max(self.now));
            if member.share.budget == 0 {
                self.queue.push(index);
                self.spent[index] = 0;
            }
        }
    }

    fn sleep(&mut self, index: usize) {
        self.members[index].awake = false;
        self.queue.retain(|other| *other != index);
    }

    /// Whoever runs goes to the end of the queue, if it is one of it and an equal is there.
    fn give_way(&mut self) {
        let Some(index) = self.chosen().filter(|index| self.members[*index].share.budget == 0)
        else {
            return;
        };
        if self.equals(index) > 1 {
            self.goes_last(index);
        }
    }

    fn equals(&self, index: usize) -> usize {
        let priority = |other: &usize| self.members[*other].share.priority;
        self.queue.iter().filter(|other| priority(other) == priority(&index)).count()
    }

    fn goes_last(&mut self, index: usize) {
        self.spent[index] = 0;
        self.queue.retain(|other| *other != index);
        self.queue.push(index);
    }

    fn chosen(&self) -> Option<usize> {
        let able = (0..self.members.len()).filter(|index| {
            let member = &self.members[*index];
            member.awake && member.coins.first().is_some_and(|coin| *coin <= self.now)
        });
        let key = |index: &usize| {
            let member = &self.members[*index];
            (255 - member.share.priority, member.coins[0], *index)
        };
        let rest = || {
            let highest = self.queue.iter().map(|index| self.members[*index].share.priority).max();
            let mut queue = self.queue.iter().copied();
            queue.find(|index| Some(self.members[*index].share.priority) == highest)
        };
        able.min_by_key(key).or_else(rest)
    }

    fn step(&mut self) {
        let chosen = self.chosen();
        self.ran.push(chosen);
        self.now += 1;
        let Some(index) = chosen else { return };
        let period = u64::from(self.members[index].share.period);
        if period > 0 {
            let coins = &mut self.members[index].coins;
            let coin = coins.remove(0);
            coins.push(coin + period);
            return;
        }
        let contended = self.equals(index) > 1;
        self.spent[index] = if contended { self.spent[index] + 1 } else { 0 };
        if self.spent[index] == SLICE {
            self.goes_last(index);
        }
    }
}

/// Members that a core admits: some with a budget, some without.
fn admitted(numbers: &mut Random) -> Vec<Share> {
    loop {
        let mut number = |from: u64, to: u64| (from + numbers.number() % (to - from)) as u32;
        let mut shares: Vec<Share> = Vec::new();
        for _ in 0..number(1, 4) {
            let period = number(60, 700);
            let budget = number(10, u64::from(period).min(250));
            shares.push(share(number(0, 4) as u8, budget, period));
        }
        for _ in 0..number(0, 4) {
            shares.push(share(number(0, 2) as u8, 0, 0));
        }
        if try_core(&shares).is_ok() {
            return shares;
        }
    }
}

/// What happens to a member after some time.
#[derive(Clone, Copy)]
enum Turn {
    Wakes(usize),
    Sleeps(usize),
    /// Whoever runs sleeps, in the middle of its budget.
    Ends,
    /// Whoever runs gives way.
    GivesWay,
}

impl Turn {
    /// Happens on `core`; gives who woke (true) or went to sleep.
    fn on(self, core: &mut CoreRig) -> Option<(usize, bool)> {
        let (member, wakes) = match self {
            Self::Wakes(member) => (member, true),
            Self::Sleeps(member) => (member, false),
            Self::Ends => (core.choice().member.unwrap_or(0), false),
            Self::GivesWay => {
                core.give_way();
                return None;
            }
        };
        if wakes {
            core.wake(member)
        } else {
            core.sleep(member)
        };
        Some((member, wakes))
    }
}

fn events(numbers: &mut Random, members: usize, spans: [u64; 4]) -> Vec<(u64, Turn)> {
    let mut event = |_| {
        let most = spans[numbers.number() as usize % 4];
        let after = numbers.number() % most;
        let member = numbers.number() as usize % members;
        let turn = match numbers.number() % 8 {
            0 => Turn::Sleeps(member),
            1..3 => Turn::Ends,
            3 => Turn::GivesWay,
            _ => Turn::Wakes(member),
        };
        (after, turn)
    };
    (0..200).map(&mut event).collect()
}

/// Seldom enough that no budget falls into too many parts, which the model does not have.
const CALM: [u64; 4] = [40, 200, 400, 2000];
const HECTIC: [u64; 4] = [2, 10, 60, 1500];

#[test]
fn random_lives_are_as_in_the_model_with_and_without_a_tick() {
    for seed in 0..40 {
        let mut numbers = Random::new(seed);
        let shares = admitted(&mut numbers);
        let (mut tickless, mut ticking) = (core(&shares), core(&shares));
        let mut model = Model::new(&shares);
        for (after, turn) in events(&mut numbers, shares.len(), CALM) {
            let at = tickless.now() + after;
            tickless.run_to(at);
            ticking.tick_to(at);
            (0..after).for_each(|_| model.step());
            turn.on(&mut ticking);
            match turn.on(&mut tickless) {
                Some((member, true)) => model.wake(member),
                Some((member, false)) => model.sleep(member),
                None => model.give_way(),
            }
            assert_eq!(tickless.choice().member, model.chosen(), "seed {seed} at {at}: {shares:?}");
        }
        assert!(tickless.spans() == ticking.spans(), "seed {seed}: a tick changes it");
        let spans = tickless.spans().iter();
        let ran = spans.flat_map(|span| (span.from..span.to).map(|_| span.member));
        assert!(ran.eq(model.ran), "seed {seed}: {shares:?}");
        assert!(tickless.choices() < ticking.choices());
    }
}

/// A life, and since when each member is awake, as it was before each event.
fn live(seed: u64, spans: [u64; 4], mut look: impl FnMut(&CoreRig, &[Share], &[Option<u64>])) {
    let mut numbers = Random::new(seed);
    let shares = admitted(&mut numbers);
    let mut core = core(&shares);
    let mut since: Vec<Option<u64>> = vec![None; shares.len()];
    for (after, turn) in events(&mut numbers, shares.len(), spans) {
        core.run_to(core.now() + after);
        look(&core, &shares, &since);
        if let Some((member, wakes)) = turn.on(&mut core) {
            since[member] = since[member].or(Some(core.now())).filter(|_| wakes);
        }
    }
}

/// The bound of a sporadic server: in any time of n periods it has n + 1 budgets at most.
#[test]
fn no_budget_is_exceeded_in_any_window() {
    for seed in 0..60 {
        let mut numbers = Random::new(seed);
        let shares = admitted(&mut numbers);
        let mut core = core(&shares);
        let spans = if seed & 1 == 0 { CALM } else { HECTIC };
        for (after, turn) in events(&mut numbers, shares.len(), spans) {
            core.run_to(core.now() + after);
            turn.on(&mut core);
        }
        let starts: Vec<u64> = core.spans().iter().map(|span| span.from).collect();
        for (member, share) in shares.iter().enumerate().filter(|(_, share)| share.budget > 0) {
            let (budget, period) = (u64::from(share.budget), u64::from(share.period));
            for from in &starts {
                for periods in [1, 2, 5, 20] {
                    let time = core.time_of(member, *from, from + periods * period);
                    assert!(time <= (periods + 1) * budget, "seed {seed}: {member} from {from}");
                }
                let above = |other: &Share| other.budget > 0 && other.priority >= share.priority;
                if shares.iter().filter(|other| above(other)).count() == 1 {
                    let time = core.time_of(member, *from, from + period - budget);
                    assert!(time <= budget, "seed {seed}: {member} from {from}");
                }
            }
        }
    }
}

/// Who is awake for n periods has had n - 1 budgets, however often it slept before; and
/// who was asleep for a period has all of its budget a period after it wakes.
#[test]
fn no_budget_is_missed_by_its_deadline() {
    let mut seen = [0; 2];
    for seed in 0..400 {
        let spans = if seed & 1 == 0 { CALM } else { HECTIC };
        let mut asleep: Vec<Option<u64>> = Vec::new();
        let mut rested: Vec<bool> = Vec::new();
        live(seed, spans, |core, shares, since| {
            asleep.resize(shares.len(), Some(0));
            rested.resize(shares.len(), true);
            for (member, share) in shares.iter().enumerate().filter(|(_, share)| share.budget > 0) {
                let (budget, period) = (u64::from(share.budget), u64::from(share.period));
                let Some(from) = since[member] else {
                    let began = *asleep[member].get_or_insert(core.now());
                    rested[member] = began == 0 || core.now() - began > period;
                    continue;
                };
                asleep[member] = None;
                let periods = (core.now() - from) / period;
                let time = core.time_of(member, from, from + periods * period);
                assert!(time + budget >= periods * budget, "seed {seed}: {member} from {from}");
                seen[0] += usize::from(periods > 1);
                if rested[member] && periods > 0 {
                    let time = core.time_of(member, from, from + period);
                    assert!(time >= budget, "seed {seed}: {member} from {from}: {shares:?}");
                    seen[1] += 1;
                }
            }
        });
    }
    assert!(seen[0] > 1000 && seen[1] > 500, "{seen:?}");
}

/// Admission is exact where all priorities differ: what it refuses misses a deadline when
/// all wake at once, the worst case (Liu and Layland, 1973), and what it admits does not.
#[test]
fn admission_is_what_the_model_can_keep() {
    let mut numbers = Random::new(1);
    let (mut yes, mut no) = (0, 0);
    for _ in 0..2000 {
        let mut number = |from: u64, to: u64| (from + numbers.number() % (to - from)) as u32;
        let count = number(1, 5) as u8;
        let mut one = |priority| {
            let period = number(40, 300);
            share(priority, number(10, u64::from(period).min(90)), period)
        };
        let shares: Vec<Share> = (0..count).map(&mut one).collect();
        let mut model = Model::new(&shares);
        (0..shares.len()).for_each(|member| model.wake(member));
        (0..300).for_each(|_| model.step());
        let keeps = shares.iter().enumerate().all(|(member, share)| {
            let first = model.ran.iter().take(share.period as usize);
            first.filter(|ran| **ran == Some(member)).count() >= share.budget as usize
        });
        let sum: f64 = shares.iter().map(|s| f64::from(s.budget) / f64::from(s.period)).sum();
        let admits = try_core(&shares).is_ok();
        assert_eq!(admits, keeps && sum <= 1.0 + 1e-9, "{shares:?}");
        if admits { yes += 1 } else { no += 1 }
    }
    assert!(yes > 200 && no > 200, "{yes} {no}");
}

/// A kernel that asks late lets nobody gain: what was too much is taken back.
#[test]
fn late_choices_are_paid_back() {
    let mut numbers = Random::new(7);
    let mut core = core(&[share(2, 20, 100), share(1, 50, 250), share(0, 0, 0)]);
    (0..3).for_each(|member| core.tell_awake(member));
    core.choose();
    while core.now() < 1_000_000 {
        let late = core.choice().until.min(core.now() + 5000) + numbers.number() % 40;
        core.pass_to(late);
        core.choose();
    }
    let now = core.now();
    let times: Vec<u64> = (0..3).map(|member| core.time_of(member, 0, now)).collect();
    for (time, budget, period) in [(times[0], 20, 100), (times[1], 50, 250)] {
        let fair = now * budget / period;
        assert!(time <= fair + budget + 40, "{time} of {fair}");
        // What comes late comes later by as much, and is not lost.
        assert!(time >= fair * 6 / 10, "{time} of {fair}");
    }
    assert_eq!(times.iter().sum::<u64>(), now, "somebody had each microsecond");
}

/// Equals without a budget get equal time, and none waits longer than the slices of the
/// others and what the budgets take of that.
#[test]
fn an_equal_never_starves() {
    let mut core = core(&[share(9, 100, 500), share(4, 60, 300), share(0, 0, 0), share(0, 0, 0)]);
    (0..4).for_each(|member| core.tell_awake(member));
    core.choose();
    core.run_to(99_000);
    let times = [2, 3].map(|member| core.time_of(member, 0, 99_000));
    assert_eq!(times[0] + times[1], 59_400, "the budgets are 40 %");
    assert!(times[0].abs_diff(times[1]) <= SLICE);
    for from in (0..98_000).step_by(50) {
        for member in [2, 3] {
            assert!(core.time_of(member, from, from + 500) > 0, "{member} from {from}");
        }
    }
}

/// One that gives way as often as it can has no more than its equal, which spins, and that
/// one no more than its slices.
#[test]
fn giving_way_gains_nothing_and_starves_nobody() {
    let mut numbers = Random::new(3);
    let mut core = core(&[share(2, 0, 0), share(2, 0, 0), share(2, 0, 0)]);
    (0..3).for_each(|member| core.tell_awake(member));
    core.choose();
    let mut turns = 0;
    while core.now() < 60_000 {
        core.run_to(core.now() + 1 + numbers.number() % 40);
        if core.choice().member == Some(0) {
            core.give_way();
            assert_ne!(core.choice().member, Some(0));
            turns += 1;
        }
    }
    let times = [0, 1, 2].map(|member| core.time_of(member, 0, core.now()));
    assert!(times[0] < times[1] / 2, "{times:?}");
    assert!(times[1].abs_diff(times[2]) <= SLICE, "{times:?}");
    assert!(turns > 200, "two slices between two turns, and no more: {turns}");
}

#[test]
fn what_is_reset_begins_anew() {
    let mut core = core(&[share(1, 50, 100), share(0, 0, 0)]);
    core.wake(0);
    core.run_to(70);
    core.reset();
    assert_eq!(core.choose(), nobody(u64::MAX));
    assert_eq!(core.wake(0), to(0, 50));
}

#[test]
fn a_member_that_is_not_there_never_runs() {
    let members = [share(1, 50, 100)];
    // The core is told of one that is not there, chooses, and goes on.
    for what in [0, 2] {
        let bytes = [what, 1, 3, 0, 5, 200];
        evisor_testkit::drive_scheduler("evisor,fixed-priority", &[], &members, &bytes);
    }
}

#[test]
fn what_could_be_used_before_is_one_part_when_its_vcpu_wakes() {
    let mut server = Server::new(100, 1000);
    server.wakes(0);
    server.charge(40);
    server.sleeps();
    server.wakes(1500);
    assert_eq!((server.ready(), server.left()), (1500, 100));
    server.charge(100);
    assert_eq!((server.ready(), server.left()), (2500, 100));
}
