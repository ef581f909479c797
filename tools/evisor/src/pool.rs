//! Runs cases side by side, and gives their results in the order of the plan.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use crate::plan::{Beside, Job};
use crate::process::{Progress, say};

/// Where nothing ends for so long, what runs is said.
const QUIET: Duration = Duration::from_secs(60);

/// What came of a case.
pub struct Outcome {
    pub step: &'static str,
    pub name: String,
    /// Its remark, or what is wrong.
    pub result: Result<String>,
    pub took: Duration,
}

/// Runs them all; `tell` is told of each as soon as it and all before it have ended.
pub fn run(jobs: Vec<Job>, at_once: usize, mut tell: impl FnMut(Outcome)) {
    let pool = Pool { queue: Mutex::new(Queue::new(jobs)), ended: Condvar::new() };
    let (sender, outcomes) = mpsc::channel();
    thread::scope(|scope| {
        for _ in 0..at_once.max(1) {
            let (pool, sender) = (&pool, sender.clone());
            scope.spawn(move || pool.work(&sender));
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut next = 0;
        loop {
            let (number, outcome) = match outcomes.recv_timeout(QUIET) {
                Ok(ended) => ended,
                Err(RecvTimeoutError::Timeout) => {
                    pool.queue().show();
                    continue;
                }
                Err(RecvTimeoutError::Disconnected) => break,
            };
            waiting.insert(number, outcome);
            while let Some(outcome) = waiting.remove(&next) {
                tell(outcome);
                next += 1;
            }
        }
    });
}

struct Pool {
    queue: Mutex<Queue>,
    ended: Condvar,
}

/// What has not begun, in the order in which it begins, and what runs.
struct Queue {
    jobs: Vec<(usize, Job)>,
    running: Vec<Running>,
}

struct Running {
    beside: Beside,
    title: String,
}

/// What a worker does next.
enum Next {
    Run(usize, Job),
    Wait,
    End,
}

impl Pool {
    fn work(&self, outcomes: &Sender<(usize, Outcome)>) {
        while let Some((number, job)) = self.begin() {
            let title = job.title();
            let outcome = carry_out(job, &title);
            self.end(&title);
            // Whoever listens has gone only where this is over too.
            let _ = outcomes.send((number, outcome));
        }
    }

    /// A case that may run now; none where all have begun.
    fn begin(&self) -> Option<(usize, Job)> {
        let mut queue = self.queue();
        loop {
            match queue.next() {
                Next::Run(number, job) => return Some((number, job)),
                Next::End => return None,
                Next::Wait => {
                    queue = self.ended.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    fn end(&self, title: &str) {
        self.queue().end(title);
        self.ended.notify_all();
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn carry_out(job: Job, title: &str) -> Outcome {
    let Job { step, name, run, .. } = job;
    let (progress, start) = (Progress::start(title), Instant::now());
    let result = catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err(anyhow!("it panics")));
    progress.end(result.is_ok());
    Outcome { step, name, result, took: start.elapsed() }
}

impl Queue {
    fn new(jobs: Vec<Job>) -> Self {
        let mut jobs: Vec<_> = jobs.into_iter().enumerate().collect();
        // What comes before one that runs alone stays before it.
        for part in jobs.split_inclusive_mut(|(_, job)| job.beside == Beside::None) {
            part.sort_by_key(|(_, job)| (job.beside == Beside::None, !job.long));
        }
        Self { jobs, running: Vec::new() }
    }

    fn next(&mut self) -> Next {
        let alone = self.jobs.iter().position(|(_, job)| job.beside == Beside::None);
        let ready = match alone {
            // All before it have ended.
            Some(0) => self.running.is_empty().then_some(0),
            before => {
                let mut begun = self.jobs.iter().take(before.unwrap_or(usize::MAX));
                begun.position(|(_, job)| self.may_run(job.beside))
            }
        };
        match ready {
            Some(at) => {
                let (number, job) = self.jobs.remove(at);
                self.running.push(Running { beside: job.beside, title: job.title() });
                Next::Run(number, job)
            }
            None if self.jobs.is_empty() => Next::End,
            None => Next::Wait,
        }
    }

    fn may_run(&self, beside: Beside) -> bool {
        let mut running = self.running.iter();
        running.all(|other| match other.beside {
            Beside::Any => true,
            Beside::AnyBut(_) => other.beside != beside,
            Beside::None => false,
        })
    }

    fn show(&self) {
        let titles: Vec<_> = self.running.iter().map(|other| other.title.as_str()).collect();
        say(&format!("still at {}", titles.join(", and ")));
    }

    fn end(&mut self, title: &str) {
        if let Some(at) = self.running.iter().position(|other| other.title == title) {
            self.running.swap_remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use super::*;
    use crate::plan::Plan;

    fn names(plan: Plan, at_once: usize) -> Vec<String> {
        let mut names = Vec::new();
        run(plan.jobs, at_once, |outcome| names.push(outcome.name));
        names
    }

    #[test]
    fn results_come_in_the_order_of_the_plan() {
        let mut plan = Plan::default();
        plan.case("slow", || {
            thread::sleep(Duration::from_millis(200));
            Ok(())
        });
        plan.case("fast", || Ok(()));
        plan.case("early", || Ok(())).long();
        assert_eq!(names(plan, 2), ["slow", "fast", "early"]);
    }

    #[test]
    fn cases_run_side_by_side() {
        let mut plan = Plan::default();
        let both = Arc::new(Barrier::new(2));
        for name in ["one", "other"] {
            let both = both.clone();
            plan.case(name, move || {
                both.wait();
                Ok(())
            });
        }
        assert_eq!(names(plan, 2).len(), 2);
    }

    #[test]
    fn those_of_a_group_and_those_alone_do_not() {
        let mut plan = Plan::default();
        let (group, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        for number in 0..12 {
            let (group, all) = (group.clone(), all.clone());
            let (in_group, alone) = (number % 2 == 0, number == 7);
            let job = plan.case(number.to_string(), move || {
                let others = all.fetch_add(1, Ordering::SeqCst);
                let of_group = group.fetch_add(in_group.into(), Ordering::SeqCst);
                thread::sleep(Duration::from_millis(10));
                group.fetch_sub(in_group.into(), Ordering::SeqCst);
                all.fetch_sub(1, Ordering::SeqCst);
                anyhow::ensure!(!in_group || of_group == 0, "two of the group");
                anyhow::ensure!(!alone || others == 0, "not alone");
                Ok(())
            });
            if alone {
                job.alone();
            } else if in_group {
                job.in_turn("even");
            }
        }
        let mut failed = Vec::new();
        run(plan.jobs, 4, |outcome| failed.extend(outcome.result.err()));
        assert!(failed.is_empty(), "{failed:?}");
    }

    #[test]
    fn a_panic_is_a_failure_and_the_others_go_on() {
        let mut plan = Plan::default();
        plan.case("bad", || -> Result<()> { std::panic::resume_unwind(Box::new(())) });
        plan.case("good", || Ok(()));
        let mut passed = Vec::new();
        run(plan.jobs, 1, |outcome| passed.push(outcome.result.is_ok()));
        assert_eq!(passed, [false, true]);
    }
}
