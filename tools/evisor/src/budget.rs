//! What the bench may cost: `budgets.json`.
//!
//! `limits` hold whatever compiles; `compilers` hold what one compiler's code was
//! measured at, so that a change that makes a trap dearer is seen at once.

use std::fs;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::bench::Figures;
use crate::workspace;

const FILE: &str = "budgets.json";

/// The budgets of one machine and one compiler.
pub struct Budgets {
    all: Value,
}

impl Budgets {
    pub fn read() -> Result<Self> {
        let path = workspace::root().join(FILE);
        let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let all = serde_json::from_slice(&text).with_context(|| format!("{FILE} is not JSON"))?;
        Ok(Self { all })
    }

    /// What the figures exceed or lack, one sentence each. `compiler` is what
    /// `rustc --version` says, `machine` what was measured: `gic2`, or `outside` for
    /// the device crate that lives elsewhere.
    pub fn broken(&self, figures: &Figures, compiler: &str, machine: &str) -> Vec<String> {
        let limits = self.all.get("limits").and_then(|v| v.get(machine));
        let measured = self.of_compiler(compiler).and_then(|v| v.get(machine));
        let budgets = limits.into_iter().chain(measured).filter_map(Value::as_object).flatten();
        budgets
            .filter_map(|(event, most)| {
                let most = most.as_u64()?;
                match figures.of(event) {
                    Some(count) if count <= most => None,
                    Some(count) => {
                        Some(format!("{event} takes {count} instructions, its budget is {most}"))
                    }
                    None => Some(format!("{event} has a budget and was not measured")),
                }
            })
            .collect()
    }

    /// Whether the image keeps to a size, in bytes.
    pub fn size(&self, what: &str, bytes: u64) -> Result<()> {
        let most = self.all.get("limits").and_then(|v| v.get("image")?.get(what)?.as_u64());
        let most = most.with_context(|| format!("{FILE} has no limit for {what}"))?;
        anyhow::ensure!(bytes <= most, "{what} is {bytes} bytes, its budget is {most}");
        Ok(())
    }

    /// Whether Linux takes no more instructions than it may, in percent of native.
    pub fn overhead(&self, what: &str, percent: f64) -> Result<()> {
        let most = self.all.get("limits").and_then(|v| v.get("linux_percent")?.get(what)?.as_f64());
        let most = most.with_context(|| format!("{FILE} has no limit for {what}"))?;
        anyhow::ensure!(percent <= most, "it takes {percent:.2} % more, its budget is {most}");
        Ok(())
    }

    /// Whether the longest stay at EL2 after an exception of this kind keeps to its
    /// bound, in instructions.
    pub fn longest(&self, kind: &str, instructions: u64) -> Result<()> {
        let most = self.all.get("limits").and_then(|v| v.get("longest")?.get(kind)?.as_u64());
        let most = most.with_context(|| format!("{FILE} has no limit for the longest {kind}"))?;
        anyhow::ensure!(
            instructions <= most,
            "the longest {kind} takes {instructions} instructions, its bound is {most}"
        );
        Ok(())
    }

    /// Whether there are figures of this compiler to compare with.
    pub fn knows(&self, compiler: &str) -> bool {
        self.of_compiler(compiler).is_some()
    }

    fn of_compiler(&self, compiler: &str) -> Option<&Value> {
        let version = compiler.split_whitespace().nth(1)?;
        self.all.get("compilers")?.get(version)
    }
}

impl Figures {
    fn of(&self, event: &str) -> Option<u64> {
        if event == "boot" { self.boot } else { self.events.get(event).copied() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::Counts;

    fn broken(hvc: u64, compiler: &str, machine: &str) -> Vec<String> {
        let all = serde_json::json!({
            "limits": { "gic2": { "hvc": 80 } },
            "compilers": { "1.95.0": { "gic2": { "hvc": 70, "boot": 10 } } },
        });
        let events = Counts::from([("hvc".to_owned(), hvc)]);
        let figures = Figures { events, floor: Counts::new(), boot: Some(9) };
        Budgets { all }.broken(&figures, compiler, machine)
    }

    #[test]
    fn a_figure_above_its_budget_is_named() {
        assert_eq!(broken(70, "rustc 1.95.0 (x)", "gic2"), Vec::<String>::new());
        assert_eq!(
            broken(71, "rustc 1.95.0 (x)", "gic2"),
            ["hvc takes 71 instructions, its budget is 70"]
        );
    }

    #[test]
    fn limits_hold_for_every_compiler() {
        assert!(broken(80, "rustc 2.0.0", "gic2").is_empty());
        assert_eq!(broken(81, "rustc 2.0.0", "gic2").len(), 1);
        assert_eq!(broken(81, "rustc 1.95.0", "gic2").len(), 2);
    }

    #[test]
    fn an_event_that_vanished_is_named() {
        let budgets = Budgets { all: serde_json::json!({ "limits": { "gic3": { "hvc": 80 } } }) };
        let figures = Figures { events: Counts::new(), floor: Counts::new(), boot: None };
        assert_eq!(budgets.broken(&figures, "", "gic3"), ["hvc has a budget and was not measured"]);
    }
}
