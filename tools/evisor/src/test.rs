//! `evisor test`: everything that CI runs, several cases at once, counted at the end.

use std::num::NonZero;
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use clap::Args;
use rexpect::reader::Regex;

use crate::plan::Plan;
use crate::pool::{self, Outcome};
use crate::process::{print, say};
use crate::script::pattern;
use crate::{boots, card_cases, faults, fuzz, lives, mutants, outside, steps, torture};

type Step = (&'static str, &'static str, fn(&Test, &mut Plan) -> Result<()>);

const STEPS: [Step; 16] = [
    ("format", "the source is formatted", |_, plan| steps::format(plan)),
    ("lint", "clippy has nothing to say", |_, plan| steps::lint(plan)),
    ("host", "the tests that run on this machine", |_, plan| steps::host(plan)),
    ("build", "every image builds with every toolchain here", |_, plan| steps::build(plan)),
    ("check", "each broken manifest gives its one error", |_, plan| steps::check(plan)),
    ("sdcard", "cards are what others' programs read", |_, plan| card_cases::step(plan)),
    ("system", "real guests, driven through their consoles", |_, plan| steps::system(plan)),
    ("lives", "guests crashed in every way beside another one", |_, plan| lives::cases(plan)),
    ("raspi4", "the same on a Raspberry Pi 4, whatever its tree says", |_, plan| {
        steps::raspi4(plan)
    }),
    ("boots", "Linux on four vCPUs, again and again", |test, plan| boots::step(plan, test.boots)),
    ("torture", "no guest brings eVisor down, nor keeps it busy", |_, plan| torture::step(plan)),
    ("faults", "faults seeded into the models are caught; all of them, if named", |_, plan| {
        faults::step(plan)
    }),
    ("mutants", "no broken manifest stops eVisor from ending by itself", |_, plan| {
        mutants::step(plan)
    }),
    ("outside", "a device crate that lives elsewhere works, and costs no more", |_, plan| {
        outside::step(plan)
    }),
    ("fuzz", "each fuzz target, for some seconds", |_, plan| fuzz::step(plan)),
    ("budgets", "no event costs more than it may", |_, plan| steps::budgets(plan)),
];

/// So many of the slowest cases are shown.
const SLOWEST: usize = 12;

/// So many lines of what is wrong with a case are shown.
const FIRST_LINES: usize = 100;
const LAST_LINES: usize = 200;
/// And so many characters of it once more at the end.
const REASON: usize = 300;

#[derive(Args)]
pub struct Test {
    /// Only these steps: format, lint, host, build, check, sdcard, system, lives, raspi4, boots,
    /// torture, faults, mutants, outside, fuzz, budgets
    #[arg(value_name = "STEP", value_parser = STEPS.map(|(name, ..)| name))]
    steps: Vec<String>,
    /// Only the cases whose line of `--list`, `STEP: CASE`, has a match
    #[arg(long, value_name = "REGEX", value_parser = pattern)]
    only: Option<Regex>,
    /// List the cases, and run none
    #[arg(long)]
    list: bool,
    /// How many cases run at once [default: half as many again as there are cores]
    #[arg(short, long, value_name = "N")]
    jobs: Option<NonZero<usize>>,
    /// How many times the step `boots` boots
    #[arg(long, value_name = "N", default_value_t = 7)]
    boots: u32,
}

impl Test {
    pub fn carry_out(&self) -> Result<u8> {
        let mut plan = self.plan()?;
        if self.list {
            plan.jobs.iter().for_each(|job| println!("{}", job.title()));
            return Ok(0);
        }
        let mut count = Count::default();
        fill_needs(&mut plan);
        let cores = available_parallelism().map_or(1, NonZero::get);
        let jobs = self.jobs.map_or(at_once(cores), NonZero::get);
        pool::run(plan.jobs, jobs, |outcome| count.one(outcome));
        Ok(count.close(jobs))
    }

    /// What was asked for; that there is none of it is an error.
    fn plan(&self) -> Result<Plan> {
        let named = !self.steps.is_empty();
        let mut plan = Plan::new(named);
        let wanted = |name: &str| self.steps.is_empty() || self.steps.iter().any(|s| s == name);
        for (name, _, step) in STEPS.into_iter().filter(|(name, ..)| wanted(name)) {
            plan.begin(name);
            if let Err(error) = step(self, &mut plan) {
                plan.case("its cases", move || -> Result<()> { Err(error) });
            }
        }
        if let Some(only) = &self.only {
            plan.jobs.retain(|job| only.is_match(&job.title()));
            ensure!(
                !plan.jobs.is_empty(),
                "no case matches '{}': ./evisor test --list shows them all",
                only.as_str().trim_start_matches("(?m)")
            );
        }
        if plan.jobs.is_empty() {
            bail!("there is no case to run");
        }
        Ok(plan)
    }
}

/// A guest that sleeps leaves its core to another, and each Linux does as it powers off.
fn at_once(cores: usize) -> usize {
    cores + cores.div_ceil(2)
}

/// A need that cannot be met is what fails in place of the step's cases.
fn fill_needs(plan: &mut Plan) {
    for need in std::mem::take(&mut plan.needs) {
        if !plan.jobs.iter().any(|job| job.step == need.step) {
            continue;
        }
        if let Err(error) = (need.fill)() {
            let at = plan.jobs.iter().position(|job| job.step == need.step);
            plan.jobs.retain(|job| job.step != need.step);
            plan.begin(need.step);
            plan.case("what it needs", move || -> Result<()> { Err(error) });
            // It is shown where the step's cases would have been.
            if let (Some(at), Some(job)) = (at, plan.jobs.pop()) {
                plan.jobs.insert(at, job);
            }
        }
    }
}

/// What passed and what did not.
struct Count {
    start: Instant,
    step: &'static str,
    passed: u32,
    failed: Vec<String>,
    /// How long each took.
    times: Vec<(&'static str, String, Duration)>,
}

impl Default for Count {
    fn default() -> Self {
        let (failed, times) = (Vec::new(), Vec::new());
        Self { start: Instant::now(), step: "", passed: 0, failed, times }
    }
}

impl Count {
    fn one(&mut self, Outcome { step, name, result, took }: Outcome) {
        if step != self.step {
            self.step = step;
            let what = STEPS.iter().find(|(name, ..)| *name == step).map(|(_, what, _)| *what);
            print(&format!("\n== {step}: {}", what.unwrap_or_default()));
        }
        self.passed += u32::from(result.is_ok());
        match result {
            Ok(remark) if remark.is_empty() => print(&format!("ok      {name}")),
            Ok(remark) => print(&format!("ok      {name}: {remark}")),
            Err(error) => {
                let error = format!("{error:#}");
                print(&format!("FAILED  {name}: {}", shortened(&error)));
                let reason = error.lines().next().unwrap_or_default().chars().take(REASON);
                self.failed.push(format!("{step}: {name}: {}", reason.collect::<String>()));
            }
        }
        self.times.push((step, name, took));
    }

    fn close(self, jobs: usize) -> u8 {
        print(&format!("\n{}", self.table()));
        for name in &self.failed {
            say(&format!("failed: {name}"));
        }
        let seconds = self.start.elapsed().as_secs();
        print(&format!(
            "{} passed, {} failed in {seconds} s, {jobs} at once",
            self.passed,
            self.failed.len()
        ));
        u8::from(!self.failed.is_empty())
    }

    /// The time of each step, its cases one after the other, and that of the slowest.
    fn table(&self) -> String {
        let mut text = format!("{:<28}{:>8}{:>10}\n", "step", "cases", "seconds");
        for (step, ..) in STEPS {
            let of_it: Vec<_> = self.times.iter().filter(|(name, ..)| *name == step).collect();
            if !of_it.is_empty() {
                let all: Duration = of_it.iter().map(|(.., took)| *took).sum();
                text.push_str(&format!("{step:<28}{:>8}{:>10}\n", of_it.len(), all.as_secs()));
            }
        }
        let mut slowest: Vec<_> = self.times.iter().collect();
        slowest.sort_by_key(|(.., took)| std::cmp::Reverse(*took));
        for (step, name, took) in
            slowest.iter().take_while(|(.., took)| took.as_secs() > 0).take(SLOWEST)
        {
            text.push_str(&format!("{:>8} s  {step}: {name}\n", took.as_secs()));
        }
        text
    }
}

/// A console can be long: its beginning and its end tell the most.
fn shortened(error: &str) -> String {
    let lines: Vec<&str> = error.lines().collect();
    let left_out = lines.len().saturating_sub(FIRST_LINES + LAST_LINES);
    if left_out == 0 {
        return error.to_owned();
    }
    let (first, rest) = lines.split_at(FIRST_LINES);
    let last = rest.get(left_out..).unwrap_or_default();
    format!("{}\n[{left_out} lines are left out]\n{}", first.join("\n"), last.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(steps: &[&str], only: Option<&str>) -> Test {
        let steps = steps.iter().map(|step| (*step).to_owned()).collect();
        let only = only.map(|text| pattern(text).unwrap());
        Test { steps, only, list: false, jobs: None, boots: 7 }
    }

    #[test]
    fn only_what_matches_is_planned() {
        let plan = asked(&["boots"], Some("raspi4")).plan().unwrap();
        assert_eq!(plan.jobs.len(), 1);
        let all = asked(&["boots"], None).plan().unwrap();
        assert_eq!(all.jobs.len(), 7);
    }

    #[test]
    fn a_filter_that_matches_nothing_is_an_error() {
        let error = asked(&["boots"], Some("no such case")).plan().err().unwrap();
        assert!(error.to_string().contains("no case matches 'no such case'"), "{error}");
    }

    #[test]
    fn a_need_that_cannot_be_met_fails_its_step_alone() {
        let mut plan = Plan::default();
        plan.begin("a");
        plan.need(|| bail!("no QEMU"));
        plan.case("one", || Ok(()));
        plan.case("two", || Ok(()));
        plan.begin("b");
        plan.case("three", || Ok(()));
        fill_needs(&mut plan);
        let titles: Vec<_> = plan.jobs.iter().map(|job| job.title()).collect();
        assert_eq!(titles, ["a: what it needs", "b: three"]);
    }

    #[test]
    fn of_a_long_console_the_beginning_and_the_end_are_shown() {
        let lines = |range: std::ops::Range<usize>| {
            range.map(|n| n.to_string()).collect::<Vec<_>>().join("\n")
        };
        assert_eq!(shortened(&lines(0..300)), lines(0..300));
        let short = shortened(&lines(0..350));
        let wanted = format!("{}\n[50 lines are left out]\n{}", lines(0..100), lines(150..350));
        assert_eq!(short, wanted);
    }

    #[test]
    fn a_failed_case_says_why_again_at_the_end() {
        let mut count = Count::default();
        let result = Err(anyhow::anyhow!("it ended; the console:\na\nb"));
        let took = Duration::from_secs(1);
        count.one(Outcome { step: "boots", name: "a case".to_owned(), result, took });
        assert_eq!(count.failed, ["boots: a case: it ended; the console:"]);
    }
}
