//! What `evisor test` is to run: the cases of its steps, which are only named until they
//! are chosen.

use std::sync::OnceLock;

use anyhow::{Result, anyhow};

/// The cases of all steps, in the order in which their results are shown.
#[derive(Default)]
pub struct Plan {
    /// The steps were named: one that only takes a sample otherwise takes all.
    pub named: bool,
    step: &'static str,
    pub needs: Vec<Need>,
    pub jobs: Vec<Job>,
}

/// What a step's cases need: done before any of them runs.
pub struct Need {
    pub step: &'static str,
    pub fill: fn() -> Result<()>,
}

/// A case: it passes, with a remark or without one, or says what is wrong.
pub struct Job {
    pub step: &'static str,
    pub name: String,
    pub run: Box<dyn FnOnce() -> Result<String> + Send>,
    pub beside: Beside,
    /// It takes minutes, and is begun before the others.
    pub long: bool,
}

/// What a case may run beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beside {
    Any,
    /// Any but those of this name: they use the same files.
    AnyBut(&'static str),
    /// None: it keeps all cores busy by itself.
    None,
}

/// What a case that passes has to say.
pub trait Remark {
    fn remark(self) -> String;
}

impl Remark for () {
    fn remark(self) -> String {
        String::new()
    }
}

impl Remark for String {
    fn remark(self) -> String {
        self
    }
}

impl Plan {
    pub fn new(named: bool) -> Self {
        Self { named, ..Self::default() }
    }

    /// The cases that follow are those of this step.
    pub fn begin(&mut self, step: &'static str) {
        self.step = step;
    }

    /// One more case of the step, which may run beside any other.
    pub fn case<R: Remark>(
        &mut self,
        name: impl Into<String>,
        run: impl FnOnce() -> Result<R> + Send + 'static,
    ) -> &mut Job {
        let run = Box::new(|| run().map(Remark::remark));
        let (step, name) = (self.step, name.into());
        self.jobs.push_mut(Job { step, name, run, beside: Beside::Any, long: false })
    }

    pub fn need(&mut self, fill: fn() -> Result<()>) {
        self.needs.push(Need { step: self.step, fill });
    }
}

impl Job {
    /// The name that a filter sees, and a list shows.
    pub fn title(&self) -> String {
        format!("{}: {}", self.step, self.name)
    }

    /// Never beside another of `group`.
    pub fn in_turn(&mut self, group: &'static str) -> &mut Self {
        self.beside = Beside::AnyBut(group);
        self
    }

    /// Beside no other.
    pub fn alone(&mut self) -> &mut Self {
        self.beside = Beside::None;
        self
    }

    pub fn long(&mut self) -> &mut Self {
        self.long = true;
        self
    }
}

/// What the first of several cases makes for all of them.
pub struct Shared<T>(OnceLock<Result<T, String>>);

impl<T> Shared<T> {
    pub const fn new() -> Self {
        Self(OnceLock::new())
    }

    /// What was made, or why that failed, which each is told.
    pub fn get(&self, make: impl FnOnce() -> Result<T>) -> Result<&T> {
        let made = self.0.get_or_init(|| make().map_err(|error| format!("{error:#}")));
        made.as_ref().map_err(|error| anyhow!("{error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_made_once() {
        let shared = Shared::new();
        assert_eq!(*shared.get(|| Ok(1)).unwrap(), 1);
        assert_eq!(*shared.get(|| Ok(2)).unwrap(), 1);
        let broken = Shared::<u8>::new();
        assert!(broken.get(|| anyhow::bail!("bad")).is_err());
        assert_eq!(broken.get(|| Ok(1)).unwrap_err().to_string(), "bad");
    }
}
