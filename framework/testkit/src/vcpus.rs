//! vCPUs that a test starts.

use crate::fake::{Event, lock};
use evisor_contract::{Context, Power, VcpuControl};
use std::sync::{Arc, Mutex};

/// vCPUs with the affinities 0, 1, 2…; the first is on. One that is started is
/// pending until a test says that it came.
pub(crate) struct FakeVcpus {
    on: Mutex<Vec<Power>>,
    log: Arc<Mutex<Vec<Event>>>,
}

impl FakeVcpus {
    pub(crate) fn new(count: usize, log: Arc<Mutex<Vec<Event>>>) -> &'static Self {
        let power = |index| if index == 0 { Power::On } else { Power::Off };
        let on = Mutex::new((0..count).map(power).collect());
        Box::leak(Box::new(Self { on, log }))
    }

    pub(crate) fn arrive(&self, index: usize) {
        if let Some(power) = lock(&self.on).get_mut(index) {
            *power = Power::On;
        }
    }
}

impl VcpuControl for FakeVcpus {
    fn affinity(&self, index: usize) -> Option<u64> {
        (index < lock(&self.on).len()).then_some(index as u64)
    }
    fn power(&self, index: usize) -> Power {
        lock(&self.on).get(index).copied().unwrap_or(Power::Off)
    }
    fn start(&self, index: usize, entry: u64, context: u64) -> Power {
        let mut on = lock(&self.on);
        let Some(power) = on.get_mut(index) else { return Power::On };
        let before = *power;
        if before == Power::Off {
            *power = Power::Pending;
            lock(&self.log).push(Event::Started { index, entry, context });
        }
        before
    }
    fn stop_caller(&self, cx: &mut Context) {
        if let Some(on) = lock(&self.on).get_mut(cx.vcpu()) {
            *on = Power::Off;
        }
        lock(&self.log).push(Event::Stopped);
    }
    fn wait(&self, _: &mut Context) {
        lock(&self.log).push(Event::Waits);
    }
}
