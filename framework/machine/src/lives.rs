//! The lives of VMs: starting, and what follows when one asks for a change or
//! crashes.
//!
//! A change takes memory to be scrubbed or filled, GiBs perhaps. So it is a job that
//! [`Held::change`] begins and [`Held::go_on`] does, slice by slice.

use crate::fill::{Job, Progress};
use crate::report::Refused;
use crate::run::{Held, Running};
use crate::start::reset_board;
use core::sync::atomic::{AtomicU64, Ordering};
use evisor_aarch64::{heap, timer};
use evisor_contract::Context;
use evisor_kernel::{Change, Place, Restarts};
use evisor_manifest::{LivesPlan, Outcome};
use log::{error, info};
use spin::Mutex;

/// The verdict of a VM that crashed and stays down, or started anew too often, whatever
/// it said before.
const CRASHED: u8 = 102;
/// The verdict of one that was left out, or whose memory could not be filled.
pub(crate) const UNSTARTED: u8 = 1;

/// Where a VM is in its lives.
pub(crate) struct Lives {
    /// How often it may restart.
    limit: Mutex<Restarts>,
    /// How often it did.
    restarts: AtomicU64,
    /// What EL2's heap had free when it first started, in bytes.
    free: AtomicU64,
    /// The change of its memory that is under way.
    refit: Mutex<Option<Refit>>,
}

/// A change of its memory that is under way.
struct Refit {
    job: Job,
    /// It still may hold, by handles, what the manifest did not give it.
    holds: bool,
    /// What follows the job: a start, or the end with a verdict.
    then: Option<u8>,
}

impl Lives {
    pub fn new(plan: &LivesPlan) -> Self {
        Self {
            limit: Mutex::new(Restarts::new(plan.restart_limit)),
            restarts: AtomicU64::new(0),
            free: AtomicU64::new(0),
            refit: Mutex::new(None),
        }
    }
}

impl Held {
    /// Begins to fill its memory, for its first vCPU to start. All are parked.
    pub fn start(&self, running: &Running) {
        *self.ended.lock() = None;
        let job = Job::fill(&mut self.placed.lock(), running.bundle);
        match job {
            Ok(job) => self.begin(Refit { job, holds: true, then: None }),
            // Why was said there.
            Err(Refused) => self.ends(running, UNSTARTED),
        }
    }

    fn begin(&self, refit: Refit) {
        *self.lives.refit.lock() = Some(refit);
    }

    /// Does a slice of the change that was begun on core `core`, which is this one, of at
    /// most `bytes` of memory.
    pub fn go_on(&self, running: &Running, bytes: u64, core: usize) -> Progress {
        if let Some(progress) = self.go_on_with_checkpoint(bytes) {
            return progress;
        }
        let mut slot = self.lives.refit.lock();
        let Some(Refit { job, holds, then }) = &mut *slot else { return Progress::Done };
        let then = *then;
        if *holds && running.handles.is_some_and(|handles| handles.retire(self.bound.vm.id)) {
            return Progress::More;
        }
        *holds = false;
        let progress = job.step(&mut self.placed.lock(), bytes);
        if let Ok(Progress::More) = progress {
            return Progress::More;
        }
        *slot = None;
        drop(slot);
        match (progress, then) {
            (Ok(_), None) => {
                if let Err(Refused) = self.begins_to_run(core) {
                    self.ends(running, UNSTARTED);
                }
            }
            (Ok(_), Some(verdict)) => self.ends(running, verdict),
            (Err(Refused), _) => self.ends(running, UNSTARTED),
        }
        Progress::Done
    }

    fn begins_to_run(&self, core: usize) -> Result<(), Refused> {
        let entry = self.placed.lock().ready(&self.bound)?;
        let began = timer::nanoseconds(self.bound.vm.offset());
        let name = &self.plan.name;
        info!("{name}: starts; its time is the machine's less {began} ns");
        let first = self.lives.restarts.load(Ordering::Relaxed) == 0;
        if first {
            self.lives.free.store(heap::free(), Ordering::Relaxed);
        }
        self.devices.starts();
        self.bound.starts(core);
        self.bound.vm.changed(Some(entry));
        Ok(())
    }

    /// It is off, and nothing is left of it.
    fn ends(&self, running: &Running, verdict: u8) {
        let name = &self.plan.name;
        let restarts = self.lives.restarts.load(Ordering::Relaxed);
        if restarts > 0 {
            let (heap, before) = (heap::free(), self.lives.free.load(Ordering::Relaxed));
            let ram = running.free;
            info!(
                "{name}: restarted {restarts} times; free before: heap {before}, RAM {ram}; now: heap {heap}, RAM {ram}"
            );
        }
        running.ended(self, verdict);
    }

    /// Begins the change that was asked for. All its vCPUs are parked; `cx` is that of
    /// the one on this core.
    pub fn change(&self, running: &Running, change: Change, cx: &mut Context) {
        match change {
            Change::Pause => self.pause(cx),
            Change::Resume => self.resume(cx),
            Change::Start => self.start(running),
            Change::Checkpoint => self.keep(),
            Change::RollBack => self.roll_back(),
            change => {
                self.bound.settle(cx);
                self.devices.quiet();
                self.goes_off(running, change);
            }
        }
    }

    fn pause(&self, cx: &mut Context) {
        self.devices.hold();
        self.bound.settle(cx);
        self.bound.stop_time();
        info!("{}: paused", self.plan.name);
        self.bound.vm.paused();
    }

    fn resume(&self, cx: &mut Context) {
        let stood = timer::nanoseconds(self.bound.start_time(cx));
        info!("{}: goes on; its time stood still for {stood} ns", self.plan.name);
        self.devices.release();
        self.bound.vm.resumed();
    }

    fn goes_off(&self, running: &Running, change: Change) {
        let (name, vm) = (&self.plan.name, self.bound.vm);
        let crashed = change == Change::Crash;
        let why = if crashed { " after its crash" } else { "" };
        let outcome = match change {
            Change::Crash => self.plan.lives.on_crash,
            Change::Reset => self.plan.lives.on_reset,
            _ => Outcome::Stop,
        };
        let mut verdict = if crashed { CRASHED } else { vm.verdict() };
        match outcome {
            Outcome::Restart if self.may_restart() => {
                vm.becomes(Place::On);
                info!("{name}: restarts{why}");
                return self.start(running);
            }
            Outcome::Restart => {
                error!("{name}: restarted too often, and stays down{why}");
                verdict = CRASHED;
            }
            Outcome::ResetBoard => {
                running.drain();
                info!("{name}: resets the board{why}");
                reset_board();
                error!("the board cannot be reset");
            }
            Outcome::Stop => {}
        }
        if change == Change::Reset {
            vm.becomes(Place::Off);
        }
        // Somebody is there to look at what it wrote.
        if change == Change::End || !vm.is_kept() {
            running.drain();
        }
        let before = *self.ended.lock();
        if before.is_none() {
            info!("{name}: off, verdict {verdict}");
        }
        let verdict = before.unwrap_or(verdict);
        let job = Job::scrub(&mut self.placed.lock());
        self.begin(Refit { job, holds: true, then: Some(verdict) });
    }

    fn may_restart(&self) -> bool {
        let may = self.lives.limit.lock().allow(timer::now(), timer::frequency());
        self.lives.restarts.fetch_add(u64::from(may), Ordering::Relaxed);
        may
    }
}
