//! What a check is, and how it says what it found.

use evisor_guest::exception::Exception;
use evisor_guest::gic::{self, Version};
use evisor_guest::{call, cores, println};

/// One thing to look at.
pub struct Check {
    /// `area.name`.
    pub name: &'static str,
    /// Looks at it.
    pub run: fn() -> Outcome,
}

/// `Ok` is a pass.
pub type Outcome = Result<(), Exit>;

/// Why a check ended early.
#[derive(Debug)]
pub enum Exit {
    /// The machine does not have what would be looked at.
    Skip(&'static str),
    /// It is not as the manual says.
    Fail {
        /// What was looked at.
        what: &'static str,
        /// What the manual says.
        expected: u64,
        /// What was seen.
        got: u64,
    },
}

/// Fails unless both are equal.
pub fn equal(what: &'static str, got: impl Into<u64>, expected: impl Into<u64>) -> Outcome {
    let (got, expected) = (got.into(), expected.into());
    if got == expected {
        return Ok(());
    }
    Err(Exit::Fail { what, expected, got })
}

/// Fails unless the condition holds.
pub fn holds(what: &'static str, condition: bool) -> Outcome {
    equal(what, condition, true)
}

/// Skips unless the condition holds.
pub fn require(why: &'static str, condition: bool) -> Outcome {
    if condition { Ok(()) } else { Err(Exit::Skip(why)) }
}

/// Skips where the promise is eVisor's and not the architecture's.
pub fn only_on_evisor() -> Outcome {
    require("only eVisor promises this", call::on_evisor())
}

/// Skips where the interrupt controller is of another version.
pub fn only_gic(version: Version) -> Outcome {
    let why = if version == Version::V2 { "there is no GICv2" } else { "there is no GICv3" };
    require(why, gic::version() == version)
}

/// Skips unless there are this many cores; all of them are at their mailboxes then, and
/// their interfaces on.
pub fn with_cores(least: usize) -> Outcome {
    let why = if least > 2 { "it takes four cores" } else { "it takes another core" };
    require(why, cores::count() >= least)?;
    for core in 1..cores::count() {
        on(core, enable_core, 0)?;
    }
    Ok(())
}

fn enable_core(_: u64) -> u64 {
    gic::enable_core();
    0
}

/// What a function returned that ran on another core.
pub fn on(core: usize, function: cores::Function, argument: u64) -> Result<u64, Exit> {
    let timed_out = Exit::Fail { what: "the other core answers", expected: 1, got: 0 };
    cores::run(core, function, argument).ok_or(timed_out)
}

/// What the function returned that another core was asked to run.
pub fn answer(core: usize) -> Result<u64, Exit> {
    let timed_out = Exit::Fail { what: "the other core answers", expected: 1, got: 0 };
    cores::finish(core).ok_or(timed_out)
}

/// The value, or a failure that shows the syndrome of the exception that came
/// in its place.
pub fn no_exception<T>(what: &'static str, result: Result<T, Exception>) -> Result<T, Exit> {
    result.map_err(|exception| Exit::Fail { what, expected: 0, got: exception.esr })
}

/// The exception, or a failure if there was none.
pub fn exception<T>(what: &'static str, result: Result<T, Exception>) -> Result<Exception, Exit> {
    match result {
        Err(exception) => Ok(exception),
        Ok(_) => Err(Exit::Fail { what, expected: 1, got: 0 }),
    }
}

/// How many checks ended in which way.
#[derive(Default)]
pub struct Tally {
    /// `PASS`.
    pub passed: u32,
    /// `FAIL`.
    pub failed: u32,
    /// `SKIP`.
    pub skipped: u32,
}

impl Tally {
    /// Runs a check, prints its line and counts it.
    pub fn run(&mut self, check: &Check) {
        let name = check.name;
        match (check.run)() {
            Ok(()) => {
                self.passed += 1;
                println!("PASS {name}");
            }
            Err(Exit::Skip(why)) => {
                self.skipped += 1;
                println!("SKIP {name}: {why}");
            }
            Err(Exit::Fail { what, expected, got }) => {
                self.failed += 1;
                println!("FAIL {name}: {what}: expected {expected:#x} got {got:#x}");
            }
        }
    }
}

/// A table of checks: `area.name` from the area and the functions' names.
#[macro_export]
macro_rules! checks {
    ($area:literal: $($name:ident)*) => {
        /// The checks of this area.
        pub const CHECKS: &[$crate::check::Check] = &[$(
            $crate::check::Check { name: concat!($area, ".", stringify!($name)), run: $name },
        )*];
    };
}
