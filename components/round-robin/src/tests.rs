//! Slices by hand, and random lives against a model that looks at every count.

use evisor_contract::{Choice, Share};
use evisor_testkit::{CoreRig, Random};

const SLICE: u64 = 100;

fn core(members: usize) -> CoreRig {
    let members = vec![Share::default(); members];
    CoreRig::new("evisor,round-robin", &[("evisor,slice", SLICE as u32)], &members).unwrap()
}

fn refused(slice: u32, members: usize) -> String {
    let members = vec![Share::default(); members];
    let core = CoreRig::new("evisor,round-robin", &[("evisor,slice", slice)], &members);
    core.err().unwrap().to_string()
}

const fn to(member: usize, until: u64) -> Choice {
    Choice { member: Some(member), until, contended: until < u64::MAX }
}

#[test]
fn slices_by_turns() {
    let mut core = core(3);
    assert_eq!(core.choose(), Choice::nobody(u64::MAX));
    assert_eq!(core.wake(1), to(1, u64::MAX), "who is alone has no tick");
    core.run_to(1000);
    assert_eq!(core.wake(0), to(1, 1100), "and a whole slice from when another wakes");
    core.run_to(1100);
    assert_eq!(core.choice(), to(0, 1200));
    assert_eq!(core.wake(2), to(0, 1200));
    core.run_to(1250);
    assert_eq!(core.choice(), to(1, 1300));
    assert_eq!(core.sleep(1), to(2, 1350), "who sleeps gives the rest of its slice away");
    assert_eq!(core.wake(1), to(2, 1350), "and waits until it is its turn");
    core.run_to(1350);
    assert_eq!(core.choice(), to(0, 1450));
    assert_eq!(core.sleep(1), to(0, 1450));
    assert_eq!(core.sleep(2), to(0, u64::MAX));
    assert_eq!(core.sleep(0), Choice::nobody(u64::MAX));
}

#[test]
fn a_choice_that_comes_late_ends_one_slice() {
    let mut core = core(2);
    core.tell_awake(0);
    core.tell_awake(1);
    assert_eq!(core.choose(), to(0, 100));
    core.pass_to(1050);
    assert_eq!(core.choose(), to(1, 1150));
}

#[test]
fn who_gives_way_goes_behind_all() {
    let mut core = core(3);
    core.wake(0);
    core.run_to(30);
    core.tell_way(0);
    assert_eq!(core.choose(), to(0, u64::MAX), "who is alone goes on");
    core.wake(1);
    assert_eq!(core.wake(2), to(0, 130));
    core.run_to(50);
    assert_eq!(core.give_way(), to(1, 150), "the next has a whole slice");
    core.tell_way(2);
    assert_eq!(core.choose(), to(1, 150), "who does not run has no way to give");
    core.run_to(60);
    assert_eq!(core.give_way(), to(2, 160));
    assert_eq!(core.give_way(), to(0, 160));
    core.tell_way(0);
    assert_eq!(core.sleep(0), to(1, 160), "who gave way and sleeps is behind all too");
}

/// One that gives way as often as it can has no more than those that spin.
#[test]
fn giving_way_gains_nothing_and_starves_nobody() {
    let mut numbers = Random::new(3);
    let mut core = core(3);
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
fn the_usual_slice_is_10_ms() {
    let mut core = CoreRig::new("evisor,round-robin", &[], &[Share::default(); 2]).unwrap();
    core.tell_awake(0);
    assert_eq!(core.wake(1), to(0, 10_000));
}

#[test]
fn what_makes_no_sense_is_refused() {
    assert_eq!(
        refused(99, 2),
        "evisor,slice: 99 us are less than 100; write microseconds, as in <10000>"
    );
    assert_eq!(
        refused(100, 65),
        "evisor,cores: a core of it has 65 vCPUs, and can have 64; spread them over more cores"
    );
}

/// Who runs at each count: members in a circle, and a count of the slice that is left.
struct Model {
    awake: Vec<bool>,
    last: usize,
    left: u64,
}

impl Model {
    fn new(members: usize) -> Self {
        Self { awake: vec![false; members], last: members - 1, left: SLICE }
    }

    fn count(&self) -> usize {
        self.awake.iter().filter(|awake| **awake).count()
    }

    fn wake(&mut self, member: usize) {
        // Who was alone begins its slice.
        if !self.awake[member] && self.count() == 1 {
            self.left = SLICE;
        }
        self.awake[member] = true;
        self.settle();
    }

    fn sleep(&mut self, member: usize) {
        self.awake[member] = false;
        self.settle();
    }

    fn give_way(&mut self) {
        if self.count() > 1 {
            self.turn();
        }
    }

    /// Goes on to who is next, if the last one sleeps.
    fn settle(&mut self) {
        if self.count() > 0 && !self.awake[self.last] {
            self.turn();
        }
    }

    fn turn(&mut self) {
        self.left = SLICE;
        self.last = (self.last + 1) % self.awake.len();
        while !self.awake[self.last] {
            self.last = (self.last + 1) % self.awake.len();
        }
    }

    /// One count passes: who had it.
    fn step(&mut self) -> Option<usize> {
        let who = (self.count() > 0).then_some(self.last);
        self.left = if self.count() < 2 { SLICE } else { self.left - 1 };
        if self.left == 0 {
            self.turn();
        }
        who
    }
}

#[derive(Clone, Copy)]
enum Turn {
    Wakes(usize),
    Sleeps(usize),
    /// Whoever runs gives way.
    GivesWay,
}

impl Turn {
    fn on(self, core: &mut CoreRig) -> Choice {
        match self {
            Self::Wakes(member) => core.wake(member),
            Self::Sleeps(member) => core.sleep(member),
            Self::GivesWay => core.give_way(),
        }
    }
}

/// Random lives: the counts at which something happens.
fn lives(seed: u64, members: usize) -> Vec<(u64, Turn)> {
    let mut numbers = Random::new(seed);
    let mut now = 0;
    let mut event = |_| {
        let most = [1, 30, 250, 1500][numbers.number() as usize % 4];
        now += numbers.number() % most;
        let member = numbers.number() as usize % members;
        let turn = match numbers.number() % 8 {
            0..4 => Turn::Wakes(member),
            4..7 => Turn::Sleeps(member),
            _ => Turn::GivesWay,
        };
        (now, turn)
    };
    (0..200).map(&mut event).collect()
}

#[test]
fn random_lives_are_as_in_the_model_with_and_without_a_tick() {
    for seed in 0..100 {
        let members = 1 + seed as usize % 5;
        let (mut tickless, mut ticking) = (core(members), core(members));
        let mut model = Model::new(members);
        let mut expected = Vec::new();
        for (at, turn) in lives(seed, members) {
            expected.extend((expected.len() as u64..at).map(|_| model.step()));
            tickless.run_to(at);
            ticking.tick_to(at);
            match turn {
                Turn::Wakes(member) => model.wake(member),
                Turn::Sleeps(member) => model.sleep(member),
                Turn::GivesWay => model.give_way(),
            }
            assert_eq!(turn.on(&mut tickless).member, turn.on(&mut ticking).member);
        }
        assert_eq!(tickless.spans(), ticking.spans(), "seed {seed}");
        let spans = tickless.spans().iter();
        let ran = spans.flat_map(|span| (span.from..span.to).map(|_| span.member));
        assert!(ran.eq(expected), "seed {seed}");
    }
}

/// Whoever is awake waits for one slice of each other one at most.
#[test]
fn nobody_starves() {
    for seed in 0..100 {
        let mut core = core(5);
        let mut waiting = [0; 5];
        for (at, turn) in lives(seed, 5) {
            let from = core.now();
            core.run_to(at);
            for other in (0..5).filter(|other| core.is_awake(*other)) {
                let last = core.spans().iter().rfind(|span| span.member == Some(other));
                let since = last.map_or(0, |span| span.to).max(waiting[other]);
                assert!(at - since <= 4 * SLICE, "seed {seed}: {other} from {from} to {at}");
            }
            match turn {
                Turn::Wakes(member) if !core.is_awake(member) => waiting[member] = at,
                // It had its turn, however short it was.
                Turn::GivesWay => {
                    core.choice().member.into_iter().for_each(|member| waiting[member] = at);
                }
                _ => {}
            }
            turn.on(&mut core);
        }
    }
}
