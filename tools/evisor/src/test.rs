//! `evisor test`: everything that CI runs, in one order, counted at the end.

use anyhow::{Result, bail};
use clap::Args;

use crate::process::say;
use crate::{boots, card_cases, faults, fuzz, lives, mutants, outside, steps, torture};

type Step = (&'static str, &'static str, fn(&Test, &mut Count) -> Result<()>);

const STEPS: [Step; 16] = [
    ("format", "the source is formatted", |_, count| steps::format(count)),
    ("lint", "clippy has nothing to say", |_, count| steps::lint(count)),
    ("host", "the tests that run on this machine", |_, count| steps::host(count)),
    ("build", "every image builds with every toolchain here", |_, count| steps::build(count)),
    ("check", "each broken manifest gives its one error", |_, count| steps::check(count)),
    ("sdcard", "cards are what others' programs read", |_, count| card_cases::step(count)),
    ("system", "real guests, driven through their consoles", |_, count| steps::system(count)),
    ("lives", "guests crashed in every way beside another one", |_, count| lives::cases(count)),
    ("raspi4", "the same on a Raspberry Pi 4, whatever its tree says", |_, count| {
        steps::raspi4(count)
    }),
    ("boots", "Linux on four vCPUs, again and again", |test, count| boots::step(count, test.boots)),
    ("torture", "no guest brings eVisor down, nor keeps it busy", |_, count| torture::step(count)),
    ("faults", "faults seeded into the models are caught; all of them, if named", |_, count| {
        faults::step(count)
    }),
    ("mutants", "no broken manifest stops eVisor from ending by itself", |_, count| {
        mutants::step(count)
    }),
    ("outside", "a device crate that lives elsewhere works, and costs no more", |_, count| {
        outside::step(count)
    }),
    ("fuzz", "each fuzz target, for some seconds", |_, count| fuzz::step(count)),
    ("budgets", "no event costs more than it may", |_, count| steps::budgets(count)),
];

#[derive(Args)]
pub struct Test {
    /// Only these steps: format, lint, host, build, check, sdcard, system, lives, raspi4, boots,
    /// torture, faults, mutants, outside, fuzz, budgets
    #[arg(value_name = "STEP", value_parser = STEPS.map(|(name, ..)| name))]
    steps: Vec<String>,
    /// How many times the step `boots` boots
    #[arg(long, value_name = "N", default_value_t = 7)]
    boots: u32,
}

/// What passed and what did not.
#[derive(Default)]
pub struct Count {
    /// The steps were named: a step that only takes a sample otherwise does all.
    pub named: bool,
    passed: u32,
    failed: Vec<String>,
}

impl Count {
    pub fn one(&mut self, name: &str, result: Result<()>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                println!("ok      {name}");
            }
            Err(error) => {
                self.failed.push(name.to_owned());
                println!("FAILED  {name}: {error:#}");
            }
        }
    }
}

impl Test {
    pub fn carry_out(&self) -> Result<u8> {
        let mut count = Count { named: !self.steps.is_empty(), ..Count::default() };
        let wanted = |name: &str| self.steps.is_empty() || self.steps.iter().any(|s| s == name);
        for (name, what, step) in STEPS.into_iter().filter(|(name, ..)| wanted(name)) {
            println!("\n== {name}: {what}");
            if let Err(error) = step(self, &mut count) {
                count.one(name, Err(error));
            }
        }
        count.close()
    }
}

impl Count {
    fn close(self) -> Result<u8> {
        println!();
        for name in &self.failed {
            say(&format!("failed: {name}"));
        }
        if self.passed == 0 && self.failed.is_empty() {
            bail!("no test ran");
        }
        println!("{} passed, {} failed", self.passed, self.failed.len());
        Ok(u8::from(!self.failed.is_empty()))
    }
}
